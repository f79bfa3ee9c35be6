"""Ranks and spread of the enumerated benchmark, against other ways."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.enumerated import ranking

NUMBERS = st.lists(st.integers(0, 8), min_size=2, max_size=12)


@given(NUMBERS)
def test_percentiles_are_mean_ranks(values):
    ranks = stats.rankdata(-np.array(values), method="average")
    expected = 100 * (ranks - 1) / (len(values) - 1)
    np.testing.assert_allclose(ranking.percentiles(np.array(values, float)), expected)


@pytest.mark.parametrize("networks", [1, 2, 3, 6])
def test_best_of_random_networks_is_the_mean_over_all_draws(networks):
    rng = np.random.default_rng(0)
    chosen_by, values = rng.normal(size=(2, 6))
    draws = [
        values[max(drawn, key=lambda n: chosen_by[n])]
        for drawn in itertools.combinations(range(6), networks)
    ]
    found = ranking.best_of(chosen_by, values, networks)
    assert found == pytest.approx(np.mean(draws))


def test_spread_by_hand():
    # every network's seeds are 0.02 apart: sd 0.02 / sqrt 2; means 0.0, 0.1, ..., 1.0
    means = np.linspace(0, 1, 11)
    found = ranking.spread(np.stack([means - 0.01, means + 0.01], axis=1))
    assert (found.p10, found.median, found.p90) == pytest.approx((0.1, 0.5, 0.9))
    assert found.seed_sd == pytest.approx(0.02 / 2**0.5)
    assert found.ratio == pytest.approx(0.8 / (0.02 / 2**0.5))


def test_ranks_by_the_others_leave_each_seed_out_in_turn():
    # left out are seeds 0, 1, 2: means .3 .1 .2, then .4 .2 .2, then .5 .1 .3
    accuracies = np.array([[0.6, 0.4, 0.2], [0.2, 0.0, 0.2], [0.3, 0.3, 0.1]])
    expected = [[0, 100, 50], [0, 75, 75], [0, 100, 50]]
    np.testing.assert_allclose(ranking.of_others(accuracies), expected)


def test_noise_ceiling_by_hand():
    # seed 0 finds network 0 best, which seed 1 ranks second of three (50 %);
    # seed 1 finds network 1 best, which seed 0 ranks last (100 %)
    accuracies = np.array([[0.9, 0.5], [0.1, 0.8], [0.5, 0.2]])
    assert ranking.noise_ceiling(accuracies) == pytest.approx(75)
    alike = np.array([[0.9, 0.9], [0.1, 0.2], [0.5, 0.4]])
    assert ranking.noise_ceiling(alike) == 0


def test_most_probable_is_the_best_product_among_the_allowed():
    probs = np.array([[0.6, 0.4], [0.3, 0.7]])
    paths = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])  # .18, .42, .12, .28
    costs = np.array([2.0, 4.0, 1.0, 3.0])
    for limit, expected in ((9, 1), (3, 3), (2, 0), (1, 2)):
        allowed = costs <= limit
        assert ranking.most_probable(probs, paths, allowed, costs) == [expected]
        ranked = ranking.most_probable(probs, paths, allowed, costs, 99)
        products = probs[np.arange(paths.shape[1]), paths].prod(axis=1)
        assert sorted(ranked) == np.flatnonzero(allowed).tolist()
        assert (np.diff(products[ranked]) <= 0).all()


def test_most_probable_prefers_the_cheaper_of_equals_and_takes_zeros():
    probs, paths = np.array([[0.5, 0.5, 0.0]]), np.array([[0], [1], [2]])
    costs, all_three = np.array([2.0, 1.0, 0.0]), np.ones(3, bool)
    assert ranking.most_probable(probs, paths, all_three, costs) == 1
    only_last = np.array([False, False, True])
    assert ranking.most_probable(probs, paths, only_last, costs) == 2


@pytest.mark.parametrize(
    ("probs", "allowed", "message"),
    [
        ([[np.nan, 1.0]], [True, True], "2 networks|1 non-finite"),
        ([[0.5, 0.5]], [False, False], "and 0 networks"),
    ],
)
def test_most_probable_refuses(probs, allowed, message):
    with pytest.raises(ValueError, match=message):
        ranking.most_probable(
            np.array(probs), np.array([[0], [1]]), np.array(allowed), np.ones(2)
        )
