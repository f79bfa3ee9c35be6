"""Records by kind of task: accuracy by size, and the size that suffices."""

import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from nas_jax.guidelines import records
from nas_jax.guidelines.records import Descriptors, Record

Design = tuple[tuple[str, int], ...]
"""Operation and width of every block: the same network for another task."""


class Point(NamedTuple):
    """A network on a task: what it has, and what it reached (mean of its records)."""

    design: Design
    params: int
    macs: int
    accuracy: float
    test_images: int
    record: Record


class Kind(NamedTuple):
    """A kind of task and its networks, from few parameters to many."""

    family: str
    name: str
    descriptors: Descriptors
    points: tuple[Point, ...]

    @property
    def largest(self) -> Point:
        """The network with the most parameters."""
        return self.points[-1]

    def at_least(self, params: float) -> Point:
        """The smallest network of so many parameters, or else the largest."""
        larger = (point for point in self.points if point.params >= params)
        return next(larger, self.largest)

    def suffices(self, point: Point, tolerance: float) -> bool:
        """Whether a network is as good as the largest, less a tolerance."""
        # a point of accuracy, not a rounding error below it
        return point.accuracy >= self.largest.accuracy - tolerance - 1e-9

    def saving(self, point: Point) -> float:
        """Share of the largest network's parameters that a network does without."""
        return round(1 - point.params / self.largest.params, 4)


def grouped(found: Iterable[Record]) -> list[Kind]:
    """Kinds in the order of their first records; those of one network are averaged."""
    by_task: dict[Any, dict[Any, list[Record]]] = {}
    for record in found:
        task, network = record["task"], record["network"]
        key = (task["family"], task["name"], json.dumps(task["descriptors"]))
        built = (design(record), network["params"], network["macs"])
        by_task.setdefault(key, {}).setdefault(built, []).append(record)
    return [
        Kind(family, name, Descriptors(**json.loads(written)), _points(networks))
        for (family, name, written), networks in by_task.items()
    ]


def _points(networks: dict[Any, list[Record]]) -> tuple[Point, ...]:
    points = []
    for (blocks, params, macs), trained in networks.items():
        results = [record["result"] for record in trained]
        accuracy = float(np.mean([result["accuracy"] for result in results]))
        images = max(result["test_images"] for result in results)
        points.append(Point(blocks, params, macs, accuracy, images, trained[0]))
    return tuple(sorted(points, key=lambda point: (point.params, point.macs)))


def design(record: Record) -> Design:
    """The design of a record's network."""
    return tuple((block["op"], block["out"]) for block in records.blocks(record))


def rising(values: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """The closest non-decreasing sequence, by least squares.

    Pool adjacent violators (Ayer et al. 1955): neighbours out of order are replaced by
    their mean, until none are.

    >>> rising(np.array([1.0, 3.0, 2.0, 4.0])).tolist()
    [1.0, 2.5, 2.5, 4.0]
    """
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, size = float(value), 1
        while pools and pools[-1][0] > mean:
            before, many = pools.pop()
            mean = (before * many + mean * size) / (many + size)
            size += many
        pools.append((mean, size))
    return np.concatenate([np.full(size, mean) for mean, size in pools])


def needed(kind: Kind, tolerance: float) -> int:
    """Parameters of the smallest network as good as the largest, less a tolerance.

    By the rising fit to accuracy over parameters, which one lucky training moves less
    than it moves a single accuracy.
    """
    fit = rising(np.array([point.accuracy for point in kind.points]))
    return kind.points[int(np.argmax(fit >= fit[-1] - tolerance))].params


_DISTANCE = {
    "input_size": 1.0,
    "classes": 2.0,
    "images_per_class": 3.0,
    "channels": 2.0,
}
"""How many doublings of each descriptor count as one unit of distance."""
_ACCURACY_UNIT = 0.25
"""What difference of a measured accuracy counts as one."""


def distance(one: Descriptors, other: Descriptors) -> float:
    """How far two tasks are apart; a difficulty that one does not state is passed over.

    Euclidean, with log2 of sizes in the units of `_DISTANCE`, and the two difficulties
    in units of 0.25. The units are set by hand: one is a change that a person would
    call another problem (four times the classes, twice the pixels a side).
    """
    squares = [
        (math.log2(getattr(one, name) / getattr(other, name)) / doublings) ** 2
        for name, doublings in _DISTANCE.items()
    ]
    for name in ("linear_accuracy", "tiny_accuracy"):
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine is not None and theirs is not None:
            squares.append(((mine - theirs) / _ACCURACY_UNIT) ** 2)
    return math.sqrt(sum(squares))
