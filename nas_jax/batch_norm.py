"""Batch normalisation as the reference has it, with its own backward pass.

The running variance takes the *unbiased* batch variance (Flax's own takes the biased
one).
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from nas_jax.parts import BN_EPS

# Modules declare shapes only; the initial values are made by `ops.init`.
_ZEROS = nn.initializers.zeros

BN_MOMENTUM = 0.1  # weight of the new value, as PyTorch counts it


class BatchNorm(nn.Module):
    """y = scale (x - mean) / sqrt(var + eps) + bias over the last axis.

    With `train`, mean and (biased) variance are the batch's, and the running values
    move by `BN_MOMENTUM` towards the batch mean and the unbiased batch variance.
    """

    eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "*batch C"], train: bool) -> Array:
        channels = x.shape[-1]
        scale = self.param("scale", _ZEROS, (channels,))
        bias = self.param("bias", _ZEROS, (channels,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        if not train:
            inverse = scale * lax.rsqrt(running_var.value + self.eps)
            return (x - running_mean.value) * inverse + bias
        y, mean, var = _normalise(x, scale, bias, self.eps)
        if self.is_mutable_collection("batch_stats") and not self.is_initializing():
            count = x.size // channels
            unbiased = var * (count / max(count - 1, 1))
            running_mean.value += BN_MOMENTUM * (mean - running_mean.value)
            running_var.value += BN_MOMENTUM * (unbiased - running_var.value)
        return y


def _channel_sum(x: Array) -> Array:
    # Behind a barrier the sum is a plain reduction, which XLA:CPU runs vectorised;
    # fused with the product that made x it would run scalar.
    return lax.optimization_barrier(x).sum(tuple(range(x.ndim - 1)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalise(
    x: Array, scale: Array, bias: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Normalised x, batch mean and biased batch variance, per channel."""
    return _normalise_forward(x, scale, bias, eps)[0]


def _normalise_forward(
    x: Array, scale: Array, bias: Array, eps: float
) -> tuple[Any, Any]:
    count = x.size // x.shape[-1]
    mean = _channel_sum(x) / count
    centred = x - mean
    var = _channel_sum(centred * centred) / count
    inverse = lax.rsqrt(var + eps)
    y = centred * (scale * inverse) + bias
    return (y, mean, var), (x, scale, mean, inverse)


def _normalise_backward(
    eps: float, residuals: Any, cotangents: Any
) -> tuple[Array, Array, Array]:
    # The running statistics are no function of the loss: only dy counts.
    x, scale, mean, inverse = residuals
    dy = cotangents[0]
    count = x.size // x.shape[-1]
    normalised = (x - mean) * inverse
    dbias = _channel_sum(dy)
    dscale = _channel_sum(dy * normalised)
    dx = (scale * inverse) * (dy - dbias / count - normalised * (dscale / count))
    return dx, dscale, dbias


_normalise.defvjp(_normalise_forward, _normalise_backward)
