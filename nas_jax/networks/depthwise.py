"""Depthwise convolution, in the form that is right on the backend (`backends`).

XLA's native grouped convolution is 20 to 40 times too slow on CPU. There it is written
as what it is, a sum of k*k shifted products, with hand-written gradients of the same
form. Same numerics (tested against the native operation and its autodiff). What pads a
side is dilation * (k//2) before and after, at every stride, or what is given. Products
are staged as primitives of lax: a step has thousands, and each function of jax.numpy
would be traced as a jitted one of its own.
"""

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from nas_jax.networks import backends, fusion

Pads = tuple[int, int]
"""Zeros before and after a side."""


def depthwise(
    x: Float[Array, "B H W C"],
    kernel: Float[Array, "k k 1 C"],
    stride: int,
    dilation: int = 1,
    pads: Pads | None = None,
) -> Float[Array, "B h w C"]:
    """Convolves every channel with its own k x k filter.

    With `dilation` d the taps stand d pixels apart. The result is in the numbers of x.

    >>> depthwise(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)), 1)[0, :, :, 0]
    Array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]], dtype=float32)
    """
    form = _on_cpu if backends.here().depthwise_as_products else native
    return form(x, kernel, stride, dilation, pads)


def _on_cpu(
    x: Array, kernel: Array, stride: int, dilation: int, pads: Pads | None
) -> Array:
    # k*k products are added up in the numbers of the kernel; a CPU has no others
    wide = x.astype(kernel.dtype)
    return shifted_products(wide, kernel, stride, dilation, pads).astype(x.dtype)


def portable(
    x: Float[Array, "B H W C"],
    kernel: Float[Array, "k k 1 C"],
    stride: int,
    dilation: int = 1,
    pads: Pads | None = None,
) -> Float[Array, "B h w C"]:
    """As `depthwise`, for the backend it is compiled for, not the one it is traced on.

    One traced program then has the right form on every platform it is exported to.
    """
    cpu, default = (
        functools.partial(form, stride=stride, dilation=dilation, pads=pads)
        for form in (_on_cpu, native)
    )
    return lax.platform_dependent(x, kernel, cpu=cpu, default=default)


def native(
    x: Float[Array, "B H W C"],
    kernel: Float[Array, "k k 1 C"],
    stride: int,
    dilation: int = 1,
    pads: Pads | None = None,
) -> Float[Array, "B h w C"]:
    """The backend's grouped convolution."""
    return lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        window_strides=(stride, stride),
        padding=[_pads(pads, kernel, dilation)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def shifted_products(
    x: Float[Array, "B H W C"],
    kernel: Float[Array, "k k 1 C"],
    stride: int,
    dilation: int = 1,
    pads: Pads | None = None,
) -> Float[Array, "B h w C"]:
    """y = sum over taps (i, j) of kernel[i, j] * x shifted by dilation (i, j)."""
    padded = _padded(x, _pads(pads, kernel, dilation))
    return _correlate(padded, kernel, stride, dilation)


def _pads(pads: Pads | None, kernel: Array, dilation: int) -> Pads:
    return (dilation * (kernel.shape[0] // 2),) * 2 if pads is None else pads


def _padded(x: Array, pads: Pads) -> Array:
    return jnp.pad(x, ((0, 0), pads, pads, (0, 0)))


@functools.partial(fusion.apart, static_argnums=(2, 3))
def _correlate(padded: Array, kernel: Array, stride: int, dilation: int) -> Array:
    batch, height, width, channels = padded.shape
    k = kernel.shape[0]
    reach = (k - 1) * dilation
    rows, columns = ((n - reach - 1) // stride * stride for n in (height, width))
    y: Any = None
    for i, j in itertools.product(range(k), repeat=2):
        # the input pixels that the tap meets, one per output pixel
        start = (0, i * dilation, j * dilation, 0)
        end = (batch, start[1] + rows + 1, start[2] + columns + 1, channels)
        tap = lax.slice(padded, start, end, (1, stride, stride, 1))
        product = lax.mul(tap, _filter(kernel, i, j, tap.shape))
        y = product if y is None else lax.add(y, product)
    return y


def _filter(kernel: Array, i: int, j: int, shape: tuple[int, ...]) -> Array:
    """The numbers of a tap, for all images and pixels."""
    channels = shape[-1]
    one = lax.slice(kernel, (i, j, 0, 0), (i + 1, j + 1, 1, channels))
    return lax.broadcast_in_dim(lax.reshape(one, (channels,)), shape, (3,))


def _forward(
    x: Array, kernel: Array, stride: int, dilation: int, pads: Pads | None
) -> tuple[Array, tuple[Array, Array]]:
    return shifted_products(x, kernel, stride, dilation, pads), (x, kernel)


def _backward(
    stride: int,
    dilation: int,
    pads: Pads | None,
    residuals: tuple[Array, Array],
    dy: Array,
) -> tuple[Array, Array]:
    x, kernel = residuals
    move = _Move(stride, dilation, _pads(pads, kernel, dilation))
    # its chain over images would be cut across devices
    of_kernel = fusion.summed_over_devices(
        lambda padded, dy: _kernel_gradient(
            padded, dy, kernel.shape[0], stride, dilation
        )
    )
    dkernel = of_kernel(_padded(x, move.pads), dy)
    return _input_gradient(x.shape, kernel, dy, move), dkernel


class _Move(NamedTuple):
    """How a kernel moves over a side."""

    stride: int
    dilation: int
    pads: Pads


def _input_gradient(
    shape: tuple[int, ...], kernel: Array, dy: Array, move: _Move
) -> Array:
    """dx[u] = sum over the taps i that reach pixel u of kernel[i] * dy.

    Tap i joins input pixel u and output pixel a where u + pad = stride * a + dilation
    * i. Pixels of the same remainder by the stride have the same taps, so each
    remainder is a sum of shifted products of its own and no tap meets a zero between
    strides; the results are then interleaved.
    """
    batch, height, width, channels = shape
    stride, dilation, (pad, _) = move
    size = (-(-height // stride), -(-width // stride))
    k = kernel.shape[0]
    # of every remainder the taps (i, shift) of pixel stride * t + remainder: they meet
    # output pixel t + shift
    taps = [
        [
            (i, (remainder + pad - dilation * i) // stride)
            for i in range(k)
            if (remainder + pad - dilation * i) % stride == 0
        ]
        for remainder in range(stride)
    ]
    shifts = [shift for own in taps for _, shift in own]
    near = max(0, -min(shifts))
    far = [max(0, size[axis] + max(shifts) - dy.shape[1 + axis]) for axis in (0, 1)]
    padded = jnp.pad(dy, ((0, 0), (near, far[0]), (near, far[1]), (0, 0)))

    def remainder(rows: list[tuple[int, int]], columns: list[tuple[int, int]]) -> Array:
        total = jnp.zeros((batch, *size, channels), dy.dtype)
        for i, down in rows:
            for j, right in columns:
                start = (0, near + down, near + right, 0)
                end = (batch, start[1] + size[0], start[2] + size[1], channels)
                tap = lax.slice(padded, start, end)
                product = lax.mul(tap, _filter(kernel, i, j, tap.shape))
                total = lax.add(total, product)
        return total

    if stride == 1:
        return remainder(taps[0], taps[0])
    rows = [
        jnp.stack([remainder(rows, columns) for columns in taps], axis=3)
        for rows in taps
    ]
    whole = jnp.stack(rows, axis=2)  # [batch, h, stride, w, stride, channels]
    merged = whole.reshape(batch, stride * size[0], stride * size[1], channels)
    return merged[:, :height, :width]


@functools.partial(fusion.apart, static_argnums=(2, 3, 4))
def _kernel_gradient(
    padded: Array, dy: Array, k: int, stride: int, dilation: int
) -> Array:
    """dkernel[i, j] = sum over images and pixels of dy * x shifted by (i, j).

    The sum over images is a chain of at most 16 elementwise products and only the sum
    over pixels a reduction, behind a barrier: fused multiply-reduces run scalar on
    XLA:CPU. Every product slices the padded images itself, so that nothing is copied,
    and a loop over the rows of the kernel keeps the compiled code short.
    """
    batch, height, width, channels = dy.shape
    chain = next(n for n in range(min(16, batch), 0, -1) if batch % n == 0)
    group = batch // chain
    rows, columns = (height - 1) * stride + 1, (width - 1) * stride + 1

    def product(part: int, down: Array, j: int) -> Array:
        start = (part * group, down, j * dilation, 0)
        size = (group, rows, columns, channels)
        tap = lax.dynamic_slice(padded, start, size, allow_negative_indices=False)
        if stride > 1:
            tap = lax.slice(tap, (0,) * 4, tap.shape, (1, stride, stride, 1))
        own = lax.slice_in_dim(dy, part * group, (part + 1) * group)
        return lax.mul(tap, own)

    def kernel_row(i: Array) -> Array:
        sums, down = [], i * dilation
        for j in range(k):
            total = product(0, down, j)
            for part in range(1, chain):
                total = lax.add(total, product(part, down, j))
            sums.append(total)
        return lax.optimization_barrier(jnp.stack(sums)).sum((1, 2, 3))

    return lax.map(kernel_row, jnp.arange(k))[:, :, None, :]


shifted_products.defvjp(_forward, _backward)
