"""Path sampling and the straight-through gradient of binary gates.

ProxylessNAS, section 3: every layer has probabilities p = softmax(alpha) over its
candidates; a one-hot gate g drawn from p lets one path through; the gradient with
respect to alpha is taken as if g were p (eq. 4):

    dL/dalpha_i ~= sum_j dL/dg_j * dp_j/dalpha_i
                 = sum_j dL/dg_j * p_j * (delta_ij - p_i)
                 = p_i * (G_i - sum_j p_j G_j),        G = dL/dg

Pure functions of arrays; no networks here. Shapes: L layers, K candidates, and 2 for
the pair of the two-path update, ordered (active, inactive).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nas_jax.base import Alphas, Mask, Path, PathPair, PRNGKey, Probs, Scalar


def probabilities(alphas: Alphas, mask: Mask) -> Probs:
    """p = softmax(alpha) per layer over the candidates it offers; exactly 0 elsewhere.

    >>> probabilities(jnp.zeros((1, 3)), jnp.array([[True, True, False]]))
    Array([[0.5, 0.5, 0. ]], dtype=float32)
    """
    return jax.nn.softmax(alphas, axis=1, where=mask)


def _gumbel_scores(key: PRNGKey, alphas: Alphas, mask: Mask) -> Float[Array, "L K"]:
    noise = jax.random.gumbel(key, alphas.shape, alphas.dtype)
    return jnp.where(mask, alphas + noise, -jnp.inf)


def sample_path(key: PRNGKey, alphas: Alphas, mask: Mask) -> Path:
    """One candidate per layer, drawn from p independently in every layer."""
    scores = _gumbel_scores(key, alphas, mask)
    return jnp.argmax(scores, axis=1).astype(jnp.int32)


def sample_pair(key: PRNGKey, alphas: Alphas, mask: Mask) -> PathPair:
    """Two candidates per layer without replacement from p; which is active, from q.

    The two largest of alpha + Gumbel noise are a draw without replacement. q is the
    softmax over the two (appendix of the paper). A layer with a single candidate gets
    it twice; its gradient is then exactly 0.
    """
    draw_key, active_key = jax.random.split(key)
    scores = _gumbel_scores(draw_key, alphas, mask)
    values, indices = jax.lax.top_k(scores, min(2, scores.shape[1]))
    first, last = indices[:, :1], indices[:, -1:]
    last = jnp.where(jnp.isneginf(values[:, -1:]), first, last)
    indices = jnp.concatenate([first, last], axis=1)
    two = jnp.take_along_axis(alphas, indices, axis=1)
    active = jax.random.categorical(active_key, two, axis=1)[:, None]
    chosen = jnp.take_along_axis(indices, active, axis=1)[:, 0]
    other = jnp.take_along_axis(indices, 1 - active, axis=1)[:, 0]
    return PathPair(chosen, other)


def pair_probabilities(alphas: Alphas, pair: PathPair) -> Float[Array, "L 2"]:
    """q: the softmax over the two sampled alphas, ordered (active, inactive)."""
    return jax.nn.softmax(jnp.take_along_axis(alphas, pair.indices, axis=1), axis=1)


def alpha_gradient(
    probs: Float[Array, "L N"], gate_gradients: Float[Array, "L N"]
) -> Float[Array, "L N"]:
    """p_i (G_i - sum_j p_j G_j), eq. 4; sums to zero over every layer.

    With p = (1/6, 2/6, 3/6) and G = (1, 0, 0) this is (5, -2, -3) / 36:

    >>> p = jnp.array([[1., 2., 3.]]) / 6
    >>> (alpha_gradient(p, jnp.array([[1., 0., 0.]])) * 36).round(4)
    Array([[ 5., -2., -3.]], dtype=float32)
    """
    mean = jnp.sum(probs * gate_gradients, axis=1, keepdims=True)
    return probs * (gate_gradients - mean)


def scatter_pair(
    values: Float[Array, "L 2"], pair: PathPair, candidates: int
) -> Float[Array, "L K"]:
    """Places values of the pair among all candidates, 0 elsewhere."""
    layers = jnp.arange(values.shape[0])[:, None]
    empty = jnp.zeros((values.shape[0], candidates), values.dtype)
    return empty.at[layers, pair.indices].add(values)


def rescale_pair(old: Alphas, new: Alphas, pair: PathPair) -> Alphas:
    """Shifts the two updated alphas so that the others keep their probability.

    alpha <- alpha - log(sum_2 exp(new) / sum_2 exp(old)) on the pair: the sum of
    exp(alpha) over the two stays what it was (paper, appendix: "rescale").
    """
    pick = pair.indices
    mass = jax.nn.logsumexp(jnp.take_along_axis(new, pick, axis=1), axis=1)
    mass_before = jax.nn.logsumexp(jnp.take_along_axis(old, pick, axis=1), axis=1)
    layers = jnp.arange(old.shape[0])[:, None]
    is_sampled = jnp.zeros(old.shape, bool).at[layers, pick].set(True)
    return jnp.where(is_sampled, new - (mass - mass_before)[:, None], new)


def entropy(probs: Probs) -> Scalar:
    """Mean over layers of -sum p ln p: how undecided the search is.

    The smallest normal number stands in for probability 0, where p ln p is 0.
    """
    safe = jnp.maximum(probs, jnp.finfo(probs.dtype).tiny)
    return -jnp.sum(probs * jnp.log(safe), axis=1).mean()
