"""Divergence of a search: the first step that is not finite, its path and place."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.base import Metrics, PyTree
from nas_jax.search import gates
from nas_jax.search.search_state import SearchState
from nas_jax.spaces.space import SearchSpace

PATH = "search/path"
"""What a weight step reports beside numbers: the candidates `[L]` it trained."""
WRONG_GRADIENTS = "search/wrong_gradients"
"""How many numbers of its gradient an architecture step found not finite."""


def require_finite(
    space: SearchSpace,
    state: SearchState,
    collected: Sequence[Metrics],
    per_epoch: int,
) -> None:
    """Refuses losses, gradients of the alphas and probabilities that are not finite.

    `collected` are the metrics of the newest steps, the last that of `state`.

    Raises:
      ValueError: with the first such step, its path, and what to lower.
    """
    step = int(state.step) - sum("search/loss" in one for one in collected) - 1
    for one in collected:
        step += "search/loss" in one
        if not np.isfinite(loss := float(one.get("search/loss", 0))):
            what = f"loss {loss}{_along(space, one)}{_first(space, state.params)}"
            raise _diverged(step, per_epoch, what)
        wrong = int(one.get(WRONG_GRADIENTS, 0))
        # where what was seen is not finite either, the weights are to blame
        if wrong and np.isfinite(list(numbers(one).values())).all():
            what = f"{wrong} non-finite numbers in the gradient of the alphas"
            cure = ", or correct the estimator if it is your own"
            raise _diverged(step, per_epoch, what, cure)
    probs = np.asarray(gates.probabilities(state.alphas, jnp.asarray(space.mask)))
    if not np.isfinite(probs).all():
        is_wrong = ~np.isfinite(probs)
        where = _layer(space, int(is_wrong.any(axis=1).argmax()))
        what = f"{is_wrong.sum()} non-finite probabilities, first in {where}"
        raise _diverged(step, per_epoch, what)


def require_finite_state(
    space: SearchSpace,
    state: SearchState,
    collected: Sequence[Metrics],
    per_epoch: int,
) -> None:
    """As `require_finite`, and of all that a search carries on, before it is saved.

    A finite loss may have had gradients that were not. `baseline` is not finite before
    its first update.
    """
    require_finite(space, state, collected, per_epoch)
    carried = dataclasses.replace(state, baseline=jnp.zeros(()))
    numbers = [
        np.asarray(leaf)
        for leaf in jax.tree.leaves(carried)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    if wrong := sum(int((~np.isfinite(leaf)).sum()) for leaf in numbers):
        last = next((one for one in reversed(collected) if PATH in one), {})
        step = int(state.step) - 1
        where = _first(space, state.params) or _first(space, state.batch_stats)
        what = f"{wrong} non-finite weights{_along(space, last)}{where}"
        raise _diverged(step, per_epoch, what)


def numbers(metrics: Metrics) -> dict[str, float]:
    """The metrics of a step that are averaged, and saved with a snapshot."""
    left_out = (PATH, WRONG_GRADIENTS)
    return {name: float(x) for name, x in metrics.items() if name not in left_out}


def _along(space: SearchSpace, metrics: Metrics) -> str:
    if PATH not in metrics:
        return ""
    names = [space.candidates[k].name for k in np.asarray(metrics[PATH])]
    return f" on path {' '.join(names)}"


def _first(space: SearchSpace, tree: PyTree) -> str:
    """The first part of a supernet with a number that is none; the layers come second.

    Before them lie the fixed parts, after them head and classifier.
    """
    tables = [row for table in tree["layers"] for row in np.asarray(table)]
    layers = [(_layer(space, at), table) for at, table in enumerate(tables)]
    fixed = [(name, tree[name]) for name in space.fixed]
    for name, own in [*fixed[:-2], *layers, *fixed[-2:]]:
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(own)):
            return f", first in {name}"
    return ""


def _layer(space: SearchSpace, at: int) -> str:
    return f"layer {at + 1} of {len(space.layers)}"


def _diverged(step: int, per_epoch: int, what: str, cure: str = "") -> ValueError:
    return ValueError(
        f"the search diverged in epoch {step // per_epoch}, weight step {step}: "
        f"expected finite numbers, got {what}; lower search.lr, search.warmup_lr or "
        f"search.arch_lr{cure}"
    )
