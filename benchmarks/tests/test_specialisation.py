"""One space, several devices: what `benchmarks specialisation` reports."""

import itertools

import numpy as np
import pytest

from benchmarks import specialisation
from benchmarks.quality_settings import SpecialisationConfig
from nas_jax.latency import tables
from nas_jax.latency.tables import PROVENANCE
from nas_jax.networks import counts
from nas_jax.search.derivation import Limit
from nas_jax.spaces import builders
from nas_jax.training.progress import Progress
from tests import tiny_spaces

SPACE = tiny_spaces.TWO_STAGES
MACS = 890_000.0
KERNEL_MS = {"flat": {3: 1.0, 7: 1.0}, "steep": {3: 1.0, 7: 4.0}}


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    """Two made-up devices: on one large kernels are free, on the other they cost."""
    folder = tmp_path_factory.mktemp("devices")
    numbers = {str: "made up", int: 1}
    provenance = {key: numbers[kind] for key, kind in PROVENANCE.items()}
    provenance |= {"method": "operations"}
    parts = tables.required_parts(builders.mobile(SPACE))
    for name, by_kernel in KERNEL_MS.items():
        entries = {}
        for part in parts:
            op = getattr(part, "op", None)
            is_mbconv = op is not None and op.kind == "mbconv"
            ms = 0.1 * op.expansion * by_kernel[op.kernel] if is_mbconv else 0.1
            quartiles = dict.fromkeys(("median_ms", "q25_ms", "q75_ms"), ms)
            entries[part.key] = tables.Entry(ms, std_ms=0.0, count=2, **quartiles)
        table = tables.LatencyTable(entries, provenance)
        tables.save(table, folder / f"{name}.json")
    return tuple(str(folder / f"{name}.json") for name in KERNEL_MS)


def config(devices, **changes):
    settings = {
        "space": SPACE,
        "image_size": 8,
        "images": 52,
        "batch": 26,
        "warmup_epochs": 1,
        "joint_epochs": 2,
        "macs": MACS,
        "above_least": 0.1,
    }
    return SpecialisationConfig(devices, **settings | changes)


@pytest.mark.slow
def test_networks_meet_their_own_target_and_the_matrix_is_by_table(devices):
    result = specialisation.run(config(devices), Progress())
    searched = builders.mobile(SPACE)
    names = [op.name for op in searched.candidates]
    for name, own in result["devices"].items():
        assert own["ratios"][name] == pytest.approx(1 - own["slack"])
        assert 0 <= own["slack"] < 1
        assert 0.99 * MACS <= own["macs"] <= MACS
        path = np.array([names.index(op) for op in own["operations"]])
        for other in devices:
            costs, fixed = tables.costs(tables.load(other), searched, other)
            ms = fixed + costs[range(4), path].sum()
            target = result["devices"][other]["target_ms"]
            assert own["ratios"][other] == pytest.approx(ms / target)
    header, *rows = specialisation.table(result)
    assert len(rows) == 2 and all(len(row) == len(header) for row in rows)


def test_target_is_the_least_latency_of_the_size_and_a_share_more(devices):
    """All 5 * 5 * 5 * 4 networks: two layers cannot be zero."""
    settings = config(devices)
    searched = builders.mobile(SPACE)
    macs, fixed_macs = counts.costs(searched, counts.macs)
    size = Limit("macs", macs, fixed_macs, settings.macs)
    offered = [np.flatnonzero(ok) for ok in searched.mask]
    paths = np.array(list(itertools.product(*offered)))
    sizes = fixed_macs + macs[range(4), paths].sum(axis=1)
    is_of_size = (sizes <= settings.macs) & (sizes >= 0.99 * settings.macs)
    assert 1 < is_of_size.sum() < len(paths)
    for name in devices:
        limit = specialisation._limit(settings, searched, size, name)
        latencies = limit.fixed + limit.costs[range(4), paths].sum(axis=1)
        least = latencies[is_of_size].min()
        assert limit.target == pytest.approx(1.1 * least)
        assert least > latencies.min()  # smaller networks are faster


def test_size_that_no_network_has_is_refused(devices):
    with pytest.raises(ValueError, match=r"^macs: expected a size .* within 1%, got"):
        specialisation.run(config(devices, macs=1e12), Progress())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "batch"),
        ({"macs": 0.0}, "macs"),
        ({"above_least": float("nan")}, "above_least"),
        ({"arch_lr": 0.0}, "arch_lr"),
        ({"seed": -1}, "seeds"),
    ],
)
def test_settings_refused(devices, changes, message):
    with pytest.raises(ValueError, match=message):
        config(devices, **changes)


def test_one_device_is_none_to_compare_with(devices):
    with pytest.raises(ValueError, match="at least two"):
        config(devices[:1])
