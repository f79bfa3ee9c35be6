"""The score-function gradient of alpha: networks are sampled and rewarded.

ProxylessNAS, section 3.3 ("REINFORCE-based approach"), as in Williams (1992): with
p = softmax(alpha) in every layer and a reward R of a sampled network,

    -dE[R]/dalpha_l ~= 1/M sum_m (R_m - b_m) (p_l - onehot(path_ml))

is a gradient to descend, since dlog p_k / dalpha = onehot(k) - p. It is unbiased if the
baseline b_m does not depend on sample m. Pure functions of arrays; no networks here.
Shapes: M samples, L layers, K candidates.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nas_jax.base import Alphas, Probs, Scalar

MOVING_WEIGHT = 0.99
"""Weight of the newest mean reward in the reference's moving baseline."""


def score_gradient(
    probs: Probs, paths: Int[Array, "M L"], advantages: Float[Array, "M"]
) -> Alphas:
    """1/M sum_m A_m (p - onehot(path_m)), A = R - b; sums to zero over every layer.

    One sample of candidate 0 under p = (1/4, 3/4), advantage 1: (-3/4, 3/4).

    >>> p = jnp.array([[0.25, 0.75]])
    >>> score_gradient(p, jnp.array([[0]]), jnp.array([1.0]))
    Array([[-0.75,  0.75]], dtype=float32)
    """
    scores = probs[None] - jax.nn.one_hot(paths, probs.shape[1], dtype=probs.dtype)
    return jnp.tensordot(advantages, scores, axes=1) / len(paths)


def leave_one_out(rewards: Float[Array, "M"]) -> Float[Array, "M"]:
    """Baseline of every sample: the mean reward of the others, M at least 2.

    Independent of the sample itself, so the gradient stays unbiased.

    >>> leave_one_out(jnp.array([1.0, 2.0, 6.0]))
    Array([4. , 3.5, 1.5], dtype=float32)
    """
    return (rewards.sum() - rewards) / (len(rewards) - 1)


def moving_baseline(baseline: Scalar, rewards: Float[Array, "M"]) -> Scalar:
    """The reference's baseline: first mean(R), then b <- b + 0.99 (mean(R) - b).

    It is moved before it is used, so it contains the samples it is held against: the
    expected gradient comes out short by a factor of about 1 - 0.99 / M. What is not
    finite stands for "none yet".
    """
    mean = rewards.mean()
    before = jnp.where(jnp.isfinite(baseline), baseline, mean)
    return before + MOVING_WEIGHT * (mean - before)
