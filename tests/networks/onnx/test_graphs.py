import copy
import dataclasses
import itertools

import numpy as np
import onnx
import pytest

from nas_jax.config import SpaceConfig
from nas_jax.latency.runtimes.onnx_runtime import session
from nas_jax.networks import network
from nas_jax.networks.onnx import graphs
from nas_jax.spaces.architecture import from_ops
from nas_jax.spaces.builders import mobile
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import Classifier, Conventions, Head, Stem
from tests import oracles

# float32 against float64, activations of order 1
TOLERANCE = 2e-5


def run(model, images):
    """Runs NHWC images; feature maps come back NHWC, logits as they are."""
    onnx.checker.check_model(model, full_check=True)
    name = model.graph.input[0].name
    feed = {name: images.transpose(0, 3, 1, 2).astype(np.float32)}
    (output,) = session(model, threads=1).run(None, feed)
    return output.transpose(0, 2, 3, 1) if output.ndim == 4 else output


def draw(part, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    params, batch_stats = graphs.random_weights(part, rng)
    size = (batch, part.input_size, part.input_size, part.in_channels)
    return params, batch_stats, rng.normal(0, 2, size).astype(np.float32)


def mbconv(kernel=3, expansion=3, stride=1, size=7, width=(4, 4), shortcut=False):
    op = OpSpec("mbconv", kernel, expansion)
    return Block(op, *width, stride, size, shortcut)


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), list(itertools.product((3, 5, 7), (1, 2), (7, 8)))
)
def test_mbconv_equals_the_oracle(kernel, stride, size):
    block = mbconv(kernel, 3, stride, size, (4, 6))
    params, batch_stats, x = draw(block)
    expected = oracles.mbconv_eval(x, params, batch_stats, stride)
    actual = run(graphs.part(block, params, batch_stats), x)
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("expansion", [1, 6])
@pytest.mark.parametrize("shortcut", [False, True])
def test_expansion_and_shortcut_equal_the_oracle(expansion, shortcut):
    block = mbconv(5, expansion, shortcut=shortcut)
    params, batch_stats, x = draw(block)
    assert ("expand" in params) == (expansion > 1)
    expected = oracles.mbconv_eval(x, params, batch_stats, 1, shortcut)
    actual = run(graphs.part(block, params, batch_stats), x)
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_bn_eps_is_used():
    block = mbconv()
    params, batch_stats, x = draw(block)
    expected = oracles.mbconv_eval(x, params, batch_stats, 1, eps=0.5)
    actual = run(graphs.part(block, params, batch_stats, Conventions(bn_eps=0.5)), x)
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("stride", [1, 2])
def test_stem_equals_the_oracle(stride):
    stem = Stem(3, 8, stride, 9)
    params, batch_stats, x = draw(stem)
    expected = oracles.relu6(oracles.conv_bn_eval(x, params, batch_stats, stride))
    actual = run(graphs.part(stem, params, batch_stats), x)
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_head_and_classifier_equal_the_oracle():
    head, classifier = Head(6, 12, 3), Classifier(6, 5, 3)
    params, batch_stats, x = draw(head)
    expected = oracles.relu6(oracles.conv_bn_eval(x, params, batch_stats))
    actual = run(graphs.part(head, params, batch_stats), x)
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE, rtol=TOLERANCE)
    params, batch_stats, x = draw(classifier)
    actual = run(graphs.part(classifier, params, batch_stats), x)
    expected = oracles.classifier_eval(x, params)
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_identity_and_zero_copy():
    x = np.random.default_rng(0).normal(size=(2, 7, 7, 4)).astype(np.float32)
    np.testing.assert_array_equal(run(graphs.identity((4, 7, 7)), x), x)
    zero = Block(OpSpec("zero"), 4, 4, 1, 7, shortcut=True)
    np.testing.assert_array_equal(run(graphs.part(zero, {}, {}), x), x)


@pytest.fixture(scope="module")
def tiny():
    """A network with every kind of part, its weights, and images."""
    config = SpaceConfig(
        name="tiny",
        input_size=9,
        input_channels=2,
        classes=3,
        stem_channels=8,
        first_block_channels=8,
        stage_widths=(8, 16),
        cells=(2, 2),
        strides=(1, 2),
        head_channels=24,
    )
    ops = [OpSpec.parse(name) for name in ("mb3_k5", "zero", "mb6_k7", "mb3_k3")]
    architecture = from_ops(mobile(config), ops, "tiny")
    rng = np.random.default_rng(1)
    weights = [graphs.random_weights(part, rng) for part in architecture.parts]
    (stem, *blocks, head, classifier) = weights
    params = {
        "stem": stem[0],
        "blocks": [block[0] for block in blocks],
        "head": head[0],
        "classifier": classifier[0],
    }
    batch_stats = {
        "stem": stem[1],
        "blocks": [block[1] for block in blocks],
        "head": head[1],
    }
    images = rng.normal(0, 1, (5, 9, 9, 2)).astype(np.float32)
    return architecture, params, batch_stats, images


def oracle(architecture, params, batch_stats, images, eps):
    stem = architecture.stem
    weights, stats = params["stem"], batch_stats["stem"]
    x = oracles.conv_bn_eval(images, weights, stats, stem.stride, eps=eps)
    x = oracles.relu6(x)
    for block, weights, stats in zip(
        architecture.blocks, params["blocks"], batch_stats["blocks"], strict=True
    ):
        if block.op.kind != "zero":
            x = oracles.mbconv_eval(
                x, weights, stats, block.stride, block.shortcut, eps
            )
    x = oracles.conv_bn_eval(x, params["head"], batch_stats["head"], eps=eps)
    return oracles.classifier_eval(oracles.relu6(x), params["classifier"])


def test_network_equals_the_oracle_at_every_batch_size(tiny):
    architecture, params, batch_stats, images = tiny
    expected = oracle(*tiny, eps=1e-3)
    model = graphs.network(architecture, params, batch_stats)
    for batch in (1, 5):
        actual = run(model, images[:batch])
        np.testing.assert_allclose(actual, expected[:batch], atol=1e-4, rtol=1e-4)


def test_epsilon_of_the_architecture_reaches_every_batch_norm(tiny):
    architecture, params, batch_stats, images = tiny
    architecture = dataclasses.replace(architecture, bn_eps=0.5)
    expected = oracle(architecture, params, batch_stats, images, eps=0.5)
    exported = run(graphs.network(architecture, params, batch_stats), images)
    np.testing.assert_allclose(exported, expected, atol=1e-4, rtol=1e-4)
    stats = {**batch_stats, "classifier": {}}
    ours = network.predict(architecture, params, stats, images)
    np.testing.assert_allclose(ours, expected, atol=1e-4, rtol=1e-4)


def test_network_is_named_as_promised(tiny):
    model = graphs.network(*tiny[:3])
    (source,), (result,) = model.graph.input, model.graph.output
    assert (source.name, result.name) == ("images", "logits")
    dims = [dim.dim_param or dim.dim_value for dim in source.type.tensor_type.shape.dim]
    assert dims == ["batch", 2, 9, 9]
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    operators = {node.op_type for node in model.graph.node}
    assert operators == {"Conv", "Clip", "Add", "GlobalAveragePool", "Flatten", "Gemm"}


def test_network_equals_the_chain_of_its_parts(tiny):
    architecture, params, batch_stats, images = tiny
    weights = [params["stem"], *params["blocks"], params["head"], params["classifier"]]
    stats = [batch_stats["stem"], *batch_stats["blocks"], batch_stats["head"], {}]
    x = images
    for part, *tensors in zip(architecture.parts, weights, stats, strict=True):
        x = run(graphs.part(part, *tensors), x)
    actual = run(graphs.network(architecture, params, batch_stats), images)
    np.testing.assert_allclose(actual, x, atol=1e-5, rtol=1e-5)


def test_wrong_weights_are_refused(tiny):
    architecture, params, batch_stats, _ = tiny
    short = {**params, "blocks": params["blocks"][:-1]}
    with pytest.raises(
        ValueError, match=r"expected 5 blocks .*'tiny', got 4; pass the"
    ):
        graphs.network(architecture, short, batch_stats)
    broken = copy.deepcopy(params)
    del broken["blocks"][1]["expand"]
    with pytest.raises(
        ValueError,
        match=r"params: expected 'blocks/1/expand/kernel' of shape .* at 'expand'",
    ):
        graphs.network(architecture, broken, batch_stats)
    broken = copy.deepcopy(batch_stats)
    broken["head"]["bn"]["var"] = np.ones(3)
    with pytest.raises(
        ValueError,
        match=r"batch_stats: expected 'head/bn/var' of shape \(24,\), got \(3,\); pass",
    ):
        graphs.network(architecture, params, broken)
