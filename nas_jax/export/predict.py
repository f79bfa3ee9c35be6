"""Guesses of an exported model about pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nas_jax.data import preprocessing
from nas_jax.export import companions, formats


class Guess(NamedTuple):
    """A label and the probability that the model gives it."""

    label: str
    probability: float


def predict(
    model: Path, images: Sequence[str | Path], top: int = 5
) -> list[list[Guess]]:
    """The `top` guesses for every picture, the likeliest first.

    Args:
      model: a file that `export_folder.export` wrote, its companions beside it.
      images: files of pictures.
      top: how many guesses; all classes if there are fewer.

    Raises:
      ValueError: naming the model or companion that is missing or wrong, every file
        that is no picture, or the runtime that is not installed.
    """
    if top < 1:
        raise ValueError(f"--top: expected 1 or more, got {top}")
    runner, (labels, prepare) = formats.read(model), companions.read(model.parent)
    logits = runner.run(preprocessing.read_images(images, prepare))
    if logits.shape[1] != len(labels):
        raise ValueError(
            f"{model.parent / companions.LABELS}: expected {logits.shape[1]} labels, "
            f"one per class of {model.name}, got {len(labels)}"
        )
    return [guesses(one, labels, top) for one in logits]


def guesses(
    logits: Float[np.ndarray, "classes"], labels: Sequence[str], top: int
) -> list[Guess]:
    """Softmax probabilities, the `top` largest.

    >>> guesses(np.log([1.0, 3.0]), ["cat", "dog"], 1)
    [Guess(label='dog', probability=0.75)]
    """
    weights = np.exp(np.float64(logits) - np.max(logits))
    shares = weights / weights.sum()
    order = np.argsort(-shares, kind="stable")[:top]
    return [Guess(labels[k], round(float(shares[k]), 9)) for k in order]
