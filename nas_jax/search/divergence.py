"""Divergence of a search: the first non-finite number, its step, path and place."""

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
"""The metric of a weight step that is no number: the candidates `[L]` it trained."""
WRONG_GRADIENTS = "search/wrong_gradients"
"""The count of non-finite numbers in the gradient of an architecture step."""


def require_finite(
    space: SearchSpace,
    state: SearchState,
    collected: Sequence[Metrics],
    per_epoch: int,
) -> None:
    """Refuses losses, gradients of the alphas and probabilities that are not finite.

    `collected` are the metrics of the newest steps, the last that of `state`. Raises
    `ValueError` with the first such step, its path, and what to lower.
    """
    step = int(state.step) - sum("search/loss" in seen for seen in collected) - 1
    for seen in collected:
        step += "search/loss" in seen
        if not np.isfinite(loss := float(seen.get("search/loss", 0))):
            what = f"loss {loss}{_along(space, seen)}{_first(space, state.params)}"
            raise _diverged(step, per_epoch, what)
        wrong = int(seen.get(WRONG_GRADIENTS, 0))
        # with metrics that are not finite either, the weights are to blame
        if wrong and np.isfinite(list(numbers(seen).values())).all():
            what = f"{wrong} non-finite numbers in the gradient of the alphas"
            cure = ", or correct the estimator if it is your own"
            raise _diverged(step, per_epoch, what, cure)
    probs = gates.probabilities(state.alphas, jnp.asarray(space.mask))
    is_wrong = ~np.isfinite(np.asarray(probs))
    if is_wrong.any():
        where = _layer(space, int(is_wrong.any(axis=1).argmax()))
        what = f"{is_wrong.sum()} non-finite probabilities, first in {where}"
        raise _diverged(step, per_epoch, what)


def require_finite_state(
    space: SearchSpace,
    state: SearchState,
    collected: Sequence[Metrics],
    per_epoch: int,
) -> None:
    """As `require_finite`, and of the whole state, before it is saved.

    A finite loss may have had gradients that were not. `baseline` is not finite before
    its first update.
    """
    require_finite(space, state, collected, per_epoch)
    carried = dataclasses.replace(state, baseline=jnp.zeros(()))
    wrong = sum(
        int((~np.isfinite(np.asarray(leaf))).sum())
        for leaf in jax.tree.leaves(carried)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    )
    if wrong:
        last = next((seen for seen in reversed(collected) if PATH in seen), {})
        where = _first(space, state.params) or _first(space, state.batch_stats)
        what = f"{wrong} non-finite weights{_along(space, last)}{where}"
        raise _diverged(int(state.step) - 1, per_epoch, what)


def numbers(metrics: Metrics) -> dict[str, float]:
    """The metrics of a step that are averaged, and saved with a snapshot."""
    left_out = (PATH, WRONG_GRADIENTS)
    return {name: float(x) for name, x in metrics.items() if name not in left_out}


def _along(space: SearchSpace, metrics: Metrics) -> str:
    if PATH not in metrics:
        return ""
    return f" on path {' '.join(space.candidates[k].name for k in metrics[PATH])}"


def _first(space: SearchSpace, tree: PyTree) -> str:
    """The first part of a supernet with a non-finite number.

    Layers stand between the fixed parts; head and classifier come last.
    """
    tables = [row for table in tree["layers"] for row in np.asarray(table)]
    layers = [(_layer(space, at), table) for at, table in enumerate(tables)]
    fixed = [(name, tree[name]) for name in space.fixed]
    for name, part in [*fixed[:-2], *layers, *fixed[-2:]]:
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(part)):
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
