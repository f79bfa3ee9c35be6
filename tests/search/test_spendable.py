"""What of a cost can be spent within other limits, against every network there is."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax.search import cost, spendable
from nas_jax.search.cost import CostModel
from nas_jax.search.derivation import Limit

MASK = np.ones((2, 2), bool)
LATENCY = np.array([[1.0, 3.0], [2.0, 0.0]])  # 3, 1, 5, 3 ms, and 1 more
SIZE = np.array([[1.0, 9.0], [2.0, 0.0]])


def spent(mask, models, targets):
    return spendable.is_spent(mask, models, np.array(targets)).tolist()


def test_only_a_target_that_networks_exceed_is_to_be_spent():
    model = CostModel(jnp.asarray(LATENCY), 1.0)  # 2 to 6
    assert spent(MASK, model, 5.9) is True
    assert spent(MASK, model, 6.0) is False
    pruned = np.array([[True, False], [True, True]])  # 2 to 4
    assert spent(pruned, model, 5.9) is False
    both = cost.stack([model, model])
    assert spent(MASK, both, [5.0, 7.0]) == [True, False]
    # in Float32 0.1 + 0.2 exceeds 0.3, and is no network above the target
    tied = CostModel(jnp.array([[0.1, 0.0], [0.2, 0.0]], jnp.float32), 0.0)
    assert spent(MASK, tied, 0.3) is False


def test_a_target_that_only_networks_beyond_the_limits_exceed_is_not():
    """Of the networks of 3 ms and more, with 1, one has size 3, the others 9 and 11."""
    both = cost.stack(
        [CostModel(jnp.asarray(LATENCY), 1.0), CostModel(jnp.asarray(SIZE), 0.0)]
    )
    assert spent(MASK, both, [3.9, 3.0]) == [True, False]
    assert spent(MASK, both, [4.0, 3.0]) == [False, False]
    assert spent(MASK, both, [4.0, 11.0]) == [True, False]


def test_limits_without_a_network_leave_nothing_to_spend():
    limits = [Limit("ms", LATENCY, 1.0, 4.0), Limit("size", SIZE, 0.0, 0.5)]
    assert spendable.reach(MASK, limits) == (-np.inf, -np.inf)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.sampled_from([1e-3, 1.0, 1e9]),
    st.sampled_from(["real", "whole"]),
)
def test_reach_equals_brute_force_in_any_unit(seed, count, unit, kind):
    rng = np.random.default_rng(seed)
    mask = rng.random((4, 4)) < 0.8
    mask[:, 0] = True
    costs = rng.random((count, 4, 4))
    if kind == "whole":
        costs = np.round(5 * costs)
    costs, fixed = unit * costs, unit * rng.random(count)
    paths = np.array(list(itertools.product(*map(np.flatnonzero, mask))))
    sums = fixed[:, None] + costs[:, np.arange(4), paths].sum(axis=2)
    targets = np.quantile(sums, rng.uniform(0, 1, count), axis=1).diagonal()
    limits = [Limit("", *each) for each in zip(costs, fixed, targets, strict=True)]
    for place in range(count):
        others = np.arange(count) != place
        fits = (sums[others] <= targets[others, None] * (1 + 1e-11)).all(axis=0)
        found = spendable.reach(mask, limits, place)
        assert found.found == found.bound
        if fits.any():
            assert found.found == pytest.approx(sums[place, fits].max(), rel=1e-9)
        else:
            assert found.found == -np.inf
