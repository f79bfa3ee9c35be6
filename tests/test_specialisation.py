"""One space, several devices: what `bench specialisation` reports."""

import itertools

import numpy as np
import pytest

from nas_jax import space, tables
from nas_jax.bench import specialisation
from nas_jax.bench.quality_settings import SpecialisationConfig
from nas_jax.config import SpaceConfig
from nas_jax.table_schema import PROVENANCE
from nas_jax.watch import Watch

SPACE = SpaceConfig(
    name="two_stages",
    input_size=16,
    stem_channels=8,
    stem_stride=1,
    first_block_channels=None,
    stage_widths=(8, 16),
    cells=(2, 2),
    strides=(1, 2),
    candidates=("mb3_k3", "mb6_k3", "mb3_k7", "mb6_k7", "zero"),
    head_channels=16,
)
KERNEL_MS = {"flat": {3: 1.0, 7: 1.0}, "steep": {3: 1.0, 7: 4.0}}


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    """Two made-up devices: on one large kernels are free, on the other they cost."""
    folder = tmp_path_factory.mktemp("devices")
    numbers = {str: "made up", int: 1}
    provenance = {key: numbers[kind] for key, kind in PROVENANCE.items()}
    provenance |= {"method": "operations"}
    parts = tables.required_parts(space.mobile(SPACE))
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
        "target_quantile": 0.5,
    }
    return SpecialisationConfig(devices, **settings | changes)


def test_networks_meet_their_own_target_and_the_matrix_is_by_table(devices):
    result = specialisation.run(config(devices), Watch())
    searched = space.mobile(SPACE)
    names = [op.name for op in searched.candidates]
    for name, own in result["devices"].items():
        assert own["ratios"][name] == pytest.approx(1 - own["slack"])
        assert 0 <= own["slack"] < 1
        path = np.array([names.index(op) for op in own["operations"]])
        for other in devices:
            costs, fixed = tables.costs(tables.load(other), searched, other)
            ms = fixed + costs[range(4), path].sum()
            target = result["devices"][other]["target_ms"]
            assert own["ratios"][other] == pytest.approx(ms / target)
    header, *rows = specialisation.table(result)
    assert len(rows) == 2 and all(len(row) == len(header) for row in rows)


def test_target_is_kept_by_the_same_share_of_all_networks_everywhere(devices):
    """All 5 * 5 * 5 * 4 networks, counted: two layers cannot be zero."""
    settings = config(devices, target_quantile=0.3)
    searched = space.mobile(SPACE)
    for name in devices:
        limit = specialisation._limit(settings, searched, name)
        offered = [limit.costs[row, ok] for row, ok in enumerate(searched.mask)]
        every = [limit.fixed + sum(cost) for cost in itertools.product(*offered)]
        below, upto = (
            np.mean(np.array(every) < limit.target - 1e-6),
            np.mean(np.array(every) <= limit.target + 1e-6),
        )
        # many networks of the made-up tables cost the same
        assert below - 0.02 <= 0.3 <= upto + 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "batch"),
        ({"target_quantile": 1.0}, "target_quantile"),
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
