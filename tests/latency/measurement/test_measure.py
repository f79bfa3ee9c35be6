import gc
import math
import os
from dataclasses import replace

import numpy as np
import pytest

from nas_jax.config import LatencyConfig, SpaceConfig
from nas_jax.latency import tables
from nas_jax.latency.measurement import operations, timing
from nas_jax.latency.measurement.timing import Device
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.latency.tables import PROVENANCE
from nas_jax.networks.onnx import graphs
from nas_jax.spaces.architecture import from_path
from nas_jax.spaces.builders import mobile
from nas_jax.spaces.parts import Head

CONFIG = LatencyConfig(batch=4, repeats=3, loop_ms=0.2)


@pytest.fixture(scope="module")
def space():
    return mobile(
        SpaceConfig(
            name="two_layers",
            input_size=16,
            input_channels=1,
            classes=10,
            stem_channels=16,
            stem_stride=1,
            first_block_channels=None,
            stage_widths=(16,),
            cells=(2,),
            strides=(2,),
            candidates=("mb3_k3", "mb6_k5", "zero"),
            head_channels=64,
        )
    )


@pytest.fixture(scope="module")
def table(space):
    device = onnx_runtime.device(CONFIG)
    return operations.measure_table(device, space, spread_s=0.0)


def test_table_has_every_required_entry_positive_and_finite(space, table):
    assert list(table.entries) == [part.key for part in tables.required_parts(space)]
    for entry in table.entries.values():
        times = (entry.mean_ms, entry.median_ms, entry.q25_ms, entry.q75_ms)
        assert all(0 < time < math.inf for time in times)
        assert entry.q25_ms <= entry.median_ms <= entry.q75_ms
        assert 0 <= entry.std_ms < math.inf
        assert entry.count == 2
    costs, fixed_ms = tables.costs(table, space)
    np.testing.assert_array_equal(costs > 0, space.mask & [True, True, False])
    assert fixed_ms > 0


def test_table_tells_its_provenance_and_can_be_stored(table, tmp_path):
    assert set(PROVENANCE) <= set(table.provenance)
    stated = {key: table.provenance[key] for key in ("threads", "batch", "repeats")}
    assert stated == {"threads": 1, "batch": 4, "repeats": 3}
    assert table.provenance["runtime_version"] == onnx_runtime.onnxruntime.__version__
    assert table.provenance["date"].endswith("+00:00")
    assert table.provenance["subtracts"] == "identity"
    tables.save(table, tmp_path / "table.json")
    assert tables.load(tmp_path / "table.json") == table


def test_networks_are_timed_beside_their_overhead(space):
    rng = np.random.default_rng(0)
    models = {}
    for name, path in {"a": (0, 2), "b": (1, 1)}.items():
        architecture = from_path(space, path, name)
        drawn = [graphs.random_weights(part, rng) for part in architecture.parts]
        (stem, *blocks, head, classifier) = drawn
        trees = []
        for tree in (0, 1):
            names = ("stem", "head", "classifier")
            chosen = (stem[tree], head[tree], classifier[tree])
            trees.append(dict(zip(names, chosen, strict=True)))
            trees[tree]["blocks"] = [block[tree] for block in blocks]
        models[name] = graphs.network(architecture, *trees)
    measured = onnx_runtime.measure_networks(
        models,
        dict.fromkeys(models, space.input_shape),
        replace(CONFIG, repeats=4),
        spread_s=0.0,
    )
    assert list(measured) == ["a", "b"]
    for times in measured.values():
        assert set(times) == {"median", "q25", "q75", "mean", "overhead"}
        assert all(0 < value < math.inf for value in times.values())
        assert times["mean"] <= times["median"]
    assert measured["a"]["overhead"] == measured["b"]["overhead"]


def test_telemetry_is_off():
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


DEVICE = Device(
    name="made up",
    runtime="made up",
    version="1",
    config=CONFIG,
    part=lambda part: lambda: None,
    network=lambda network: lambda: None,
    copy=lambda shape: lambda: None,
)


def test_entry_is_net_of_both_copies_and_one_call():
    part = Head(in_channels=2, out_channels=3, input_size=4)
    times = {
        part.key: np.array([10.0, 14.0, 10.5, 90.0]),
        "identity (2, 4, 4)": np.array([2.0, 2.0, 2.0, 50.0]),
        "identity (3, 4, 4)": np.array([3.0, 3.0, 3.0, 50.0]),
        "identity (1,)": np.array([1.0, 1.0, 1.0, 50.0]),
    }
    entry = operations.entry(DEVICE, part, times)
    # 2 + 3 - 1 = 4 off; the fastest two are 10 and 10.5
    assert (entry.mean_ms, entry.count) == (6.25, 2)
    assert (entry.median_ms, entry.q25_ms) == (8.25, 6.375)


def test_entry_that_drowns_in_its_overhead_is_refused():
    part = Head(in_channels=2, out_channels=3, input_size=4)
    names = ("identity (2, 4, 4)", "identity (3, 4, 4)", "identity (1,)")
    times = {name: np.full(3, 5.0) for name in (part.key, *names)}
    with pytest.raises(
        ValueError,
        match=r"latency of 'head 4x4x2->4x4x3': expected more than the 5.000000 ms .* "
        r"got 5.000000 ms; raise latency.batch or latency.repeats",
    ):
        operations.entry(DEVICE, part, times)


def test_rounds_time_every_call_with_the_collector_off():
    order, collecting, shown = [], [], []

    def progress(rounds, total, desc):
        order.clear()
        shown.append((total, desc))
        return rounds

    def call(name):
        order.append(name)
        collecting.append(gc.isenabled())

    calls = {name: lambda name=name: call(name) for name in "abc"}
    # a loop that is long enough after one call
    protocol = timing.Protocol(repeats=4, loop_ms=1e-9, spread_s=0.0)
    times = timing.time_calls(calls, protocol, progress)
    assert shown == [(4, "measuring latency")]
    assert gc.isenabled() and not any(collecting)
    assert {name: value.shape for name, value in times.items()} == {
        name: (4,) for name in "abc"
    }
    assert all((value > 0).all() for value in times.values())
    # after loops are counted: 4 rounds of 5 passes over 3 calls, one of them unused
    passes = np.array(order[-4 * 5 * 3 * 2 :]).reshape(20, 6)
    assert all(sorted(row) == list("aabbcc") for row in passes)
    assert len({tuple(row) for row in passes}) > 1


def test_collector_is_restored_after_an_error():
    def fail():
        raise RuntimeError("no such device")

    with pytest.raises(RuntimeError, match="no such device"):
        timing.time_calls({"a": fail}, timing.Protocol(3, loop_ms=1.0, spread_s=0.0))
    assert gc.isenabled()


def test_steady_ignores_slow_rounds():
    assert timing.steady(np.array([1.0, 1.2, 50.0, 60.0])) == 1.1
    assert timing.quartiles(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == (2.0, 3.0, 4.0)
