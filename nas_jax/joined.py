"""What a network does well, joined with what it costs, as `config.objective` says."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Array, Bool, Float

from nas_jax import lagrangian, objective
from nas_jax.base import Alphas, Metrics, Scalar
from nas_jax.config import SearchConfig
from nas_jax.search_state import SearchState

# In the unit of the cost; one, or one for each of D costs.
Target = Float[Array, "*D"] | float


class ThroughGates(NamedTuple):
    """Cross-entropy of a forward pass, its gradient by the gates, and the accuracy."""

    ce: Scalar
    gate_gradients: Array
    accuracy: Scalar


def gradients(
    config: SearchConfig,
    seen: ThroughGates,
    cost: Callable[[Alphas], Float[Array, "*D"]],
    target: Target,
    state: SearchState,
    is_spent: Bool[Array, "*D"],
) -> tuple[Array, Alphas, Metrics]:
    """Gradients of the joined loss L(CE, E): of the gates, and of the alphas through E.

    dL/dg = dL/dCE dCE/dg; the straight-through gradient of the alphas is still to come.
    """

    def loss_fn(ce: Scalar, alphas: Alphas) -> Scalar:
        return loss(config, ce, cost(alphas), target, state, is_spent)

    value, (weight, cost_grads) = jax.value_and_grad(loss_fn, argnums=(0, 1))(
        seen.ce, state.alphas
    )
    metrics = {
        "search/arch_loss": value,
        "search/arch_ce": seen.ce,
        "search/arch_accuracy": seen.accuracy,
    }
    return weight * seen.gate_gradients, cost_grads, metrics


def loss(
    config: SearchConfig,
    ce: Scalar,
    cost: Float[Array, "*D"],
    target: Target,
    state: SearchState,
    is_spent: Bool[Array, "*D"],
) -> Scalar:
    """Cross-entropy joined with the expected cost as `config.objective` says."""
    if config.objective == "constrained":
        return ce + constraint(cost, target, state, is_spent)
    if config.objective == "add_linear":
        return objective.add_linear(ce, cost, target, config.penalty)
    if config.objective == "mul_log":
        return objective.mul_log(
            ce, cost, target, config.mul_log_alpha, config.mul_log_beta
        )
    return ce


def constraint(
    cost: Float[Array, "*D"],
    target: Target,
    state: SearchState,
    is_spent: Bool[Array, "*D"],
) -> Scalar:
    """The augmented Lagrangian's part of the loss, at the state's multipliers."""
    over = lagrangian.excess(cost, target)
    return lagrangian.penalty(over, state.multipliers, state.penalty_weight, is_spent)


def reward(
    config: SearchConfig,
    accuracy: Float[Array, "M"],
    cost: Float[Array, "M"],
    target: Target,
) -> Float[Array, "M"]:
    """Accuracy joined with the cost of each network as `config.objective` says."""
    if config.objective == "mnasnet":
        return objective.mnasnet_reward(accuracy, cost, target, config.mnasnet_exponent)
    if config.objective == "tunas":
        return objective.tunas_reward(accuracy, cost, target, config.tunas_beta)
    return accuracy
