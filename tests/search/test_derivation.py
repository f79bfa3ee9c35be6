"""The most probable candidate of every layer; ties to the cheaper, then the first."""

import numpy as np
import pytest

from nas_jax.config import SpaceConfig
from nas_jax.search import derivation, knapsack
from nas_jax.spaces import builders

# Layer 0 changes the width and offers no `zero` (candidate 1); layer 1 offers all.
TOY = builders.mobile(
    SpaceConfig(
        name="toy",
        input_size=8,
        stem_channels=8,
        first_block_channels=8,
        stage_widths=(16,),
        cells=(2,),
        strides=(1,),
        candidates=("mb3_k3", "zero", "mb6_k5"),
        head_channels=32,
    )
)
COSTS = np.array([[5.0, 0.0, 2.0], [5.0, 0.0, 2.0]])


def path(probs, costs=COSTS):
    return derivation.most_probable(TOY, np.array(probs), costs).tolist()


def test_most_probable_candidate_stays_whatever_it_costs():
    assert path([[0.6, 0.0, 0.4], [0.2, 0.3, 0.5]]) == [0, 2]


def test_tie_goes_to_the_cheaper_candidate():
    assert path([[0.5, 0.0, 0.5], [0.4, 0.2, 0.4]]) == [2, 2]
    third = 1 / 3
    assert path([[0.5, 0.0, 0.5], [third, third, third]]) == [2, 1]


def test_tie_of_equal_cost_goes_to_the_lower_index():
    assert path([[0.5, 0.0, 0.5], [0.25, 0.25, 0.5]], np.ones((2, 3))) == [0, 2]


def test_smallest_difference_is_no_tie():
    above = np.nextafter(np.float32(0.5), np.float32(1))
    assert path([[above, 0.0, 0.5], [0.0, 0.0, 1.0]])[0] == 0


def test_masked_candidate_never_wins():
    assert path([[0.1, 0.9, 0.0], [0.1, 0.9, 0.0]]) == [0, 1]
    # not even on a tie, where its entry costs nothing
    assert path([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]) == [2, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_diverged_search_is_refused(value):
    with pytest.raises(ValueError, match=r"finite .*\(2, 3\).* 1 non-finite"):
        path([[0.6, 0.0, 0.4], [value, 0.5, 0.5]])


def test_probabilities_of_another_space_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 3\), got shape \(1, 3\)"):
        path([[0.6, 0.0, 0.4]])


def test_derived_network_has_the_chosen_operations_and_the_name():
    probs = np.array([[0.6, 0.0, 0.4], [0.2, 0.5, 0.3]])
    network = derivation.derive(TOY, probs, COSTS, "found")
    names = [block.op.name for block in network.blocks]
    assert (network.name, names) == ("found", ["mb1_k3", "mb3_k3", "zero"])
    assert derivation.derive(TOY, probs, COSTS).name == "searched"


# --- within limits -------------------------------------------------------------------


def limit(target, costs=COSTS, fixed=1.0, name="ms"):
    return derivation.Limit(name, costs, fixed, target)


PROBS = [[0.6, 0.0, 0.4], [0.5, 0.2, 0.3]]


@pytest.mark.parametrize(
    ("target", "expected", "cost", "given_up"),
    [
        (11.0, [0, 0], 11.0, 0.0),
        # 0.6 * 0.3 = 0.18 against 0.4 * 0.5 = 0.2
        (10.9, [2, 0], 8.0, np.log(0.3 / 0.2)),
        (3.0, [2, 1], 3.0, np.log(0.3 / 0.08)),
    ],
)
def test_most_probable_network_within_a_limit(target, expected, cost, given_up):
    found = derivation.most_probable_within(TOY, np.array(PROBS), [limit(target)])
    assert found.path.tolist() == expected
    assert found.slack == {"ms": pytest.approx(1 - cost / target)}
    assert found.log_prob_given_up == pytest.approx(given_up)
    assert found.log_prob_gap == 0


def test_several_limits_are_all_kept():
    other = np.array([[1.0, 0.0, 4.0], [1.0, 0.0, 4.0]])
    both = [limit(9.0), limit(4.0, other, 0.0, "MACs")]
    found = derivation.most_probable_within(TOY, np.array(PROBS), both)
    # [2 0] at 8 ms would need 5, [0 2] at 8 ms the same: only [0 1] keeps both
    assert found.path.tolist() == [0, 1]
    assert found.slack == {"ms": pytest.approx(1 / 3), "MACs": pytest.approx(0.75)}


def test_wide_limit_gives_the_most_probable_network_of_all():
    probs = np.array([[0.5, 0.0, 0.5], [0.4, 0.2, 0.4]])  # ties go to the cheaper
    found = derivation.most_probable_within(TOY, probs, [limit(100.0)])
    assert found.path.tolist() == path(probs)
    assert found.log_prob_given_up == 0


def test_vanished_probability_is_chosen_only_if_nothing_else_fits():
    probs = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    found = derivation.most_probable_within(TOY, probs, [limit(6.0)])
    assert found.path.tolist() == [0, 1]
    assert found.log_prob_given_up == pytest.approx(103.28, abs=0.01)


def test_limit_below_every_network_is_refused_with_the_least_cost():
    with pytest.raises(
        ValueError, match=r"found none \(ms at most 2.9, reachable from 3\)"
    ):
        derivation.most_probable_within(TOY, np.array(PROBS), [limit(2.9)])


def test_network_that_spends_its_target_is_preferred_to_a_more_probable_cheap_one():
    # within 10.9 the most probable costs 8; [0 2] costs 8 as well, 6 and 5 the others
    found = derivation.most_probable_within(TOY, np.array(PROBS), [limit(10.9)], 0.3)
    assert (found.path.tolist(), found.is_spent) == ([2, 0], True)
    # within 7 the most probable costs 5 (0.4 * 0.3); asked for 6 it is 0.6 * 0.2
    probs = np.array([[0.6, 0.0, 0.4], [0.5, 0.19, 0.31]])
    found = derivation.most_probable_within(TOY, probs, [limit(7.0)])
    assert found.path.tolist() == [2, 2]
    found = derivation.most_probable_within(TOY, probs, [limit(7.0)], 0.15)
    assert (found.path.tolist(), found.is_spent) == ([0, 1], True)
    assert found.slack == {"ms": pytest.approx(1 / 7)}
    assert found.log_prob_given_up == pytest.approx(np.log(0.3 / (0.6 * 0.19)))


def test_target_that_no_network_spends_is_kept_all_the_same():
    found = derivation.most_probable_within(TOY, np.array(PROBS), [limit(10.9)], 0.1)
    assert (found.path.tolist(), found.is_spent) == ([2, 0], False)
    assert found.slack == {"ms": pytest.approx(1 - 8 / 10.9)}


def test_what_costs_as_much_as_the_limit_keeps_it_however_it_is_added_up():
    """0.1 + 0.2 + 0.3 exceeds 0.6, and 0.3 + 0.2 + 0.1 does not."""
    tied = limit(0.6, np.array([[0.2, 0.0, 0.1], [0.3, 0.0, 0.1]]), 0.1)
    assert 0.1 + 0.2 + 0.3 > 0.6
    found = derivation.most_probable_within(TOY, np.array(PROBS), [tied])
    assert (found.path.tolist(), found.slack) == ([0, 0], {"ms": 0.0})
    beyond = tied._replace(target=0.6 * (1 - 1e-11))
    found = derivation.most_probable_within(TOY, np.array(PROBS), [beyond])
    assert found.path.tolist() != [0, 0]


def test_what_was_not_proven_is_not_claimed(monkeypatch):
    """An integer program that gives up proves nothing."""
    real = knapsack.ranked

    def gives_up(values, costs, fixed, limits, count):
        if len(limits) == 2:  # asked for what spends the target
            return knapsack.Ranking([], excluded=41, is_complete=False)
        return real(values, costs, fixed, limits, count)

    probs = np.array(PROBS)
    found = derivation.most_probable_within(TOY, probs, [limit(10.9)], 0.1)
    assert (found.is_spent, found.is_proven) == (False, True)
    monkeypatch.setattr(knapsack, "ranked", gives_up)
    found = derivation.most_probable_within(TOY, probs, [limit(10.9)], 0.1)
    assert (found.is_spent, found.is_proven) == (False, False)
    with pytest.raises(ValueError, match="found none, which does not prove that none"):
        both = [limit(11.0), limit(9.0)]
        derivation.most_probable_within(TOY, probs, both)
