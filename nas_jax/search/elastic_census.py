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
        """A shape and a path, Int `[L]`, uniformly of all that cost `low` to `high`.

        Raises `ValueError` if there is none.
        """
        numbers = np.array([one.between(low, high) for one in self.shapes])
        if not numbers.sum():
            raise ValueError(
                f"expected a network that costs {low:.4g} to {high:.4g}, found none"
            )
        shape = int(rng.choice(len(numbers), p=numbers / numbers.sum()))
        return shape, self.shapes[shape].draw(rng, low, high)


def of(
    space: SearchSpace | ElasticSpace,
    costs: Sequence[tuple[np.ndarray, float]],
    most: float,
) -> ElasticCensus:
    """The census of a space, of networks that cost at most `most`.

    `costs` are those of the candidates `[L K]` and of what is fixed, of every shape.
    """
    pairs = zip(space.shapes, costs, strict=True)
    return ElasticCensus(
        tuple(
            census.of(each, shape.mask, fixed, most) for shape, (each, fixed) in pairs
        )
    )
