"""Graphs in 8-bit integers, run in ONNX Runtime."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from nas_jax.config import SpaceConfig
from nas_jax.latency.runtimes import onnx_quantise, onnx_runtime
from nas_jax.networks.onnx import graphs
from nas_jax.networks.onnx.writer import Graph
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_path
from nas_jax.spaces.parts import Stem
from tests import oracles
from tests.networks import test_families as families

STEM = Stem(in_channels=3, out_channels=8, stride=2, input_size=9)


def weights_of(model):
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


def run(model, images):
    return onnx_runtime.session(model, threads=1).run(None, {"x": images})[0]


def quantised_by_hand(x, low, high):
    """Integers 0 to 255 of a range that holds 0, their scale and their zero point."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero = round(-low / scale)
    return np.clip(np.rint(x / scale) + zero, 0, 255), scale, zero


def test_convolution_in_8_bits_is_integer_arithmetic():
    """3x3, stride 2, bias, ReLU6: by NumPy from the equations of quantisation.

    x = s (q - z), w = t_c p, b = s t_c r; y = clip(s t_c (sum (q - z) p + r), 0, 6).
    """
    rng = np.random.default_rng(0)
    model = graphs.part(STEM, *graphs.random_weights(STEM, rng))
    x = rng.standard_normal((4, 3, 9, 9)).astype(np.float32)
    found = run(onnx_quantise.quantise(model, x), x)

    weights = weights_of(model)
    (kernel,) = [one for one in weights.values() if one.ndim == 4]  # [out in k k]
    (bias,) = [one for name, one in weights.items() if name.endswith("bias")]
    kernel, bias = np.float64(kernel), np.float64(bias)
    q, scale, zero = quantised_by_hand(x, x.min(), x.max())
    of_channel = np.abs(kernel).max(axis=(1, 2, 3)) / 127
    p = np.rint(kernel / of_channel[:, None, None, None])
    r = np.rint(bias / (scale * of_channel))
    total = oracles.conv2d_nhwc(
        (q - zero).transpose(0, 2, 3, 1), p.transpose(2, 3, 1, 0), stride=2, pad=1
    )
    real = scale * of_channel * (total + r)

    plain = oracles.conv2d_nhwc(
        x.transpose(0, 2, 3, 1), kernel.transpose(2, 3, 1, 0), stride=2, pad=1
    )
    highest = oracles.relu6(plain + bias).max()  # which the calibration has seen
    result, step, nothing = quantised_by_hand(real, 0.0, highest)
    expected = step * (result - nothing).transpose(0, 3, 1, 2)
    assert highest > 1 and nothing == 0
    off = np.abs(found - expected)
    # what lies between two integers is rounded otherwise by another order of sums
    assert off.max() <= 1.01 * step and (off < 0.01 * step).mean() > 0.99
    # and all of it is near the float graph
    assert 0 < np.abs(found - run(model, x)).max() <= 5 * step


def test_every_channel_has_a_scale_of_its_own():
    """One whose weights are 100 times smaller keeps its precision.

    With one scale for all, its largest weight would be 1.27 steps.
    """
    rng = np.random.default_rng(0)
    params, stats = graphs.random_weights(STEM, rng)
    params["kernel"][..., 3] /= 100
    model = graphs.part(STEM, params, stats)
    x = rng.standard_normal((4, 3, 9, 9)).astype(np.float32)
    quantised = onnx_quantise.quantise(model, x)
    given = next(one for one in weights_of(model).values() if one.ndim == 4)
    stored = weights_of(quantised)
    (name,) = [one for one, array in stored.items() if array.ndim == 4]
    assert stored[name].dtype == np.int8
    (node,) = [one for one in quantised.graph.node if name in one.input]
    scale = stored[node.input[1]]
    assert (node.op_type, scale.shape) == ("DequantizeLinear", (8,))
    largest = np.abs(given).max(axis=(1, 2, 3))
    np.testing.assert_allclose(scale, largest / 127, rtol=1e-5)
    assert largest[3] < 0.05 * largest.mean()
    again = stored[name] * scale[:, None, None, None]
    off = np.abs(again - given).max(axis=(1, 2, 3))
    assert (off <= 0.51 * largest / 127).all()


SPACE = builders.mobile(
    SpaceConfig(
        name="toy",
        input_size=16,
        classes=10,
        stem_channels=8,
        stem_stride=1,
        stage_widths=(16,),
        cells=(2,),
        strides=(2,),
        candidates=("mb3_k5", "zero"),
        head_channels=32,
    )
)


def test_network_in_8_bits_takes_images_and_gives_logits_near_the_float_ones():
    network = from_path(SPACE, [0, 0], "one")
    model = onnx_runtime.drawn(network)
    images = np.random.default_rng(1).standard_normal((64, 16, 16, 3))
    planes = images.transpose(0, 3, 1, 2)
    small = onnx_quantise.quantise(model, planes)
    assert onnx_quantise.in_float(small) == ()
    onnx.checker.check_model(small, full_check=True)
    assert small.producer_name == "nas_jax"
    found, expected = (onnx_runtime.run(one, images) for one in (small, model))
    assert found.dtype == np.float32 and found.shape == (64, 10)
    share = np.abs(found - expected).max() / np.abs(expected).max()
    assert 0 < share < 0.1
    # logits are no integers: few of 640 are equal
    assert len(np.unique(found)) > 300


def test_given_graph_is_left_as_it_was():
    model = graphs.part(STEM, *graphs.random_weights(STEM, np.random.default_rng(0)))
    before = model.SerializeToString()
    onnx_quantise.quantise(model, np.ones((2, 3, 9, 9)))
    assert model.SerializeToString() == before


@pytest.mark.parametrize("part", [*families.CASES, *families.FIXED])
def test_blocks_of_all_families_are_integers_throughout(part):
    params, batch_stats, images = families.drawn(part)
    model = graphs.part(part, params, batch_stats)
    x = images.transpose(0, 3, 1, 2)
    quantised = onnx_quantise.quantise(model, x)
    assert onnx_quantise.in_float(quantised) == ()
    exact, found = (
        onnx_runtime.session(one, threads=1).run(None, {"x": x})[0]
        for one in (model, quantised)
    )
    # a step of 256 is 2 % of a deviation where values are spread over four of these
    assert np.abs(found - exact).mean() < 0.03 * exact.std()


@pytest.mark.parametrize("operator", ["HardSwish", "HardSigmoid"])
def test_hard_activations_are_written_out_exactly(operator):
    def graph_of(**settings):
        graph = Graph()
        kernel = graph.weight("kernel", np.eye(4)[..., None, None])
        value = graph.node("Conv", "before", ["x", kernel])
        value = graph.node(operator, "hard", [value], **settings)
        graph.node("Conv", "after", [value, kernel])
        return graph.model("hard", ("x", (4, 8, 8)), ("y", (4, 8, 8)))

    x = np.linspace(-5, 5, 512, dtype=np.float32).reshape(2, 4, 8, 8)
    ours = {} if operator == "HardSwish" else {"alpha": 1 / 6, "beta": 0.5}
    quantised = onnx_quantise.quantise(graph_of(**ours), x)
    gate = np.clip(x + 3, 0, 6) / 6
    expected = x * gate if operator == "HardSwish" else gate
    (y,) = onnx_runtime.session(quantised, threads=1).run(None, {"x": x})
    np.testing.assert_allclose(y, expected, atol=0.06)
    assert onnx_quantise.in_float(quantised) == ()
    if operator == "HardSigmoid":  # that of Keras is another function
        other = onnx_quantise.quantise(graph_of(alpha=0.2, beta=0.5), x)
        assert onnx_quantise.in_float(other) == ("HardSigmoid",)


def test_what_has_no_integer_kernel_is_named():
    graph = Graph()
    kernel = graph.weight("kernel", np.ones((4, 4, 1, 1)))
    value = graph.node("Conv", "before", ["x", kernel])
    value = graph.node("Tanh", "middle", [value])
    graph.node("Conv", "after", [value, kernel])
    model = graph.model("three", ("x", (4, 8, 8)), ("y", (4, 8, 8)))
    x = np.random.default_rng(1).standard_normal((2, 4, 8, 8))
    assert onnx_quantise.in_float(onnx_quantise.quantise(model, x)) == ("Tanh",)


@pytest.mark.parametrize("operator", ["Sigmoid", "Relu", "GlobalAveragePool"])
def test_operator_with_an_integer_kernel_is_not_named(operator):
    graph = Graph()
    kernel = graph.weight("kernel", np.ones((4, 4, 1, 1)))
    value = graph.node("Conv", "before", ["x", kernel])
    value = graph.node(operator, "middle", [value])
    graph.node("Conv", "after", [value, kernel])
    size = 1 if operator == "GlobalAveragePool" else 8
    model = graph.model("three", ("x", (4, 8, 8)), ("y", (4, size, size)))
    x = np.random.default_rng(1).standard_normal((2, 4, 8, 8))
    assert onnx_quantise.in_float(onnx_quantise.quantise(model, x)) == ()
