"""The paper's space under the phone's table: sums that were computed from it elsewhere.

`data/pixel1_means.json` holds the means of the table that the reference downloads
(Google Pixel 1, ms; origin inside). Expected sums: method facts of the project, worked
out from the same table independently of this package.
"""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.config import shipped
from nas_jax.latency import tables
from nas_jax.latency.dialects import reference_part
from nas_jax.search import cost, gates
from nas_jax.spaces import builders, published
from tests.fixtures import FIXTURES

SOURCE = json.loads((FIXTURES / "pixel1_means.json").read_text(encoding="utf-8"))[
    "mean_ms"
]
PAPER = builders.imagenet_mobile()
TABLE = tables.load(shipped.folder("latency_tables") / "pixel1_tflite.json")


@pytest.fixture(scope="module")
def model():
    costs, fixed_ms = tables.costs(TABLE, PAPER)
    return cost.CostModel(jnp.asarray(costs), fixed_ms)


def test_shipped_table_is_the_source_entry_by_entry():
    means = {key: entry.mean_ms for key, entry in TABLE.entries.items()}
    assert means == {reference_part(name).key: SOURCE[name] for name in SOURCE}
    assert len(means) == 72
    assert TABLE.provenance["licence"] == "none stated at the source"


def test_published_networks_have_parts_that_the_phone_s_table_lacks():
    keys = "mb3_k5 112x112x16->56x56x32 s2", "mb3_k3 56x56x32->56x56x32 s1 skip"
    with pytest.raises(ValueError) as caught:
        tables.predict_ms(TABLE, published.get("proxyless_mobile"), "pixel1")
    message = str(caught.value)
    assert message.startswith("pixel1: expected an entry for every part of 'proxyless")
    assert "got none for 3 of them" in message
    assert all(repr(key) in message for key in keys)
    assert "`nas_jax measure EXPERIMENT --also NETWORK --out TABLE.json`" in message


def test_golden_sums_to_a_millionth_in_double_precision():
    costs, fixed_ms = tables.costs(TABLE, PAPER)
    movable = np.where(costs > 0, costs, np.nan)  # without zero
    uniform = (costs.sum(axis=1) / PAPER.mask.sum(axis=1)).sum()
    sums = {
        11.364155586724564: fixed_ms,
        29.608775604781385: fixed_ms + np.where(PAPER.mask, costs, 1e9).min(1).sum(),
        76.04809868594553: fixed_ms + np.nanmin(movable, axis=1).sum(),
        113.98812882557645: fixed_ms + uniform,
        191.02987126996143: fixed_ms + costs.max(axis=1).sum(),
    }
    for golden_ms, found_ms in sums.items():
        assert found_ms == pytest.approx(golden_ms, abs=1e-6)


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
    assert float(cost.of_path(model, path)) == pytest.approx(expected_ms, rel=1e-6)
    probs = jnp.zeros(PAPER.mask.shape).at[:, column].set(1.0)
    assert float(cost.expected(model, probs)) == pytest.approx(expected_ms, rel=1e-6)


def test_uniform_expectation_and_reachable_range(model):
    mask = jnp.asarray(PAPER.mask)
    uniform = gates.probabilities(jnp.zeros(mask.shape), mask)
    expected = float(cost.expected(model, uniform))
    assert expected == pytest.approx(113.988129, rel=1e-6)
    smallest, largest = cost.reachable(model, PAPER.mask)
    assert smallest == pytest.approx(29.608776, rel=1e-6)
    assert largest == pytest.approx(191.029871, rel=1e-6)
