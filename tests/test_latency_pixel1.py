"""The paper's space under the phone's table: sums that were computed from it elsewhere.

Expected sums: method facts of the project, worked out from the same table independently
of this package.
"""

import jax.numpy as jnp
import pixel1
import pytest

from nas_jax import gates, latency, space

PAPER = space.imagenet_mobile()


@pytest.fixture(scope="module")
def model():
    costs, fixed = pixel1.costs()
    return latency.CostModel(jnp.asarray(costs), fixed)


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
