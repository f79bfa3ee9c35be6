"""The loss of classification, its weights of classes, and the accuracy."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nas_jax.base import Labels, Logits, Scalar

ClassWeights = Float[np.ndarray, "classes"]


def cross_entropy(
    logits: Logits,
    labels: Labels,
    smoothing: float = 0.0,
    class_weights: ClassWeights | None = None,
) -> Scalar:
    """Mean cross-entropy against (1 - smoothing) onehot + smoothing / classes.

    With `class_weights` w it is the mean over the batch of w[label] times that of the
    image; none is the same as 1 for every class.
    """
    log_probs = jax.nn.log_softmax(logits)
    picked = jnp.take_along_axis(log_probs, labels[:, None], axis=1)[:, 0]
    terms = (1 - smoothing) * picked + smoothing * log_probs.mean(axis=1)
    if class_weights is not None:
        terms = jnp.asarray(class_weights, terms.dtype)[labels] * terms
    return -jnp.mean(terms)


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


def accuracy(logits: Logits, labels: Labels) -> Scalar:
    """Share of images whose largest logit is the label's."""
    return jnp.mean(jnp.argmax(logits, axis=1) == labels, dtype=jnp.float32)
