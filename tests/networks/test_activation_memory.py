"""Peak memory of activations against sums by hand and another way to count."""

import dataclasses
import math
from pathlib import Path

import flax.linen as nn
import numpy as np
import pytest

from nas_jax.config import TreeConfig, shipped
from nas_jax.networks import activation_memory, device_memory, layers
from nas_jax.networks.activation_memory import IN_PLACE, of_part, peak
from nas_jax.networks.onnx import outline
from nas_jax.spaces import architecture, builders, operations, published
from nas_jax.spaces.operations import OPERATIONS, Block, OpSpec
from nas_jax.spaces.parts import Classifier, Head
from tests.tiny_spaces import ONE_LAYER, TWO_STAGES

SE = Path(__file__).with_name("se_mbconv.py")


@pytest.fixture(autouse=True)
def registry():
    """Operations registered in a test are forgotten after it."""
    before = dict(OPERATIONS)
    yield
    OPERATIONS.clear()
    OPERATIONS.update(before)


def block(name, out=8, stride=1, shortcut=False, width=8, side=4):
    return Block(OpSpec.parse(name), width, out, stride, side, shortcut)


X, INNER = 8 * 16, 24 * 16  # 8 channels of 4x4 pixels, and 24


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        # the depthwise convolution reads and makes 24 channels; x waits to be added
        (block("mb3_k3", shortcut=True), X + 2 * INNER),
        (block("mb3_k3"), 2 * INNER),
        # at stride 2 the expansion is the widest: it reads 8 channels and makes 24
        (block("mb3_k3", out=16, stride=2), X + INNER),
        # without expansion: 8 channels read and made
        (block("mb1_k3"), 2 * X),
        # ReLU writes over what the normalisation made, which writes over nothing
        (block("sep_k3"), 2 * X),
        (block("sep_k3", shortcut=True), 3 * X),
        (block("max_k3"), 2 * X),
        # an addition writes over neither of its operands
        (block("max_k3", shortcut=True), 3 * X),
        (block("identity"), X),
        (block("identity", shortcut=True), 2 * X),
        (block("zero", shortcut=True), X),
        (Head(8, 24, 4), X + INNER),
        # the means are 8 numbers, the answer 10
        (Classifier(8, 10, 4), X + 8),
        (Classifier(8, 10, 1), 8 + 10),
    ],
)
def test_a_part_by_hand(one, expected):
    assert of_part(one) == expected


def test_hard_swish_holds_its_input_its_gate_and_its_output_by_hand():
    """At 24 channels; squeeze and excitation, which follows, needs less."""
    shipped.load_experiment(str(SE))
    assert of_part(block("se3_k3", shortcut=True)) == X + 3 * INNER
    assert of_part(block("se3_k3")) == 3 * INNER


@pytest.mark.parametrize(
    ("activation", "maps"),
    [("none", 0), ("relu6", 0), ("sigmoid", 0), ("silu", 2), ("hard_swish", 3)],
)
def test_an_activation_by_hand(activation, maps):
    """In maps of 24 channels, where that is more than the convolution needs."""

    @operations.register(f"own_{activation}", macs=lambda block: 0).module
    class Own(layers.Sequential):
        def layers(self):
            return [layers.ConvBNAct(24, activation=activation, name="mix")]

    one = block(f"own_{activation}", out=24)
    assert of_part(one) == max(X + INNER, maps * INNER)


def test_a_gate_that_is_read_elsewhere_keeps_its_room():
    @operations.register("own_gate", macs=lambda block: 0).module
    class Own(layers.Sequential):
        def layers(self):
            return []

        def to_onnx(self, graph, path, value):
            gate = graph.node("Sigmoid", f"{path}/gate", [value])
            scaled = graph.node("Mul", f"{path}/scaled", [value, gate])
            return graph.node("Add", f"{path}/sum", [scaled, gate])

    assert of_part(block("own_gate")) == 3 * X


def by_intervals(drawn):
    """The peak by another way: the memory of each value as an interval of time.

    A value that is written over another continues its interval.
    """
    last = {drawn.source: 0, drawn.result: len(drawn.nodes)}
    for time, node in enumerate(drawn.nodes):
        for name in node.input:
            if name in drawn.values:
                last[name] = max(last.get(name, 0), time)
    last[drawn.result] = len(drawn.nodes)
    rooms, owner = {drawn.source: [0, last[drawn.source]]}, {}
    for time, node in enumerate(drawn.nodes):
        made = node.output[0]
        free = [
            name
            for name in node.input
            if name in drawn.values
            and last[name] == time
            and math.prod(drawn.values[name]) == math.prod(drawn.values[made])
        ]
        end = last.get(made, time)
        if node.op_type in IN_PLACE and free:
            owner[made] = owner.get(free[0], free[0])
            rooms[owner[made]][1] = end
        else:
            rooms[made] = [time, end]
    return max(
        sum(
            math.prod(drawn.values[name])
            for name, (begin, end) in rooms.items()
            if begin <= time <= end
        )
        for time in range(len(drawn.nodes) or 1)
    )


def drawn_networks(count):
    rng = np.random.default_rng(0)
    space = builders.mobile(TWO_STAGES)
    for place in range(count):
        path = [rng.choice(np.flatnonzero(row)) for row in space.mask]
        yield architecture.from_path(space, np.array(path), f"drawn_{place}")


TREE = builders.tree(
    TreeConfig(cells_per_stage=1, last_channels=40, stem_channels=8, input_size=8)
)


def test_peak_of_a_chain_is_the_largest_of_its_parts():
    networks = [*drawn_networks(20), published.get("proxyless_gpu", 32)]
    for one in networks:
        whole = peak(outline.of_network(one))
        assert activation_memory.of_network(one) == whole
        assert whole == by_intervals(outline.of_network(one))


def test_peak_of_tree_cells_is_that_of_the_whole():
    rng = np.random.default_rng(0)
    for _ in range(5):
        path = rng.integers(len(TREE.candidates), size=len(TREE.layers))
        one = architecture.from_path(TREE, path, "tree")
        found = activation_memory.of_network(one)
        assert found == by_intervals(outline.of_network(one))
        assert found >= max(map(of_part, one.parts))


def test_bytes_are_4_in_float32_and_1_in_8_bits():
    config = dataclasses.replace(ONE_LAYER, candidates=("mb6_k3",))
    network = architecture.hand_designed(builders.mobile(config))
    # at the depthwise convolution: 8 channels wait, 48 are read, 48 are made
    found = device_memory.describe(network)
    assert found["peak_memory_int8_bytes"] == (8 + 48 + 48) * 64
    assert found["peak_memory_bytes"] == 4 * (8 + 48 + 48) * 64


def test_an_operation_without_a_form_in_onnx_is_refused_by_name_and_not_described():
    @operations.register("plain", macs=lambda block: 0).module
    class Plain(nn.Module):
        block: Block

        @nn.compact
        def __call__(self, x, train):
            return x

    for of in (of_part, *device_memory.FLASH.values()):
        with pytest.raises(ValueError, match="operation 'plain': expected a way to wr"):
            of(block("plain"))
    config = dataclasses.replace(TWO_STAGES, candidates=("mb6_k3", "plain"))
    space = builders.mobile(config)
    found = device_memory.describe(architecture.hand_designed(space))
    assert None not in found.values()
    own = architecture.from_path(space, [0, 1, 0, 1], "own")
    assert set(device_memory.describe(own).values()) == {None}


def test_a_node_whose_shape_does_not_follow_is_refused_by_name():
    @operations.register("strange", macs=lambda block: 0).module
    class Strange(layers.Sequential):
        def layers(self):
            return []

        def to_onnx(self, graph, path, value):
            return graph.node("Unheard", f"{path}/own", [value])

    with pytest.raises(
        ValueError,
        match=r"strange 4x4x8.*shape that follows.*'part/own' \(Unheard\), got none",
    ):
        of_part(block("strange"))
