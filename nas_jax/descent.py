"""What an estimate does to the alphas: the optimiser, the rescale, the multipliers."""

import dataclasses

import jax.numpy as jnp
import optax

from nas_jax import estimators, gates, joined, lagrangian, latency
from nas_jax.base import Alphas, Metrics
from nas_jax.config import SearchConfig
from nas_jax.search_state import SearchState
from nas_jax.space import SearchSpace


def follow(
    space: SearchSpace,
    config: SearchConfig,
    tx: optax.GradientTransformation,
    model: latency.CostModel,
    target: joined.Target,
    state: SearchState,
    sampled: estimators.Sampled,
    estimate: estimators.Estimate,
    ascent: lagrangian.Ascent | None,
) -> tuple[SearchState, Metrics]:
    """The state after an estimate was followed, and what was seen."""
    state = apply_alpha_gradients(config, tx, state, sampled, estimate.alpha_gradients)
    state = dataclasses.replace(state, baseline=estimate.baseline)
    if config.objective == "constrained":
        state = ascend(space, model, target, state, ascent)
    return state, estimate.metrics


def ascend(
    space: SearchSpace,
    model: latency.CostModel,
    target: joined.Target,
    state: SearchState,
    ascent: lagrangian.Ascent | None,
) -> SearchState:
    """The state after the multipliers followed the expected cost."""
    if ascent is None:
        raise ValueError(
            "objective constrained: expected the pace of its multipliers, got None; "
            "give optim.multipliers(config, steps_per_epoch)"
        )
    mask = jnp.asarray(space.mask)
    cost = latency.expected_full(model, state.alphas, mask)
    multipliers, weight = lagrangian.ascend(
        ascent,
        lagrangian.excess(cost, target),
        state.multipliers,
        state.penalty_weight,
        lagrangian.is_spent(model, mask, target),
    )
    return dataclasses.replace(state, multipliers=multipliers, penalty_weight=weight)


def apply_alpha_gradients(
    config: SearchConfig,
    tx: optax.GradientTransformation,
    state: SearchState,
    sampled: estimators.Sampled,
    gradients: Alphas,
) -> SearchState:
    """The state after the optimiser moved the alphas, and the rescale.

    The rescale belongs to the pair expectation: unsampled candidates keep their
    probability. With `expectation = "full"` the cost moves every alpha, so there is
    nothing to keep.
    """
    updates, arch_opt = tx.update(gradients, state.arch_opt, state.alphas)
    alphas = optax.apply_updates(state.alphas, updates)
    if config.expectation == "pair":
        alphas = gates.rescale_pair(state.alphas, alphas, sampled)
    return dataclasses.replace(state, alphas=alphas, arch_opt=arch_opt)
