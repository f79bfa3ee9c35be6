"""Networks to compare with: hand-designed, cheapest, random of the same latency."""

import itertools

import numpy as np
import pytest

from nas_jax.config import SpaceConfig
from nas_jax.config.space import ElasticConfig
from nas_jax.networks import counts
from nas_jax.search import baselines
from nas_jax.search.derivation import Limit
from nas_jax.search.targets import Costs, Targets
from nas_jax.spaces import architecture, builders, elastic
from nas_jax.spaces.operations import OpSpec


def toy(*candidates, hand_designed=()):
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
            hand_designed=hand_designed,
        )
    )


# Layer 0 changes the width and offers no `zero` (candidate 2): 2 * 3 * 3 networks.
TOY = toy("mb3_k3", "mb6_k3", "zero")
MODEL = Costs(np.array([[1.0, 2.0, 0.0], [4.0, 8.0, 0.0], [16.0, 32.0, 0.0]]), 0.5)
# every network of this latency: 1 or 2, 4 or 8 or 0, 16 or 32 or 0, all distinct
each = MODEL.candidates
LATENCIES = {
    (a, b, c): 0.5 + each[0, a] + each[1, b] + each[2, c]
    for a, b, c in itertools.product((0, 1), (0, 1, 2), (0, 1, 2))
}


def draw(seed, latency_ms, model=MODEL, **options):
    rng = np.random.default_rng(seed)
    network = baselines.random_of_latency(rng, TOY, [model], latency_ms, **options)
    assert network.name == "random"
    return tuple(architecture.path_of(TOY, network).tolist())


def test_hand_designed_is_3x3_with_expansion_6_everywhere():
    network = baselines.hand_designed(TOY)
    assert network.name == "baseline"
    assert [block.op.name for block in network.blocks[1:]] == ["mb6_k3"] * 3


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ("mb6_k5_hs mb3_k3_hs mb6_k3_hs mb6_k3_se_hs", "mb6_k3_hs"),
        ("uib2_a0_k3 uib4_a3_k3 uib4_a0_k3 uib4_a3_k0", "uib4_a0_k3"),
        ("mb9_k3 mb6_k3", "mb6_k3"),
    ],
)
def test_hand_designed_of_other_blocks_is_the_largest_bottleneck_of_3x3(
    candidates, expected
):
    network = baselines.hand_designed(toy(*candidates.split(), "zero"))
    assert [block.op.name for block in network.blocks[1:]] == [expected] * 3


def test_space_without_a_bottleneck_of_3x3_has_none():
    with pytest.raises(ValueError, match="no hand-designed baseline"):
        baselines.hand_designed(toy("mb3_k5", "uib4_a3_k3", "fused_mb4_k3", "zero"))


def test_a_space_brings_its_own_hand_designed_network():
    names = ["mb3_k3", "zero", "mb6_k5"]
    space = toy("mb3_k3", "mb6_k5", "zero", hand_designed=tuple(names))
    network = baselines.hand_designed(space)
    assert network.name == "baseline"
    assert [block.op.name for block in network.blocks[1:]] == names


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("mb3_k3",), "hand_designed: expected one operation for each of 3 layers"),
        (("mb3_k3", "mb9", "zero"), "mb9"),
        (("zero", "zero", "mb3_k3"), "expected for layer 0 one of mb3_k3, mb6_k3, got"),
        (("mb3_k3", "mb4_k3", "zero"), "expected for layer 1 .*zero, got 'mb4_k3'"),
    ],
)
def test_a_hand_designed_network_of_another_space_is_refused(names, message):
    with pytest.raises(ValueError, match=message):
        toy("mb3_k3", "mb6_k3", "zero", hand_designed=names)


def test_space_without_the_hand_designed_operation_is_refused():
    with pytest.raises(ValueError, match=r"'toy' does not offer 'mb6_k3'.*add it"):
        baselines.hand_designed(toy("mb3_k3", "mb6_k5"))


def test_cheapest_takes_no_masked_entry():
    path = architecture.path_of(TOY, baselines.cheapest(TOY, [MODEL]))
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
    equal = Costs(np.zeros((3, 3)), 1.0)
    drawn = [draw(seed, 1.0, equal) for seed in range(900)]
    counts = np.array([drawn.count(path) for path in LATENCIES])
    assert counts.sum() == 900
    assert ((counts - 50) ** 2 / 50).sum() < 40.79


@pytest.mark.parametrize(("latency_ms", "path"), [(0.1, (0, 2, 2)), (99.0, (1, 1, 1))])
def test_random_network_falls_back_to_the_nearest(latency_ms, path):
    assert draw(0, latency_ms) == path


ELASTIC = elastic.build(
    ElasticConfig(
        input_sizes=(16, 24),
        input_channels=1,
        classes=4,
        stem_widths=(8, 16),
        stage_choices=((8, 16), (16, 24, 32)),
        cells=(2, 2),
        strides=(1, 2),
        head_channels=32,
    )
)
MACS = [Costs(*counts.costs(shape, counts.macs)) for shape in ELASTIC.shapes]


def macs(network):
    return sum(map(counts.macs, network.parts))


def test_among_several_shapes_the_cheapest_and_the_random_are_of_any():
    cheapest = baselines.cheapest(ELASTIC, MACS)
    assert cheapest.stem.input_size == 16
    rng, goal = np.random.default_rng(0), 20 * macs(cheapest)
    drawn = [
        baselines.random_of_latency(rng, ELASTIC, MACS, goal, tolerance=0.05)
        for _ in range(30)
    ]
    assert all(abs(macs(network) / goal - 1) < 0.055 for network in drawn)
    assert len({network.blocks[-1].out_channels for network in drawn}) > 1
    assert {network.stem.input_size for network in drawn} == {16, 24}


def test_scaled_networks_are_what_a_person_would_do():
    base = baselines.hand_designed(ELASTIC.middle)
    goal = 0.5 * macs(base)
    found = baselines.scaled(ELASTIC, MACS, goal, 4, within=(0.7, 1.3))
    assert [network.name for network in found] == [
        f"scaled_{place}" for place in range(1, len(found) + 1)
    ]
    assert len(found) > 1
    off = [abs(macs(network) / goal - 1) for network in found]
    assert off == sorted(off)
    assert off[-1] <= 0.3
    assert len(baselines.scaled(ELASTIC, MACS, goal, 1)) <= 1
    for network in found:
        kept = [block.op for block in network.blocks if not block.op.is_zero]
        assert len(set(kept)) == 1  # one expansion everywhere
        assert kept[0].kernel == 3


def test_a_network_to_start_from_is_thinned_with_its_own_kernels():
    layers = len(ELASTIC.middle.layers)
    ops = [OpSpec("mbconv", 5 if place % 2 else 3, 6) for place in range(layers)]
    given = architecture.from_ops(ELASTIC.middle, ops, "given")
    goal = 0.5 * macs(given)
    found = baselines.scaled(ELASTIC, MACS, goal, 4, (0.7, 1.3), like=given)
    assert found
    for network in found:
        kept = [
            (block.op.kernel, place % 2)
            for place, block in enumerate(network.blocks)
            if not block.op.is_zero
        ]
        assert all(kernel == (5 if odd else 3) for kernel, odd in kept)
        assert len({b.op.expansion for b in network.blocks if not b.op.is_zero}) == 1


def test_comparison_is_at_the_latency_of_the_searched_network():
    rng = np.random.default_rng(3)
    goal = 0.4 * macs(baselines.hand_designed(ELASTIC.middle))
    searched = baselines.random_of_latency(rng, ELASTIC, MACS, goal)
    networks = baselines.comparison(ELASTIC, MACS, searched, 2, seed=0)
    assert [*networks] == ["random", "baseline", "cheapest", "random_1", "random_2"]
    for name in ("random_1", "random_2"):
        assert abs(macs(networks[name]) / macs(searched) - 1) < 0.035
    assert networks["baseline"].stem.input_size == 24


def test_random_and_scaled_networks_keep_the_limits():
    goal = 0.4 * macs(baselines.hand_designed(ELASTIC.middle))
    searched = baselines.random_of_latency(
        np.random.default_rng(3), ELASTIC, MACS, goal
    )
    first = next(
        number
        for number, shape in enumerate(ELASTIC.shapes)
        if shape.stem.input_size == min(s.stem.input_size for s in ELASTIC.shapes)
    )
    small = ELASTIC.shapes[first].stem.input_size

    def keeps(shape, path):
        return ELASTIC.shapes[shape].stem.input_size == small

    networks = baselines.comparison(ELASTIC, MACS, searched, 4, 0, keeps)
    drawn = [one for name, one in networks.items() if name.startswith("random_")]
    assert [one.stem.input_size for one in drawn] == [small] * 4
    for one in drawn:
        assert abs(macs(one) / macs(searched) - 1) < 0.035
    free = baselines.comparison(ELASTIC, MACS, searched, 4, 0)
    assert any(one.stem.input_size != small for one in free.values())

    found = baselines.scaled(ELASTIC, MACS, goal, 4, (0.5, 1.5), keeps=keeps)
    assert found and all(one.stem.input_size == small for one in found)

    none = baselines.comparison(ELASTIC, MACS, searched, 2, 0, lambda *_: False)
    assert [*none] == ["random", "baseline", "cheapest"]


def test_limits_of_a_gradient_search_are_kept_but_for_the_target():
    costs = np.array([[1.0, 2.0], [1.0, 2.0]])
    limits = (Limit("latency", costs, 0.0, 1.0), Limit("macs:3.1", costs, 0.1, 3.1))
    goal = Targets(limits)
    assert goal.keeps(0, np.array([0, 1])) and goal.keeps(0, np.array([0, 0]))
    assert not goal.keeps(0, np.array([1, 1]))
    kept = np.array([[True, True], [True, False]])
    assert not Targets(limits, kept=kept).keeps(0, np.array([0, 1]))
    assert Targets(limits, kept=kept).keeps(0, np.array([1, 0]))


def test_a_network_of_another_space_has_no_latency():
    other = baselines.hand_designed(TOY)
    with pytest.raises(ValueError, match="is none of space"):
        baselines.comparison(ELASTIC, MACS, other, 0, seed=0)
