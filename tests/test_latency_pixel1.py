"""The paper's space under the phone's table: sums that were computed from it elsewhere.

`data/pixel1_means.json` holds the means of the table that the reference downloads
(Google Pixel 1, ms; origin inside). Expected sums: method facts of the project, worked
out from the same table independently of this package.
"""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import gates, latency, space

MEANS = json.loads(
    (Path(__file__).parent / "data" / "pixel1_means.json").read_text(encoding="utf-8")
)["mean_ms"]
PAPER = space.imagenet_mobile()


def shape(size, channels):
    return f"{size}x{size}x{channels}"


def block_key(block):
    """The reference's name of a block."""
    return (
        f"expanded_conv-input:{shape(block.input_size, block.in_channels)}-output:"
        f"{shape(block.output_size, block.out_channels)}-expand:{block.op.expansion}-"
        f"kernel:{block.op.kernel}-stride:{block.stride}-idskip:{int(block.shortcut)}"
    )


@pytest.fixture(scope="module")
def model():
    costs = np.zeros(PAPER.mask.shape)
    for row, layer in enumerate(PAPER.layers):
        for op in layer.candidates:
            if op.kind != "zero":
                column = PAPER.candidates.index(op)
                costs[row, column] = MEANS[block_key(layer.block(op))]
    fixed = [
        "Conv-input:224x224x3-output:112x112x32",
        block_key(PAPER.first_block),
        "Conv_1-input:7x7x320-output:7x7x1280",
        "Logits-input:7x7x1280-output:1000",
    ]
    return latency.CostModel(jnp.asarray(costs), sum(MEANS[key] for key in fixed))


def test_fixed_parts_sum_to_the_known_overhead(model):
    assert model.fixed == pytest.approx(11.364156, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "expected_ms"),
    [
        ("mb3_k3", 76.048099),
        ("mb6_k3", 136.466266),
        ("mb3_k5", 87.720278),
        ("mb6_k5", 158.952746),
        ("mb3_k7", 103.666165),
        ("mb6_k7", 191.029871),
    ],
)
def test_networks_of_one_operation(model, name, expected_ms):
    column = [op.name for op in PAPER.candidates].index(name)
    path = jnp.full(len(PAPER.layers), column)
    assert float(latency.of_path(model, path)) == pytest.approx(expected_ms, rel=1e-6)
    probs = jnp.zeros(PAPER.mask.shape).at[:, column].set(1.0)
    assert float(latency.expected(model, probs)) == pytest.approx(expected_ms, rel=1e-6)


def test_uniform_expectation_and_reachable_range(model):
    mask = jnp.asarray(PAPER.mask)
    uniform = gates.probabilities(jnp.zeros(mask.shape), mask)
    expected = float(latency.expected(model, uniform))
    assert expected == pytest.approx(113.988129, rel=1e-6)
    smallest, largest = latency.reachable(model, PAPER.mask)
    assert smallest == pytest.approx(29.608776, rel=1e-6)
    assert largest == pytest.approx(191.029871, rel=1e-6)
