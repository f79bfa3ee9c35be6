"""How far alphas move, and what is told of it: by hand, and against all of a box."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax.config import SearchConfig
from nas_jax.search import movement
from nas_jax.search.derivation import Limit

MASK = np.ones((1, 2), bool)
COSTS = np.array([[1.0, 3.0]])


def config(**changes):
    fields = {"warmup_epochs": 0, "joint_epochs": 10, "arch_start_epoch": 0}
    return SearchConfig(**fields | {"arch_every": 1, "target_ms": 1.0} | changes)


@pytest.mark.parametrize(
    ("target", "is_spent", "expected"),
    [
        # p = e^A / (e^A + e^-A) of the cheaper: 1 + 2 (1 - p) = 1.5 at e^2A = 3
        (1.5, True, math.log(3) / 2),
        (1.5, False, math.log(3) / 2),
        (2.5, True, math.log(3) / 2),
        (2.5, False, 0.0),  # kept by alphas that are all alike
        (1.0, True, 15.0),  # by none but infinite ones
    ],
)
@pytest.mark.parametrize("unit", [1e-3, 1e9])
def test_way_to_a_target_by_hand(target, is_spent, expected, unit):
    limit = Limit("ms", unit * COSTS, unit * 0.25, unit * (0.25 + target))
    found = movement.needed(MASK, limit, is_spent)
    assert found == pytest.approx(expected, abs=2e-3)
    # what the layer does not offer plays no part
    wider = Limit("ms", np.array([[*unit * COSTS[0], 99.0]]), *limit[2:])
    offered = np.array([[True, True, False]])
    assert movement.needed(offered, wider, is_spent) == found


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_no_corner_of_a_smaller_box_comes_to_the_target(seed, share):
    rng = np.random.default_rng(seed)
    costs = rng.random((2, 4))
    low, high = costs.min(axis=1).sum(), costs.max(axis=1).sum()
    target = low + share * (high - low)
    found = movement.needed(np.ones((2, 4), bool), Limit("ms", costs, 0.0, target))
    corners = np.array([*itertools.product((-1.0, 1.0), repeat=4)])

    def ends(reach):
        weights = np.exp(reach * corners)
        layers = (weights @ costs.T) / weights.sum(axis=1, keepdims=True)
        return layers.min(axis=0).sum(), layers.max(axis=0).sum()

    least, most = ends(found)
    assert least <= target <= most
    if found > 0.01:
        least, most = ends(found - 0.01)
        assert target < least or target > most


def test_a_search_too_short_for_its_target_is_told_with_what_to_change():
    """A = ln(3) / 2 = 0.55, twice that 1.1; 10 epochs of 10 steps at 1e-3 move 0.1."""
    limit = Limit("latency", COSTS, 0.0, 1.5)
    (line,) = movement.before(config(arch_lr=1e-3), 10, MASK, [limit], [True])
    assert line == (
        "search.arch_lr 0.001 moves an alpha by about 0.1 in this search, 1.1 or more "
        "are needed to hold latency at its target: the search may miss it, the derived "
        "network keeps it; raise search.arch_lr to 0.02"
    )
    for enough in ({"arch_lr": 0.02}, {"objective": "none"}):
        assert not [*movement.before(config(**enough), 10, MASK, [limit], [True])]
    (line,) = movement.before(config(arch_lr=1e-3), 1, MASK, [limit], [True])
    assert line.endswith("raise search.joint_epochs to 11 with search.arch_lr 0.1")
    never = config(joint_epochs=1, arch_start_epoch=1)
    (line,) = movement.before(never, 10, MASK, [limit], [True])
    assert "by about 0 in" in line
    assert line.endswith("raise search.joint_epochs to 3 with search.arch_lr 0.1")


def test_a_search_that_ended_off_its_target_is_told_with_what_to_change():
    limits = [Limit("latency", COSTS, 0.0, 1.5), Limit("macs:2.1", COSTS, 0.0, 2.1)]

    def after(second, **changes):
        """Of 1 + 2 p in both units, p the probability of the second candidate."""
        probs = np.array([[1 - second, second]])
        spent, own = [True, False], config(**changes)
        return [*movement.after(own, 10, MASK, limits, spent, probs)]

    assert after(0.25, arch_lr=1e-3) == after(0.255) == []
    assert after(0.2, arch_lr=0.02) == [
        "the search ended with 0.933 of its target of latency expected, so it weighed "
        "networks of another cost than those derived; raise search.joint_epochs, for "
        "more architecture steps"
    ]
    first, second = after(0.7, arch_lr=1e-3)  # 2.4
    assert "with 1.6 of its target of latency" in first
    assert first.endswith("raise search.arch_lr to 0.02")
    assert "with 1.14 of its target of macs:2.1" in second
    assert after(0.7, objective="none") == []
