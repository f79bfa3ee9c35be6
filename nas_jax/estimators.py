"""Gradient estimators for the alphas: what an architecture step descends.

    estimator  forward passes  memory       gradient
    two_path   2               one path     straight through the gates of two
                                            candidates per layer
    full       all candidates  one path     straight through the gates of all of them
    reinforce  M networks      one forward  score function of sampled rewards, no bias

ProxylessNAS, sections 3.2 (eq. 4; appendix for the pair) and 3.3. `two_path` and `full`
add the exact gradient of the expected cost; `reinforce` has the cost in its reward, or
with the objective `constrained` that exact gradient as well.
Zero is a candidate like any other, with output 0: the gradient of its gate is 0, those
of the others are what they are, and its cost term is never lost. (The reference drops
one or the other, depending on the version of PyTorch.)
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nas_jax import gates, joined, lagrangian, latency, objective, reinforce, supernet
from nas_jax.base import (
    Alphas,
    Logits,
    Mask,
    Metrics,
    Path,
    PRNGKey,
    PyTree,
    Scalar,
)
from nas_jax.batches import Batch
from nas_jax.config import SearchConfig
from nas_jax.joined import Target, ThroughGates
from nas_jax.search_state import SearchState
from nas_jax.space import SearchSpace

# two_path: a pair; full: a path [L]; reinforce: paths [M L].
Sampled = Any


class Estimate(NamedTuple):
    """A gradient of the alphas, the moving baseline after it, and what was seen."""

    alpha_gradients: Alphas
    baseline: Scalar
    metrics: Metrics


def sample(config: SearchConfig, key: PRNGKey, alphas: Alphas, mask: Mask) -> Sampled:
    """Draws what one step of the estimator needs."""
    if config.estimator == "two_path":
        return gates.sample_pair(key, alphas, mask)
    if config.estimator == "full":
        return gates.sample_path(key, alphas, mask)
    keys = jax.random.split(key, config.reinforce_samples)
    return jax.vmap(lambda one: gates.sample_path(one, alphas, mask))(keys)


def estimate(
    space: SearchSpace,
    config: SearchConfig,
    model: latency.CostModel,
    target: Target,
    state: SearchState,
    sampled: Sampled,
    batch: Batch,
) -> Estimate:
    """The gradient by the estimator of `config`, at what `sample` drew."""
    arguments = (space, config, model, target, state, sampled, batch)
    if config.estimator == "reinforce":
        return reinforce_gradients(*arguments)
    straight_through = (
        two_path_gradients if config.estimator == "two_path" else full_gradients
    )
    _, alpha_gradients, metrics = straight_through(*arguments)
    return Estimate(alpha_gradients, state.baseline, metrics)


def two_path_gradients(
    space: SearchSpace,
    config: SearchConfig,
    model: latency.CostModel,
    target: Target,
    state: SearchState,
    pair: gates.PathPair,
    batch: Batch,
) -> tuple[Float[Array, "L 2"], Alphas, Metrics]:
    """Gradients of the joined loss: of the gates `[L 2]`, and of the alphas `[L K]`.

    The alphas' gradient is the straight-through one of the pair (eq. 4 with q for p)
    plus that of the expected cost.
    """
    one_layer = jnp.array([[1.0, 0.0]], state.alphas.dtype)
    active_only = jnp.tile(one_layer, (len(space.layers), 1))
    seen = through_gates(
        *(supernet.apply_two_path, space, state.params, state.batch_stats),
        *(pair, active_only, batch),
    )

    mask = jnp.asarray(space.mask)

    def cost(alphas: Alphas) -> Float[Array, "*D"]:
        if config.expectation == "pair":
            return latency.expected_pair(model, alphas, pair)
        return latency.expected_full(model, alphas, mask)

    spent = lagrangian.is_spent(model, mask, target)
    gate_grads, cost_grads, metrics = joined.gradients(
        config, seen, cost, target, state, spent
    )
    q = gates.pair_probabilities(state.alphas, pair)
    straight_through = gates.scatter_pair(
        gates.alpha_gradient(q, gate_grads), pair, len(space.candidates)
    )
    return gate_grads, straight_through + cost_grads, metrics


def full_gradients(
    space: SearchSpace,
    config: SearchConfig,
    model: latency.CostModel,
    target: Target,
    state: SearchState,
    path: Path,
    batch: Batch,
) -> tuple[Float[Array, "L K"], Alphas, Metrics]:
    """Gradients of the joined loss: of all gates, and of the alphas, both `[L K]`.

    The alphas' gradient is p_i (G_i - sum_j p_j G_j) with G_k = <dL/dy, o_k(x)> (eq. 4)
    plus that of the expected cost: the reference's `full_v2`, with the numbers of its
    `full`.
    """
    active_only = jax.nn.one_hot(path, len(space.candidates), dtype=state.alphas.dtype)
    seen = through_gates(
        *(supernet.apply_full, space, state.params, state.batch_stats),
        *(path, active_only, batch),
    )
    return full_from_gates(space, config, model, target, state, seen)


def full_from_gates(
    space: SearchSpace,
    config: SearchConfig,
    model: latency.CostModel,
    target: Target,
    state: SearchState,
    seen: ThroughGates,
) -> tuple[Float[Array, "L K"], Alphas, Metrics]:
    """The second half of `full_gradients`, when the gates' gradients are known."""
    mask = jnp.asarray(space.mask)

    def cost(alphas: Alphas) -> Float[Array, "*D"]:
        return latency.expected_full(model, alphas, mask)

    spent = lagrangian.is_spent(model, mask, target)
    gate_grads, cost_grads, metrics = joined.gradients(
        config, seen, cost, target, state, spent
    )
    probs = gates.probabilities(state.alphas, mask)
    return gate_grads, gates.alpha_gradient(probs, gate_grads) + cost_grads, metrics


@functools.partial(jax.jit, static_argnums=(0, 1))
def through_gates(
    apply: Callable[..., Logits],
    space: SearchSpace,
    params: PyTree,
    batch_stats: PyTree,
    sampled: Sampled,
    gate_values: Array,
    batch: Batch,
) -> ThroughGates:
    """The expensive half of a straight-through estimator, the same for any objective.

    `apply` is one of the supernet's that are differentiable by gates. Cross-entropy
    without label smoothing, as in the reference's architecture step.
    """

    def loss_fn(gate_values: Array) -> tuple[Scalar, Scalar]:
        logits = apply(space, params, batch_stats, sampled, gate_values, batch.images)
        ce = objective.cross_entropy(logits, batch.labels)
        return ce, objective.accuracy(logits, batch.labels)

    (ce, accuracy), grads = jax.value_and_grad(loss_fn, has_aux=True)(gate_values)
    return ThroughGates(ce, grads, accuracy)


def reinforce_gradients(
    space: SearchSpace,
    config: SearchConfig,
    model: latency.CostModel,
    target: Target,
    state: SearchState,
    paths: Int[Array, "M L"],
    batch: Batch,
) -> Estimate:
    """1/M sum_m (R_m - b) (p - onehot(path_m)), all M networks on the same batch.

    Forward only, with the statistics of the batch; the running ones are not touched.
    The networks run one after the other in one compiled loop.
    """
    # Mapped, not vmapped: a switch under vmap runs all its branches.
    logits = jax.lax.map(lambda path: path_logits(space, state, path, batch), paths)
    accuracies = jax.vmap(lambda one: objective.accuracy(one, batch.labels))(logits)
    ces = jax.vmap(lambda one: objective.cross_entropy(one, batch.labels))(logits)
    costs = jax.vmap(lambda path: latency.of_path(model, path))(paths)
    rewards = joined.reward(config, accuracies, costs, target)
    mask = jnp.asarray(space.mask)
    probs = gates.probabilities(state.alphas, mask)
    gradients, baseline = rewarded(config, state.baseline, probs, paths, rewards)
    if config.objective == "constrained":
        spent = lagrangian.is_spent(model, mask, target)

        def loss_fn(alphas: Alphas) -> Scalar:
            cost = latency.expected_full(model, alphas, mask)
            return joined.constraint(cost, target, state, spent)

        gradients = gradients + jax.grad(loss_fn)(state.alphas)
    return Estimate(
        gradients,
        baseline,
        {
            "search/arch_reward": rewards.mean(),
            "search/arch_ce": ces.mean(),
            "search/arch_accuracy": accuracies.mean(),
        },
    )


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
    """The score-function gradient of given rewards, and the moving baseline after it.

    `leave_one_out` leaves the moving baseline as it is.
    """
    if config.reinforce_baseline == "leave_one_out":
        advantages = rewards - reinforce.leave_one_out(rewards)
    else:
        baseline = reinforce.moving_baseline(baseline, rewards)
        advantages = rewards - baseline
    return reinforce.score_gradient(probs, paths, advantages), baseline
