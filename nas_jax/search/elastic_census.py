"""The networks of an elastic space, counted and drawn by their latency."""

from dataclasses import dataclass

import numpy as np

from nas_jax.latency import tables
from nas_jax.latency.tables import LatencyTable
from nas_jax.search import census
from nas_jax.search.census import Census
from nas_jax.spaces.elastic import ElasticSpace


@dataclass(frozen=True, eq=False)
class ElasticCensus:
    """A census of every shape."""

    shapes: tuple[Census, ...]

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


def of(space: ElasticSpace, table: LatencyTable, most_ms: float) -> ElasticCensus:
    """The census of a space by table, of networks that take at most `most_ms`.

    Raises `ValueError` as `tables.costs`.
    """
    return ElasticCensus(
        tuple(
            census.of(costs, shape.mask, fixed, most_ms)
            for shape in space.shapes
            for costs, fixed in [tables.costs(table, shape)]
        )
    )
