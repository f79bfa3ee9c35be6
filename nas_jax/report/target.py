"""A target in ms and what became of it: by the table, and by the clock.

The table is what a search keeps the target by; what a network takes is measured, by a
machine that has its pace that day. The clock decides whether the target was kept; both
are said, and why they differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas_jax.config.from_json import from_json
from nas_jax.latency.measurement.reference import SAME
from nas_jax.latency.tables import Positive
from nas_jax.report import quantities as q

UNLIKELY = 0.1
"""A chance that a measurement is held against; of the contrary likewise."""
NEAR = 1e-6
"""Share by which a sum of times may be off by rounding."""


@dataclass(frozen=True)
class Risk:
    """As `result.json` states it; those of older versions had no interval."""

    low_ms: Positive | None = None
    high_ms: Positive | None = None
    probability: float | None = None
    networks: int | None = None
    unknown: str | None = None
    """Why none of this is known."""


@dataclass(frozen=True)
class Pace:
    """As `result.json` states it: the machine's, over that of the table's session."""

    factor: Positive | None = None
    unknown: str | None = None
    """Why it is not known."""


def of_result(result: Mapping[str, Any], name: str = "searched") -> list[str]:
    """As `sentences`, of `result.json`; none without a target in ms."""
    one, target_ms = result["networks"].get(name), result.get("target_ms")
    if one is None or target_ms is None:
        return []
    where = f"result.json: networks.{name}.risk."
    risk = from_json(Risk, one.get("risk") or {}, where, extra="ignore")
    pace = None
    if result.get("pace") is not None:
        pace = from_json(Pace, result["pace"], "result.json: pace.", extra="ignore")
    times = one.get("measured_ms") or {}
    return sentences(
        target_ms,
        one.get("predicted_ms"),
        times.get("median"),
        (times["q25"], times["q75"]) if {"q25", "q75"} <= times.keys() else None,
        risk,
        pace,
        fastest_ms=times.get("mean"),
    )


def sentences(
    target_ms: float,
    predicted_ms: float | None,
    measured_ms: float | None = None,
    quartiles_ms: tuple[float, float] | None = None,
    risk: Risk | None = None,
    pace: Pace | None = None,
    *,
    fastest_ms: float | None = None,
) -> list[str]:
    """What became of the target; then, one by one, how sure that is.

    What calls take is their median. The table, the pace and the interval are of the
    fastest rounds, so the mean of these, `fastest_ms`, is what is held against them;
    without it, as in older versions, the median.

    >>> sentences(1.0, 0.99, 1.1)[0].replace(q.NBSP, " ")
    'Target 1.00 ms: missed as measured, 1.10 ms, 10.0 % over it; the table predicts \
0.990 ms, within it.'
    >>> [one.replace(q.NBSP, " ") for one in sentences(1.0, 0.99)]
    ['Target 1.00 ms: kept by the table, which predicts 0.990 ms.']
    """
    text = f"Target {q.milliseconds(target_ms)}"
    is_foreseen = predicted_ms is not None and predicted_ms <= target_ms * (1 + NEAR)
    predicted = q.milliseconds(predicted_ms)
    if measured_ms is not None:
        text += f": {_became(measured_ms <= target_ms)} as measured, "
        text += q.milliseconds(measured_ms)
        if quartiles_ms is not None:
            text += f" [{', '.join(map(q.decimals, quartiles_ms))}]"
        text += f", {_off(measured_ms / target_ms)} it"
        if predicted_ms is not None:
            side = "within" if is_foreseen else "above"
            text += f"; the table predicts {predicted}, {side} it"
    elif predicted_ms is not None:
        text += f": {_became(is_foreseen)} by the table, which predicts {predicted}"
    found, fastest_ms = [f"{text}."], fastest_ms or measured_ms
    is_explained = False
    if measured_ms is not None and fastest_ms is not None and pace is not None:
        found += _at_its_pace(target_ms, fastest_ms, pace)
        is_kept = measured_ms <= target_ms
        is_explained = _has_pace(pace) and is_kept != (
            _alone(fastest_ms, pace) <= target_ms
        )
        if is_explained and is_kept:
            found.append("So the target is kept by the machine's pace only.")
        elif is_explained:
            found.append("So the miss is the machine's pace, not the network.")
    if risk is not None:
        found += _chance(target_ms, fastest_ms, risk, is_explained)
    return found


def _became(is_kept: bool) -> str:
    return "kept" if is_kept else "missed"


def _off(ratio: float) -> str:
    return f"{q.percent(abs(ratio - 1))} {'over' if ratio > 1 else 'under'}"


def _alone(fastest_ms: float, pace: Pace) -> float:
    """What the network takes when the machine's pace is divided out, if it is known."""
    return fastest_ms / (pace.factor or 1.0)


def _has_pace(pace: Pace) -> bool:
    """Whether the machine is known to be slower or faster."""
    return pace.factor is not None and abs(pace.factor - 1) >= SAME


def _at_its_pace(target_ms: float, fastest_ms: float, pace: Pace) -> list[str]:
    """What is left of the difference when the machine's pace is divided out."""
    factor = pace.factor
    if factor is None:
        why = pace.unknown or "nothing states it"
        return [f"How fast the machine was against the table's is not known: {why}."]
    if not _has_pace(pace):
        return ["The machine was as fast as when the table was measured."]
    how = "slower" if factor > 1 else "faster"
    left = _off(_alone(fastest_ms, pace) / target_ms)
    return [
        f"The machine was {q.percent(abs(factor - 1))} {how} than when the table was "
        f"measured. At the table's pace the network's fastest rounds are {left} the "
        "target; the ratios of measured to predicted are at that pace, too."
    ]


def _chance(
    target_ms: float, fastest_ms: float | None, risk: Risk, is_explained: bool
) -> list[str]:
    """The interval and the probability by held-out networks, or why there are none.

    A probability that what was measured contradicts is explained, if it is not yet.
    """
    if risk.unknown is not None:
        return [
            f"How sure that is, is not stated: {risk.unknown} (`nas_jax measure "
            "EXPERIMENT --held-out 60` does that)."
        ]
    if risk.low_ms is None or risk.high_ms is None:
        return []
    told = (
        f"By {risk.networks} networks held against the table, 80{q.NBSP}% of such "
        f"networks take {q.decimals(risk.low_ms)} to {q.milliseconds(risk.high_ms)} "
        "here in their fastest rounds"
    )
    if fastest_ms is not None:
        told += f", and this one took {q.milliseconds(fastest_ms)}"
    chance = risk.probability
    if chance is None:
        return [
            f"{told}; P(latency ≤ target) is not stated, as the table has no reference "
            "network, which tells what all parts share."
        ]
    told += f"; P(latency ≤ target) at the table's pace = {q.percent(chance, 0)}."
    if fastest_ms is None:
        return [told]
    is_over = fastest_ms > target_ms
    is_contrary = chance > 1 - UNLIKELY if is_over else chance < UNLIKELY
    if is_explained or not is_contrary:
        return [told]
    if risk.low_ms <= fastest_ms <= risk.high_ms:
        why = "what was measured fits that interval, so it is the machine's pace"
    else:
        why = (
            f"the table errs on this network more than on 80{q.NBSP}% of those; "
            "believe the measurement"
        )
    return [told, f"That the two differ: {why}."]
