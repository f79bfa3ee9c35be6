"""Spaces in which image side and widths are choices."""

import numpy as np
import pytest

from nas_jax.config.space import ElasticConfig
from nas_jax.search import baselines
from nas_jax.spaces import builders, elastic

SMALL = ElasticConfig(
    input_sizes=(16, 24),
    input_channels=1,
    classes=4,
    stem_widths=(8, 16),
    stage_choices=((8, 16), (16, 24, 32)),
    cells=(1, 2),
    strides=(1, 2),
    head_channels=32,
)


def test_every_choice_of_side_and_widths_is_a_shape():
    space = elastic.build(SMALL)
    assert len(space.shapes) == 2 * 2 * 2 * 3
    assert {shape.stem.input_size for shape in space.shapes} == {16, 24}
    # stem, first stage and both cells of the second: 6 operations, zero where widths
    # and stride allow a shortcut
    assert space.architectures == 2 * 3 * (6 * 6 * 7 * 2 + 7 * 6 * 7 * 2)
    assert space.masks.shape == (24, 3, 7)


def test_widths_never_fall():
    config = ElasticConfig(
        stage_choices=((16, 32), (24, 40)), cells=(1, 1), strides=(1, 2)
    )
    widths = {
        tuple(layer.out_channels for layer in shape.layers)
        for shape in elastic.build(config).shapes
    }
    assert widths == {(16, 24), (16, 40), (32, 40)}


def test_a_network_is_a_shape_and_a_path():
    space = elastic.build(SMALL)
    network = space.network(len(space.shapes) - 1, np.array([0, 5, 6]), "one")
    assert network.input_shape == (24, 24, 1)
    assert [block.op.name for block in network.blocks] == ["mb2_k3", "mb6_k5", "zero"]
    assert network.blocks[1].out_channels == 32


def test_the_hand_designed_network_is_in_the_middle():
    network = baselines.hand_designed(builders.build(SMALL))
    assert network.stem.input_size == 24
    assert [block.out_channels for block in network.blocks] == [16, 24, 24]
    assert {block.op.name for block in network.blocks} == {"mb6_k3"}


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"input_sizes": ()}, "space.input_sizes: expected one or more numbers"),
        ({"input_sizes": (32, 24)}, "space.input_sizes: expected one or more numbers"),
        ({"stem_widths": (8, 8)}, "space.stem_widths: expected one or more numbers"),
        ({"stage_choices": ((8,), ())}, "space.stage_choices: expected one or more"),
        ({"cells": (1,)}, "one value per stage in each"),
        ({"cells": (9999, 9999)}, "space.cells: expected at most"),
        ({"candidates": ("mb3_k3", "mb3_k3")}, "distinct names"),
    ],
)
def test_what_is_no_space_is_refused(fields, line):
    with pytest.raises(ValueError, match=line):
        ElasticConfig(
            **{"stage_choices": ((8,), (16,)), "cells": (1, 2), "strides": (1, 2)}
            | fields
        )


def test_widths_that_must_fall_are_refused():
    config = ElasticConfig(stage_choices=((32,), (16,)), cells=(1, 1), strides=(1, 2))
    with pytest.raises(ValueError, match="expected widths that do not fall"):
        elastic.build(config)
