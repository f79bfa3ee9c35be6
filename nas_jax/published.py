"""Networks that papers published, by name, at 224x224 with 1000 classes.

The specialised networks of ProxylessNAS (Cai, Zhu, Han, ICLR 2019): operations and
widths are those of the authors' `proxyless_{gpu,cpu,mobile,mobile_14}.config`. Their
widths follow no single multiplier, so they are written out. MobileNetV2 (Sandler et
al., CVPR 2018, table 2), the hand-designed baseline, in the form of the same reference
implementation: no shortcut in the first block, batch normalisation with eps 1e-3.
"""

from typing import NamedTuple

from nas_jax import space
from nas_jax.architecture import Architecture, from_ops
from nas_jax.config import SpaceConfig
from nas_jax.parts import OpSpec


class _Published(NamedTuple):
    """Widths in channels, and the operations of each stage."""

    stem: int
    first_block: int
    widths: tuple[int, ...]
    head: int
    stages: tuple[str, ...]


_MOBILE_STAGES = (
    "mb3_k5 mb3_k3 zero zero",
    "mb3_k7 mb3_k3 mb3_k5 mb3_k5",
    "mb6_k7 mb3_k5 mb3_k5 mb3_k5",
    "mb6_k5 mb3_k5 mb3_k5 mb3_k5",
    "mb6_k7 mb6_k7 mb3_k7 mb3_k7",
    "mb6_k7",
)
_MOBILENET_V2_STAGES = tuple("mb6_k3 " * cells for cells in (2, 3, 4, 3, 3, 1))

_NETWORKS = {
    "proxyless_gpu": _Published(
        stem=40,
        first_block=24,
        widths=(32, 56, 112, 128, 256, 432),
        head=1728,
        stages=(
            "mb3_k5 zero zero zero",
            "mb3_k7 zero zero mb3_k3",
            "mb6_k7 zero zero mb3_k5",
            "mb6_k5 zero mb3_k3 mb3_k5",
            "mb6_k7 mb6_k7 mb6_k7 mb6_k5",
            "mb6_k7",
        ),
    ),
    "proxyless_cpu": _Published(
        stem=40,
        first_block=24,
        widths=(32, 48, 88, 104, 216, 360),
        head=1432,
        stages=(
            "mb6_k3 mb3_k3 mb3_k3 mb3_k3",
            "mb6_k3 mb3_k3 mb3_k3 mb3_k5",
            "mb6_k3 zero zero mb3_k3",
            "mb6_k5 mb3_k3 mb3_k3 mb3_k3",
            "mb6_k5 mb3_k5 mb3_k5 mb3_k3",
            "mb6_k5",
        ),
    ),
    "proxyless_mobile": _Published(
        stem=32,
        first_block=16,
        widths=(32, 40, 80, 96, 192, 320),
        head=1280,
        stages=_MOBILE_STAGES,
    ),
    "proxyless_mobile_14": _Published(
        stem=48,
        first_block=24,
        widths=(40, 56, 112, 136, 256, 448),
        head=1792,
        stages=_MOBILE_STAGES,
    ),
    "mobilenet_v2": _Published(
        stem=32,
        first_block=16,
        widths=(24, 32, 64, 96, 160, 320),
        head=1280,
        stages=_MOBILENET_V2_STAGES,
    ),
    # the widths above times 1.4, rounded to multiples of 8
    "mobilenet_v2_14": _Published(
        stem=48,
        first_block=24,
        widths=(32, 48, 88, 136, 224, 448),
        head=1792,
        stages=_MOBILENET_V2_STAGES,
    ),
}

NAMES = tuple(_NETWORKS)


def get(name: str) -> Architecture:
    """A published network; raises `ValueError` with the known names for another.

    >>> get("proxyless_gpu").head.out_channels
    1728
    """
    if name not in _NETWORKS:
        raise ValueError(
            f"published network {name!r}: expected one of {', '.join(NAMES)}"
        )
    network = _NETWORKS[name]
    stages = [stage.split() for stage in network.stages]
    config = SpaceConfig(
        name=name,
        stem_channels=network.stem,
        first_block_channels=network.first_block,
        stage_widths=network.widths,
        cells=tuple(map(len, stages)),
        head_channels=network.head,
    )
    ops = [OpSpec.parse(op) for stage in stages for op in stage]
    return from_ops(space.mobile(config), ops, name)
