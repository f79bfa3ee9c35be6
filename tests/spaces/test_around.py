"""The space around a network: the network is one of it, and smaller ones are."""

import dataclasses

import pytest

from nas_jax.config import SpaceConfig
from nas_jax.search import baselines
from nas_jax.spaces import around, builders, elastic, published
from nas_jax.spaces.architecture import from_ops, from_path, path_of
from nas_jax.spaces.operations import OpSpec

NETWORKS = ("mobilenet_v2", "proxyless_cpu", "proxyless_gpu")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_is_one_of_the_space_around_it(name):
    network = dataclasses.replace(published.get(name), padding="same", bn_eps=1e-5)
    config = around.space(network, (224,), 3, 1000)
    space = elastic.build(config)
    place, path = elastic.place_of(space, network)
    assert space.network(place, path, name) == network
    widest = max(space.shapes, key=lambda one: one.layers[0].out_channels)
    assert widest.conventions == network.conventions
    # a quarter less wide in every stage is another shape
    # and the network itself is what others are held against
    of_middle = baselines.hand_designed(space.middle)
    assert dataclasses.replace(of_middle, name=network.name) == network
    widths = {len(choices) for choices in config.stage_choices}
    assert widths <= {1, 2} and 2 in widths


@pytest.mark.parametrize("name", NETWORKS)
def test_another_side_and_other_classes_change_nothing_else(name):
    network = published.get(name)
    small = around.resized(network, 96, 1, 7)
    assert small.input_shape == (96, 96, 1)
    assert small.classifier.classes == 7
    assert [one.op for one in small.blocks] == [one.op for one in network.blocks]
    assert around.resized(small, 224, 3, 1000) == network


def test_widths_of_neighbouring_stages_stay_apart():
    """Where they met at stride 1, a network would have a shortcut its weights lack."""
    network = published.get("mobilenet_v2")
    config = around.space(network, (96,), 3, 10)
    pairs = zip(config.stage_choices, config.stage_choices[1:], strict=False)
    for (here, there), stride in zip(pairs, config.strides[1:], strict=False):
        assert stride == 2 or max(here) < min(there)


def test_networks_that_no_space_has_are_refused():
    with pytest.raises(
        ValueError, match=r"expected a chain of mbconv and zero, got avg_k3"
    ):
        around.space(published.get("proxyless_cifar"), (32,), 3, 10)
    config = SpaceConfig(input_size=32, cells=(1,), stage_widths=(24,), strides=(2,))
    made = from_ops(builders.mobile(config), [OpSpec.parse("mb3_k3")], "net")
    first = dataclasses.replace(made.blocks[0], op=OpSpec("mbconv", 5, 1))
    other = dataclasses.replace(made, blocks=(first, *made.blocks[1:]))
    with pytest.raises(ValueError, match="expected a first block mb1_k3 or none"):
        around.resized(other, 64, 3, 10)


def test_paths_are_those_of_the_middle_shape_too():
    config = around.space(published.get("mobilenet_v2"), (96,), 3, 10)
    middle = builders.build(config)
    path = path_of(middle, from_path(middle, [0] * len(middle.layers), "cheap"))
    assert not path.any()
