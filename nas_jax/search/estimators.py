"""Gradient estimators for the alphas: what an architecture step descends.

    estimator  forward passes  memory       gradient
    two_path   2               one path     straight through the gates of two
                                            candidates per layer
    full       all candidates  one path     straight through the gates of all of them
    reinforce  M networks      one forward  score function of sampled rewards, no bias

ProxylessNAS, sections 3.2 (eq. 4; appendix for the pair) and 3.3. `two_path` and `full`
add the exact gradient of the expected cost; `reinforce` has the cost in its reward, or
with the objective `constrained` that exact gradient as well.
Zero is a candidate like any other: its output and the gradient of its gate are 0, and
its cost counts. (The reference drops one or the other, by the version of PyTorch.)

An estimator of your own is registered as these are, in the file of an experiment; the
run folder keeps that file, for resume and report in other processes:

    estimators.register(estimators.Estimator("mine", sample, estimate))
    ... SearchConfig(estimator="mine", ...)
"""

import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nas_jax import supernet
from nas_jax.base import Alphas, Logits, Mask, Metrics, Path, PathPair, PRNGKey, Scalar
from nas_jax.config.search import ESTIMATORS, NAME, SearchConfig
from nas_jax.data.batches import Batch
from nas_jax.search import cost, gates, objective, reinforce
from nas_jax.search.objective import ThroughGates
from nas_jax.search.search_state import SearchProblem, SearchState
from nas_jax.spaces.operations import source_of
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import losses

# two_path: a pair; full: a path [L]; reinforce: paths [M L].
Sampled = Any
LOSSES = ("constrained", "add_linear", "mul_log", "none")
REWARDS = ("constrained", "mnasnet", "tunas", "none")


class Estimate(NamedTuple):
    """A gradient of the alphas, the moving baseline after it, and what was seen.

    `alpha_gradients` is `[L K]`, to be descended; `baseline` is `state.baseline` where
    there is none; `metrics` are scalars by names that begin with `search/`.
    """

    alpha_gradients: Alphas
    baseline: Scalar
    metrics: Metrics


class Estimator(NamedTuple):
    """A way to estimate the gradient of the alphas, under a name.

    Attributes:
      name: what `search.estimator` and config.json call it.
      sample: `(key, alphas [L K], mask [L K], config)` -> what one step draws.
      estimate: `(problem, state, sampled, batch)` -> `Estimate`. It is jitted; the
        weights are `state.params`, and a switch must not be vmapped over paths.
      objectives: values of `search.objective` that it follows.
      expectations: values of `search.expectation` that it follows.
      options: names and defaults of numbers that `search.estimator_options` may set;
        `options(config)` has their values.
      rescale: `(config, old, new, sampled)` -> alphas, after the optimiser moved them.
        With `devices.paths_per_step` there is no single sample, and it is not called.
    """

    name: str
    sample: Callable[[PRNGKey, Alphas, Mask, SearchConfig], Sampled]
    estimate: Callable[[SearchProblem, SearchState, Sampled, Batch], Estimate]
    objectives: tuple[str, ...] = LOSSES
    expectations: tuple[str, ...] = ("full",)
    options: Mapping[str, float] = {}
    rescale: Callable[[SearchConfig, Alphas, Alphas, Sampled], Alphas] | None = None


def register(estimator: Estimator) -> Estimator:
    """Makes an estimator one that `search.estimator` can name.

    Raises `ValueError` if the name is no plain word, or stands for another estimator in
    this process already: compiled steps know it.
    """
    name = estimator.name
    if not re.fullmatch(NAME, name):
        raise ValueError(
            f"estimator {name!r:.60}: expected a name of small letters, digits and _"
        )
    known = ESTIMATORS.get(name, estimator)
    # by the text of its functions: an experiment's file may be read twice
    if [*map(source_of, known)] != [*map(source_of, estimator)]:
        raise ValueError(
            f"estimator {name!r}: expected the one that has this name already, got "
            "another; choose a new name, or restart the process"
        )
    ESTIMATORS[name] = estimator
    return estimator


def of(config: SearchConfig) -> Estimator:
    """The estimator that a configuration names.

    Raises `ValueError` if there is none, or if it cannot follow the objective, the
    expectation or the options of the configuration.
    """
    name = config.estimator
    if name not in ESTIMATORS:
        raise ValueError(
            f"search.estimator: expected one of {', '.join(ESTIMATORS)}, got "
            f"{name!r:.60}; register your own with nas_jax.search.estimators.register"
        )
    estimator: Estimator = ESTIMATORS[name]
    if config.objective not in estimator.objectives:
        raise ValueError(
            f"search.objective: expected one of {', '.join(estimator.objectives)} with "
            f"estimator {name}, got {config.objective!r}"
        )
    if config.expectation not in estimator.expectations:
        raise ValueError(
            f"search.expectation: expected {estimator.expectations[0]!r} with "
            f"estimator {name}, which samples no pairs, got {config.expectation!r}"
        )
    options(config, estimator)
    return estimator


def options(
    config: SearchConfig, estimator: Estimator | None = None
) -> dict[str, float]:
    """The options of an estimator, that of `config` by default, with their values.

    Raises `ValueError` for one that it does not have, or that is no finite number.
    """
    estimator = estimator or of(config)
    values = dict(estimator.options)
    for text in config.estimator_options:
        name, _, amount = text.partition("=")
        try:
            value = float(amount)
        except ValueError:
            value = math.nan
        if name not in values or not math.isfinite(value):
            known = ", ".join(f"{key}={value:g}" for key, value in values.items())
            raise ValueError(
                f"search.estimator_options: expected NAME=NUMBER with NAME one of "
                f"{known or 'none at all'} (estimator {estimator.name}), got "
                f"{text!r:.60}"
            )
        values[name] = value
    return values


# --- two_path: the paper's update, of two candidates per layer ------------------------


def two_path_gradients(
    problem: SearchProblem, state: SearchState, pair: PathPair, batch: Batch
) -> tuple[Float[Array, "L 2"], Alphas, Metrics]:
    """Gradients of the loss: of the gates `[L 2]`, and of the alphas `[L K]`.

    The alphas' gradient is the straight-through one of the pair (eq. 4 with q for p)
    plus that of the expected cost.
    """
    layers, candidates = state.alphas.shape
    active_only = jnp.tile(jnp.array([[1.0, 0.0]], state.alphas.dtype), (layers, 1))
    seen = through_gates(
        supernet.apply_two_path, problem.space, state, pair, active_only, batch
    )

    expected: Callable[[Alphas], Any] = problem.expected_cost
    if problem.config.expectation == "pair":
        expected = functools.partial(cost.expected_pair, problem.costs, pair=pair)
    gate_grads, cost_grads, metrics = objective.gradients(
        problem, state, seen, expected
    )
    q = gates.pair_probabilities(state.alphas, pair)
    pair_grads = gates.alpha_gradient(q, gate_grads)
    straight_through = gates.scatter_pair(pair_grads, pair, candidates)
    return gate_grads, straight_through + cost_grads, metrics


def _rescale(config: SearchConfig, old: Alphas, new: Alphas, pair: PathPair) -> Alphas:
    """The paper's; none with the full expectation, whose cost moves every alpha."""
    return gates.rescale_pair(old, new, pair) if config.expectation == "pair" else new


# --- full: all candidates of every layer ----------------------------------------------


def gate_gradients(
    problem: SearchProblem, state: SearchState, path: Path, batch: Batch
) -> tuple[Float[Array, "L K"], Alphas, Metrics]:
    """Gradients of the loss along a path: of all gates, and of the alphas by the cost.

    G_k = <dL/dy, o_k(x)> `[L K]`, for any straight-through estimator to use. The second
    `[L K]` is that of the expected cost alone.
    """
    candidates = len(problem.space.candidates)
    active_only = jax.nn.one_hot(path, candidates, dtype=state.alphas.dtype)
    seen = through_gates(
        supernet.apply_full, problem.space, state, path, active_only, batch
    )
    return objective.gradients(problem, state, seen, problem.expected_cost)


def full_gradients(
    problem: SearchProblem, state: SearchState, path: Path, batch: Batch
) -> tuple[Float[Array, "L K"], Alphas, Metrics]:
    """Gradients of the loss: of all gates, and of the alphas, both `[L K]`.

    The alphas' gradient is p_i (G_i - sum_j p_j G_j) with G_k = <dL/dy, o_k(x)> (eq. 4)
    plus that of the expected cost: the reference's `full_v2`, equal to its `full`.
    """
    gate_grads, cost_grads, metrics = gate_gradients(problem, state, path, batch)
    probs = gates.probabilities(state.alphas, problem.mask)
    return gate_grads, gates.alpha_gradient(probs, gate_grads) + cost_grads, metrics


@functools.partial(jax.jit, static_argnums=(0, 1))
def through_gates(
    apply: Callable[..., Logits],
    space: SearchSpace,
    state: SearchState,
    sampled: Sampled,
    gate_values: Array,
    batch: Batch,
) -> ThroughGates:
    """The passes through the network; jitted alone, as no objective changes them.

    `apply` is one of the supernet's that are differentiable by gates. Cross-entropy
    without label smoothing, as in the reference's architecture step.
    """

    def loss_fn(gate_values: Array) -> tuple[Scalar, Scalar]:
        logits = apply(
            space, state.params, state.batch_stats, sampled, gate_values, batch.images
        )
        ce = losses.cross_entropy(logits, batch.labels)
        return ce, losses.accuracy(logits, batch.labels)

    (ce, accuracy), grads = jax.value_and_grad(loss_fn, has_aux=True)(gate_values)
    return ThroughGates(ce, grads, accuracy)


# --- reinforce: sampled networks and their rewards ------------------------------------


def _sample_networks(
    key: PRNGKey, alphas: Alphas, mask: Mask, config: SearchConfig
) -> Int[Array, "M L"]:
    keys = jax.random.split(key, config.reinforce_samples)
    return jax.vmap(lambda key: gates.sample_path(key, alphas, mask))(keys)


def reinforce_gradients(
    problem: SearchProblem,
    state: SearchState,
    paths: Int[Array, "M L"],
    batch: Batch,
) -> Estimate:
    """1/M sum_m (R_m - b) (p - onehot(path_m)), all M networks on the same batch.

    Forward only, with the statistics of the batch; the running ones are not touched.
    """
    # mapped, not vmapped: a switch under vmap runs all its branches
    logits = jax.lax.map(
        lambda path: path_logits(problem.space, state, path, batch), paths
    )
    accuracies = jax.vmap(losses.accuracy, (0, None))(logits, batch.labels)
    ces = jax.vmap(losses.cross_entropy, (0, None))(logits, batch.labels)
    costs = jax.vmap(lambda path: cost.of_path(problem.costs, path))(paths)
    rewards = objective.reward(problem, accuracies, costs)
    probs = gates.probabilities(state.alphas, problem.mask)
    config = problem.config
    gradients, baseline = rewarded(config, state.baseline, probs, paths, rewards)
    if config.objective == "constrained":

        def loss_fn(alphas: Alphas) -> Scalar:
            return objective.penalty(problem, state, problem.expected_cost(alphas))

        gradients = gradients + jax.grad(loss_fn)(state.alphas)
    metrics = {
        "search/arch_reward": rewards.mean(),
        "search/arch_ce": ces.mean(),
        "search/arch_accuracy": accuracies.mean(),
    }
    return Estimate(gradients, baseline, metrics)


def path_logits(
    space: SearchSpace, state: SearchState, path: Path, batch: Batch
) -> Logits:
    """Logits along one path with the statistics of the batch, which are not kept."""
    rows = supernet.rows_of(space, path)
    sampled = supernet.gather(state.params, rows)
    stats = supernet.gather(state.batch_stats, rows)
    return supernet.apply(space, sampled, stats, rows, batch.images)[0]


def rewarded(
    config: SearchConfig,
    baseline: Scalar,
    probs: Float[Array, "L K"],
    paths: Int[Array, "M L"],
    rewards: Float[Array, "M"],
) -> tuple[Alphas, Scalar]:
    """The score-function gradient of rewards, and the moving baseline after it."""
    if config.reinforce_baseline == "leave_one_out":
        advantages = rewards - reinforce.leave_one_out(rewards)
    else:
        baseline = reinforce.moving_baseline(baseline, rewards)
        advantages = rewards - baseline
    return reinforce.score_gradient(probs, paths, advantages), baseline


def _straight_through(gradients: Callable[..., tuple[Array, Alphas, Metrics]]) -> Any:
    def estimate(
        problem: SearchProblem, state: SearchState, sampled: Sampled, batch: Batch
    ) -> Estimate:
        _, alpha_gradients, metrics = gradients(problem, state, sampled, batch)
        return Estimate(alpha_gradients, state.baseline, metrics)

    return estimate


register(
    Estimator(
        "two_path",
        lambda key, alphas, mask, config: gates.sample_pair(key, alphas, mask),
        _straight_through(two_path_gradients),
        expectations=("full", "pair"),
        rescale=_rescale,
    )
)
register(
    Estimator(
        "full",
        lambda key, alphas, mask, config: gates.sample_path(key, alphas, mask),
        _straight_through(full_gradients),
    )
)
register(
    Estimator("reinforce", _sample_networks, reinforce_gradients, objectives=REWARDS)
)
