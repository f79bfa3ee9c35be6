"""Networks to compare with: hand-designed, cheapest, random of the same latency."""

import itertools

import numpy as np
import pytest

from nas_jax.config import SpaceConfig
from nas_jax.search import baselines
from nas_jax.search.cost import CostModel
from nas_jax.spaces import architecture, builders


def toy(*candidates):
    return builders.mobile(
        SpaceConfig(
            name="toy",
            input_size=8,
            stem_channels=8,
            first_block_channels=8,
            stage_widths=(16,),
            cells=(3,),
            strides=(1,),
            candidates=candidates,
            head_channels=32,
        )
    )


# Layer 0 changes the width and offers no `zero` (candidate 2): 2 * 3 * 3 networks.
TOY = toy("mb3_k3", "mb6_k3", "zero")
MODEL = CostModel(np.array([[1.0, 2.0, 0.0], [4.0, 8.0, 0.0], [16.0, 32.0, 0.0]]), 0.5)
# every network of this latency: 1 or 2, 4 or 8 or 0, 16 or 32 or 0, all distinct
LATENCIES = {
    (a, b, c): 0.5 + MODEL.costs[0, a] + MODEL.costs[1, b] + MODEL.costs[2, c]
    for a, b, c in itertools.product((0, 1), (0, 1, 2), (0, 1, 2))
}


def draw(seed, latency_ms, model=MODEL, **options):
    rng = np.random.default_rng(seed)
    network = baselines.random_of_latency(rng, TOY, model, latency_ms, **options)
    assert network.name == "random"
    return tuple(architecture.path_of(TOY, network).tolist())


def test_hand_designed_is_3x3_with_expansion_6_everywhere():
    network = baselines.hand_designed(TOY)
    assert network.name == "baseline"
    assert [block.op.name for block in network.blocks[1:]] == ["mb6_k3"] * 3


def test_space_without_the_hand_designed_operation_is_refused():
    with pytest.raises(ValueError, match=r"'toy' does not offer 'mb6_k3'.*add it"):
        baselines.hand_designed(toy("mb3_k3", "mb6_k5"))


def test_cheapest_takes_no_masked_entry():
    path = architecture.path_of(TOY, baselines.cheapest(TOY, MODEL))
    assert path.tolist() == [0, 2, 2]


@pytest.mark.parametrize("path", [(0, 0, 1), (1, 2, 0), (1, 1, 1)])
def test_random_network_has_the_latency_asked_for(path):
    drawn = draw(0, LATENCIES[path] * 1.005, tolerance=0.01)
    assert drawn == path


def test_random_network_lies_within_the_tolerance_and_uses_it():
    drawn = {draw(seed, 22.0, tolerance=0.2) for seed in range(60)}
    inside = {path for path, ms in LATENCIES.items() if abs(ms / 22 - 1) <= 0.2}
    assert drawn == inside
    assert len(inside) > 2


def test_random_network_is_a_function_of_the_seed():
    paths = [draw(seed, 22.0, tolerance=0.5) for seed in (1, 1, 2, 3, 4, 5)]
    assert paths[0] == paths[1]
    assert len(set(paths)) > 1


def test_random_network_is_uniform_over_those_of_the_latency():
    """All 18 networks cost the same here; chi-square, 17 degrees of freedom, 99.9 %."""
    equal = CostModel(np.zeros((3, 3)), 1.0)
    drawn = [draw(seed, 1.0, equal) for seed in range(900)]
    counts = np.array([drawn.count(path) for path in LATENCIES])
    assert counts.sum() == 900
    assert ((counts - 50) ** 2 / 50).sum() < 40.79


@pytest.mark.parametrize(("latency_ms", "path"), [(0.1, (0, 2, 2)), (99.0, (1, 1, 1))])
def test_random_network_falls_back_to_the_nearest(latency_ms, path):
    assert draw(0, latency_ms) == path
