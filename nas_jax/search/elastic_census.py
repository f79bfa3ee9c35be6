"""The networks of an elastic space, counted and drawn by their latency."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas_jax.search import census
from nas_jax.search.census import Census
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.spaces.space import SearchSpace


@dataclass(frozen=True, eq=False)
class ElasticCensus:
    """A census of every shape."""

    shapes: tuple[Census, ...]
    sides: tuple[int, ...]
    """Of the images, of every shape."""

    @property
    def unit(self) -> float:
        """Of the grid of costs."""
        return self.shapes[0].unit

    def nearest(self, cost: float) -> float:
        """The cost of some network that is nearest to this one."""
        found = (one.nearest(cost) for one in self.shapes if one.counts[-1].any())
        return min(found, key=lambda near: abs(near - cost))

    def between(self, low: float, high: float) -> float:
        """Number of networks that cost `low` to `high`."""
        return sum(one.between(low, high) for one in self.shapes)

    def draw(
        self, rng: np.random.Generator, low: float, high: float
    ) -> tuple[int, np.ndarray]:
        """A shape and a path, Int `[L]`, of those that cost `low` to `high`.

        A side, a shape of that side and a network of that shape, each uniformly of all
        that have one: among all networks at once most would be of few shapes, those in
        which many operations cost alike. Raises `ValueError` if there is none.
        """
        sides: dict[int, list[int]] = {}
        for place, (side, one) in enumerate(zip(self.sides, self.shapes, strict=True)):
            if one.between(low, high):
                sides.setdefault(side, []).append(place)
        if not sides:
            raise ValueError(
                f"expected a network that costs {low:.4g} to {high:.4g}, found none"
            )
        shape = int(rng.choice(sides[rng.choice([*sides])]))
        return shape, self.shapes[shape].draw(rng, low, high)


def of(
    space: SearchSpace | ElasticSpace,
    costs: Sequence[tuple[np.ndarray, float]],
    most: float,
    masks: Sequence[np.ndarray] | None = None,
) -> ElasticCensus:
    """The census of a space, of networks that cost at most `most`.

    `costs` are those of the candidates `[L K]` and of what is fixed, of every shape;
    `masks` `[L K]` the candidates that count, by default all.
    """
    if masks is None:
        masks = [shape.mask for shape in space.shapes]
    return ElasticCensus(
        tuple(
            census.of(each, mask, fixed, most)
            for mask, (each, fixed) in zip(masks, costs, strict=True)
        ),
        tuple(shape.stem.input_size for shape in space.shapes),
    )
