"""Rungs of successive halving, by hand and for any number of networks."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nas_jax.search import halving


def test_each_rung_halves_the_networks_and_doubles_the_time():
    assert [tuple(rung) for rung in halving.rungs(8, 80)] == [(8, 10), (4, 20), (2, 40)]
    assert [tuple(rung) for rung in halving.rungs(5, 80)] == [(5, 10), (3, 20), (2, 40)]
    assert [tuple(rung) for rung in halving.rungs(2, 80)] == [(2, 40)]
    assert halving.rungs(1, 80) == ()


@given(st.integers(2, 200), st.integers(1, 500))
def test_the_last_two_train_for_half_of_the_time(networks, epochs):
    rungs = halving.rungs(networks, epochs)
    assert rungs[0].networks == networks
    assert (rungs[-1].networks, rungs[-1].epochs) == (2, max(1, round(epochs / 2)))
    for one, other in itertools.pairwise(rungs):
        assert other.networks == -(-one.networks // 2)
        assert 1 <= one.epochs <= other.epochs


@given(st.integers(1, 7))
def test_all_rungs_cost_as_much(power):
    assert halving.trainings(2**power, 2**10) == power
