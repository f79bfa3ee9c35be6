"""Array by array against the reference implementation: the architecture steps.

`pytest -s` prints the worst error of every group; origin and bound: `parity.py`.

Not compared, by name: `bn_after` (our architecture steps leave batch statistics alone);
gates and alphas of edges whose active operation is Zero, except under `plain/` (the
reference loses gradients there, differently by version of PyTorch, `legacy/`; ours
treat Zero as any candidate, with output 0); `alpha_after` where the reference's own
value is rounding noise (`alpha_after_comparable`).
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nas_jax.base import PathPair
from nas_jax.config import SearchConfig
from nas_jax.search import arch_step, cost, estimators, gates, objective, schedule
from nas_jax.search.estimators import Estimate
from nas_jax.search.search_state import SearchProblem
from tests.parity import (
    EDGES,
    REFERENCE_COST,
    SPACE,
    STORED,
    VALID,
    check,
    cost_model,
    initial,
    print_worst_errors,
)

LOSSES = {
    "none": {"objective": "none"},
    "add_linear": {"objective": "add_linear", "penalty": 0.1},
    "mul_log": {"objective": "mul_log"},
}
ZERO = {2: 6, 4: 6}  # edge -> index of its Zero
CASES = {
    "two": ("no_zero", "zero_inactive", "zero_active"),
    # one way of computing, which gives the numbers of both of the reference's modes
    "full": ("no_zero_active", "zero_active"),
    "full_v2": ("no_zero_active", "zero_active"),
}


@pytest.fixture(scope="module", autouse=True)
def worst_errors():
    yield
    print()
    print_worst_errors()


def arch_config(mode: str, loss: str) -> SearchConfig:
    is_pair = mode == "two"
    return SearchConfig(
        estimator="two" if is_pair else "full_v2",
        expectation="pair" if is_pair else "full",
        arch_lr=1e-3,
        **LOSSES[loss],
    )


def one_step(config: SearchConfig, state, sampled):
    """All that one architecture step computes.

    Not jitted as a whole: the passes through the network are, once for all cases.
    """
    tx = schedule.search_alphas(config)
    problem = SearchProblem(SPACE, config, cost_model(), REFERENCE_COST)
    is_pair = config.estimator == "two_path"
    gradients = estimators.two_path_gradients if is_pair else estimators.full_gradients
    gate_grads, grads, metrics = gradients(problem, state, sampled, VALID)
    if is_pair:
        gate_grads = gates.scatter_pair(gate_grads, sampled, len(SPACE.candidates))
    updates, _ = tx.update(grads, state.arch_opt, state.alphas)
    estimate = Estimate(grads, state.baseline, {})
    after, _ = arch_step.update_alphas(problem, state, sampled, estimate, tx=tx)
    return gate_grads, grads, metrics, state.alphas + updates, after


def sampled_at(prefix: str, index=...):
    """The stored path, or pair where the inactive operations are stored too."""
    active = jnp.asarray(STORED[f"{prefix}/active"][index])
    if f"{prefix}/inactive" not in STORED:
        return active, active
    inactive = jnp.asarray(STORED[f"{prefix}/inactive"][index])
    return PathPair(active, inactive), active


def own(array, edge: int):
    """The values of an edge's own candidates."""
    return array[edge - 1, : len(STORED[f"alpha/block{edge}"])]


def check_step(group: str, where: str, active, found) -> None:
    """Everything stored under `where`, but for edges whose active operation is Zero."""
    gate_grads, grads, metrics, stepped, after = found
    check(group, f"{where}/loss", metrics["search/arch_loss"])
    check(group, f"{where}/ce", metrics["search/arch_ce"])
    for edge in EDGES:
        if ZERO.get(edge) == int(active[edge - 1]):
            continue
        check(group, f"{where}/gate_grad/block{edge}", own(gate_grads, edge), 1e-7)
        check(group, f"{where}/alpha_grad/block{edge}", own(grads, edge), 1e-7)
        check(group, f"{where}/alpha_after_adam/block{edge}", own(stepped, edge))
        rescaled = f"{where}/alpha_after_rescale/block{edge}"
        if rescaled in STORED:
            check(group, rescaled, own(after.alphas, edge))


def check_expected_latency(group: str, where: str, mode: str, state, sampled) -> None:
    if f"{where}/expected_latency" not in STORED:
        assert where.endswith("none")
        return
    model = cost_model()
    expected = (
        cost.expected_pair(model, state.alphas, sampled)
        if mode == "two"
        else cost.expected_full(model, state.alphas, jnp.asarray(SPACE.mask))
    )
    check(group, f"{where}/expected_latency", expected)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("mode", "case"), [(mode, case) for mode, cases in CASES.items() for case in cases]
)
def test_one_architecture_step(mode, case, loss):
    config = arch_config(mode, loss)
    state, prefix, group = (
        initial(config),
        f"arch/{mode}/{case}",
        f"arch {mode}, {loss}",
    )
    sampled, active = sampled_at(prefix)
    found = one_step(config, state, sampled)
    check_step(group, f"{prefix}/{loss}", active, found)
    check_expected_latency(group, f"{prefix}/{loss}", mode, state, sampled)


@pytest.mark.parametrize("mode", ["two", "full", "full_v2"])
def test_zero_is_a_candidate_like_any_other(mode):
    """`plain/`: G of Zero is 0, the others' are what they are; full_v2 is as full."""
    config = arch_config(mode, "none")
    prefix = f"arch/{mode}/zero_active"
    plain = f"arch/{'two' if mode == 'two' else 'full'}/zero_active/plain"
    sampled, active = sampled_at(prefix)
    gate_grads, grads, metrics, _, _ = one_step(config, initial(config), sampled)
    group = f"arch {mode}, plain"
    check(group, f"{plain}/ce", metrics["search/arch_ce"])
    assert any(ZERO.get(edge) == int(active[edge - 1]) for edge in EDGES)
    for edge in EDGES:
        check(group, f"{plain}/gate_grad/block{edge}", own(gate_grads, edge), 1e-7)
        check(group, f"{plain}/alpha_grad_ce/block{edge}", own(grads, edge), 1e-7)


@pytest.mark.parametrize("case", CASES["two"])
def test_expected_latency_of_the_pair_alone(case):
    prefix = f"arch/two/{case}"
    state, model = initial(arch_config("two", "none")), cost_model()
    pair, _ = sampled_at(prefix)
    expected, grads = jax.value_and_grad(
        lambda alphas: cost.expected_pair(model, alphas, pair)
    )(state.alphas)
    check("pair latency", f"{prefix}/latency/expected", expected)
    for edge in EDGES:
        name = f"{prefix}/latency/alpha_grad/block{edge}"
        check("pair latency", name, own(grads, edge), 1e-7)


@pytest.mark.parametrize("mode", ["two", "full_v2"])
def test_three_architecture_steps_in_a_row(mode):
    """Alphas and Adam's second moment are carried through; loss mul_log."""
    config = arch_config(mode, "mul_log")
    state, group = initial(config), f"archseq {mode}"
    for step in (1, 2, 3):
        sampled, active = sampled_at(f"archseq/{mode}", step - 1)
        where = f"archseq/{mode}/step{step}"
        check_expected_latency(group, where, mode, state, sampled)
        found = one_step(config, state, sampled)
        check_step(group, where, active, found)
        state = found[-1]
        second_moment = optax.tree.get(state.arch_opt, "nu")
        for edge in EDGES:
            # squares of gradients of 1e-2: the bound's absolute part would hide them
            check(group, f"{where}/adam_v/block{edge}", own(second_moment, edge), 1e-10)


@pytest.mark.parametrize(
    ("variant", "reward"), [("accuracy_only", "none"), ("with_cost", "mnasnet")]
)
def test_three_updates_by_reward(variant, reward):
    """Alphas, Adam's state and the moving baseline are carried through."""
    config = SearchConfig(
        estimator="rl",
        expectation="full",
        objective=reward,
        reinforce_samples=4,
        reinforce_baseline="reference",
        arch_lr=1e-3,
    )
    tx, state, model = schedule.search_alphas(config), initial(config), cost_model()
    problem = SearchProblem(SPACE, config, model, REFERENCE_COST)
    group, compared = f"reinforce {variant}", 0
    for update in (1, 2, 3):
        where = f"reinforce/{variant}/update{update}"
        paths = jnp.asarray(STORED["reinforce/ops"][update - 1])
        costs = jax.vmap(lambda path: cost.of_path(model, path))(paths)
        np.testing.assert_allclose(
            costs, STORED["reinforce/cost"][update - 1], rtol=1e-6
        )
        accuracies = jnp.asarray(STORED["reinforce/accuracy"][update - 1])
        rewards = objective.reward(problem, accuracies, costs)
        probs = gates.probabilities(state.alphas, jnp.asarray(SPACE.mask))
        grads, baseline = estimators.rewarded(
            config, state.baseline, probs, paths, rewards
        )
        estimate = Estimate(grads, baseline, {})
        state, _ = arch_step.update_alphas(problem, state, paths, estimate, tx=tx)
        check(group, f"{where}/reward", rewards)
        check(group, f"{where}/baseline", baseline)
        for edge in EDGES:
            check(group, f"{where}/alpha_grad/block{edge}", own(grads, edge), 1e-7)
            name = f"{where}/alpha_after/block{edge}"
            comparable = STORED[name.replace("after", "after_comparable")] == 1
            after = np.where(comparable, own(state.alphas, edge), STORED[name])
            check(group, name, after)
            compared += comparable.sum()
    assert compared > 3 * 26 / 2  # three updates of 26 alphas
