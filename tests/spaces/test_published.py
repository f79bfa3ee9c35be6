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
PROXYLESS = [name for name in CHAINS if name.startswith("proxyless")]


def test_every_name_is_counted_here():
    assert set(published.NAMES) == set(SIZES)


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
