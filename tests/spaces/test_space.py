"""The ImageNet space number by number, and every refusal of the space.

Golden numbers: the appendix of ProxylessNAS and the reference implementation
(mit-han-lab/proxylessnas), evaluated by hand and independently of this package.
"""

import numpy as np
import pytest

from nas_jax.config import SpaceConfig
from nas_jax.spaces import builders
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.space import LayerSpec

PAPER = builders.imagenet_mobile()
ZERO = OpSpec("zero")
MB3_K3 = OpSpec("mbconv", kernel=3, expansion=3)
TOY = builders.mobile(
    SpaceConfig(
        name="toy",
        input_size=8,
        stem_channels=8,
        stage_widths=(8, 16),
        cells=(1, 1),
        strides=(1, 1),
        first_block_channels=None,
        candidates=("mb3_k3", "zero", "mb6_k5"),
        head_channels=32,
    )
)

# Stage widths of the reference at w = 1.12 and w = 1.35; they are also those of the
# published CPU and GPU networks.
SCALED = {
    1.0: (32, 16, (24, 40, 80, 96, 192, 320), 1280),
    1.12: (40, 24, (32, 48, 88, 104, 216, 360), 1432),
    1.35: (40, 24, (32, 56, 112, 128, 256, 432), 1728),
}


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [
        (4, 8),
        (8, 8),
        (9.6, 16),  # 8 would be more than 10 % below
        (10, 16),
        (12, 16),
        (17.92, 24),  # 16 would be more than 10 % below
        (26.88, 32),  # 24 would be more than 10 % below
        (33, 32),
        (35.84, 40),
        (43.2, 40),
        (57.6, 56),
        (107.52, 104),
        (134.4, 136),
        (259.2, 256),
        (268.8, 272),
        (1433.6, 1432),
    ],
)
def test_channels_round_as_in_the_reference(channels, rounded):
    assert builders.round_channels(channels) == rounded


def test_imagenet_space_has_21_layers_15_of_them_with_zero():
    assert PAPER.mask.shape == (21, 7)
    assert [op.name for op in PAPER.candidates] == [
        *("mb3_k3", "mb6_k3", "mb3_k5", "mb6_k5", "mb3_k7", "mb6_k7"),
        "zero",
    ]
    assert PAPER.mask[:, :6].all()
    # the first cell of every stage changes the width or the size
    without_zero = [0, 4, 8, 12, 16, 20]
    assert np.flatnonzero(~PAPER.mask[:, 6]).tolist() == without_zero
    assert PAPER.mask.sum() == 141


def test_imagenet_space_counts_all_its_networks():
    assert PAPER.architectures == 6**6 * 7**15


@pytest.mark.parametrize("width_mult", SCALED)
def test_widths_are_those_of_the_reference(width_mult):
    stem, first, widths, head = SCALED[width_mult]
    scaled = builders.imagenet_mobile(width_mult)
    assert scaled.stem.out_channels == stem
    assert scaled.first_block.out_channels == first
    assert scaled.head.out_channels == scaled.classifier.in_channels == head
    cells = (4, 4, 4, 4, 4, 1)
    expected = [w for w, n in zip(widths, cells, strict=True) for _ in range(n)]
    assert [layer.out_channels for layer in scaled.layers] == expected


def test_head_does_not_shrink_with_a_width_below_one():
    assert builders.imagenet_mobile(0.5).head.out_channels == 1280


def test_stem_and_first_block_are_those_of_the_paper():
    stem, first = PAPER.stem, PAPER.first_block
    assert (stem.kernel, stem.stride, stem.in_channels, stem.out_channels) == (
        *(3, 2),
        *(3, 32),
    )
    assert first.op == OpSpec("mbconv", kernel=3, expansion=1)
    assert (first.stride, first.shortcut) == (1, False)
    assert (first.in_channels, first.out_channels, first.input_size) == (32, 16, 112)
    assert PAPER.input_shape == (224, 224, 3)
    assert PAPER.classifier.classes == 1000


def test_maps_shrink_at_the_first_cell_of_stages_1_2_3_and_5():
    assert [layer.stride for layer in PAPER.layers] == [
        *(2, 1, 1, 1),
        *(2, 1, 1, 1),
        *(2, 1, 1, 1),
        *(1, 1, 1, 1),
        *(2, 1, 1, 1),
        1,
    ]
    sizes = [PAPER.layers[first].output_size for first in (0, 4, 8, 12, 16, 20)]
    assert sizes == [56, 28, 14, 14, 7, 7]


def test_neighbouring_layers_fit():
    channels, size = 16, 112
    for layer in PAPER.layers:
        assert (layer.in_channels, layer.input_size) == (channels, size)
        channels, size = layer.out_channels, layer.output_size
    assert (PAPER.head.in_channels, PAPER.head.input_size) == (channels, size)


@pytest.mark.parametrize(("size", "strided"), [(1, 1), (7, 4), (8, 4), (224, 112)])
def test_output_size_is_that_of_symmetric_padding(size, strided):
    layer = LayerSpec((MB3_K3,), 8, 8, 2, size)
    assert layer.output_size == strided == layer.block(MB3_K3).output_size


def test_shortcut_exactly_at_stride_1_and_equal_widths():
    assert LayerSpec((MB3_K3,), 8, 8, 1, 4).block(MB3_K3).shortcut
    assert not LayerSpec((MB3_K3,), 8, 16, 1, 4).block(MB3_K3).shortcut
    assert not LayerSpec((MB3_K3,), 8, 8, 2, 4).block(MB3_K3).shortcut


@pytest.mark.parametrize(("out", "stride"), [(16, 1), (8, 2)])
def test_zero_without_shortcut_is_refused(out, stride):
    with pytest.raises(ValueError, match=rf"'zero'.*stride {stride}, 8 -> {out}"):
        LayerSpec((MB3_K3, ZERO), 8, out, stride, 4)


def test_operation_that_is_no_candidate_is_refused_with_the_list():
    with pytest.raises(ValueError, match=r"'mb6_k5'.*candidates are mb3_k3, zero"):
        LayerSpec((MB3_K3, ZERO), 8, 8, 1, 4).block(OpSpec.parse("mb6_k5"))


def test_space_of_zeros_only_is_refused():
    with pytest.raises(ValueError, match=r"space.candidates.*besides 'zero'"):
        builders.mobile(SpaceConfig(candidates=("zero",)))


@pytest.mark.parametrize("name", ["mb1_k3", "mb6_k7", "zero"])
def test_operation_names_round_trip(name):
    assert OpSpec.parse(name).name == name


@pytest.mark.parametrize(
    "name", ["", "mb6_k4", "mb0_k3", "mb6_k03", "mb6", "3x3_MBConv6", "Zero", "mb6_k3 "]
)
def test_unknown_operation_is_refused_with_the_spelling(name):
    with pytest.raises(ValueError, match=r"unknown operation .*mb<expansion>_k<odd"):
        OpSpec.parse(name)


def test_check_path_returns_a_valid_path():
    # layer 0 offers all three, layer 1 (8 -> 16 channels) all but zero
    checked = TOY.check_path([1, 2])
    assert (checked.tolist(), checked.dtype) == ([1, 2], np.int32)


@pytest.mark.parametrize(
    "path",
    [
        [0],
        [0, 0, 0],
        [[0, 0]],
        [0, 1],  # zero is not offered there
        [0, 3],
        [-1, 0],  # would index from the end
        [0.0, 0.0],
        [True, False],
        [],
    ],
)
def test_path_of_another_space_is_refused(path):
    with pytest.raises(ValueError, match="path: expected 2 candidate indices of space"):
        TOY.check_path(path)


def test_keys_tell_every_candidate_of_a_layer_apart():
    for layer in PAPER.layers:
        keys = {layer.block(op).key for op in layer.candidates}
        assert len(keys) == len(layer.candidates)


def test_space_without_first_block_starts_at_the_stem():
    assert TOY.first_block is None
    assert TOY.fixed_parts == (TOY.stem, TOY.head, TOY.classifier)
    assert TOY.layers[0].in_channels == TOY.stem.out_channels


def test_equal_configurations_give_equal_spaces_with_equal_hash():
    again = builders.imagenet_mobile()
    assert (again, hash(again)) == (PAPER, hash(PAPER))
    assert builders.imagenet_mobile(1.12) != PAPER
