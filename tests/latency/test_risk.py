import dataclasses
import math

import pytest

from nas_jax.config import SpaceConfig
from nas_jax.latency import risk as table_risk
from nas_jax.latency import tables
from nas_jax.latency.tables import Entry
from nas_jax.spaces.architecture import from_path
from nas_jax.spaces.builders import mobile

SPACE = mobile(
    SpaceConfig(
        name="toy",
        input_size=8,
        input_channels=1,
        classes=10,
        stem_channels=8,
        first_block_channels=None,
        stage_widths=(8,),
        cells=(3,),
        strides=(1,),
        candidates=("mb3_k3", "zero"),
        head_channels=16,
    )
)
TWICE = from_path(SPACE, [0, 1, 0], "twice")  # one block two times, one skipped


@pytest.fixture
def table():
    entries = {
        part.key: Entry(1.0, 0.3, 1.0, 1.0, 1.0, 3)
        for part in tables.required_parts(SPACE)
    }
    return tables.LatencyTable(entries, {"input_size": 8}, fixed_ms=2.0)


def test_spread_of_the_parts_adds_a_part_used_twice_as_often(table):
    # stem, block, block, head, classifier: 2 + 5 ms; sd 0.3 sqrt(1 + 2^2 + 1 + 1)
    risk = table_risk.within(table, TWICE, 7.0)
    assert (risk.mean_ms, risk.source) == (7.0, "spread of the parts")
    assert math.isclose(risk.std_ms, 0.3 * math.sqrt(7))
    assert risk.probability == 0.5
    assert table_risk.line(risk) == (
        "P(latency <= target) = 50% by table (7 +- 0.79 ms, from the spread of the "
        "parts)"
    )
    later = table_risk.within(table, TWICE, 7.0 + 1.6448536 * 0.3 * math.sqrt(7))
    assert later.probability == pytest.approx(0.95, abs=1e-6)


def test_a_validation_speaks_before_the_parts(table):
    # rmse 0.5, bias 0.3: sd 0.4 at a mean of 14 ms, half of that at 7 ms
    validation = {"mean_ms": 14.0, "rmse_ms": 0.5, "bias_ms": 0.3}
    table = dataclasses.replace(table, validation=validation)
    risk = table_risk.within(table, TWICE, 6.85)
    assert risk.source == "validation"
    assert (risk.mean_ms, risk.std_ms) == (pytest.approx(6.85), pytest.approx(0.2))
    assert risk.probability == pytest.approx(0.5)
    assert table_risk.within(table, TWICE, 7.05).probability == pytest.approx(0.8413447)


def test_without_spread_there_is_no_probability_to_state(table):
    key = SPACE.stem.key
    unknown = dataclasses.replace(table.entries[key], std_ms=None)
    table = dataclasses.replace(table, entries={**table.entries, key: unknown})
    assert table_risk.within(table, TWICE, 7.0) is None
    assert table_risk.line(None).endswith("not known, the table states no spread")


def test_a_table_without_error_is_certain(table):
    exact = {
        key: dataclasses.replace(one, std_ms=0.0) for key, one in table.entries.items()
    }
    table = dataclasses.replace(table, entries=exact)
    assert table_risk.within(table, TWICE, 7.0).probability == 1.0
    assert table_risk.within(table, TWICE, 6.9).probability == 0.0
