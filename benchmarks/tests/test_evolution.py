"""Evolution finds what enumeration finds, within its limit, and repeats nothing."""

import itertools

import numpy as np
import pytest

from benchmarks.enumerated import evolution

MASK = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1]], bool)
PATHS = [
    np.array(path) for path in itertools.product(*[np.flatnonzero(row) for row in MASK])
]
WORTH, COSTS = np.random.default_rng(0).uniform(size=(2, *MASK.shape))


def of(table, path):
    return float(table[np.arange(len(path)), path].sum())


@pytest.mark.parametrize("seed", range(5))
def test_finds_the_best_path_within_the_limit(seed):
    limit = float(np.median([of(COSTS, path) for path in PATHS]))
    seen = []

    def fitness(path):
        seen.append(tuple(path.tolist()))
        return of(WORTH, path)

    best = evolution.evolve(
        *(np.random.default_rng(seed), MASK, lambda path: of(COSTS, path), limit),
        *(fitness, evolution.Settings(population=12, generations=6, parents=4)),
    )
    allowed = [path for path in PATHS if of(COSTS, path) <= limit]
    ranked = sorted((of(WORTH, path) for path in allowed), reverse=True)
    assert best.fitness == of(WORTH, best.path) >= ranked[1]
    assert of(COSTS, best.path) <= limit
    assert len(set(seen)) == len(seen) == best.evaluated <= 12 * 7
    assert best.evaluated < len(allowed)  # it did not simply look at all of them
    assert all(MASK[np.arange(4), path].all() for path in seen)


def test_a_space_smaller_than_the_population_is_looked_at_whole():
    mask = np.array([[True, True, False]])
    best = evolution.evolve(
        *(np.random.default_rng(0), mask, lambda path: 0.0, 1.0),
        lambda path: -float(path[0]),
        draws=100,
    )
    assert (best.path.tolist(), best.evaluated) == ([0], 2)


def test_no_path_within_the_limit_is_an_error():
    with pytest.raises(ValueError, match=r"cost at most 1, got none in 50 draws"):
        evolution.evolve(
            *(np.random.default_rng(0), MASK, lambda path: 2.0, 1.0),
            lambda path: 0.0,
            draws=50,
        )
