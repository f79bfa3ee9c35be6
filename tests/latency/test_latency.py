"""The front of the room: `nas.latency.load` and `nas.latency.measure`."""

import dataclasses
import re

import pytest

import nas_jax as nas
from nas_jax.config import LatencyConfig, SpaceConfig, shipped
from nas_jax.latency import tables
from nas_jax.latency.measurement import operations, timing
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.spaces import builders
from nas_jax.spaces.builders import mobile
from tests.clean_python import python


def test_table_is_loaded_by_name_and_by_path():
    table = nas.latency.load("digits_cpu_onnxruntime")
    file = shipped.folder("latency_tables") / "digits_cpu_onnxruntime.json"
    assert table == tables.load(file) == nas.latency.load(file)


@pytest.mark.parametrize("name", ["none", "none.json"])
def test_unknown_table_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = f"latency table {name!r}: expected a file, or the name of a shipped table"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}, found none"):
        nas.latency.load(name)


def test_space_is_measured_with_the_settings(monkeypatch):
    space = mobile(
        SpaceConfig(
            input_size=8,
            stem_channels=8,
            first_block_channels=None,
            stage_widths=(8,),
            cells=(1,),
            strides=(1,),
            candidates=("mb3_k3",),
            head_channels=16,
        )
    )
    shown = []

    def progress(rounds, total, desc):
        shown.append(total)
        return rounds

    # rounds back to back instead of spread over seconds
    rounds = timing.rounds
    monkeypatch.setattr(
        timing,
        "rounds",
        lambda calls, plan: rounds(calls, timing.replace(plan, spread_s=0.0)),
    )
    table = nas.latency.measure(space, batch=2, repeats=3, progress=progress)
    assert list(table.entries) == [part.key for part in tables.required_parts(space)]
    assert (table.provenance["batch"], table.provenance["repeats"]) == (2, 3)
    assert table.provenance["runtime"] == "onnxruntime"
    assert shown == [3]


def test_table_is_judged_by_whole_networks(tmp_path):
    experiment = nas.load_experiment(
        "digits_cpu",
        {
            "space.cells": (2, 1, 1),
            "space.candidates": ("mb3_k3", "mb6_k3", "zero"),
        },
    )
    space = builders.build(experiment.space)
    settings = {"batch": 2, "repeats": 3, "loop_ms": 0.05}
    device = onnx_runtime.device(LatencyConfig(**settings))
    table = operations.measure_table(device, space, spread_s=0.0)
    again = dataclasses.replace(table, validation=None)
    with pytest.raises(ValueError, match=r"^networks: expected 10 or more, got 9$"):
        nas.latency.validate(again, space, 9, **settings)
    with pytest.raises(ValueError, match=r"^settings: expected the table's .*'batch'"):
        nas.latency.validate(again, space, 10, batch=1)
    judged, record = nas.latency.validate(again, space, 10, **settings)
    assert judged.validation["networks"] == 10 == len(record["networks"])
    assert judged.entries == table.entries
    predicted = [row["operations_ms"] for row in record["networks"]]
    assert 0 < predicted[0] < predicted[-1]
    assert record["pace"]["factor"] > 0
    (axes,) = nas.latency.plot(record).axes
    assert len(axes.collections[-1].get_offsets()) == 10
    nas.latency.save(judged, str(tmp_path / "mine.json"))
    assert nas.latency.load(tmp_path / "mine.json") == judged


def test_unknown_runtime_is_refused():
    with pytest.raises(
        ValueError, match=r"^runtime: expected one of onnxruntime, onnxruntime-int8, "
    ):
        nas.latency.measure(None, "tensorflow")


def test_importing_the_room_imports_no_numbers():
    code = (
        "import sys, nas_jax as nas; nas.latency.load; "
        "print(sorted({'jax', 'numpy', 'onnxruntime', 'pydantic'} & set(sys.modules)))"
    )
    assert python(code).stdout == "[]\n"
