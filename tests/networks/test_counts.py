"""Multiply-adds and parameters against published numbers and against real arrays.

Golden numbers: computed from the rules of the reference implementation
(mit-han-lab/proxylessnas), independently of this package.
"""

import itertools
import json
import math

import jax
import numpy as np
import pytest

from nas_jax import supernet
from nas_jax.config import SpaceConfig
from nas_jax.config.space import MBCONV_CANDIDATES
from nas_jax.networks import counts, network, parts
from nas_jax.search import cost
from nas_jax.spaces import architecture, builders
from nas_jax.spaces.operations import Block, OpSpec

PAPER = builders.imagenet_mobile()
HOMOGENEOUS = {
    "mb3_k3": (257_422_208, 3_191_928),
    "mb6_k3": (472_620_800, 4_684_776),
    "mb3_k5": (284_216_192, 3_275_640),
    "mb6_k5": (526_208_768, 4_852_200),
    "mb3_k7": (324_407_168, 3_401_208),
    "mb6_k7": (606_590_720, 5_103_336),
}
TOY = builders.mobile(
    SpaceConfig(
        name="toy",
        input_size=8,
        classes=10,
        stem_channels=8,
        stage_widths=(16,),
        cells=(2,),
        strides=(2,),
        head_channels=32,
    )
)


def size(shapes):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_homogeneous_networks_count_exactly(name):
    description = counts.describe(architecture.homogeneous(PAPER, OpSpec.parse(name)))
    assert (description["macs"], description["params"]) == HOMOGENEOUS[name]


def test_supernet_of_the_paper_has_16034168_weights():
    assert counts.describe_space(PAPER)["supernet_weights"] == 16_034_168


def test_uniform_macs_of_the_paper_space():
    assert counts.describe_space(PAPER)["macs_uniform"] == 373_300_544.0


def test_range_of_macs_is_that_of_the_extreme_networks():
    description = counts.describe_space(PAPER)
    assert description["macs_max"] == HOMOGENEOUS["mb6_k7"][0]
    # the cheapest has `zero` wherever it is offered and `mb3_k3` elsewhere
    cheapest = [6 if row[6] else 0 for row in PAPER.mask]
    network_ = architecture.from_path(PAPER, cheapest, "cheapest")
    assert description["macs_min"] == counts.describe(network_)["macs"]
    assert description["macs_min"] < HOMOGENEOUS["mb3_k3"][0]


def test_range_of_macs_holds_every_network_of_a_small_space():
    offered = [row.nonzero()[0] for row in TOY.mask]
    macs = [
        counts.describe(architecture.from_path(TOY, path, "net"))["macs"]
        for path in itertools.product(*offered)
    ]
    assert len(macs) == TOY.architectures
    description = counts.describe_space(TOY)
    assert (description["macs_min"], description["macs_max"]) == (min(macs), max(macs))
    assert description["macs_uniform"] == pytest.approx(sum(macs) / len(macs))


def test_block_counts_by_hand():
    # 4x4x8 -> 2x2x16, expansion 6: inner width 48
    block = Block(OpSpec.parse("mb6_k5"), 8, 16, 2, 4, False)
    assert counts.macs(block) == 8 * 48 * 16 + 25 * 48 * 4 + 48 * 16 * 4
    kernels = 8 * 48 + 25 * 48 + 48 * 16
    assert counts.params(block) == kernels + 2 * (48 + 48 + 16)


def test_zero_costs_nothing():
    block = Block(OpSpec("zero"), 8, 8, 1, 4, True)
    assert (counts.macs(block), counts.params(block)) == (0, 0)


@pytest.mark.parametrize("name", ["mb1_k3", *MBCONV_CANDIDATES])
def test_params_count_the_real_arrays_of_every_operation(name):
    block = Block(OpSpec.parse(name), 8, 8, 1, 6, True)
    assert counts.params(block) == size(parts.shapes(block)[0])


def test_params_count_the_real_arrays_of_the_fixed_parts():
    for part in PAPER.fixed_parts:
        assert counts.params(part) == size(parts.shapes(part)[0])


def test_params_of_a_network_are_those_that_init_makes():
    net = architecture.homogeneous(PAPER, OpSpec.parse("mb6_k3"))
    params, _ = jax.eval_shape(lambda key: network.init(key, net), jax.random.key(0))
    assert size(params) == HOMOGENEOUS["mb6_k3"][1]


def test_params_of_a_candidate_are_those_that_the_supernet_gives():
    tree = jax.eval_shape(lambda key: supernet.init(key, TOY), jax.random.key(0))
    for index, layer in enumerate(TOY.layers):
        for op in layer.candidates:
            params, batch_stats = jax.eval_shape(
                lambda tree, index=index, op=op: supernet.candidate(
                    TOY, *tree, index, op
                ),
                tree,
            )
            assert counts.params(layer.block(op)) == size(params)
            shapes = parts.shapes(layer.block(op))
            for ours, expected in zip((params, batch_stats), shapes, strict=True):
                assert jax.tree.map(lambda leaf: leaf.shape, ours) == jax.tree.map(
                    lambda leaf: leaf.shape, expected
                )


def test_candidate_macs_are_zero_exactly_where_nothing_is_computed():
    table, _ = counts.costs(PAPER, counts.macs)
    assert table.shape == (21, 7)
    assert (table[:, 6] == 0).all()
    assert (table[:, :6] > 0).all()
    assert table[0, 1] == counts.macs(PAPER.layers[0].block(PAPER.candidates[1]))


@pytest.mark.parametrize("count", [counts.macs, counts.params])
def test_counts_take_the_place_of_a_table(count):
    """The additive cost of a path is the count of its network."""
    costs, fixed = counts.costs(TOY, count)
    model = cost.CostModel(costs, fixed)
    offered = [row.nonzero()[0] for row in TOY.mask]
    for path in itertools.product(*offered):
        parts = architecture.from_path(TOY, path, "net").parts
        assert float(cost.of_path(model, np.array(path))) == sum(map(count, parts))


def test_description_of_a_network_has_the_agreed_keys_and_order():
    net = architecture.homogeneous(TOY, OpSpec.parse("mb3_k3"))
    description = counts.describe(net)
    assert list(description) == [
        *("name", "input_size", "classes", "layers", "macs", "params")
    ]
    for row in description["layers"]:
        assert list(row) == [
            *("name", "op", "in", "out", "stride", "input", "macs", "params")
        ]
    rows = [(row["name"], row["op"], row["out"]) for row in description["layers"]]
    assert rows == [
        ("stem", "conv_k3", 8),
        ("block_0", "mb1_k3", 16),
        ("block_1", "mb3_k3", 16),
        ("block_2", "mb3_k3", 16),
        ("head", "conv_k1", 32),
        ("classifier", "linear", 10),
    ]
    assert description["layers"][2]["stride"] == 2
    assert json.loads(json.dumps(description)) == description


def test_description_of_a_space_has_the_agreed_keys():
    description = counts.describe_space(PAPER)
    assert set(description) == {
        *("name", "input_size", "classes", "layers", "macs", "params"),
        *("searchable_layers", "candidates_per_layer", "architectures"),
        *("supernet_weights", "macs_min", "macs_uniform", "macs_max"),
    }
    assert description["searchable_layers"] == 21
    assert description["candidates_per_layer"] == [
        *(6, 7, 7, 7) * 5,
        6,
    ]
    assert description["architectures"] == 6**6 * 7**15
    assert json.loads(json.dumps(description)) == description
