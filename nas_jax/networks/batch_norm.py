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

from nas_jax.networks import backends
from nas_jax.spaces.parts import BN_EPS

# Modules declare shapes only; the initial values are made by `parts.init`.
_ZEROS = functools.partial(nn.initializers.zeros, dtype=jnp.float32)

BN_MOMENTUM = 0.1  # weight of the new value, as PyTorch counts it


class BatchNorm(nn.Module):
    """y = scale (x - mean) / sqrt(var + eps) + bias over the last axis.

    With `train`, mean and (biased) variance are the batch's, and the running values
    move by `BN_MOMENTUM` towards the batch mean and the unbiased batch variance. The
    batch's are left in the collection "moments" if that is mutable. If it is given
    instead, they are taken from it: a pass that runs a second time, to be
    differentiated, need not sum again.

    Computed in the numbers of its parameters, returned in those of x.
    """

    eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "*batch C"], train: bool) -> Array:
        channels = x.shape[-1]
        scale = self.param("scale", _ZEROS, (channels,))
        bias = self.param("bias", _ZEROS, (channels,))
        start = ((channels,), jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, *start)
        running_var = self.variable("batch_stats", "var", jnp.ones, *start)
        if not train:
            inverse = scale * lax.rsqrt(running_var.value + self.eps)
            centre, slope, shift = _rows(x, running_mean.value, inverse, bias)
            y = (x.astype(scale.dtype) - centre) * slope + shift
            return y.astype(x.dtype)
        if self.has_variable("moments", "mean"):
            mean: Array = self.get_variable("moments", "mean")
            var: Array = self.get_variable("moments", "var")
        else:
            mean, var = moments(lax.stop_gradient(x).astype(scale.dtype))
            if self.is_mutable_collection("moments"):
                self.put_variable("moments", "mean", mean)
                self.put_variable("moments", "var", var)
        if self.is_mutable_collection("batch_stats") and not self.is_initializing():
            count = x.size // channels
            unbiased = var * (count / max(count - 1, 1))
            running_mean.value += BN_MOMENTUM * (mean - running_mean.value)
            running_var.value += BN_MOMENTUM * (unbiased - running_var.value)
        return normalise(x, scale, bias, mean, var, self.eps)


def _channel_sum(x: Array) -> Array:
    return backends.stored(x).sum(tuple(range(x.ndim - 1)))


def _rows(x: Array, *per_channel: Float[Array, "C"]) -> list[Array]:
    """Numbers per channel with the axes of x before them."""
    return [jnp.expand_dims(one, range(x.ndim - 1)) for one in per_channel]


def moments(x: Float[Array, "*batch C"]) -> tuple[Array, Array]:
    """Mean and biased variance per channel, stable far from 0 (two passes)."""
    count = x.size // x.shape[-1]
    mean = _channel_sum(x) / count
    (centre,) = _rows(x, mean)
    return mean, _channel_sum((x - centre) ** 2) / count


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def normalise(
    x: Float[Array, "*batch C"],
    scale: Float[Array, "C"],
    bias: Float[Array, "C"],
    mean: Float[Array, "C"],
    var: Float[Array, "C"],
    eps: float,
) -> Array:
    """x normalised by its own moments, wherever they were computed.

    The gradient goes through the moments as well, as functions of x:
    dx = a (dy - mean(dy) - n mean(dy n)) with n = (x - mean) / sqrt(var + eps) and
    a = scale / sqrt(var + eps). Nothing but x is kept of the batch's size. Computed in
    the numbers of the parameters; y and dx are in those of x.
    """
    return _normalise_forward(x, scale, bias, mean, var, eps)[0]


def _normalise_forward(
    x: Array, scale: Array, bias: Array, mean: Array, var: Array, eps: float
) -> tuple[Any, Any]:
    inverse = lax.rsqrt(var + eps)
    factor = scale * inverse
    slope, shift = _rows(x, factor, bias - mean * factor)
    y = x.astype(scale.dtype) * slope + shift
    return y.astype(x.dtype), (x, scale, mean, inverse)


def _normalise_backward(eps: float, residuals: Any, dy: Array) -> Any:
    kept, scale, mean, inverse = residuals
    x, dy = kept.astype(scale.dtype), dy.astype(scale.dtype)
    count = x.size // x.shape[-1]
    (centre,) = _rows(x, mean)
    dbias = _channel_sum(dy)
    dscale = _channel_sum(dy * (x - centre)) * inverse
    own = scale * inverse
    slope, shift = own * inverse * dscale / count, own * dbias / count
    factor, slope, shift = _rows(x, own, slope, shift)
    dx = factor * dy - (slope * (x - centre) + shift)
    return (
        dx.astype(kept.dtype),
        dscale,
        dbias,
        jnp.zeros_like(mean),
        jnp.zeros_like(mean),
    )


normalise.defvjp(_normalise_forward, _normalise_backward)
