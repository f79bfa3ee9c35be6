"""Weights cut from another network: what must not change does not.

Each way of being smaller is tried on a source in which what is left out does nothing,
so the logits stay; each way of being larger on any source.
"""

import dataclasses

import jax
import numpy as np
import pytest

from nas_jax.config import SpaceConfig
from nas_jax.networks import inherit, network
from nas_jax.networks.checkpoint import Model
from nas_jax.spaces.architecture import from_ops
from nas_jax.spaces.builders import mobile
from nas_jax.spaces.operations import OpSpec
from nas_jax.supernet import shared
from tests import compiled
from tests.drawn import drawn

CONFIG = SpaceConfig(
    name="small",
    input_size=16,
    input_channels=3,
    classes=5,
    stem_channels=16,
    first_block_channels=8,
    stage_widths=(16, 24),
    cells=(2, 3),
    strides=(2, 2),
    head_channels=32,
    candidates=(*(f"mb{e}_k{k}" for e in (3, 4, 6, 8) for k in (3, 5, 7)), "zero"),
)
OPS = ("mb6_k5", "mb3_k3", "mb4_k5", "mb3_k5", "mb3_k3")
KEY = jax.random.key(1)


def build(config=CONFIG, ops=OPS, padding="same"):
    parsed = [OpSpec.parse(op) for op in ops]
    made = from_ops(mobile(config), parsed, "net")
    return dataclasses.replace(made, padding=padding)


@pytest.fixture
def source():
    """Any weights."""
    return drawn(build())


IMAGES = np.random.default_rng(2).normal(size=(4, 16, 16, 3)).astype(np.float32)


def logits(model, images=IMAGES):
    return np.asarray(model(images))


def made(source, other):
    found = inherit.inherit(source, other, KEY)
    shapes = network.shapes(other)
    for ours, expected in zip(found[:2], shapes, strict=True):
        jax.tree.map(assert_like, ours, expected)
    return Model(other, found.params, found.batch_stats), found.notes


def assert_like(array, shape):
    assert (array.shape, array.dtype) == (shape.shape, shape.dtype)


def test_the_same_network_gets_the_weights_as_they_are(source):
    found, notes = made(source, source.architecture)
    jax.tree.map(np.testing.assert_array_equal, found.params, source.params)
    jax.tree.map(np.testing.assert_array_equal, found.batch_stats, source.batch_stats)
    assert notes == ()


@pytest.mark.parametrize(
    "other",
    [
        build(dataclasses.replace(CONFIG, stage_widths=(24, 32))),
        build(dataclasses.replace(CONFIG, stem_channels=24, first_block_channels=16)),
        build(dataclasses.replace(CONFIG, head_channels=48)),
        build(ops=("mb6_k5", "mb6_k3", "mb6_k5", "mb4_k5", "mb3_k3")),
        build(ops=("mb6_k7", "mb3_k5", "mb4_k7", "mb3_k7", "mb3_k7")),
        build(
            dataclasses.replace(CONFIG, stage_widths=(32, 40), stem_channels=32),
            ("mb8_k7", "mb4_k5", "mb6_k5", "mb3_k5", "mb4_k5"),
        ),
    ],
    ids=["widths", "stem", "head", "expansions", "kernels", "all"],
)
def test_a_larger_network_computes_the_same(source, other):
    found, notes = made(source, other)
    np.testing.assert_allclose(logits(found), logits(source), atol=2e-5)
    assert notes == ()


def quiet(source, blocks, layer, channels):
    """The source with some outputs of a layer always 0."""
    params = jax.tree.map(np.array, source.params)
    for index in blocks:
        for name in ("scale", "bias"):
            params["blocks"][index][layer]["bn"][name][channels] = 0
    return dataclasses.replace(source, params=params)


def test_expansions_lose_the_hidden_channels_that_do_nothing(source):
    """16 of the 48 of block 1."""
    lost = np.random.default_rng(3).permutation(48)[:16]
    silent = quiet(source, [1], "depthwise", lost)
    other = build(ops=("mb4_k5", *OPS[1:]))
    found, _ = made(silent, other)
    np.testing.assert_allclose(logits(found), logits(silent), atol=2e-5)
    kept = np.setdiff1d(np.arange(48), lost)
    expected = source.params["blocks"][1]["expand"]["kernel"][..., kept]
    np.testing.assert_array_equal(
        found.params["blocks"][1]["expand"]["kernel"], expected
    )


def test_stages_lose_the_channels_that_nobody_writes(source):
    """8 of 24 of the last stage, whose three blocks share a stream."""
    lost = np.random.default_rng(3).permutation(24)[:8]
    silent = quiet(source, [3, 4, 5], "project", lost)
    found, _ = made(silent, build(dataclasses.replace(CONFIG, stage_widths=(16, 16))))
    # hidden channels are 3 or 4 per input: others are left out, so by their importance
    assert found.architecture.blocks[4].inner_channels == 48
    kept = np.setdiff1d(np.arange(24), lost)
    head = np.asarray(found.params["head"]["kernel"])
    np.testing.assert_array_equal(head, source.params["head"]["kernel"][:, :, kept])


def test_kernels_are_cropped_about_their_centre(source):
    params = jax.tree.map(np.array, source.params)
    kernel = params["blocks"][1]["depthwise"]["kernel"]
    kernel[[0, -1]] = kernel[:, [0, -1]] = 0
    ringed = dataclasses.replace(source, params=params)
    found, _ = made(ringed, build(ops=("mb6_k3", *OPS[1:])))
    np.testing.assert_allclose(logits(found), logits(ringed), atol=2e-5)


def test_zero_leaves_the_shortcut(source):
    silent = quiet(source, [2], "project", slice(None))
    found, notes = made(silent, build(ops=(OPS[0], "zero", *OPS[2:])))
    np.testing.assert_allclose(logits(found), logits(silent), atol=2e-5)
    assert notes == ()


def test_an_operation_for_zero_begins_as_the_shortcut(source):
    other = build(ops=(OPS[0], "zero", *OPS[2:]))
    without, _ = made(source, other)
    again, notes = made(without, build())
    assert notes == ("block 2: mb3_k3 drawn anew, there was zero",)
    assert not again.params["blocks"][2]["project"]["bn"]["scale"].any()
    np.testing.assert_allclose(logits(again), logits(without), atol=2e-5)


def test_grey_images_see_the_planes_added_up(source):
    grey = IMAGES[..., :1]
    config = dataclasses.replace(CONFIG, input_channels=1)
    found, notes = made(source, build(config))
    expected = logits(source, np.repeat(grey, 3, axis=-1))
    np.testing.assert_allclose(logits(found, grey), expected, atol=2e-5)
    assert notes == ("stem: 3 channels of the weights for 1: added up",)
    again, notes = made(found, build())
    assert notes == ("stem: 1 channels of the weights for 3: spread",)
    same = logits(again, np.repeat(grey, 3, axis=-1))
    np.testing.assert_allclose(same, expected, atol=2e-5)


def test_images_may_have_another_side_and_classes_another_number(source):
    other = build(dataclasses.replace(CONFIG, input_size=24, classes=9))
    found, notes = made(source, other)
    assert notes == ("classifier: drawn anew for 9 classes, the weights have 5",)
    for name in ("stem", "blocks", "head"):
        jax.tree.map(
            np.testing.assert_array_equal, found.params[name], source.params[name]
        )
    assert np.abs(found.params["classifier"]["kernel"]).max() > 0


def test_channels_in_the_order_of_their_importance_compute_the_same(source):
    found = inherit.inherit(source, source.architecture, KEY, in_order=True)
    ordered = Model(source.architecture, found.params, found.batch_stats)
    np.testing.assert_allclose(logits(ordered), logits(source), atol=2e-5)
    kernel = source.params["blocks"][2]["expand"]["kernel"]
    moved = ordered.params["blocks"][2]["expand"]["kernel"]
    assert not np.array_equal(moved, kernel)
    norms = [np.sort((each**2).sum((0, 1, 2))) for each in (moved, kernel)]
    np.testing.assert_allclose(*norms, rtol=1e-5)


@pytest.mark.parametrize(
    "other",
    [
        build(dataclasses.replace(CONFIG, stage_widths=(8, 16))),
        build(ops=("mb3_k3", "zero", "mb3_k3", "mb3_k3", "zero")),
    ],
    ids=["widths", "operations"],
)
def test_a_shared_supernet_in_order_holds_the_weights_of_every_network(source, other):
    within = shared.widest([source.architecture, other])
    found = inherit.inherit(source, within, KEY, in_order=True)
    stats = network.zero_stats(within)
    choice = shared.choice(other)
    ours, _ = compiled.apply_masked(
        within, found.params, stats, choice, IMAGES, train=True
    )
    alone, _ = made(source, other)
    expected, _ = compiled.apply(
        other, alone.params, alone.batch_stats, IMAGES, train=True
    )
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (build(dataclasses.replace(CONFIG, strides=(1, 2))), "strides .2, 1, 2, 1, 2"),
        (
            build(dataclasses.replace(CONFIG, cells=(2, 2)), OPS[:4]),
            "expected 6 blocks .* got 5 with",
        ),
        (build(padding="centre"), "expected Conventions.* as the weights were trained"),
    ],
)
def test_another_skeleton_is_refused(source, other, line):
    with pytest.raises(ValueError, match=rf"weights of 'net' for 'net': .*{line}"):
        inherit.inherit(source, other, KEY)
