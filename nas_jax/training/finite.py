"""Whether a training still computes with numbers: its losses and its weights."""

from collections.abc import Sequence

import jax
import numpy as np

from nas_jax.base import PyTree


def wrong(tree: PyTree) -> list[str]:
    """Names of the arrays with a number that is none, as `0/stem/bn/scale`.

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
    """Refuses losses and weights that are no numbers.

    Args:
      name: of the network.
      losses: of the newest steps.
      weights: after the last of them; a finite loss may have had gradients that were
        not.
      end: the number of the step that would come next.
      per_epoch: steps.

    Raises:
      ValueError: with the first step whose loss is none, and the first array.
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
        "train it anew"
    )
