"""Gradient estimators of the alphas against the exact gradient.

On a space small enough to enumerate, the expected loss of a sampled network and its
gradient are sums over all networks:

    J(alpha) = sum_n P_n L_n,      P_n = prod_l p_l(path_nl)
    dJ/dalpha_l = sum_n P_n L_n (onehot(path_nl) - p_l)

at fixed weights, on a fixed batch. Draws of an estimator then have a bias and a
variance that are known, not guessed. N networks, S draws, L layers, K candidates.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from nas_jax.base import Alphas, PRNGKey
from nas_jax.config.search import SearchConfig
from nas_jax.data.batches import Batch
from nas_jax.search import arch_step, estimators, gates
from nas_jax.search.cost import CostModel
from nas_jax.search.search_state import SearchProblem, SearchState
from nas_jax.spaces.space import SearchSpace
from nas_jax.training.losses import cross_entropy


def all_paths(space: SearchSpace) -> Int[np.ndarray, "N L"]:
    """Every network of the space."""
    offered = [np.flatnonzero(row) for row in space.mask]
    return np.array(list(itertools.product(*offered)), np.int32)


def path_losses(
    space: SearchSpace, state: SearchState, paths: Int[np.ndarray, "N L"], batch: Batch
) -> Float[np.ndarray, "N"]:
    """Cross-entropy of every path, with the statistics of the batch."""

    @jax.jit
    def losses(state: SearchState, paths: jax.Array) -> jax.Array:
        def loss(path: jax.Array) -> jax.Array:
            logits = estimators.path_logits(space, state, path, batch)
            return cross_entropy(logits, batch.labels)

        return jax.lax.map(loss, paths)

    return np.asarray(losses(state, paths), np.float64)


def probabilities(
    alphas: Float[np.ndarray, "L K"], mask: np.ndarray
) -> Float[np.ndarray, "L K"]:
    """softmax(alpha) over the offered candidates, in float64."""
    weights = np.exp(np.asarray(alphas, np.float64)) * mask
    return weights / weights.sum(axis=1, keepdims=True)


def expected_loss(
    alphas: Float[np.ndarray, "L K"],
    mask: np.ndarray,
    paths: Int[np.ndarray, "N L"],
    losses: Float[np.ndarray, "N"],
) -> float:
    """J = sum_n P_n L_n."""
    p = probabilities(alphas, mask)
    return float(p[np.arange(len(p)), paths].prod(axis=1) @ losses)


def exact_gradient(
    alphas: Float[np.ndarray, "L K"],
    mask: np.ndarray,
    paths: Int[np.ndarray, "N L"],
    losses: Float[np.ndarray, "N"],
) -> Float[np.ndarray, "L K"]:
    """dJ/dalpha = sum_n P_n L_n (onehot(path_n) - p)."""
    p = probabilities(alphas, mask)
    chances = p[np.arange(len(p)), paths].prod(axis=1)
    onehots = np.eye(p.shape[1])[paths]
    return np.tensordot(chances * losses, onehots - p, axes=1)


class Quality(NamedTuple):
    """How draws of an estimator stand to the exact gradient g; m is their mean.

    scale `<m, g> / |g|^2` and cosine `<m, g> / |m||g|`: 1 and 1 without bias. bias
    `|m - g| / |g|`, with the standard error that the finite number of draws gives it.
    sd `sqrt(E|draw - m|^2) / |g|`: the noise of a single step. z: the largest deviation
    of an entry of m from g, in its standard errors.
    """

    scale: float
    cosine: float
    bias: float
    bias_error: float
    sd: float
    z: float


def quality(
    draws: Float[np.ndarray, "S L K"], exact: Float[np.ndarray, "L K"]
) -> Quality:
    """Mean, spread and deviation of draws, relative to the exact gradient."""
    draws = np.asarray(draws, np.float64)
    mean, variance = draws.mean(axis=0), draws.var(axis=0, ddof=1)
    length, along = float(np.linalg.norm(exact)), float((mean * exact).sum())
    sd = np.sqrt(variance.sum()) / length
    moves = variance > 0
    errors = np.sqrt(variance[moves] / len(draws))
    return Quality(
        scale=along / length**2,
        cosine=along / float(length * np.linalg.norm(mean)),
        bias=float(np.linalg.norm(mean - exact) / length),
        bias_error=float(sd / np.sqrt(len(draws))),
        sd=float(sd),
        z=float(np.abs((mean - exact)[moves] / errors).max()),
    )


def without_costs(space: SearchSpace, config: SearchConfig) -> SearchProblem:
    """The problem in which all candidates are free."""
    return SearchProblem(
        space, config, CostModel(jnp.zeros(space.mask.shape), 0.0), 1.0
    )


def gradient_draws(
    space: SearchSpace,
    config: SearchConfig,
    state: SearchState,
    batch: Batch,
    key: PRNGKey,
    draws: int,
) -> Float[np.ndarray, "S L K"]:
    """Gradients of an estimator, each at a sample of its own; nothing costs anything.

    The moving baseline stays as it is in `state`.
    """
    problem = without_costs(space, config)

    @jax.jit
    def run(state: SearchState, keys: jax.Array) -> jax.Array:
        def draw(key: PRNGKey) -> Alphas:
            sampled = arch_step.sample(problem, state, key)
            return arch_step.estimate(problem, state, sampled, batch).alpha_gradients

        return jax.lax.map(draw, keys)

    return np.asarray(run(state, jax.random.split(key, draws)))


def reinforce_draws(
    space: SearchSpace,
    config: SearchConfig,
    alphas: Alphas,
    paths: Int[np.ndarray, "N L"],
    losses: Float[np.ndarray, "N"],
    key: PRNGKey,
    draws: int,
) -> Float[np.ndarray, "S L K"]:
    """Gradients of `reinforce` with the reward -loss, looked up among all networks.

    The moving baseline goes through all draws, in order.
    """
    mask = jnp.asarray(space.mask)
    probs = gates.probabilities(alphas, mask)
    by_path = np.full([space.mask.shape[1]] * len(space.mask), np.nan, np.float32)
    by_path[tuple(paths.T)] = losses

    @jax.jit
    def run(keys: jax.Array) -> jax.Array:
        def draw(baseline: jax.Array, key: PRNGKey) -> tuple[jax.Array, Alphas]:
            sampled = estimators.of(config).sample(key, alphas, mask, config)
            rewards = -jnp.asarray(by_path)[tuple(sampled.T)]
            gradient, baseline = estimators.rewarded(
                config, baseline, probs, sampled, rewards
            )
            return baseline, gradient

        none_yet = jnp.full((), jnp.nan)
        return jax.lax.scan(draw, none_yet, keys)[1]

    return np.asarray(run(jax.random.split(key, draws)))
