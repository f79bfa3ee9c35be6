"""`nas_jax recommend`: the size of network that a task needs, and how sure that is.

With enough kinds of tasks nearby, the size comes from a regression over them and its
margin; with fewer, from the nearest as they are, and the answer says so; with none,
there is no size, and the answer says how far the nearest lies.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nas_jax.guidelines import kinds, models, records
from nas_jax.guidelines.kinds import Kind, Point
from nas_jax.guidelines.models import Interval
from nas_jax.guidelines.records import Descriptors

NEAR = 2.5
"""Farthest distance (`kinds.distance`) at which a task says something about another."""
ENOUGH_KINDS, ENOUGH_FAMILIES = 8, 3
"""For a regression; with fewer, the nearest are shown as they are."""
SHOWN = 5


@dataclass(frozen=True)
class Wish:
    """What the network shall do; the defaults ask for the largest network's accuracy.

    `tolerance` is what may be lost against it, `chance` how likely that shall be on
    pictures of a source that no record is of.
    Raises `ValueError` for a value out of range.
    """

    accuracy: float | None = None
    device: str | None = None
    max_ms: float | None = None
    tolerance: float = 0.01
    chance: float = 0.8

    def __post_init__(self) -> None:
        for name, low, high in (
            ("accuracy", 0.0, 1.0),
            ("max_ms", 0.0, math.inf),
            ("tolerance", 0.0, 1.0),
            ("chance", 0.5, 1.0),
        ):
            value = getattr(self, name)
            if value is not None and not low < value < high:
                raise ValueError(
                    f"{name}: expected a number between {low:g} and {high:g}, got "
                    f"{value}"
                )
        if self.max_ms is not None and self.device is None:
            raise ValueError("max_ms: expected a device beside it; give --device")


def advise(
    known: Sequence[Kind], task: Descriptors, wish: Wish | None = None
) -> dict[str, Any]:
    """The recommendation, ready for JSON; `basis` says what it stands on.

    `basis` is "regression", "nearest tasks" or "no evidence near this task"; the last
    has no size. Sizes are for the classes and channels asked about.

    Raises:
      ValueError: for a device that no record knows.
    """
    wish = wish or Wish()
    if wish.device is not None:
        _require_device(known, wish.device)
    by_distance = sorted(
        ((kinds.distance(task, kind.descriptors), kind) for kind in known),
        key=lambda pair: pair[0],
    )
    near = [
        (far, allowed)
        for far, kind in by_distance
        if far <= NEAR and (allowed := _allowed(kind, wish))
    ]
    answer: dict[str, Any] = {
        "descriptors": dataclasses.asdict(task),
        "wish": dataclasses.asdict(wish),
        "evidence": {
            "kinds": len(near),
            "families": len({kind.family for _, kind in near}),
            "networks": sum(len(kind.points) for _, kind in near),
            "nearest": [
                {
                    "task": kind.name,
                    "family": kind.family,
                    "distance": round(far, 2),
                    "networks": len(kind.points),
                    "records": [point.record["digest"][:12] for point in kind.points],
                }
                for far, kind in (near or by_distance)[:SHOWN]
            ],
        },
    }
    if not near:
        return {**answer, "basis": "no evidence near this task", "size": None}
    kinds_near = [kind for _, kind in near]
    nearest = kinds_near[0]
    usable = [kind for kind in kinds_near if len(kind.points) > 1]
    families = {kind.family for kind in usable}
    if len(usable) >= ENOUGH_KINDS and len(families) >= ENOUGH_FAMILIES:
        basis, pick = "regression", _by_regression(usable, nearest, task, wish)
    else:
        basis, pick = "nearest tasks", _by_neighbours(kinds_near, task, wish)
    answer["basis"] = basis
    if isinstance(pick, str):
        return {**answer, "size": None, "reason": pick}
    (whole,) = (kind for kind in known if kind[:3] == nearest[:3])
    largest = resized(whole.largest, task)
    return {
        **answer,
        **_described(pick, nearest),
        "largest_params": largest,
        "saving": round(1 - pick.params / largest, 4),
    }


class _Pick(NamedTuple):
    """The network advised: its parameters for the task, their range, its accuracy.

    `chance` is that of size and interval, at most what the sources support; None where
    it is not known.
    """

    point: Point
    params: int
    range: tuple[float, float]
    accuracy: Interval
    chance: float | None


def _by_regression(
    near: list[Kind], nearest: Kind, task: Descriptors, wish: Wish
) -> _Pick | str:
    """The pick, or why there is none."""
    difficulties = [
        name
        for name in models.stated(task)
        if all(getattr(kind.descriptors, name) is not None for kind in near)
    ]
    row = models.features(task, difficulties)
    accuracy = models.accuracy_model(near, difficulties)

    def expected(params: float) -> Interval:
        log_odds = accuracy.interval(models.with_size(row, params), wish.chance)
        return Interval(*map(models.from_log_odds, log_odds))

    sizes = [(resized(point, task), point) for point in _shared(near, nearest)]
    size = models.size_model(near, difficulties, wish.tolerance)
    needed = [2**value for value in size.interval(np.array(row), wish.chance)]
    added = models.margin(near, size, wish.tolerance, wish.chance)
    enough = 2 ** (size.predict(np.array(row)) + added)
    if wish.accuracy is None:
        fitting = [pair for pair in sizes if pair[0] >= enough] or sizes[-1:]
    else:
        fitting = [pair for pair in sizes if expected(pair[0]).low >= wish.accuracy]
    smallest, largest = sizes[0][0], sizes[-1][0]
    if not fitting:
        return _out_of_reach(wish, expected(largest).low, "at the low end")
    params, point = fitting[0]
    # outside the sizes that were trained nothing is known
    low, _, high = (round(min(max(value, smallest), largest)) for value in needed)
    chance = models.supported(wish.chance, accuracy.families)
    return _Pick(point, params, (low, high), expected(params), chance)


def _by_neighbours(near: list[Kind], task: Descriptors, wish: Wish) -> _Pick | str:
    """The largest of what the nearest needed; the accuracy is the nearest one's."""
    # the report draws, and what it draws with takes a second to import
    from nas_jax.report.quantities import wilson

    nearest = near[0]
    if wish.accuracy is None:
        needs = [kinds.needed(kind, wish.tolerance) for kind in near]
        point = nearest.at_least(max(needs))
    else:
        fitting = [one for one in nearest.points if one.accuracy >= wish.accuracy]
        if not fitting:
            best = max(one.accuracy for one in nearest.points)
            return _out_of_reach(wish, best, "at best")
        point = fitting[0]
        needs = [point.params]
    low, high = wilson(point.accuracy, point.test_images)
    accuracy = Interval(low, point.accuracy, high)
    return _Pick(point, resized(point, task), (min(needs), max(needs)), accuracy, None)


def _out_of_reach(wish: Wish, reached: float, how: str) -> str:
    return (
        f"no size in the records is expected to reach {wish.accuracy:.1%}: the largest "
        f"reaches {reached:.1%} {how}"
    )


def resized(point: Point, task: Descriptors) -> int:
    """Parameters of a network with the channels and classes of another task.

    Only stem and classifier change: taps times stem width per channel, and a weight per
    feature and a bias per class.
    """
    built = records.architecture(point.record)
    per_channel = built.stem.kernel**2 * built.stem.out_channels
    per_class = built.head.out_channels + 1
    return (
        point.params
        + (task.channels - built.stem.in_channels) * per_channel
        + (task.classes - built.classifier.classes) * per_class
    )


def _shared(near: list[Kind], nearest: Kind) -> list[Point]:
    """Networks of the nearest kind that at least half of the near kinds know."""
    designs = [{point.design for point in kind.points} for kind in near]
    shared = [
        point
        for point in nearest.points
        if 2 * sum(point.design in known for known in designs) >= len(near)
    ]
    return shared or list(nearest.points)


def _allowed(kind: Kind, wish: Wish) -> Kind | None:
    """The kind with the networks within the latency; None if there are none."""
    if wish.device is None or wish.max_ms is None:
        return kind
    points = tuple(
        point
        for point in kind.points
        if any(one["ms"] <= wish.max_ms for one in _of_device(point, wish.device))
    )
    return kind._replace(points=points) if points else None


def _of_device(point: Point, device: str) -> list[dict[str, Any]]:
    """Latencies of a network on a device, in whatever letter case it is written."""
    return [
        latency
        for latency in point.record["latencies"]
        if latency["device"].casefold() == device.casefold()
    ]


def _require_device(known: Sequence[Kind], device: str) -> None:
    points = [point for kind in known for point in kind.points]
    if not any(_of_device(point, device) for point in points):
        names = {one["device"] for point in points for one in point.record["latencies"]}
        raise ValueError(
            f"device {device!r}: expected one that records know "
            f"({', '.join(sorted(names)) or 'none do'}); add records measured on it"
        )


def _described(pick: _Pick, nearest: Kind) -> dict[str, Any]:
    """The network advised, and the record that a search may start from."""
    point, record = pick.point, pick.point.record
    architecture = record["network"]["architecture"]
    low, expected, high = (round(share, 4) for share in pick.accuracy)
    return {
        "size": {
            "params": pick.params,
            "macs": point.macs,
            "depth": records.depth(record),
            "width": records.width(record),
            "input_size": architecture["input_size"],
            "params_low": min(pick.range[0], pick.params),
            "params_high": max(pick.range[1], pick.params),
        },
        "expected_accuracy": expected,
        "accuracy_low": low,
        "accuracy_high": high,
        "chance": None if pick.chance is None else round(pick.chance, 4),
        "start": {
            "record": record["digest"],
            "task": nearest.name,
            "source": record["origin"]["source"],
            "accuracy_there": round(point.accuracy, 4),
            "latencies": record["latencies"],
            "architecture": architecture,
        },
    }
