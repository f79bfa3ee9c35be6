"""Rungs of successive halving, by hand and for any number of networks."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nas_jax.search import halving


def test_each_rung_keeps_a_quarter_and_takes_four_times_as_long():
    assert [tuple(rung) for rung in halving.rungs(16, 80)] == [(16, 20), (4, 80)]
    assert [tuple(rung) for rung in halving.rungs(8, 80)] == [(8, 20), (2, 80)]
    found = halving.rungs(17, 80)
    assert [tuple(rung) for rung in found] == [(17, 5), (5, 20), (2, 80)]
    assert [tuple(rung) for rung in halving.rungs(3, 80)] == [(3, 80)]
    assert halving.rungs(1, 80) == ()


@given(st.integers(2, 200), st.integers(1, 500))
def test_the_last_are_trained_in_full(networks, epochs):
    rungs = halving.rungs(networks, epochs)
    assert rungs[0].networks == networks
    assert 2 <= rungs[-1].networks <= 4
    assert rungs[-1].epochs == epochs
    for one, other in itertools.pairwise(rungs):
        assert other.networks == -(-one.networks // 4)
        assert 1 <= one.epochs <= other.epochs


@given(st.integers(1, 6))
def test_all_rungs_cost_as_much(power):
    """4 networks in full, and before them as much for every rung."""
    assert halving.trainings(4**power, 4**10) == 4 * power
