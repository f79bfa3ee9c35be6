"""Divergence of a training: losses or weights that are not finite."""

from collections.abc import Sequence

import jax
import numpy as np

from nas_jax.base import PyTree


def wrong(tree: PyTree) -> list[str]:
    """Names of the arrays that are not finite, as `0/stem/bn/scale`.

    >>> wrong({"stem": np.ones(2), "head": np.array([1.0, np.nan])})
    ['head']
    """
    return [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, leaf in jax.tree.leaves_with_path(tree)
        if not np.isfinite(leaf).all()
    ]


def require(
    name: str, losses: Sequence[float], weights: PyTree, end: int, per_epoch: int
) -> None:
    """Refuses losses of the newest steps, or weights after them, that are not finite.

    `end` is the number of the next step, `per_epoch` that of steps in an epoch. Weights
    are checked as well: a finite loss may have infinite gradients. Raises `ValueError`
    with the first such step and array.
    """
    arrays = wrong(weights)
    lost = np.flatnonzero(~np.isfinite(losses))
    if not len(lost) and not arrays:
        return
    first = end - len(losses) + int(lost[0]) if len(lost) else end - 1
    what = [f"loss {losses[lost[0]]}"] if len(lost) else []
    what += [f"{len(arrays)} arrays of weights, first {arrays[0]}"] if arrays else []
    raise ValueError(
        f"the training of {name!r} diverged in epoch {first // per_epoch}, step "
        f"{first}: expected finite numbers, got {', '.join(what)}; lower train.lr and "
        "train it again"
    )
