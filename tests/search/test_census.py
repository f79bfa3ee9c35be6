"""Networks counted and drawn by cost, against every path of small spaces."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nas_jax.search import census

LAYERS, CANDIDATES = 4, 3


def drawn(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((LAYERS, CANDIDATES)) > 0.2
    mask[:, 0] = True
    return rng.uniform(0.1, 1, (LAYERS, CANDIDATES)), mask


def every_path(mask):
    rows = [np.flatnonzero(row) for row in mask]
    return np.array(list(itertools.product(*rows)))


def total(costs, paths, fixed):
    return costs[np.arange(LAYERS), paths].sum(axis=1) + fixed


@given(st.integers(0, 1000), st.floats(0, 2), st.floats(0.5, 4), st.floats(0.1, 1))
@settings(max_examples=50, deadline=None)
def test_as_many_are_counted_as_there_are(seed, fixed, low, width):
    costs, mask = drawn(seed)
    found = census.of(costs, mask, fixed, most=8.0).between(low, low + width)
    amounts = total(costs, every_path(mask), fixed)
    slack = 8.0 / census.STEPS * (LAYERS + 1)  # half a step a layer, and at the ends
    least = ((amounts > low + slack) & (amounts < low + width - slack)).sum()
    most = ((amounts > low - slack) & (amounts < low + width + slack)).sum()
    assert least <= found <= most


def test_all_networks_are_counted():
    costs, mask = drawn(1)
    assert census.of(costs, mask, 0.0, most=5.0).between(0, 5) == len(every_path(mask))


def test_dearer_networks_are_not_counted():
    costs, mask = np.array([[1.0, 2.0], [1.0, 3.0]]), np.ones((2, 2), bool)
    counted = census.of(costs, mask, 0.0, most=3.5)
    assert counted.between(0, 100) == 2  # 1 + 1 and 2 + 1, not 1 + 3 and 2 + 3
    assert census.of(costs, mask, 9.0, most=3.5).between(0, 100) == 0


def test_draws_are_uniform_among_those_of_the_cost():
    costs, mask = drawn(3)
    counted, rng = census.of(costs, mask, 0.2, most=5.0), np.random.default_rng(0)
    paths = every_path(mask)
    amounts = total(costs, paths, 0.2)
    here = {tuple(path) for path in paths[(amounts > 1.5) & (amounts < 2.5)]}
    assert len(here) > 10
    drawn_paths = [tuple(counted.draw(rng, 1.5, 2.5)) for _ in range(100 * len(here))]
    found, numbers = np.unique(drawn_paths, axis=0, return_counts=True)
    assert {tuple(path) for path in found} == here
    assert stats.chisquare(numbers).pvalue > 1e-3


def test_nothing_to_draw_is_refused():
    costs, mask = drawn(0)
    counted = census.of(costs, mask, 0.0, most=5.0)
    with pytest.raises(ValueError, match=r"a network that costs 0 to 0\.1, found none"):
        counted.draw(np.random.default_rng(0), 0.0, 0.1)


def test_a_space_of_the_paper_is_counted_in_full():
    costs = np.random.default_rng(0).uniform(0.1, 1, (21, 7))
    counted = census.of(costs, np.ones((21, 7), bool), 0.0, most=21.0)
    assert counted.between(0, 21) == pytest.approx(7.0**21)
