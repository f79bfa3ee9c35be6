"""What a table says of its error, by hand, and what it must not say."""

import dataclasses
import math

import pytest
from scipy import stats

from nas_jax.config import SpaceConfig
from nas_jax.latency import risk as table_risk
from nas_jax.latency import tables
from nas_jax.latency.measurement.reference import Pace
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
NOW = {"networks": 4, "log_ratio": math.log(0.9), "log_ratio_sd": 0.03}
"""4 networks that took 0.9 of their sums, give or take 3 %."""
OLD = {"networks": 60, "mean_ms": 14.0, "rmse_ms": 0.5, "bias_ms": 0.3}


@pytest.fixture
def table():
    entries = {
        part.key: Entry(1.0, 0.3, 1.0, 1.0, 1.0, 3)
        for part in tables.required_parts(SPACE)
    }
    # stem, block, block, head, classifier: 2 + 5 ms
    return tables.LatencyTable(entries, {"input_size": 8}, fixed_ms=2.0)


def validated(table, **validation):
    return dataclasses.replace(table, validation=validation)


def test_prediction_by_hand(table):
    found = table_risk.prediction(validated(table, **NOW, common_sd=0.04), TWICE)
    assert found.mean_ms == pytest.approx(6.3)
    # sqrt(0.03^2 (1 + 1/4) + 0.04^2)
    assert found.sd == pytest.approx(math.sqrt(0.001125 + 0.0016))
    t = stats.t(df=3)
    low, high = found.interval()
    assert high == pytest.approx(6.3 * math.exp(1.6377444 * found.sd))
    assert low * high == pytest.approx(6.3**2)
    assert found.probability(6.3) == pytest.approx(0.5)
    assert found.probability(high) == pytest.approx(0.9)
    later = found.probability(6.6)
    assert later == pytest.approx(t.cdf(math.log(6.6 / 6.3) / found.sd))


def test_in_a_session_its_pace_stands_for_what_all_parts_share(table):
    table, pace = validated(table, **NOW, common_sd=0.2), Pace(1.5, 0.0, 1.5, 1.0)
    found = table_risk.prediction(table, TWICE, pace)
    assert found.mean_ms == pytest.approx(1.5 * 6.3)
    assert found.sd == pytest.approx(0.03 * math.sqrt(1.25))
    risk = table_risk.within(table, TWICE, 6.3, pace)
    assert risk.low_ms < 1.5 * 6.3 < risk.high_ms
    # the target is of the table's pace, and so is the chance to keep it
    assert risk.probability == pytest.approx(0.5)


def test_without_held_out_networks_there_is_no_probability(table):
    assert table_risk.prediction(table, TWICE) is None
    assert table_risk.within(table, TWICE, 7.0) is None
    assert table_risk.unknown(table) == "the table was not held against whole networks"
    one = validated(table, **NOW | {"networks": 1})
    assert table_risk.within(one, TWICE, 7.0) is None
    assert table_risk.unknown(one) == "the table was held against one network alone"


def test_an_older_table_has_an_interval_and_no_probability(table):
    """Its error is over the mean prediction: 0.4 and 0.3 of 14.3 ms, not of 14."""
    found = table_risk.prediction(validated(table, **OLD), TWICE)
    assert found.mean_ms == pytest.approx(7.0 * 14.0 / 14.3)
    assert found.sd == pytest.approx(0.4 / 14.3 * math.sqrt(1 + 1 / 60))
    assert found.probability(7.0) is None
    risk = table_risk.within(validated(table, **OLD), TWICE, 7.0)
    assert risk.probability is None and risk.low_ms < found.mean_ms < risk.high_ms


@pytest.mark.parametrize("spoiled", [{"bias_ms": -14.0}, {"bias_ms": -20.0}])
def test_an_older_table_of_no_mean_prediction_says_nothing(table, spoiled):
    found = validated(table, **OLD | spoiled)
    assert table_risk.within(found, TWICE, 7.0) is None
    assert "states no mean latency" in table_risk.unknown(found)


@pytest.mark.parametrize(
    "spoiled", [NOW | {"log_ratio_sd": 1e12}, OLD | {"rmse_ms": 1e12}]
)
def test_an_error_beyond_all_reason_is_none(table, spoiled):
    found = validated(table, **spoiled)
    assert table_risk.within(found, TWICE, 7.0) is None
    assert "states that it errs e^100 times" in table_risk.unknown(found)


def test_a_table_without_error_is_certain(table):
    exact = {"networks": 4, "log_ratio": 0.0, "log_ratio_sd": 0.0, "common_sd": 0.0}
    found = table_risk.prediction(validated(table, **exact), TWICE)
    assert [found.probability(ms) for ms in (6.9, 7.1)] == [0.0, 1.0]
    assert found.interval() == (pytest.approx(7.0), pytest.approx(7.0))


@pytest.mark.parametrize("deadline", [math.nan, math.inf, 0.0, -1.0])
def test_a_deadline_that_is_none_is_refused(table, deadline):
    with pytest.raises(ValueError, match=r"deadline: expected a finite number of ms"):
        table_risk.within(validated(table, **NOW), TWICE, deadline)
