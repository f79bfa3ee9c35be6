"""The best choice within budgets, against every choice there is."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax.search import knapsack


def every_choice(values, costs, fixed):
    """Picks, value and costs `[D]` of all choices of offered items, in loops' order.

    Sums go from left to right, as those of the method do.
    """
    offered = [np.flatnonzero(np.isfinite(row)) for row in values]
    picks = np.array(list(itertools.product(*offered)))
    worth, spent = np.zeros(len(picks)), np.tile(fixed, (len(picks), 1))
    for layer in range(len(values)):
        worth = worth + values[layer, picks[:, layer]]
        spent = spent + costs[:, layer, picks[:, layer]].T
    return picks, worth, spent


@st.composite
def problems(draw, budgets):
    """Log-probabilities and costs of up to 10^5 networks, with ties and free items."""
    layers = draw(st.integers(1, 6))
    items = draw(st.integers(1, {1: 9, 2: 9, 3: 9, 4: 9, 5: 9, 6: 6}[layers]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (layers, items)
    sharpness = draw(st.sampled_from([0.0, 0.3, 3.0]))
    values = rng.normal(size=shape) * sharpness
    values -= np.log(np.exp(values).sum(axis=1, keepdims=True))
    offered = rng.random(shape) < draw(st.sampled_from([0.7, 1.0]))
    offered[:, 0] = True
    values = np.where(offered, values, -np.inf)
    kind = draw(st.sampled_from(["real", "whole", "alike"]))
    costs = rng.random((budgets, *shape)) if kind == "real" else None
    if costs is None:
        costs = rng.integers(0, 5, (budgets, *shape)).astype(float)
    if kind == "alike":  # identical layers, as the cells of a stage are
        costs = np.repeat(costs[:, :1], layers, axis=1)
    fixed = rng.random(budgets)
    share = draw(st.floats(0.0, 1.1))
    largest = costs.max(axis=2).sum(axis=1)
    return values, costs, fixed, fixed + share * largest


def agrees_with_brute_force(values, costs, fixed, limits):
    _, worth, spent = every_choice(values, costs, fixed)
    fits = (spent <= limits).all(axis=1)
    found = knapsack.solve(values, costs, fixed, limits)
    if not fits.any():
        assert found is None
        return
    best = worth[fits].max()
    if len(limits) == 1:  # not nearly: sums are taken in the same order
        assert found.value == best
    else:  # HiGHS knows the best up to the rounding of sums
        assert found.value == pytest.approx(best, abs=1e-9)
    assert found.gap == 0
    assert (found.costs <= limits).all()
    # what is reported belongs to the picks
    layers = np.arange(len(values))
    assert found.value == pytest.approx(values[layers, found.picks].sum())
    np.testing.assert_allclose(
        found.costs, fixed + costs[:, layers, found.picks].sum(axis=1)
    )
    if len(limits) == 1:  # of equally good ones the cheapest
        assert found.costs[0] == spent[fits & (worth == best), 0].min()


@settings(deadline=None, max_examples=150)
@given(problems(1))
def test_one_budget_equals_brute_force(problem):
    agrees_with_brute_force(*problem)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([1, 1, 2, 3]).flatmap(problems), st.integers(1, 12))
def test_ranked_choices_are_the_best_of_all_in_order(problem, count):
    values, costs, fixed, limits = problem
    _, worth, spent = every_choice(values, costs, fixed)
    fits = (spent <= limits).all(axis=1)
    expected = np.sort(worth[fits])[::-1][:count]
    found = knapsack.ranked(*problem, count).choices
    if len(limits) == 1:
        assert [one.value for one in found] == expected.tolist()
    else:  # which of equal ones comes first is HiGHS's choice
        np.testing.assert_allclose([one.value for one in found], expected, atol=1e-9)
    assert len({tuple(one.picks) for one in found}) == len(found)
    assert all((one.costs <= limits).all() and one.gap == 0 for one in found)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([2, 3]).flatmap(problems))
def test_several_budgets_equal_brute_force(problem):
    agrees_with_brute_force(*problem)


@st.composite
def far_apart(draw):
    """Costs over twelve powers of ten, limits at or by a hair beside those of a choice.

    With them the second choice among all; real tables are not so, but units are free.
    """
    budgets, layers, items = (
        draw(st.integers(*ends)) for ends in ((1, 3), (1, 5), (2, 6))
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = np.log(rng.dirichlet(np.ones(items), size=layers) + 1e-30)
    costs = 10 ** rng.uniform(-6, 6, (budgets, layers, items))
    fixed = 10 ** rng.uniform(-6, 6, budgets) * draw(st.sampled_from([0.0, 1.0]))
    chosen = rng.integers(0, items, layers)
    limits = fixed
    for layer, pick in enumerate(chosen):
        limits = limits + costs[:, layer, pick]
    is_tied = rng.random(budgets) < 0.5
    limits = limits * np.where(is_tied, 1, 1 + 1e-9 * rng.normal(size=budgets))
    return values, costs, fixed, limits


@settings(deadline=None, max_examples=150)
@given(far_apart())
def test_nothing_is_lost_untold_where_costs_are_far_apart(problem):
    _, worth, spent = every_choice(*problem[:3])
    fits = (spent <= problem[3]).all(axis=1)
    best = np.sort(worth[fits])[::-1][:5]
    found = knapsack.ranked(*problem, 5)
    assert all((one.costs <= problem[3]).all() for one in found.choices)
    if all(one.gap == 0 for one in found.choices) and (
        found.is_complete or len(found.choices) == 5
    ):
        np.testing.assert_allclose(
            [one.value for one in found.choices], best, atol=1e-9
        )
    # what is told bounds what was lost
    for one, value in zip(found.choices, best, strict=False):
        assert value <= one.value + one.gap + 1e-9


def test_a_choice_that_hides_among_many_beyond_the_limit_is_found():
    """Of 2 * 3^6 choices 3^6 take the dear first item, which is worth most.

    728 of these exceed the limit by a billionth or more, and are worth more than the
    one that keeps it; after 20 of them costs are rounded up.
    """
    cheap = [[0.0, 1e-9, 2e-9]] * 6
    one = np.array([[0.0, 1.0, 9.0], *cheap])
    costs = np.stack([one, one])
    values = np.array([[-9.0, 0.0, -np.inf], *[[-1.0, -0.5, -0.1]] * 6])
    found = knapsack.ranked(values, costs, np.zeros(2), np.ones(2), 1)
    (best,) = found.choices
    assert best.picks.tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert best.value == pytest.approx(-6.0)
    assert found.excluded == 20
    # no more than this is known of what was passed over: one worth -0.6 is beyond
    assert -6 < best.value + best.gap <= -0.6


def test_worked_example():
    """Budget 10 of 4 + 2 + 7 = 13 for the best of each; giving up layer 1 costs 0.5."""
    values = np.array([[-0.1, -2.0], [-0.2, -1.0], [-0.3, -0.8]])
    costs = np.array([[[4.0, 1.0], [2.0, 0.0], [7.0, 4.0]]])
    found = knapsack.solve(values, costs, np.zeros(1), np.array([10.0]))
    assert found.picks.tolist() == [0, 0, 1]
    assert found.value == pytest.approx(-1.1)
    assert found.costs.tolist() == [10.0]


def test_cost_equal_to_the_limit_fits_and_the_next_number_below_does_not():
    values, costs = np.array([[0.0, -1.0]]), np.array([[[0.3, 0.1]]])
    limit = 0.1 + 0.3
    fixed = np.array([0.1])
    assert knapsack.solve(values, costs, fixed, np.array([limit])).picks == [0]
    below = np.array([np.nextafter(limit, 0)])
    assert knapsack.solve(values, costs, fixed, below).picks == [1]


def test_limits_that_nearly_exclude_each_other_are_met():
    """Of 7^21 choices a few: nearly the least of one cost at a size of another."""
    rng = np.random.default_rng(0)
    values = np.log(rng.dirichlet(np.ones(7), size=21))
    size = rng.random((21, 7))
    time = 0.5 * size + rng.random((21, 7))
    at_least = 0.99 * size.mean(axis=1).sum()
    costs = np.stack([size, -size, time])
    limits = np.array([at_least / 0.99, -at_least, np.inf])
    fastest = knapsack.solve(-time, costs[:2], np.zeros(2), limits[:2])
    limits[2] = -1.01 * fastest.value
    found = knapsack.solve(values, costs, np.zeros(3), limits)
    assert found.gap == 0 and (found.costs <= limits).all()
    others = knapsack.ranked(values, costs, np.zeros(3), limits, 4).choices
    assert others[0].value == pytest.approx(found.value)
    assert len({tuple(one.picks) for one in others}) == len(others) > 1
    limits[2] = -0.999 * fastest.value
    assert knapsack.solve(values, costs, np.zeros(3), limits) is None


def test_a_choice_over_its_limit_by_a_tolerance_is_not_taken():
    """The second items are worth more and cost less too much than HiGHS notices."""
    values = np.array([[-1.0, 0.0], [-1.0, 0.0]])
    costs = np.ones((2, 2, 2))
    costs[0, :, 1] += 1e-8
    (found,) = knapsack.ranked(values, costs, np.zeros(2), np.full(2, 2.0), 4).choices
    assert found.picks.tolist() == [0, 0] and found.gap == 0
    assert found.value == pytest.approx(-2.0)


def test_space_of_the_paper_is_solved_exactly():
    """21 layers of 7 and three budgets at once: 7^21 choices, no gap."""
    rng = np.random.default_rng(0)
    values = np.log(rng.dirichlet(np.ones(7), size=21))
    costs = rng.random((3, 21, 7))
    limits = costs.mean(axis=2).sum(axis=1) * 0.6
    for budgets in (1, 2, 3):
        found = knapsack.solve(
            values, costs[:budgets], np.zeros(budgets), limits[:budgets]
        )
        assert found.gap == 0
        assert (found.costs <= limits[:budgets]).all()


def test_answer_that_leaves_a_layer_out_is_passed_over(monkeypatch):
    """As SciPy 1.14 gives it for a problem without a choice."""
    real, answers = knapsack.milp, []

    def milp(*arguments, **options):
        found = real(*arguments, **options)
        if not answers:
            found.x[2:] = 0.0  # nothing of the second layer
        answers.append(found.x)
        return found

    monkeypatch.setattr(knapsack, "milp", milp)
    values, costs = np.array([[0.0, -1.0], [0.0, -1.0]]), np.ones((2, 2, 2))
    found = knapsack.solve(values, costs, np.zeros(2), np.full(2, 2.0))
    assert len(answers) == 2
    assert set(found.picks) <= {0, 1}
