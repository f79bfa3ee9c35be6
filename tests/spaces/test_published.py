"""The published networks, against the authors' files and counts.

Files: tests/data/reference/ORIGINS.md. The counts are those of the official logs.
"""

import json

import pytest

from nas_jax.networks import counts
from nas_jax.spaces import published
from tests.fixtures import FIXTURES

REFERENCE = FIXTURES / "reference"
# MACs and parameters: of the proxyless networks, the authors' logs rounded them to
# 465.3M/7.12M, 439.2M/4.36M, 320.4M/4.08M, 581M; of MobileNetV2, the paper says 300M,
# and its reference cost at width 1.4 is 582e6 in the ProxylessNAS code.
SIZES = {
    "proxyless_gpu": (465_260_160, 7_119_848),
    "proxyless_cpu": (439_243_864, 4_361_648),
    "proxyless_mobile": (320_427_584, 4_080_512),
    "proxyless_mobile_14": (580_883_408, 6_857_568),
    "proxyless_cifar": (1_213_155_872, 5_731_530),
    "mobilenet_v2": (300_774_272, 3_504_872),
    "mobilenet_v2_14": (582_195_824, 6_108_776),
}
CHAINS = [name for name in SIZES if name != "proxyless_cifar"]
# Counted from the definitions in huggingface/pytorch-image-models (aa4b5850),
# tensorflow/models (001ec92b), mit-han-lab/once-for-all (f03b2673) and
# facebookresearch/mobile-vision by a counter of its own; the parameters are timm's
# `param_count` to its two decimals. At each side: MACs and parameters.
FAMILIES = {
    ("mobilenet_v3_large", 224): (216_589_760, 5_483_032),
    ("mobilenet_v3_large_075", 224): (154_560_624, 3_993_528),
    ("mobilenet_v3_large_minimal", 224): (209_136_704, 3_924_288),
    ("mobilenet_v3_small", 224): (56_510_400, 2_542_856),
    ("mobilenet_v3_small_075", 224): (43_399_344, 2_041_872),
    ("mobilenet_v4_conv_s", 224): (186_005_568, 3_774_024),
    ("mobilenet_v4_conv_s", 256): (242_178_048, 3_774_024),
    ("mobilenet_v4_conv_s", 320): (376_992_000, 3_774_024),
    ("mobilenet_v4_conv_s", 384): (541_764_608, 3_774_024),
    ("mobilenet_v4_conv_m", 224): (827_649_984, 9_715_512),
    ("mobilenet_v4_conv_m", 256): (1_080_244_224, 9_715_512),
    ("mobilenet_v4_conv_m", 320): (1_686_470_400, 9_715_512),
    ("mobilenet_v4_conv_m", 384): (2_427_413_504, 9_715_512),
    ("mobilenet_v4_conv_l", 224): (2_171_341_312, 32_590_864),
    ("mobilenet_v4_conv_l", 256): (2_835_269_632, 32_590_864),
    ("mobilenet_v4_conv_l", 320): (4_428_697_600, 32_590_864),
    ("mobilenet_v4_conv_l", 384): (6_376_220_672, 32_590_864),
    ("efficientnet_b0", 224): (385_814_752, 5_288_548),
    ("efficientnet_lite0", 224): (385_187_552, 4_652_008),
    ("ofa_k3_e3_d2", 128): (41_476_224, 3_410_792),
    ("ofa_k3_e3_d2", 224): (121_278_672, 3_410_792),
    ("ofa_k5_e4_d3", 128): (84_099_584, 4_551_792),
    ("ofa_k5_e4_d3", 224): (250_746_944, 4_551_792),
    ("ofa_k7_e6_d4", 128): (188_248_320, 7_664_760),
    ("ofa_k7_e6_d4", 224): (566_170_656, 7_664_760),
    ("ofa_k3_e6_d4", 128): (144_810_240, 7_299_960),
    ("ofa_k3_e6_d4", 224): (433_141_536, 7_299_960),
    ("ofa_k7_e3_d4", 128): (97_698_432, 4_554_328),
    ("ofa_k7_e3_d4", 224): (292_708_368, 4_554_328),
    ("ofa_k7_e6_d2", 128): (94_696_704, 4_837_928),
    ("ofa_k7_e6_d2", 224): (282_627_744, 4_837_928),
    ("ofa_w12_k3_e3_d2", 128): (65_536_896, 4_602_456),
    ("ofa_w12_k3_e3_d2", 224): (193_078_200, 4_602_456),
    ("ofa_w12_k5_e4_d3", 128): (128_931_840, 6_245_312),
    ("ofa_w12_k5_e4_d3", 224): (385_659_168, 6_245_312),
    ("ofa_w12_k7_e6_d4", 128): (279_987_456, 10_701_632),
    ("ofa_w12_k7_e6_d4", 224): (843_101_040, 10_701_632),
    ("ofa_w12_k3_e6_d4", 128): (224_046_336, 10_258_112),
    ("ofa_w12_k3_e6_d4", 224): (671_781_360, 10_258_112),
    ("ofa_w12_k7_e3_d4", 128): (145_454_208, 6_207_768),
    ("ofa_w12_k7_e3_d4", 224): (436_743_096, 6_207_768),
    ("ofa_w12_k7_e6_d2", 128): (144_825_600, 6_654_768),
    ("ofa_w12_k7_e6_d2", 224): (433_476_336, 6_654_768),
    # MACs are Facebook's 291.1 and 378.2 M; its parameters have a bias beside each BN
    ("fbnet_b", 224): (291_004_424, 4_816_216),
    ("fbnet_c", 224): (378_136_224, 5_590_784),
}
# only as their authors rounded them: Lite's README, Facebook's model zoo
ROUNDED = {
    "efficientnet_lite1": (631e6, 5.4e6),
    "efficientnet_lite2": (899e6, 6.1e6),
    "efficientnet_lite3": (1.44e9, 8.2e6),
    "efficientnet_lite4": (2.64e9, 13.0e6),
    "fbnet_a": (244.5e6, 4.3e6),
}
# bytes of the float32 weights in MB, as Intelligent-Microsystems-Lab's
# HeterogeneousQuantization lists them: every parameter to 5,000
LITE_MB = {
    "efficientnet_lite0": 18.61,
    "efficientnet_lite1": 21.67,
    "efficientnet_lite2": 24.37,
    "efficientnet_lite3": 32.79,
    "efficientnet_lite4": 52.03,
}
# block by block: inner width, width of the squeeze, parameters, MACs
BLOCKS = {
    "mobilenet_v3_large": """
        16 0 464 5017600, 64 0 3440 19468288, 72 0 4440 12870144, 72 24 10328 9091584,
        120 32 20992 9886080, 120 32 20992 9886080, 240 0 32080 11712960,
        200 0 34760 6624800, 184 0 31992 6094816, 184 0 31992 6094816,
        480 120 214424 19025280, 672 168 386120 30914688, 672 168 429224 21069216,
        960 240 797360 16689600, 960 240 797360 16689600""",
    "mobilenet_v3_small": """
        16 8 744 1254656, 72 0 3864 5475456, 88 0 5416 3932544, 96 24 13736 3033984,
        240 64 57264 4969920, 240 64 57264 4969920, 120 32 21968 2665440,
        144 40 29800 3426624, 288 72 91848 4458528, 576 144 294096 6290496,
        576 144 294096 6290496""",
    "efficientnet_b0": """
        32 8 1448 10035712, 96 4 6004 29203200, 144 6 10710 25742016,
        144 6 15350 18177984, 240 10 31290 19761600, 240 10 37130 11717760,
        480 20 102900 15918720, 480 20 102900 15918720, 480 20 126004 20434560,
        672 28 208572 32833920, 672 28 208572 32833920, 672 28 262492 21934752,
        1152 48 587952 23197824, 1152 48 587952 23197824, 1152 48 587952 23197824,
        1152 48 717232 29520000""",
    "mobilenet_v4_conv_s": """
        0 0 9280 28901376, 0 0 1088 3211264, 0 0 27840 21676032, 0 0 6272 4816896,
        192 0 38208 15441664, 192 0 39552 7564032, 192 0 39552 7564032,
        192 0 39552 7564032, 192 0 39552 7564032, 384 0 75744 14620032,
        576 0 137824 14874048, 512 0 149632 7206528, 512 0 146176 7049728,
        384 0 109696 5287296, 512 0 137984 6648320, 512 0 137984 6648320""",
}
PROXYLESS = [name for name in CHAINS if name.startswith("proxyless")]


def test_every_name_is_counted_here():
    families = {name for name, _ in FAMILIES}
    assert set(published.NAMES) == {*SIZES, *families, *ROUNDED}


def biases(network):
    """One for each channel that a block's convolution has: FBNet's code has these."""
    channels = 0
    for block in network.blocks:
        if not block.op.is_zero:
            inner = block.inner_channels
            channels += inner + block.out_channels + inner * (block.op.expansion > 1)
    return channels


@pytest.mark.parametrize(("name", "side"), FAMILIES)
def test_size_is_that_of_the_family(name, side):
    network = published.get(name, side)
    size = counts.describe(network)
    params = size["params"] + (biases(network) if name.startswith("fbnet") else 0)
    assert (size["macs"], params) == FAMILIES[name, side]
    assert size["input_size"] == side


@pytest.mark.parametrize("name", ROUNDED)
def test_size_is_near_the_authors(name):
    """Lite's counts of MACs are 5 % above what its weights take, as is Lite0's."""
    size, (macs, params) = counts.describe(published.get(name)), ROUNDED[name]
    assert size["macs"] == pytest.approx(macs, rel=0.08)
    assert size["params"] == pytest.approx(params, rel=0.01)


@pytest.mark.parametrize("name", LITE_MB)
def test_lite_weighs_what_its_weights_do(name):
    params = counts.describe(published.get(name))["params"]
    assert round(4e-6 * params, 2) == LITE_MB[name]


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_is_that_of_the_family(name):
    found = [
        [
            block.inner_channels,
            block.squeezed_channels,
            counts.params(block),
            counts.macs(block),
        ]
        for block in published.get(name).blocks
    ]
    expected = [list(map(int, row.split())) for row in BLOCKS[name].split(",")]
    assert found == expected


def test_shortcuts_stand_where_a_bottleneck_keeps_its_shape():
    blocks = published.get("mobilenet_v4_conv_s").blocks
    found = "".join("y" if block.shortcut else "-" for block in blocks)
    # the convolution from 32 to 32 channels has none
    assert found == "-----yyyyy-yyyyy"


@pytest.mark.parametrize("name", SIZES)
def test_size_is_the_published_one(name):
    size = counts.describe(published.get(name))
    assert (size["macs"], size["params"]) == SIZES[name]
    is_cifar = name == "proxyless_cifar"
    assert (size["input_size"], size["classes"]) == (
        (32, 10) if is_cifar else (224, 1000)
    )
    assert size["name"] == name


def mobilenet_v2_size(width_of, head):
    """MACs and parameters of table 2 of Sandler et al., written out once more."""
    side, channels = 112, width_of(32)
    macs, params = 27 * channels * side**2, 29 * channels
    rows = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
    rows += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, width, cells, first_stride in rows:
        for cell in range(cells):
            inner, out = channels * expansion, width_of(width)
            if expansion > 1:
                macs += channels * inner * side**2
                params += (channels + 2) * inner
            side //= first_stride if cell == 0 else 1
            macs += (9 + out) * inner * side**2
            params += (9 + 2) * inner + (inner + 2) * out
            channels = out
    macs += channels * head * side**2 + head * 1000
    params += (channels + 2) * head + (head + 1) * 1000
    return macs, params


def test_mobilenet_v2_is_table_2_of_its_paper():
    assert mobilenet_v2_size(lambda width: width, 1280) == SIZES["mobilenet_v2"]


def test_mobilenet_v2_14_has_the_widths_of_the_reference():
    rounded = {32: 48, 16: 24, 24: 32, 64: 88, 96: 136, 160: 224, 320: 448}

    def width_of(width):
        assert abs(rounded[width] - 1.4 * width) <= 4.8
        return rounded[width]

    # 1.4 * 32 occurs as stem and as stage: both are 44.8, so both are 48
    assert mobilenet_v2_size(width_of, 1792) == SIZES["mobilenet_v2_14"]


@pytest.mark.parametrize("name", CHAINS)
def test_first_block_has_no_shortcut_and_expansion_1(name):
    first = published.get(name).blocks[0]
    assert (first.op.name, first.stride, first.shortcut) == ("mb1_k3", 1, False)


@pytest.mark.parametrize("name", PROXYLESS)
def test_every_block_is_that_of_the_authors_file(name):
    network = published.get(name)
    stored = json.loads((REFERENCE / f"{name}.json").read_text())
    for block, theirs in zip(network.blocks, stored["blocks"], strict=True):
        expected = [theirs[key] for key in ("in", "out", "stride", "shortcut", "h_out")]
        assert [
            *(block.in_channels, block.out_channels, block.stride, block.shortcut),
            block.output_size,
        ] == expected
        if theirs["op"] == "Zero":
            assert block.op.name == "zero"
        else:
            assert block.op.name == f"mb{theirs['expand']}_k{theirs['kernel']}"
    assert network.head.out_channels == stored["feature_mix"]["out"]
    assert network.bn_eps == stored["bn"]["eps"]


def test_every_cell_is_that_of_the_authors_file():
    """Widths of the 54 cells, and their trees [branch][edge] = [op, [leaf, leaf]]."""
    network = published.get("proxyless_cifar")
    stored = json.loads((REFERENCE / "proxyless_cifar.json").read_text())
    names = {"sep3": "sep_k3", "sep5": "sep_k5", "sep7": "sep_k7", "dil3": "dil_k3"}
    names |= {"avg3": "avg_k3", "max3": "max_k3", "identity": "identity"}
    assert len(network.cells) == len(stored["blocks"]) == 54
    for index, theirs in enumerate(stored["blocks"]):
        cell = network.cells[index]
        expected = [theirs[key] for key in ("in", "w", "out", "stride")]
        assert [
            cell.in_channels,
            cell.width,
            cell.out_channels,
            cell.stride,
        ] == expected
        ops = [
            names[op]
            for branch in theirs["tree"]
            for edge, leaves in branch
            for op in (edge, *leaves)
        ]
        assert [block.op.name for block in network.blocks_of(index)] == ops


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'mobilenet': expected one of") as error:
        published.get("mobilenet")
    assert all(name in str(error.value) for name in published.NAMES)
    assert "\n" not in str(error.value)
