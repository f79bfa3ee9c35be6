"""Networks read from ONNX: ours, and such as PyTorch and others write them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nas_jax import cli
from nas_jax.config import SpaceConfig
from nas_jax.networks import checkpoint
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.onnx import graphs
from nas_jax.networks.pretrained import onnx_import, unfold
from nas_jax.spaces.architecture import from_ops
from nas_jax.spaces.builders import mobile
from nas_jax.spaces.operations import OpSpec
from tests import compiled
from tests.drawn import drawn

CONFIG = SpaceConfig(
    name="small",
    input_size=16,
    classes=5,
    stem_channels=8,
    first_block_channels=8,
    stage_widths=(16, 24),
    cells=(2, 2),
    strides=(2, 2),
    head_channels=32,
)
OPS = ("mb6_k5", "mb3_k3", "mb3_k7", "mb6_k3")


def model(**changes):
    ops = [OpSpec.parse(op) for op in OPS]
    made = dataclasses.replace(from_ops(mobile(CONFIG), ops, "net"), **changes)
    return drawn(made)


IMAGES = np.random.default_rng(1).normal(size=(64, 16, 16, 3)).astype(np.float32)


def save(graph, path):
    path.write_bytes(graph.SerializeToString())
    return path


def ours(given):
    return graphs.network(given.architecture, given.params, given.batch_stats)


@pytest.mark.parametrize("padding", ["centre", "same"])
def test_what_we_export_is_read_again(padding, tmp_path):
    given = model(padding=padding)
    path = save(ours(given), tmp_path / "net.onnx")
    read = onnx_import.read(path, "net")
    assert read.is_folded
    assert read.network == given.architecture
    found = Model(read.network, read.params, read.batch_stats)
    np.testing.assert_allclose(found(IMAGES), given(IMAGES), atol=1e-5)


class Writer:
    """A network node by node, as `torch.onnx.export` does without folding."""

    def __init__(self, given, pads):
        self.nodes, self.weights, self.given, self.pads = [], [], given, pads

    def number(self, name, values):
        made = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self.weights.append(made)
        return name

    def node(self, kind, name, inputs, **attributes):
        self.nodes.append(
            helper.make_node(kind, inputs, [name], name=name, **attributes)
        )
        return name

    def layer(self, path, x, trees, move, *, clipped):
        (params, stats), (stride, side) = trees, move
        kernel = params["kernel"]
        k, _, inside, width = kernel.shape
        groups = width if inside == 1 and width > 1 and k > 1 else 1
        weight = self.number(f"{path}.weight", kernel.transpose(3, 2, 0, 1))
        before, after = self.given.architecture.conventions.pads(side, k, stride)
        around = [before, before, after, after]
        if self.pads == "node":
            widths = np.array([0, 0, before, before, 0, 0, after, after])
            widths = self.number(f"{path}.pads", widths)
            x, around = self.node("Pad", f"{path}/pad", [x, widths]), [0] * 4
        x = self.node(
            "Conv",
            f"{path}/conv",
            [x, weight],
            kernel_shape=[k, k],
            strides=[stride] * 2,
            pads=around,
            group=groups,
        )
        numbers = params["bn"] | stats["bn"]
        names = [
            self.number(f"{path}.{key}", numbers[key])
            for key in ("scale", "bias", "mean", "var")
        ]
        eps = self.given.architecture.bn_eps
        x = self.node("BatchNormalization", f"{path}/norm", [x, *names], epsilon=eps)
        if not clipped:
            return x
        bounds = [
            self.number(f"{path}.{name}", np.float32(value))
            for name, value in (("min", 0), ("max", 6))
        ]
        return self.node("Clip", f"{path}/clip", [x, *bounds])

    def graph(self):
        one, params = self.given.architecture, self.given.params
        stats = self.given.batch_stats
        stem = (params["stem"], stats["stem"])
        x = self.layer("stem", "images", stem, (2, 16), clipped=True)
        for index, block in enumerate(one.blocks):
            own = params["blocks"][index], stats["blocks"][index]
            y, side = x, block.input_size
            for name in ("expand", "depthwise", "project"):
                if name not in own[0]:
                    continue
                trees = (own[0][name], own[1][name])
                stride = block.stride if name == "depthwise" else 1
                y = self.layer(
                    f"block{index}.{name}",
                    y,
                    trees,
                    (stride, side),
                    clipped=name != "project",
                )
                side = -(-side // stride)
            x = self.node("Add", f"sum{index}", [y, x]) if block.shortcut else y
        head = (params["head"], stats["head"])
        x = self.layer("head", x, head, (1, 4), clipped=True)
        x = self.node("ReduceMean", "pool", [x], axes=[2, 3], keepdims=0)
        x = self.node("Identity", "dropout", [x])
        weight = self.number("linear.weight", params["classifier"]["kernel"])
        bias = self.number("linear.bias", params["classifier"]["bias"])
        x = self.node("MatMul", "linear", [x, weight])
        self.node("Add", "logits", [bias, x])
        value = helper.make_tensor_value_info
        shape = ["batch", 3, 16, 16]
        return helper.make_model(
            helper.make_graph(
                self.nodes,
                "net",
                [value("images", TensorProto.FLOAT, shape)],
                [value("logits", TensorProto.FLOAT, ["batch", 5])],
                self.weights,
            ),
            opset_imports=[helper.make_opsetid("", 13)],
        )


@pytest.mark.parametrize("padding", ["centre", "same"])
@pytest.mark.parametrize("pads", ["attribute", "node"])
def test_batch_normalisations_and_pads_of_their_own_are_read(padding, pads, tmp_path):
    given = model(padding=padding, bn_eps=1e-5)
    made = Writer(given, pads).graph()
    onnx.checker.check_model(made)
    read = onnx_import.read(save(made, tmp_path / "net.onnx"), "net")
    assert not read.is_folded
    assert dataclasses.replace(read.network, bn_eps=1e-5) == given.architecture
    assert read.network.bn_eps == pytest.approx(1e-5)
    jax.tree.map(np.testing.assert_array_equal, read.params, given.params)
    jax.tree.map(np.testing.assert_array_equal, read.batch_stats, given.batch_stats)


def test_folded_normalisation_is_taken_apart_by_the_images(tmp_path):
    """The answers stay, and those of a batch in training are the same."""
    given = model()
    read = onnx_import.read(save(ours(given), tmp_path / "net.onnx"), "net")
    folded = Model(read.network, read.params, read.batch_stats)
    assert unfold.is_folded(folded) and not unfold.is_folded(given)
    apart = unfold.unfold(folded, IMAGES)
    assert not unfold.is_folded(apart)
    expected = np.asarray(given(IMAGES))
    np.testing.assert_allclose(apart(IMAGES), expected, atol=1e-4)

    def in_training(one):
        trees = one.architecture, one.params, one.batch_stats
        return np.asarray(compiled.apply(*trees, jnp.asarray(IMAGES), train=True)[0])

    np.testing.assert_allclose(in_training(apart), expected, atol=5e-3)
    assert np.abs(in_training(folded) - expected).max() > 0.1


def test_the_command_takes_onnx_and_says_what_it_took(tmp_path, capsys):
    path = save(ours(model()), tmp_path / "mine.onnx")
    assert cli.main(["import", str(path), "--out", str(tmp_path / "a")]) == 0
    out = capsys.readouterr().out
    assert "nothing says how images are normalised: by ImageNet's statistics" in out
    assert "batch normalisation was folded: a training takes it apart again" in out
    assert checkpoint.load_model(tmp_path / "a").architecture.name == "mine"
    text = '{"size": 16, "resize": null, "mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}'
    (tmp_path / "mine.preprocessing.json").write_text(text)
    assert cli.main(["import", str(path), "--out", str(tmp_path / "b")]) == 0
    assert "nothing says" not in capsys.readouterr().out
    beside = (tmp_path / "b" / "preprocessing.json").read_text()
    assert '"resize": null, "mean": [0.1, 0.2, 0.3]' in beside


def changed(kind, change):
    """Our graph with the first node of a kind changed."""
    graph = ours(model())
    node = next(one for one in graph.graph.node if one.op_type == kind)
    change(node)
    return graph


def renamed(kind):
    return lambda node: setattr(node, "op_type", kind)


def strided(node):
    next(one for one in node.attribute if one.name == "strides").ints[:] = [3, 3]


@pytest.mark.parametrize(
    ("graph", "line"),
    [
        (
            lambda: changed("Clip", renamed("Relu")),
            "Relu 'stem/relu6' is not one of ours, whose activation is Clip from 0",
        ),
        (
            lambda: changed("Add", renamed("Mul")),
            "is not one of ours .squeeze-and-excitation, or another activation",
        ),
        (lambda: changed("Conv", renamed("_value")), "_value .* is not one of ours"),
        (
            lambda: changed("Conv", strided),
            "expected stride 1 or 2, no dilation, equal",
        ),
        (
            lambda: helper.make_model(helper.make_graph([], "none", [], [])),
            "expected one input, got 0",
        ),
    ],
)
def test_what_is_not_ours_is_refused_by_its_node(graph, line, tmp_path):
    path = save(graph(), tmp_path / "net.onnx")
    with pytest.raises(ValueError, match=rf"net\.onnx: .*{line}") as error:
        onnx_import.read(path, "net")
    assert "\n" not in str(error.value)


def test_a_block_that_is_not_ours_is_named(tmp_path):
    """A network whose projection is clipped, too."""
    graph = ours(model())
    nodes = graph.graph.node
    last = next(one for one in nodes if one.name == "blocks/1/project/conv")
    bounds = ["zero", "six"]
    clip = helper.make_node("Clip", ["raw", *bounds], list(last.output), name="more")
    last.output[0] = "raw"
    nodes.insert(list(nodes).index(last) + 1, clip)
    with pytest.raises(ValueError, match="block is not one of ours: Conv 'blocks/1"):
        onnx_import.read(save(graph, tmp_path / "net.onnx"), "net")


def test_damaged_files_are_refused(tmp_path):
    whole = ours(model()).SerializeToString()
    for content in (b"", b"PK", whole[: len(whole) // 2], b"\xff" * 100):
        (tmp_path / "net.onnx").write_bytes(content)
        with pytest.raises(ValueError, match=r"net\.onnx: expected") as error:
            onnx_import.read(tmp_path / "net.onnx", "net")
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="cannot be read"):
        onnx_import.read(tmp_path / "none.onnx", "net")
