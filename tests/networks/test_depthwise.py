"""The sum of shifted products against the native grouped convolution."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import depthwise
from nas_jax.spaces.parts import Conventions

FUNCTIONS = (depthwise.shifted_products, depthwise.native)


@functools.partial(jax.jit, static_argnums=(0, 3, 4, 5))
def value_and_gradients(function, x, kernel, stride, dilation=1, pads=None):
    """y, dL/dx, dL/dkernel of L = sum over y of y * (fixed pseudo-random numbers)."""
    y, pull_back = jax.vjp(
        lambda x, kernel: function(x, kernel, stride, dilation, pads), x, kernel
    )
    dy = jnp.sin(jnp.arange(y.size, dtype=y.dtype) * 1.7).reshape(y.shape)
    return y, *pull_back(dy)


# Even and odd sides, maps smaller than the kernel, batches below, at and above the 16
# partial sums of the kernel's gradient (17 is prime, 18 and 32 are not).
@pytest.mark.parametrize(
    ("k", "stride", "shape"),
    [
        (3, 1, (1, 7, 8, 3)),
        (3, 1, (17, 5, 4, 2)),
        (3, 1, (32, 4, 3, 2)),
        (3, 2, (3, 8, 7, 3)),
        (3, 2, (18, 7, 6, 2)),
        (5, 1, (3, 6, 7, 2)),
        (5, 2, (17, 8, 5, 2)),
        (7, 1, (1, 8, 9, 2)),
        (7, 2, (3, 9, 8, 2)),
        (7, 2, (1, 2, 1, 3)),
    ],
)
def test_shifted_products_equal_the_native_convolution(k, stride, shape):
    rng = np.random.default_rng(k * stride)
    x = rng.normal(size=shape).astype(np.float32)
    kernel = rng.normal(size=(k, k, 1, shape[-1])).astype(np.float32)
    ours, native = (value_and_gradients(f, x, kernel, stride) for f in FUNCTIONS)
    for name, one, other in zip(("y", "dx", "dkernel"), ours, native, strict=True):
        assert one.shape == other.shape, name
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, atol=1e-5 * scale, err_msg=name)


@pytest.mark.parametrize("side", [1, 2, 7, 8])
@pytest.mark.parametrize("k", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_padding_may_be_that_of_tensorflow(k, stride, side):
    """By the same word in XLA, which has it from there."""
    rng = np.random.default_rng(k * stride)
    x = rng.normal(size=(2, side, side, 3)).astype(np.float32)
    kernel = rng.normal(size=(k, k, 1, 3)).astype(np.float32)
    pads = Conventions(padding="same").pads(side, k, stride)

    def same(x, kernel, *_):
        return jax.lax.conv_general_dilated(
            *(x, kernel, (stride, stride), "SAME"),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=3,
        )

    expected = value_and_gradients(same, x, kernel, stride)
    for function in FUNCTIONS:
        found = value_and_gradients(function, x, kernel, stride, 1, pads)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-5 * np.abs(other).max())


@pytest.mark.parametrize(
    ("k", "stride", "dilation", "shape"),
    [
        (3, 1, 2, (17, 5, 4, 2)),
        (3, 2, 2, (3, 8, 7, 3)),
        (5, 1, 3, (1, 6, 9, 2)),
        (3, 1, 2, (2, 2, 1, 3)),
    ],
)
def test_dilated_taps_equal_the_native_convolution(k, stride, dilation, shape):
    rng = np.random.default_rng(k * stride)
    x = rng.normal(size=shape).astype(np.float32)
    kernel = rng.normal(size=(k, k, 1, shape[-1])).astype(np.float32)
    ours, native = (
        value_and_gradients(f, x, kernel, stride, dilation) for f in FUNCTIONS
    )
    for name, one, other in zip(("y", "dx", "dkernel"), ours, native, strict=True):
        assert one.shape == other.shape, name
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, atol=1e-5 * scale, err_msg=name)


def test_dilation_2_picks_pixels_two_apart():
    """Taps left and right of pixel 3 in a row of squares: 1 + 25; edges see zeros."""
    x = jnp.square(jnp.arange(6.0)).reshape(1, 1, 6, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, 0].set(1.0).at[1, 2].set(1.0)
    for function in FUNCTIONS:
        y = value_and_gradients(function, x, kernel, 1, 2)[0]
        np.testing.assert_array_equal(y[0, 0, :, 0], [4, 9, 16, 26, 4, 9])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_dtype_of_values_and_gradients_is_kept(function, dtype):
    x = jax.ShapeDtypeStruct((2, 6, 6, 4), dtype)
    kernel = jax.ShapeDtypeStruct((5, 5, 1, 4), dtype)
    y, dx, dkernel = jax.eval_shape(
        lambda x, kernel: value_and_gradients(function, x, kernel, 2), x, kernel
    )
    assert (y.dtype, dx.dtype, dkernel.dtype) == (dtype,) * 3
    assert (dx.shape, dkernel.shape) == (x.shape, kernel.shape)


def test_padding_is_symmetric_at_stride_2():
    """A tap at the centre picks pixels 0, 2, 4; "SAME" would pick 1, 3, 5."""
    x = jnp.arange(6.0).reshape(1, 6, 1, 1) * jnp.ones((1, 6, 6, 1))
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    for function in FUNCTIONS:
        y = value_and_gradients(function, x, kernel, 2)[0]
        np.testing.assert_array_equal(y[0, :, 0, 0], [0, 2, 4])


@pytest.mark.parametrize(
    ("backend", "chosen"),
    [("cpu", "shifted_products"), ("gpu", "native"), ("tpu", "native")],
)
def test_backend_chooses_the_implementation(monkeypatch, backend, chosen):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(depthwise, chosen, lambda x, kernel, *_: x + 1)
    x, kernel = jnp.ones((1, 2, 2, 1)), jnp.zeros((3, 3, 1, 1))
    assert (depthwise.depthwise(x, kernel, 1) == 2).all()


def test_portable_form_is_chosen_by_the_platform_it_is_compiled_for():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 7, 6, 3)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 1, 3)).astype(np.float32)
    portable = jax.jit(lambda x, kernel: depthwise.portable(x, kernel, 2, 2))
    expected = depthwise.shifted_products(x, kernel, 2, 2)
    np.testing.assert_array_equal(portable(x, kernel), expected)
    for platform, convolutions in (("cpu", 0), ("cuda", 1), ("tpu", 1)):
        text = jax.export.export(portable, platforms=(platform,))(x, kernel)
        assert text.mlir_module().count("stablehlo.convolution") == convolutions
