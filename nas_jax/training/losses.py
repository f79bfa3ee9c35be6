"""The loss of classification, its weights of classes, and the accuracy."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nas_jax.base import Labels, Logits, Scalar
from nas_jax.data.mixing import Mixed

ClassWeights = Float[np.ndarray, "classes"]


def cross_entropy(
    logits: Logits,
    labels: Labels | Mixed,
    smoothing: float = 0.0,
    class_weights: ClassWeights | None = None,
) -> Scalar:
    """Mean cross-entropy against (1 - smoothing) onehot + smoothing / classes.

    With `class_weights` w it is the mean over the batch of w[label] times that of the
    image; none is the same as 1 for every class. A blended image has a share of that
    of each of its labels.
    """
    log_probs = jax.nn.log_softmax(logits)

    def terms(labels: Labels) -> Float[Array, "B"]:
        picked = jnp.take_along_axis(log_probs, labels[:, None], axis=1)[:, 0]
        terms = (1 - smoothing) * picked + smoothing * log_probs.mean(axis=1)
        if class_weights is not None:
            terms = jnp.asarray(class_weights, terms.dtype)[labels] * terms
        return terms

    return -jnp.mean(_shared(terms, labels))


def distilled(loss: Scalar, logits: Logits, taught: Logits, share: float) -> Scalar:
    """The loss of labels joined with that of a teacher's answers.

    (1 - share) loss + share mean_i sum_c -softmax(taught)_ic log softmax(logits)_ic
    (Hinton et al. 2015, arXiv 1503.02531, at temperature 1).
    """
    answers = jax.nn.softmax(taught)
    terms = -(answers * jax.nn.log_softmax(logits)).sum(axis=1)
    return (1 - share) * loss + share * jnp.mean(terms)


def _shared(
    of_labels: Callable[[Labels], Float[Array, "B"]], labels: Labels | Mixed
) -> Float[Array, "B"]:
    """Values of images by their labels, in shares where an image has two."""
    if not isinstance(labels, Mixed):
        return of_labels(labels)
    own, other = of_labels(labels.labels), of_labels(labels.others)
    return other + labels.share * (own - other)


def balanced_weights(labels: Labels, classes: int) -> ClassWeights:
    """Weights by which all classes of the labels have an equal part in the loss.

    w_c = n / (C n_c), of n images, n_c of them of class c, in C classes that have any;
    so the mean of the weights over the images is 1, and the learning rate keeps its
    meaning. A class without images gets 0, which multiplies nothing.

    >>> balanced_weights(np.array([0, 0, 0, 1]), classes=2).round(4).tolist()
    [0.6667, 2.0]
    """
    counts = np.bincount(labels, minlength=classes)
    filled = counts > 0
    return filled * len(labels) / (filled.sum() * np.maximum(counts, 1))


def accuracy(logits: Logits, labels: Labels | Mixed) -> Scalar:
    """Share of images whose largest logit is the label's, or shares of blended ones."""
    guesses = jnp.argmax(logits, axis=1)
    return jnp.mean(_shared(lambda one: jnp.float32(guesses == one), labels))
