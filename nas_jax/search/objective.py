"""The objective: the loss of classification joined with the cost.

CE is the cross-entropy, E an expected cost (latency, multiply-adds, ...), C the cost of
one network and T the target of both, in the same unit. By `config.objective` a
straight-through estimator descends the loss

    constrained   CE + the augmented Lagrangian of `constraint`
    add_linear    CE + lambda (E - T) / T                  ProxylessNAS, eq. 5
    mul_log       alpha CE (ln E / ln T)^beta              the reference's default
    none          CE

and `reinforce` ascends the reward of a network of accuracy acc

    mnasnet       acc (T / C)^w                            Tan et al. 2019
    tunas         acc - beta abs(C / T - 1)                Bender et al. 2020
    constrained, none   acc
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nas_jax.base import Alphas, Metrics, Scalar
from nas_jax.search import constraint
from nas_jax.search.search_state import SearchProblem, SearchState


class ThroughGates(NamedTuple):
    """Cross-entropy of a forward pass, its gradient by the gates, and the accuracy."""

    ce: Scalar
    gate_gradients: Array
    accuracy: Scalar


def gradients(
    problem: SearchProblem,
    state: SearchState,
    seen: ThroughGates,
    cost: Callable[[Alphas], Float[Array, "*D"]],
) -> tuple[Array, Alphas, Metrics]:
    """Gradients of the loss L(CE, E): of the gates, and of the alphas through E alone.

    dL/dg = dL/dCE dCE/dg. `cost` gives E of the alphas.
    """

    def loss_fn(ce: Scalar, alphas: Alphas) -> Scalar:
        return loss(problem, state, ce, cost(alphas))

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
    problem: SearchProblem, state: SearchState, ce: Scalar, cost: Float[Array, "*D"]
) -> Scalar:
    """L(CE, E) of `config.objective`."""
    config, targets = problem.config, problem.targets
    if config.objective == "constrained":
        return ce + penalty(problem, state, cost)
    if config.objective == "add_linear":
        return add_linear(ce, cost, targets, config.penalty)
    if config.objective == "mul_log":
        return mul_log(ce, cost, targets, config.mul_log_alpha, config.mul_log_beta)
    return ce


def penalty(
    problem: SearchProblem, state: SearchState, cost: Float[Array, "*D"]
) -> Scalar:
    """The augmented Lagrangian's part of the loss, at the state's multipliers."""
    return constraint.penalty(
        constraint.excess(cost, problem.targets),
        state.multipliers,
        state.penalty_weight,
        problem.equalities,
    )


def reward(
    problem: SearchProblem, accuracy: Float[Array, "M"], cost: Float[Array, "M"]
) -> Float[Array, "M"]:
    """R(acc, C) of `config.objective`, of each of M networks."""
    config, target = problem.config, problem.targets
    if config.objective == "mnasnet":
        return mnasnet_reward(accuracy, cost, target, config.mnasnet_exponent)
    if config.objective == "tunas":
        return tunas_reward(accuracy, cost, target, config.tunas_beta)
    return accuracy


def add_linear(
    ce: Scalar, cost: Scalar, target: Scalar | float, weight: Scalar | float
) -> Scalar:
    """L = CE + weight (E - T) / T.

    >>> float(add_linear(jnp.float32(2), jnp.float32(100), 80.0, jnp.float32(0.1)))
    2.0250000953674316
    """
    return ce + weight * (cost - target) / target


def mul_log(
    ce: Scalar, cost: Scalar, target: Scalar | float, alpha: float, beta: float
) -> Scalar:
    """L = alpha CE (ln E / ln T)^beta, the reference's default.

    Below one unit the logarithm changes sign and the pressure turns around:
    `require_above_one` refuses that.

    >>> round(float(mul_log(jnp.float32(2), jnp.float32(100), 80.0, 0.2, 0.3)), 6)
    0.406005
    """
    return alpha * ce * (jnp.log(cost) / jnp.log(target)) ** beta


def require_above_one(smallest: float, target: float) -> None:
    """Raises `ValueError` where ln E or ln T of `mul_log` could be 0 or negative."""
    if min(smallest, target) <= 1:
        raise ValueError(
            "objective mul_log needs costs above 1 unit (it uses their logarithm), got "
            f"a target of {target:.4g} and a smallest reachable cost of "
            f"{smallest:.4g}; use --search.objective constrained"
        )


def mnasnet_reward(
    accuracy: Scalar, cost: Scalar, target: Scalar | float, exponent: float
) -> Scalar:
    """R = accuracy (T / C)^w (Tan et al. 2019, as the reference's REINFORCE uses it).

    >>> round(float(mnasnet_reward(jnp.float32(0.7), jnp.float32(100), 80.0, 0.1)), 6)
    0.684553
    """
    return accuracy * (target / cost) ** exponent


def tunas_reward(
    accuracy: Scalar, cost: Scalar, target: Scalar | float, beta: float
) -> Scalar:
    """R = accuracy - beta abs(C / T - 1), the absolute reward of Bender et al. 2020.

    They write `accuracy + beta |...|` with a negative beta; here beta is positive. A
    network below the target loses as much as one above it, so the search comes to rest
    at the target.

    >>> round(float(tunas_reward(jnp.float32(0.7), jnp.float32(60), 80.0, 0.1)), 6)
    0.675
    """
    return accuracy - beta * jnp.abs(cost / target - 1)
