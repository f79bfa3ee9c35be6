"""Bytes of the weights against sums by hand and against real files."""

import math
from pathlib import Path

import pytest
from onnx import numpy_helper

from nas_jax.config import shipped
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import device_memory, flash
from nas_jax.spaces import architecture, builders, published
from nas_jax.spaces.operations import Block, OpSpec
from tests.tiny_spaces import TWO_STAGES

SE = Path(__file__).with_name("se_mbconv.py")


def block(name, out=16, stride=1, shortcut=False):
    return Block(OpSpec.parse(name), 8, out, stride, 4, shortcut)


def test_an_inverted_bottleneck_by_hand():
    """Widths 8 -> 24 -> 16; every convolution has a bias from batch normalisation."""
    kernels, biases = 8 * 24 + 9 * 24 + 24 * 16, 24 + 24 + 16
    one = block("mb3_k3")
    assert flash.float32_bytes(one) == 4 * (kernels + biases)
    scales = biases  # one for each channel, too
    assert flash.int8_bytes(one) == kernels + 4 * biases + 4 * scales
    # neither the stride nor the shortcut has weights
    assert flash.int8_bytes(block("mb3_k3", stride=2)) == flash.int8_bytes(one)


def test_a_normalisation_before_its_convolution_stays_by_hand():
    """Four arrays of 8; 3x3 and 1x1 convolutions without a bias."""
    one = block("sep_k3")
    assert flash.float32_bytes(one) == 4 * (4 * 8 + 9 * 8 + 8 * 16)
    assert flash.int8_bytes(one) == 4 * 4 * 8 + (9 * 8 + 8 * 16) + 4 * (8 + 16)


def test_an_operation_of_a_user_by_hand():
    """Widths 8 -> 24 -> 16 with 6 in the gate, whose convolutions have biases."""
    shipped.load_experiment(str(SE))
    kernels = 8 * 24 + 9 * 24 + 24 * 16 + 2 * 24 * 6
    channels = 24 + 24 + 16 + 6 + 24
    one = block("se3_k3")
    assert flash.float32_bytes(one) == 4 * (kernels + channels)
    assert flash.int8_bytes(one) == kernels + 8 * channels


def test_what_computes_nothing_has_no_weights():
    for name in ("zero", "identity", "avg_k3"):
        one = block(name, out=8, shortcut=True)
        assert flash.float32_bytes(one) == flash.int8_bytes(one) == 0


@pytest.mark.parametrize("name", ["tiny", "mobilenet_v2"])
def test_a_network_takes_what_the_arrays_of_its_file_take(name):
    if name == "tiny":
        space = builders.mobile(TWO_STAGES)
        path = [0, 4, 3, 2]
        network = architecture.from_path(space, path, name)
    else:
        network = published.get(name, 32)
    arrays = [
        numpy_helper.to_array(one)
        for one in onnx_runtime.drawn(network).graph.initializer
    ]
    found = device_memory.describe(network)
    # but for the bounds of ReLU6, which are numbers and no arrays
    assert found["flash_bytes"] == sum(one.nbytes for one in arrays if one.ndim)
    kernels = [one for one in arrays if one.ndim > 1]
    channels = sum(one.shape[0] if one.ndim == 4 else one.shape[1] for one in kernels)
    others = sum(one.size for one in arrays if one.ndim == 1)
    numbers = sum(math.prod(one.shape) for one in kernels)
    assert found["flash_int8_bytes"] == numbers + 4 * channels + 4 * others
