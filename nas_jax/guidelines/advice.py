"""`nas_jax recommend`: the size of network that a task needs, and how sure that is.

With enough kinds of tasks nearby, the size comes from a regression over them and its
margin; with fewer, from the nearest as they are, and the answer says so; with none,
there is no size, and the answer says how far the nearest lies.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_jax.guidelines import kinds, models, records
from nas_jax.guidelines.kinds import Kind, Point
from nas_jax.guidelines.records import Descriptors

NEAR = 2.5
"""Farthest distance (`kinds.distance`) at which a task says something about another."""
ENOUGH_KINDS, ENOUGH_FAMILIES = 8, 3
"""For a regression; with fewer, the nearest are shown as they are."""
SHOWN = 5


@dataclass(frozen=True)
class Wish:
    """What the network shall do; the defaults ask for the largest network's accuracy.

    `tolerance` is what may be lost against it, `chance` how likely that shall be.
    Raises `ValueError` for a value out of range.
    """

    accuracy: float | None = None
    device: str | None = None
    max_ms: float | None = None
    tolerance: float = 0.01
    chance: float = 0.85

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
    _require_device(known, wish.device)
    by_distance = sorted(
        ((kinds.distance(task, kind.descriptors), kind) for kind in known),
        key=lambda pair: pair[0],
    )
    near = [
        (far, own)
        for far, kind in by_distance
        if far <= NEAR and (own := _allowed(kind, wish))
    ]
    answer: dict[str, Any] = {
        "descriptors": dataclasses.asdict(task),
        "wish": dataclasses.asdict(wish),
        "evidence": {
            "kinds": len(near),
            "families": len({kind.family for _, kind in near}),
            "networks": sum(len(kind.points) for _, kind in near),
            "nearest": [_shown(far, kind) for far, kind in (near or by_distance)][
                :SHOWN
            ],
        },
    }
    if not near:
        return {**answer, "basis": "no evidence near this task", "size": None}
    whole = {(kind.family, kind.name): kind for _, kind in by_distance}
    of_nearest = whole[near[0][1].family, near[0][1].name]
    usable = [kind for _, kind in near if len(kind.points) > 1]
    families = {kind.family for kind in usable}
    if len(usable) >= ENOUGH_KINDS and len(families) >= ENOUGH_FAMILIES:
        found = _by_regression(usable, near[0][1], task, wish)
    else:
        found = _by_neighbours([kind for _, kind in near], task, wish)
    if found["size"] is not None:
        largest = resized(of_nearest.largest, task)
        found["largest_params"] = largest
        found["saving"] = round(1 - found["size"]["params"] / largest, 4)
    return {**answer, **found}


def _by_regression(
    near: list[Kind], nearest: Kind, task: Descriptors, wish: Wish
) -> dict[str, Any]:
    difficulties = [
        name
        for name in models.stated(task)
        if all(getattr(kind.descriptors, name) is not None for kind in near)
    ]
    row = models.features(task, difficulties)
    accuracy = models.accuracy_model(near, difficulties)

    def expected(params: float) -> models.Interval:
        found = accuracy.interval(models.with_size(row, params), wish.chance)
        return models.Interval(*map(models.from_log_odds, found))

    candidates = _shared(near, nearest)
    sizes = [(resized(point, task), point) for point in candidates]
    size = models.size_model(near, difficulties, wish.tolerance)
    least = [2**value for value in size.interval(np.array(row), wish.chance)]
    added = models.margin(near, size, wish.tolerance, wish.chance)
    enough = 2 ** (size.predict(np.array(row)) + added)
    if wish.accuracy is None:
        fitting = [pair for pair in sizes if pair[0] >= enough] or sizes[-1:]
    else:
        fitting = [pair for pair in sizes if expected(pair[0]).low >= wish.accuracy]
    basis = {"basis": "regression", "size": None}
    if not fitting:
        reach = expected(sizes[-1][0])
        return {**basis, "reason": _out_of_reach(wish, reach.low, "at the low end")}
    params, point = fitting[0]
    smallest, largest = sizes[0][0], sizes[-1][0]
    # outside the sizes that were trained nothing is known
    bounds = [round(min(max(value, smallest), largest)) for value in least]
    found = expected(params)
    return {
        **basis,
        "size": {
            **_size(point, params),
            "params_low": min(bounds[0], params),
            "params_high": max(bounds[2], params),
        },
        "expected_accuracy": _rounded(found.middle),
        "accuracy_low": _rounded(found.low),
        "accuracy_high": _rounded(found.high),
        "start": _start(point, nearest),
    }


def _by_neighbours(near: list[Kind], task: Descriptors, wish: Wish) -> dict[str, Any]:
    """The largest of what the nearest needed; the accuracy is the nearest one's."""
    # the report draws, and what it draws with takes a second to import
    from nas_jax.report.quantities import wilson

    basis: dict[str, Any] = {"basis": "nearest tasks", "size": None}
    nearest = near[0]
    if wish.accuracy is None:
        needs = [kinds.needed(kind, wish.tolerance) for kind in near]
        enough = max(needs)
        fitting = [one for one in nearest.points if one.params >= enough]
        point = (fitting or [nearest.largest])[0]
    else:
        fitting = [one for one in nearest.points if one.accuracy >= wish.accuracy]
        if not fitting:
            best = max(one.accuracy for one in nearest.points)
            return {**basis, "reason": _out_of_reach(wish, best, "at best")}
        point = fitting[0]
        needs = [point.params]
    low, high = wilson(point.accuracy, point.test_images)
    params = resized(point, task)
    return {
        **basis,
        "size": {
            **_size(point, params),
            "params_low": min(*needs, params),
            "params_high": max(*needs, params),
        },
        "expected_accuracy": _rounded(point.accuracy),
        "accuracy_low": _rounded(low),
        "accuracy_high": _rounded(high),
        "start": _start(point, nearest),
    }


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
        if 2 * sum(point.design in own for own in designs) >= len(near)
    ]
    return shared or list(nearest.points)


def _allowed(kind: Kind, wish: Wish) -> Kind | None:
    """The kind with the networks within the latency; None if there are none."""
    if wish.max_ms is None:
        return kind
    points = tuple(
        point
        for point in kind.points
        if any(
            same_device(one["device"], wish.device) and one["ms"] <= wish.max_ms
            for one in point.record["latencies"]
        )
    )
    return kind._replace(points=points) if points else None


def devices(known: Sequence[Kind]) -> list[str]:
    """The devices that records state a latency for."""
    found = {
        one["device"]
        for kind in known
        for point in kind.points
        for one in point.record["latencies"]
    }
    return sorted(found)


def same_device(one: str, other: str | None) -> bool:
    """Whether two names mean one device; letter case is nobody's intention."""
    return other is not None and one.casefold() == other.casefold()


def _require_device(known: Sequence[Kind], device: str | None) -> None:
    names = devices(known)
    if device is not None and not any(same_device(name, device) for name in names):
        raise ValueError(
            f"device {device!r}: expected one that records know "
            f"({', '.join(names) or 'none do'}); add records measured on it"
        )


def _size(point: Point, params: int) -> dict[str, Any]:
    written = point.record["network"]["architecture"]
    return {
        "params": params,
        "macs": point.macs,
        "depth": records.depth(point.record),
        "width": records.width(point.record),
        "input_size": written["input_size"],
    }


def _start(point: Point, kind: Kind) -> dict[str, Any]:
    return {
        "record": point.record["digest"],
        "task": kind.name,
        "source": point.record["origin"]["source"],
        "accuracy_there": _rounded(point.accuracy),
        "latencies": point.record["latencies"],
        "architecture": point.record["network"]["architecture"],
    }


def _shown(far: float, kind: Kind) -> dict[str, Any]:
    return {
        "task": kind.name,
        "family": kind.family,
        "distance": round(far, 2),
        "networks": len(kind.points),
        "records": [point.record["digest"][:12] for point in kind.points],
    }


def _rounded(share: float) -> float:
    return round(share, 4)
