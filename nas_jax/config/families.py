"""Spaces and networks of families that papers published, as configurations. No JAX.

A network is written as a space whose layers have one candidate each. Adapt a space
with `dataclasses.replace`:

    space = dataclasses.replace(families.MOBILENET_V3, input_size=96, classes=10)

Blocks, widths and strides are those of MobileNetV3 (Howard et al., ICCV 2019, tables 1
and 2), MobileNetV4 (Qin et al., ECCV 2024), EfficientNet (Tan, Le, ICML 2019) and its
Lite form, Once-for-All (Cai et al., ICLR 2020) and FBNet (Wu et al., CVPR 2019), with
the code that their authors published.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from nas_jax.config.space import (
    MBCONV_CANDIDATES,
    ActivationName,
    EndsConfig,
    SpaceConfig,
)
from nas_jax.config.widths import round_channels


def _chain(name: str, stages: str, **fields: Any) -> SpaceConfig:
    """A network from its stages, a line `width/stride: operations` each.

    `op*3` stands for three layers.
    """
    widths, strides, ops = [], [], []
    for line in stages.strip().splitlines():
        place, _, words = line.strip().partition(": ")
        width, _, stride = place.partition("/")
        repeated = (word.partition("*") for word in words.split())
        widths.append(int(width))
        strides.append(int(stride))
        ops.append([op for op, _, times in repeated for _ in range(int(times or 1))])
    every = tuple(op for stage in ops for op in stage)
    return SpaceConfig(
        name=name,
        first_block_channels=None,
        stage_widths=tuple(widths),
        strides=tuple(strides),
        cells=tuple(map(len, ops)),
        candidates=tuple(dict.fromkeys(every)),
        stage_candidates=tuple(tuple(dict.fromkeys(stage)) for stage in ops),
        hand_designed=every,
        **fields,
    )


def _stages(network: SpaceConfig) -> list[tuple[str, ...]]:
    """The operations of a network, stage by stage."""
    ops = iter(network.hand_designed)
    return [tuple(next(ops) for _ in range(cells)) for cells in network.cells]


def _space(
    network: SpaceConfig,
    name: str,
    offered: Iterable[str],
    cells: tuple[int, ...],
    required_cells: int = 0,
) -> SpaceConfig:
    """The space around a network: what each stage offers, besides the network's own.

    A stage of more cells than the network's has `zero` in those of the network.
    """
    stages = [
        tuple(dict.fromkeys([*words.split(), *own]))
        for words, own in zip(offered, _stages(network), strict=True)
    ]
    every = dict.fromkeys(op for stage in stages for op in stage if op != "zero")
    ops = [
        op
        for own, most in zip(_stages(network), cells, strict=True)
        for op in [*own, *["zero"] * (most - len(own))]
    ]
    return replace(
        network,
        name=name,
        cells=cells,
        candidates=(*every, "zero"),
        stage_candidates=tuple(stages),
        hand_designed=tuple(ops),
        required_cells=required_cells,
    )


# --- MobileNetV3 ---------------------------------------------------------------------

_V3_LARGE = """
    16/1: mb1_k3_relu
    24/2: mb4_k3_relu mb3_k3_relu
    40/2: mb3_k5_se_relu*3
    80/2: mb6_k3_hs mb2.5_k3_hs mb2.3_k3_hs*2
    112/1: mb6_k3_se_hs*2
    160/2: mb6_k5_se_hs*3
"""
_V3_SMALL = """
    16/2: mb1_k3_se_relu
    24/2: mb4.5_k3_relu mb3.67_k3_relu
    40/2: mb4_k5_se_hs mb6_k5_se_hs*2
    48/1: mb3_k5_se_hs*2
    96/2: mb6_k5_se_hs*3
"""
# no squeeze, ReLU alone, 3x3 alone
_V3_MINIMAL = _V3_LARGE.replace("_se", "").replace("_hs", "_relu").replace("_k5", "_k3")


def _v3(
    name: str,
    stages: str,
    head: int,
    hidden: int,
    width: float = 1.0,
    activation: ActivationName = "hard_swish",
) -> SpaceConfig:
    return _chain(
        name,
        stages,
        stem_channels=16,
        width_mult=width,
        head_channels=head,
        ends=EndsConfig(activation, activation, hidden, "bias", activation),
    )


_MOBILENET_V3 = (
    _v3("mobilenet_v3_large", _V3_LARGE, 960, 1280),
    _v3("mobilenet_v3_large_075", _V3_LARGE, 720, 1280, 0.75),
    _v3("mobilenet_v3_large_minimal", _V3_MINIMAL, 960, 1280, 1.0, "relu"),
    _v3("mobilenet_v3_small", _V3_SMALL, 576, 1024),
    _v3("mobilenet_v3_small_075", _V3_SMALL, 432, 1024, 0.75),
)


def _bottlenecks(styles: str, kernels: str, expansions: str) -> str:
    """`mb{expansion}_k{kernel}{style}` for all of these, and `zero`."""
    names = [
        f"mb{expansion}_k{kernel}{'' if style == '-' else style}"
        for style in styles.split()
        for kernel in kernels
        for expansion in expansions
    ]
    return " ".join([*names, "zero"])


MOBILENET_V3 = _space(
    _MOBILENET_V3[0],
    "mobilenet_v3",
    [
        "",
        _bottlenecks("_relu", "35", "36"),
        _bottlenecks("_relu _se_relu", "35", "36"),
        *[_bottlenecks("_hs _se_hs", "35", "36")] * 3,
    ],
    (1, 3, 4, 4, 4, 4),
)
"""MobileNetV3's: kernels, expansions and, from the third stage on, the squeeze."""

# --- MobileNetV4 ---------------------------------------------------------------------


def _v4(size: str, input_size: int, stem: int, stages: str) -> SpaceConfig:
    return _chain(
        f"mobilenet_v4_conv_{size}",
        stages,
        input_size=input_size,
        stem_channels=stem,
        head_channels=960,
        ends=EndsConfig("relu", "relu", 1280, "bn", "relu"),
    )


_V4_S = """
    32/2: conv_k3
    32/1: conv_k1
    96/2: conv_k3
    64/1: conv_k1
    96/2: uib3_a5_k5 uib2_a0_k3*4 uib4_a3_k0
    128/2: uib6_a3_k3 uib4_a5_k5 uib4_a0_k5 uib3_a0_k5 uib4_a0_k3*2
"""
_V4_M = """
    48/2: fused_mb4_k3
    80/2: uib4_a3_k5 uib2_a3_k3
    160/2: uib6_a3_k5 uib4_a3_k3*2 uib4_a3_k5 uib4_a3_k3 uib4_a3_k0 uib2_a0_k0 \
        uib4_a3_k0
    256/2: uib6_a5_k5 uib4_a5_k5 uib4_a3_k5*2 uib4_a0_k0 uib4_a3_k0 uib2_a3_k5 \
        uib4_a5_k5 uib4_a0_k0*2 uib2_a5_k0
"""
_V4_L = """
    48/2: fused_mb4_k3
    96/2: uib4_a3_k5 uib4_a3_k3
    192/2: uib4_a3_k5 uib4_a3_k3*3 uib4_a3_k5 uib4_a5_k3*5 uib4_a3_k0
    512/2: uib4_a5_k5*4 uib4_a5_k0 uib4_a5_k3 uib4_a5_k0*2 uib4_a5_k3 uib4_a5_k5 \
        uib4_a5_k0*3
"""
_MOBILENET_V4 = (
    _v4("s", 224, 32, _V4_S),
    _v4("m", 256, 32, _V4_M),
    _v4("l", 384, 24, _V4_L),
)


def _universal(pairs: str, expansions: str) -> str:
    """`uib{expansion}_a{start}_k{kernel}` for pairs like "0-3", and `zero`."""
    sides = [pair.split("-") for pair in pairs.split()]
    names = [f"uib{e}_a{a}_k{k}" for a, k in sides for e in expansions]
    return " ".join([*names, "zero"])


MOBILENET_V4_CONV = _space(
    _MOBILENET_V4[0],
    "mobilenet_v4_conv",
    ["", "", "", "", *[_universal("0-3 0-5 3-3 5-5 3-0 0-0", "24")] * 2],
    (1, 1, 1, 1, 6, 6),
)
"""MobileNetV4's convolutional one: which depthwise convolutions a block has."""

# --- EfficientNet --------------------------------------------------------------------

_EFFICIENTNET = (
    *((1, 16, 1, 1, 3), (2, 24, 2, 6, 3), (2, 40, 2, 6, 5), (3, 80, 2, 6, 3)),
    *((3, 112, 1, 6, 5), (4, 192, 2, 6, 5), (1, 320, 1, 6, 3)),
)
"""Layers, width, stride, expansion, kernel of each stage."""
_LITE = (
    *((1.0, 1.0, 224), (1.0, 1.1, 240), (1.1, 1.2, 260), (1.2, 1.4, 280)),
    (1.4, 1.8, 300),
)
"""Factors of width and depth and the side of the images, Lite0 to Lite4."""


def _efficientnet(
    name: str,
    style: str,
    scale: float,
    depth: float,
    side: int,
    activation: ActivationName,
) -> SpaceConfig:
    lines = []
    for place, (layers, width, stride, expansion, kernel) in enumerate(_EFFICIENTNET):
        # first and last stage keep their depth, stem and head their width
        is_inner = 0 < place < len(_EFFICIENTNET) - 1
        many = math.ceil(layers * depth) if is_inner else layers
        op = f"mb{expansion}_k{kernel}{style}"
        lines.append(f"{round_channels(width * scale)}/{stride}: {op}*{many}")
    return _chain(
        name,
        "\n".join(lines),
        input_size=side,
        ends=EndsConfig(activation, activation),
    )


_EFFICIENTNETS = (
    _efficientnet("efficientnet_b0", "_se_silu", 1.0, 1.0, 224, "silu"),
    *(
        _efficientnet(f"efficientnet_lite{number}", "", *factors, "relu6")
        for number, factors in enumerate(_LITE)
    ),
)
EFFICIENTNET_LITE = _space(
    _EFFICIENTNETS[1],
    "efficientnet_lite",
    ["", *[_bottlenecks("-", "35", "36")] * 6],
    (1, 3, 3, 4, 4, 4, 1),
)
"""EfficientNet-Lite's: no squeeze, ReLU6 alone, which 8 bits take well."""

# --- Once-for-All --------------------------------------------------------------------

_OFA_STYLES = ("_relu", "_se_relu", "_hs", "_se_hs", "_se_hs")


def _ofa(kernel: int, expansion: int, depth: int, scale: float = 1.0) -> SpaceConfig:
    lines = ["16/1: mb1_k3_relu"]
    places = ("24/2", "40/2", "80/2", "112/1", "160/2")
    for place, style in zip(places, _OFA_STYLES, strict=True):
        lines.append(f"{place}: mb{expansion}_k{kernel}{style}*{depth}")
    return _chain(
        f"ofa{'_w12' if scale > 1 else ''}_k{kernel}_e{expansion}_d{depth}",
        "\n".join(lines),
        stem_channels=16,
        width_mult=scale,
        head_channels=960,
        ends=EndsConfig(
            "hard_swish", "hard_swish", round_channels(1280 * scale), "plain"
        ),
    )


_OFA = tuple(
    _ofa(*numbers, scale)
    for scale in (1.0, 1.2)
    for numbers in ((3, 3, 2), (5, 4, 3), (7, 6, 4), (3, 6, 4), (7, 3, 4), (7, 6, 2))
)
OFA_MOBILENET_V3 = _space(
    _ofa(5, 4, 3),
    "ofa_mobilenet_v3",
    ["", *(_bottlenecks(style, "357", "346") for style in _OFA_STYLES)],
    (1, 4, 4, 4, 4, 4),
    required_cells=2,
)
"""Once-for-All's: kernels to 7, three expansions, and two to four layers a stage."""

# --- FBNet ---------------------------------------------------------------------------


def _fbnet(letter: str, head: int, stages: str) -> SpaceConfig:
    words = stages.split(" | ")
    places = ("16/1", "24/2", "32/2", "64/2", "112/1", "184/2", "352/1")
    lines = [f"{place}: {ops}" for place, ops in zip(places, words, strict=True)]
    named = "\n".join(lines).replace("_r", "_relu")
    return _chain(
        f"fbnet_{letter}",
        named,
        stem_channels=16,
        head_channels=head,
        ends=EndsConfig("relu", "relu"),
    )


_FBNETS = (
    _fbnet(
        "a",
        1504,
        "zero | mb3_k3_r mb1_k3_r zero*2 | mb6_k5_r mb3_k3_r mb1_k5_r mb3_k3_r | "
        "mb6_k5_r mb3_k5_r mb1_k5_g2 mb6_k5_r | mb6_k3_r mb1_k5_g2 mb3_k5_r mb1_k3_g2 "
        "| mb6_k5_r*2 mb3_k5_r mb6_k5_r | mb6_k5_r",
    ),
    _fbnet(
        "b",
        1984,
        "mb1_k3_r | mb6_k3_r mb1_k5_r mb1_k3_r*2 | mb6_k5_r mb3_k5_r mb6_k3_r mb6_k5_r "
        "| mb6_k5_r*2 zero mb3_k5_r | mb6_k5_r mb1_k3_r mb1_k5_r mb3_k5_r | mb6_k5_r "
        "mb1_k5_r mb6_k5_r*2 | mb6_k3_r",
    ),
    _fbnet(
        "c",
        1984,
        "mb1_k3_r | mb6_k3_r zero mb1_k3_r*2 | mb6_k5_r mb3_k5_r mb6_k5_r mb6_k3_r | "
        "mb6_k5_r mb3_k5_r mb6_k5_r*2 | mb6_k5_r*3 mb3_k5_r | mb6_k5_r*4 | mb6_k3_r",
    ),
)
FBNET = _space(
    _FBNETS[2],
    "fbnet",
    [
        "mb1_k3_relu mb1_k3_g2 mb3_k3_relu mb6_k3_relu "
        "mb1_k5_relu mb1_k5_g2 mb3_k5_relu mb6_k5_relu conv_k1 zero"
    ]
    * 7,
    _FBNETS[2].cells,
)
"""FBNet's: nine candidates in each of 22 layers; where `zero` cannot stand, a 1x1
convolution does."""


class Blocks(NamedTuple):
    """What a network of a family is made of, for a space of any widths and depth."""

    candidates: tuple[str, ...]
    ends: EndsConfig


BLOCKS = {
    "mobilenet_v2": Blocks(MBCONV_CANDIDATES, EndsConfig()),
    "mobilenet_v3": Blocks(
        tuple(_bottlenecks("_hs _se_hs", "35", "36").split()),
        EndsConfig("hard_swish", "hard_swish"),
    ),
    "mobilenet_v4": Blocks(
        tuple(_universal("0-3 0-5 3-3 5-5 3-0 0-0", "24").split()),
        EndsConfig("relu", "relu"),
    ),
    "efficientnet_lite": Blocks(
        tuple(_bottlenecks("-", "35", "36").split()), EndsConfig()
    ),
    "fbnet": Blocks(
        tuple(op for op in FBNET.candidates if op != "conv_k1"),
        EndsConfig("relu", "relu"),
    ),
}
"""Families by name, for `nas_jax start --blocks`."""
NETWORKS = {
    network.name: network
    for network in (*_MOBILENET_V3, *_MOBILENET_V4, *_EFFICIENTNETS, *_OFA, *_FBNETS)
}
"""Published networks by name."""
SPACES = {
    space.name: space
    for space in (
        MOBILENET_V3,
        MOBILENET_V4_CONV,
        EFFICIENTNET_LITE,
        OFA_MOBILENET_V3,
        FBNET,
    )
}
"""Spaces by name."""
