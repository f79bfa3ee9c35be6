"""A target in ms: not met against the clock, no chance that is left unexplained."""

import math

import pytest

from nas_jax.report import target
from nas_jax.report.quantities import NBSP
from nas_jax.report.target import Pace, Risk


def said(*given, **more):
    return " ".join(target.sentences(*given, **more)).replace(NBSP, " ")


def test_kept_by_the_table_and_over_as_measured():
    text = said(0.4664, 0.4646, 0.555, (0.541, 0.56), Risk(0.5, 0.58, 0.52, 20))
    assert text.startswith(
        "Target 0.466 ms: missed as measured, 0.555 ms [0.541, 0.560], 19.0 % over it; "
        "the table predicts 0.465 ms, within it."
    )
    assert "kept" not in text
    assert "met" not in text.split()
    assert text.endswith(
        "By 20 networks held against the table, 80 % of such networks take 0.500 to "
        "0.580 ms here in their fastest rounds, and this one took 0.555 ms; "
        "P(latency ≤ target) at the table's pace = 52 %."
    )


def test_the_clock_decides_what_was_kept():
    text = said(1.0, 1.05, 0.9)
    assert text == (
        "Target 1.00 ms: kept as measured, 0.900 ms, 10.0 % under it; the table "
        "predicts 1.05 ms, above it."
    )
    assert said(1.0, 1.05).startswith("Target 1.00 ms: missed by the table, which")
    assert (
        said(1.0, None, 1.1)
        == "Target 1.00 ms: missed as measured, 1.10 ms, 10.0 % over it."
    )


def test_a_slower_machine_is_told_and_divided_out():
    text = said(1.0, 0.99, 1.1, pace=Pace(1.16))
    assert (
        "16.0 % slower than when the table was measured. At the table's pace the "
        "network's fastest rounds are 5.2 % under the target; the ratios of measured "
        "to predicted are at that pace, too. So the miss is the machine's pace, not "
        "the network."
    ) in text  # 1.1 / 1.16 = 0.948
    same = said(1.0, 0.99, 1.1, pace=Pace(1.004), fastest_ms=0.9)
    assert same.endswith("The machine was as fast as when the table was measured.")


def test_a_faster_machine_alone_may_keep_a_target():
    text = said(1.0, 0.99, 0.95, pace=Pace(0.9))  # 0.95 / 0.9 = 1.056
    assert "the network's fastest rounds are 5.6 % over the target; " in text
    assert text.endswith("So the target is kept by the machine's pace only.")
    assert "So " not in said(1.0, 0.99, 0.85, pace=Pace(0.9))
    assert "So " not in said(1.0, 0.99, 1.3, pace=Pace(1.16))


def test_the_pace_explains_once():
    risk = Risk(0.93, 0.99, 0.97, 20)
    text = said(1.0, 0.99, 1.1, risk=risk, pace=Pace(1.16))
    assert "So the miss is the machine's pace" in text
    assert "That the two differ" not in text


def test_table_interval_and_pace_are_held_against_the_fastest_rounds():
    """Other work doubled the median of the calls, not the fastest of them."""
    risk, pace = Risk(0.97, 1.02, 0.97, 20), Pace(1.25)
    text = said(1.0, 0.99, 2.0, (1.5, 2.5), risk, pace, fastest_ms=1.0)
    assert "missed as measured, 2.00 ms [1.50, 2.50], 100.0 % over it" in text
    assert "fastest rounds are 20.0 % under the target; " in text
    assert "That the two differ" not in text  # 1.0 is no more than the target
    assert "believe" in said(1.0, 0.99, 2.0, (1.5, 2.5), risk, pace, fastest_ms=1.5)
    times = {"median": 2.0, "q25": 1.5, "q75": 2.5, "mean": 1.0}
    one = {"predicted_ms": 0.99, "measured_ms": times}
    result = {"networks": {"searched": one}, "target_ms": 1.0, "pace": {"factor": 1.25}}
    found = " ".join(target.of_result(result)).replace(NBSP, " ")
    assert "fastest rounds are 20.0 % under the target; " in found


def test_a_pace_that_is_not_known_is_told():
    text = said(1.0, 0.99, 1.1, pace=Pace(unknown="the table is of batch 8"))
    assert "is not known: the table is of batch 8." in text
    # runs of older versions say nothing of it
    assert "not known" not in said(1.0, 0.99, 1.1)


@pytest.mark.parametrize(
    ("measured", "risk", "why"),
    [
        (0.94, Risk(1.02, 1.1, 0.01, 20), "believe the measurement"),
        (1.06, Risk(0.9, 0.98, 0.97, 20), "believe the measurement"),
        (0.94, Risk(0.93, 0.99, 0.01, 20), "it is the machine's pace"),
    ],
)
def test_a_chance_that_the_measurement_contradicts_is_explained(measured, risk, why):
    text = said(1.0, 1.05, measured, risk=risk)
    assert "That the two differ: " in text and why in text


@pytest.mark.parametrize(
    ("measured", "chance"), [(0.94, 0.97), (1.06, 0.01), (0.94, 0.5), (1.06, 0.5)]
)
def test_a_chance_that_fits_needs_no_reason(measured, chance):
    text = said(1.0, 1.05, measured, risk=Risk(0.9, 1.1, chance, 20))
    assert "differ" not in text


def test_without_held_out_networks_neither_interval_nor_chance():
    text = said(1.0, 1.05, 1.1, risk=Risk(unknown="the table was not held against w"))
    assert "P(" not in text and "80 %" not in text
    assert "is not stated: the table was not held against w (`nas_jax measure" in text


def test_an_older_table_has_an_interval_and_says_what_it_leaves_out():
    text = said(1.0, 1.05, 1.1, risk=Risk(0.9, 1.2, None, 60))
    assert "take 0.900 to 1.20 ms here in their fastest rounds, and this" in text
    assert "this one took 1.10 ms; P(" in text


def test_result_of_an_older_version_says_no_probability():
    """It had one without an interval, from the spread of the parts."""
    old = {"mean_ms": 0.46, "std_ms": 0.004, "probability": 0.67, "source": "spread"}
    times = {"median": 0.55, "q25": 0.54, "q75": 0.56}
    one = {"predicted_ms": 0.46, "measured_ms": times, "risk": old}
    result = {"networks": {"searched": one}, "target_ms": 0.4664}
    (told,) = target.of_result(result)
    assert "67" not in told
    expected = "missed as measured, 0.550 ms [0.540, 0.560], 17.9 % over it"
    assert expected in told.replace(NBSP, " ")
    assert target.of_result({"networks": {}, "target_ms": 1.0}) == []
    assert target.of_result({"networks": {"searched": one}}) == []


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        ({"pace": {"factor": math.nan}}, r"result.json: pace.factor: expected .* got"),
        ({"pace": {"factor": 0}}, r"result.json: pace.factor: expected .* got 0"),
    ],
)
def test_numbers_that_are_none_are_refused(spoiled, message):
    one = {"predicted_ms": 0.46, "measured_ms": {"median": 0.55}}
    with pytest.raises(ValueError, match=message):
        target.of_result({"networks": {"searched": one}, "target_ms": 1.0} | spoiled)
