"""The sizes of the classes, told before they hide behind one accuracy."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nas_jax.config.naming import SHOWN, few
from nas_jax.data.source import Source

UNEVEN = 3
"""Classes are uneven where the largest has more than so many times the smallest."""
_SHOWN = 5
"""Small classes that are named; all are counted."""


def is_uneven(counts: Iterable[int]) -> bool:
    """Whether classes of so many images are uneven; those without any do not count."""
    filled = [count for count in counts if count]
    return max(filled, default=0) > UNEVEN * min(filled, default=0)


def counted(sources: Mapping[str, Source]) -> str:
    """The classes, and how many pictures each of them and each split has.

    Args:
      sources: by split, that to train on first.
    """
    names = next(iter(sources.values())).label_names
    each = {
        split: np.bincount(source.labels, minlength=len(names))
        for split, source in sources.items()
    }
    total = np.sum(list(each.values()), axis=0)
    line = f"{len(names)} classes: " + few(
        f"{name} {count}" for name, count in zip(names, total, strict=True)
    )
    if len(names) > SHOWN:
        line += f", from {total.min()} to {total.max()} pictures"
    if len(each) > 1:
        parts = ", ".join(f"{split} {counts.sum()}" for split, counts in each.items())
        line += f" ({parts})"
    for split, counts in each.items():
        if lacking := [name for name, n in zip(names, counts, strict=True) if not n]:
            line += f"; {split} has no pictures of {few(lacking)}"
    return line


def notes(labels: np.ndarray, names: Sequence[str]) -> tuple[str, ...]:
    """A line for the user where the classes are uneven; none otherwise.

    Args:
      labels: Int `[N]`, of all images.
      names: what the labels stand for, in their order.
    """
    counts = np.bincount(labels, minlength=len(names))
    if not is_uneven(counts.tolist()):
        return ()
    largest = int(counts.argmax())
    small = [k for k in np.argsort(counts, kind="stable") if counts[k]]
    small = [k for k in small if counts[largest] > UNEVEN * counts[k]]
    named = ", ".join(f"{counts[k]} of {names[k]!r}" for k in small[:_SHOWN])
    more = f" and {len(small) - _SHOWN} more such classes" * (len(small) > _SHOWN)
    return (
        f"uneven classes: {counts[largest]} of {len(labels)} pictures are of "
        f"{names[largest]!r}, but {named}{more}; whoever always answers "
        f"{names[largest]!r} is right on {counts[largest] / len(labels):.1%}: read the "
        "balanced accuracy, and add pictures of the small classes or try "
        "--train.class-weights balanced",
    )
