"""Blocks of MobileNetV3 and V4, EfficientNet and FBNet: numbers, ONNX, counts."""

import dataclasses

import jax
import numpy as np
import pytest

from nas_jax.latency.runtimes.onnx_runtime import session
from nas_jax.networks import counts, network, parts
from nas_jax.networks.onnx import graphs
from nas_jax.spaces import architecture_json, keys, published
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import Classifier, Head, Hidden, Stem
from tests import oracles

BLOCKS = [
    *("mb3_k3_se", "mb3_k5_relu", "mb6_k3_se_relu", "mb2.3_k3_hs", "mb4_k5_se_hs"),
    *("mb1_k3_se_hs", "mb3_k3_silu", "mb6_k5_se_silu", "mb3_k3_g2", "mb1_k5_g2"),
    *("mb6_k3_g4", "uib4_a3_k5", "uib2_a0_k3", "uib4_a5_k0", "uib2_a0_k0"),
    *("fused_mb4_k3", "conv_k1", "conv_k3"),
]
PLACES = [(8, 8, 1, 6), (8, 16, 2, 7)]
"""Widths, stride and side of the input."""


def block(name, place):
    width, out, stride, side = place
    op = OpSpec.parse(name)
    shortcut = stride == 1 and width == out and op.kind != "conv"
    return Block(op, width, out, stride, side, shortcut)


CASES = [
    pytest.param(block(name, place), id=f"{name}-s{place[2]}")
    for name in BLOCKS
    for place in PLACES
    if OpSpec.parse(name).can_stride(place[2])
]
FIXED = [
    Stem(3, 8, 2, 7, activation="hard_swish"),
    Head(8, 12, 3, "relu"),
    Head(8, 12, 3, "silu"),
    *(
        Classifier(8, 5, 3, Hidden(12, form, act))
        for form, act in (("bias", "hard_swish"), ("bn", "relu"), ("plain", "relu6"))
    ),
]


def drawn(part):
    rng = np.random.default_rng(sum(map(ord, part.key)))
    params, batch_stats = graphs.random_weights(part, rng)
    shape = (3, part.input_size, part.input_size, part.in_channels)
    return params, batch_stats, rng.normal(0, 2, shape).astype(np.float32)


def oracle(block, params, batch_stats, x):
    """A block from the equations, its layers by their names."""
    op, y = block.op, x.astype(np.float64)
    style = op.style.removeprefix("se_").removeprefix("se")
    kind = {"hs": "hard_swish", "": "relu6"}.get(style, style)
    if op.kind != "styled":
        kind = "relu"
    activation = oracles.ACTIVATIONS[kind]

    def layer(name, y, stride=1, groups=1):
        return oracles.conv_bn_eval(y, params[name], batch_stats[name], stride, groups)

    if op.kind == "conv":
        return activation(layer("conv", y, block.stride))
    if op.start:
        stride = 1 if op.kernel else block.stride
        y = layer("start", y, stride, y.shape[-1])
    if "expand" in params:
        stride = block.stride if op.kind == "fused" else 1
        y = activation(layer("expand", y, stride, op.groups))
    if op.groups > 1:
        y = oracles.shuffled(y, op.groups)
    if "depthwise" in params:
        y = activation(layer("depthwise", y, block.stride, y.shape[-1]))
    if "squeeze" in params:
        inside = oracles.ACTIVATIONS["silu" if kind == "silu" else "relu"]
        gate = oracles.sigmoid if kind == "silu" else oracles.hard_sigmoid
        y = oracles.squeeze_eval(y, params["squeeze"], inside, gate)
    y = layer("project", y, groups=op.groups)
    return y + x if block.shortcut else y


def in_onnx(part, params, batch_stats, x):
    model = graphs.part(part, params, batch_stats)
    feed = {"x": x.transpose(0, 3, 1, 2)}
    (y,) = session(model, threads=1).run(None, feed)
    return y.transpose(0, 2, 3, 1) if y.ndim == 4 else y


def in_jax(part, params, batch_stats, x):
    run = jax.jit(lambda x: parts.apply(part, params, batch_stats, x, False)[0])
    y = np.asarray(run(x))
    return y + x if getattr(part, "shortcut", False) else y


def close(found, expected, tolerance=2e-5):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, atol=tolerance * scale)


@pytest.mark.parametrize("part", CASES)
def test_block_equals_the_oracle_in_jax_and_in_onnx(part):
    params, batch_stats, x = drawn(part)
    expected = oracle(part, params, batch_stats, x)
    side = part.output_size
    assert expected.shape == (3, side, side, part.out_channels)
    close(in_jax(part, params, batch_stats, x), expected)
    close(in_onnx(part, params, batch_stats, x), expected)


@pytest.mark.parametrize("part", FIXED, ids=lambda part: part.key)
def test_fixed_part_equals_the_oracle_in_jax_and_in_onnx(part):
    params, batch_stats, x = drawn(part)
    if isinstance(part, Classifier):
        act = oracles.ACTIVATIONS[part.hidden.activation]
        y, own = x.mean((1, 2), keepdims=True), params["hidden"]
        if part.hidden.form == "bn":
            y = act(oracles.conv_bn_eval(y, own, batch_stats["hidden"]))
        else:
            assert ("bias" in own["conv"]) == (part.hidden.form == "bias")
            y = act(oracles.affine_eval(y, own["conv"]))
        expected = y[:, 0, 0] @ params["kernel"] + params["bias"]
    else:
        y = oracles.conv_bn_eval(x, params, batch_stats, getattr(part, "stride", 1))
        expected = oracles.ACTIVATIONS[part.activation](y)
    close(in_jax(part, params, batch_stats, x), expected)
    close(in_onnx(part, params, batch_stats, x), expected)


@pytest.mark.parametrize("part", [*CASES, *FIXED])
def test_counts_are_those_of_the_arrays(part):
    params, _ = parts.shapes(part)
    sizes = [leaf.size for leaf in jax.tree.leaves(params)]
    assert counts.params(part) == sum(sizes)
    # every weight of a convolution meets every output position once
    total = 0
    for path, leaf in jax.tree.leaves_with_path(params):
        names = [one.key for one in path]
        if names[-1] != "kernel":
            continue
        side = getattr(part, "output_size", part.input_size)
        if names[0] == "squeeze" or isinstance(part, Classifier):
            side = 1
        elif names[0] in ("expand", "start") and part.op.kind != "fused":
            side = part.input_size
            if part.op.kind == "uib" and not part.op.kernel:
                side = part.output_size
        total += leaf.size * side**2
    assert counts.macs(part) == total


@pytest.mark.parametrize("part", [*CASES, *FIXED])
def test_keys_are_read_back(part):
    assert keys.parse(part.key) == part


@pytest.mark.parametrize("part", CASES)
def test_training_step_moves_every_weight(part):
    noise = np.random.default_rng(0).normal(size=parts.noise_size(part))
    params, batch_stats = parts.init(noise.astype(np.float32), part)
    x = drawn(part)[2]

    def loss(params):
        y, moved = parts.apply(part, params, batch_stats, x, True)
        weights = np.cos(np.arange(y.size)).reshape(y.shape)
        return (y * weights).sum(), moved

    grads, moved = jax.jit(jax.grad(loss, has_aux=True))(params)
    for path, leaf in jax.tree.leaves_with_path(grads):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, path
    assert jax.tree.structure(moved) == jax.tree.structure(batch_stats)


@pytest.mark.parametrize(
    "name",
    [
        *("mb2.3_k3", "mb3.0_k3_hs", "mb3_k3_gelu", "mb3_k3_hs_se", "mb3_k4_hs"),
        *(
            "uib4_a2_k3",
            "uib4_a3",
            "mb3_k3_g1",
            "mb3_k3_g2_hs",
            "fused_mb4_k2",
            "conv_k2",
        ),
        *("uib4.5_a3_k3", "mb.5_k3_hs", "mb3_k3_"),
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="unknown operation") as caught:
        OpSpec.parse(name)
    assert "mb<expansion>_k<odd kernel>_<style>" in str(caught.value)


def test_bottleneck_without_a_depthwise_convolution_cannot_stride():
    with pytest.raises(ValueError, match=r"uib2_a0_k0.*depthwise"):
        whole = published.get("mobilenet_v4_conv_s", 32)
        blocks = [
            dataclasses.replace(one, op=OpSpec.parse("uib2_a0_k0"))
            if one.op.name == "uib6_a3_k3"
            else one
            for one in whole.blocks
        ]
        dataclasses.replace(whole, blocks=tuple(blocks))


NETWORKS = ["mobilenet_v3_small", "mobilenet_v4_conv_s", "efficientnet_b0", "fbnet_a"]


@pytest.mark.parametrize("name", NETWORKS)
def test_network_goes_through_json_and_runs_alike_in_onnx(name):
    found = published.get(name, 64)
    again = architecture_json.from_json(architecture_json.to_json(found))
    assert again == found
    rng = np.random.default_rng(0)
    weights = {
        slot: graphs.random_weights(part, rng) for slot, part in found.slots.items()
    }
    params, stats = (
        network.assemble({slot: trees[which] for slot, trees in weights.items()})
        for which in (0, 1)
    )
    images = rng.normal(0, 1, (2, 64, 64, 3)).astype(np.float32)
    run = jax.jit(lambda x: network.apply(found, params, stats, x, train=False)[0])
    model = graphs.network(found, params, stats)
    feed = {"images": images.transpose(0, 3, 1, 2)}
    (logits,) = session(model, threads=1).run(None, feed)
    close(logits, np.asarray(run(images)), 1e-4)
