"""Evolution over the paths of a space under a limit on the cost.

Guo et al. 2020 ("Single Path One-Shot Neural Architecture Search with Uniform
Sampling", section 3.4): the fittest paths known are parents; half of the children are
crossed, half mutated, and a child above the limit is drawn again. Which network is fit
is the caller's to say, for example the supernet's accuracy along the path.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

Fitness = Callable[[Int[np.ndarray, "L"]], float]


class Settings(NamedTuple):
    """Sizes; the defaults are the paper's."""

    population: int = 50
    """First paths, drawn at random, and children of every generation."""
    generations: int = 20
    parents: int = 10
    mutation: float = 0.1
    """Probability that a mutated child's layer is drawn anew."""


PAPER = Settings()


class Best(NamedTuple):
    """The fittest path, and how many different paths were looked at."""

    path: Int[np.ndarray, "L"]
    fitness: float
    evaluated: int


def evolve(
    rng: np.random.Generator,
    mask: Bool[np.ndarray, "L K"],
    cost: Callable[[Int[np.ndarray, "L"]], float],
    limit: float,
    fitness: Fitness,
    settings: Settings = PAPER,
    draws: int = 10_000,
) -> Best:
    """The fittest path found of cost <= `limit`; no path is looked at twice.

    Where a generation finds no new path within `draws` attempts, it stays smaller.

    Raises:
      ValueError: if no first path within the limit is found.
    """
    known: dict[tuple[int, ...], float] = {}

    def random_path() -> Int[np.ndarray, "L"]:
        return np.array([rng.choice(np.flatnonzero(row)) for row in mask])

    def mutated(parents: list[np.ndarray]) -> Int[np.ndarray, "L"]:
        parent = parents[rng.integers(len(parents))]
        is_new = rng.random(len(mask)) < settings.mutation
        return np.where(is_new, random_path(), parent)

    def crossed(parents: list[np.ndarray]) -> Int[np.ndarray, "L"]:
        one, other = (parents[rng.integers(len(parents))] for _ in range(2))
        return np.where(rng.random(len(mask)) < 0.5, one, other)

    def look(make: Callable[[], Int[np.ndarray, "L"]], wanted: int) -> None:
        found = 0
        for _ in range(draws):
            if found == wanted:
                return
            path = make()
            key = tuple(map(int, path))
            if key not in known and cost(path) <= limit:
                known[key] = float(fitness(path))
                found += 1

    look(random_path, settings.population)
    if not known:
        raise ValueError(
            f"evolution: expected paths of cost at most {limit:g}, got none in "
            f"{draws} draws; raise the limit"
        )
    for _ in range(settings.generations):
        ranked = sorted(known, key=lambda key: known[key], reverse=True)
        parents = [np.array(key) for key in ranked[: settings.parents]]
        half = settings.population // 2
        look(lambda parents=parents: mutated(parents), half)  # type: ignore[misc]
        look(
            lambda parents=parents: crossed(parents),  # type: ignore[misc]
            settings.population - half,
        )
    best = max(known, key=lambda key: known[key])
    return Best(np.array(best, np.int32), known[best], len(known))
