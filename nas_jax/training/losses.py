"""The loss of classification, and the accuracy."""

import jax
import jax.numpy as jnp

from nas_jax.base import Labels, Logits, Scalar


def cross_entropy(logits: Logits, labels: Labels, smoothing: float = 0.0) -> Scalar:
    """Mean cross-entropy against (1 - smoothing) onehot + smoothing / classes."""
    log_probs = jax.nn.log_softmax(logits)
    picked = jnp.take_along_axis(log_probs, labels[:, None], axis=1)[:, 0]
    return -jnp.mean((1 - smoothing) * picked + smoothing * log_probs.mean(axis=1))


def accuracy(logits: Logits, labels: Labels) -> Scalar:
    """Share of images whose largest logit is the label's."""
    return jnp.mean(jnp.argmax(logits, axis=1) == labels, dtype=jnp.float32)
