"""Losses and rewards: what a network does well, joined with what it costs.

The default objective is `lagrangian`'s constraint; these are the paper's and others'.

CE is the loss of classification, E an expected cost (latency, multiply-adds, ...), C
the cost of one network and T the target of both, in the same unit.
Worked values at CE 2, E 100, T 80: `add_linear` with weight 0.1 gives 2.025, `mul_log`
with alpha 0.2, beta 0.3 gives 0.406004823. At accuracy 0.70, C 100, T 80:
`mnasnet_reward` with exponent 0.1 gives 0.684552938.
"""

import jax
import jax.numpy as jnp

from nas_jax.base import Labels, Logits, Scalar


def cross_entropy(logits: Logits, labels: Labels, smoothing: float = 0.0) -> Scalar:
    """Mean cross-entropy against (1 - smoothing) onehot + smoothing / classes."""
    log_probs = jax.nn.log_softmax(logits)
    picked = jnp.take_along_axis(log_probs, labels[:, None], axis=1)[:, 0]
    return -jnp.mean((1 - smoothing) * picked + smoothing * log_probs.mean(axis=1))


def accuracy(logits: Logits, labels: Labels) -> Scalar:
    """Share of images whose largest logit is the label's."""
    return jnp.mean(jnp.argmax(logits, axis=1) == labels, dtype=jnp.float32)


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

    Below one unit the logarithm changes sign and the pressure turns around, so callers
    check with `require_above_one` that no reachable cost gets there.
    """
    return alpha * ce * (jnp.log(cost) / jnp.log(target)) ** beta


def require_above_one(smallest: float, target: float) -> None:
    """Refuses `mul_log` where ln E or ln T could be zero or negative."""
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
