"""Networks that papers published, by name, with 1000 classes.

The specialised networks of ProxylessNAS (Cai, Zhu, Han, ICLR 2019): operations and
widths are those of the authors' `proxyless_{gpu,cpu,mobile,mobile_14}.config`. Their
widths follow no single multiplier, so they are written out. MobileNetV2 (Sandler et
al., CVPR 2018, table 2), the hand-designed baseline, in the form of the same reference
implementation: no shortcut in the first block, batch normalisation with eps 1e-3.

Those of other families (MobileNetV3 and V4, EfficientNet, Once-for-All, FBNet) are
written in `config.families`. `proxyless_cifar` is the network of tree cells for
CIFAR-10, 32x32 with 10 classes (B = 18, F = 400; `proxyless_cifar.config`).
"""

import dataclasses
from typing import NamedTuple

from nas_jax.config import families
from nas_jax.config.space import TREE_CANDIDATES, SpaceConfig
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import Architecture, from_ops
from nas_jax.spaces.operations import OpSpec


class _Published(NamedTuple):
    """A chain of the mobile space: widths in channels, operations of each stage."""

    stem: int
    first_block: int
    widths: tuple[int, ...]
    head: int
    stages: tuple[str, ...]


_GPU = (
    "mb3_k5 zero zero zero",
    "mb3_k7 zero zero mb3_k3",
    "mb6_k7 zero zero mb3_k5",
    "mb6_k5 zero mb3_k3 mb3_k5",
    "mb6_k7 mb6_k7 mb6_k7 mb6_k5",
    "mb6_k7",
)
_CPU = (
    "mb6_k3 mb3_k3 mb3_k3 mb3_k3",
    "mb6_k3 mb3_k3 mb3_k3 mb3_k5",
    "mb6_k3 zero zero mb3_k3",
    "mb6_k5 mb3_k3 mb3_k3 mb3_k3",
    "mb6_k5 mb3_k5 mb3_k5 mb3_k3",
    "mb6_k5",
)
_MOBILE = (
    "mb3_k5 mb3_k3 zero zero",
    "mb3_k7 mb3_k3 mb3_k5 mb3_k5",
    "mb6_k7 mb3_k5 mb3_k5 mb3_k5",
    "mb6_k5 mb3_k5 mb3_k5 mb3_k5",
    "mb6_k7 mb6_k7 mb3_k7 mb3_k7",
    "mb6_k7",
)
_MOBILENET_V2 = tuple("mb6_k3 " * cells for cells in (2, 3, 4, 3, 3, 1))

_NETWORKS = {
    "proxyless_gpu": _Published(40, 24, (32, 56, 112, 128, 256, 432), 1728, _GPU),
    "proxyless_cpu": _Published(40, 24, (32, 48, 88, 104, 216, 360), 1432, _CPU),
    "proxyless_mobile": _Published(32, 16, (32, 40, 80, 96, 192, 320), 1280, _MOBILE),
    "proxyless_mobile_14": _Published(
        48, 24, (40, 56, 112, 136, 256, 448), 1792, _MOBILE
    ),
    "mobilenet_v2": _Published(32, 16, (24, 32, 64, 96, 160, 320), 1280, _MOBILENET_V2),
    # the widths above times 1.4, rounded to multiples of 8
    "mobilenet_v2_14": _Published(
        48, 24, (32, 48, 88, 136, 224, 448), 1792, _MOBILENET_V2
    ),
}

# one letter per operation, twelve per cell in the order of `topology.EDGES`
_TREE_OPS = dict(zip("i357dam", TREE_CANDIDATES, strict=True))
_CIFAR_CELLS = """
7dim7m555d77 aaai3imdi7dd 73ai5a33add5 a5d53dd737i7 a5did577amim 77mm35ad37ii
dimm777537ii d57d57maa537 75mdiim3amad 53ii37357i57 775a35dadid3 5a5d33a775d3
m73m7d3a5m7i 3md77d5i3d73 dm3adda5ii5i 5d5iaad55573 7555d3im7d37 miid3i757mid
d5ama7573aam 7i7di7d37mm5 ma3didmm5mia d73aa337iadd dmam7i7didam 7m75mimadim7
ia55m5d7addm 3adidddaa3a3 dm77imm55m5d 3737aim377mm 7775a33id3a3 5aiia5a3a7am
iad3i7i7maid 75im7dmdm777 3m37i35i335i dd37d733dimi mi5i5a3ai7ad 775mda775355
aaaada75iiia mia75iiaii7i d7m3i5a3iima 7a57a3ma3imm ia7ii7ia5ma7 d5iim57d75id
miamamdi5a3i 75777ad3m77a ddmad37iddm5 aamd3md7diai ma7m335aidi3 57ddimm357mi
73m7dammm55m mia5d3573377 ia5377i7773a 553mai5am55i 3d3mmaimd733 73m75i5m3m37
"""

NAMES = (*_NETWORKS, *families.NETWORKS, "proxyless_cifar")


def get(name: str, input_size: int | None = None) -> Architecture:
    """A published network, for images of its own side or of `input_size`.

    Raises `ValueError` with the known names for another, and for tree cells at another
    side than theirs.

    >>> get("proxyless_gpu").head.out_channels
    1728
    """
    if name not in NAMES:
        raise ValueError(
            f"published network {name!r}: expected one of {', '.join(NAMES)}"
        )
    if name == "proxyless_cifar":
        if input_size not in (None, 32):
            raise ValueError(f"{name}: expected images of side 32, got {input_size}")
        letters = "".join(_CIFAR_CELLS.split())
        ops = [OpSpec.parse(_TREE_OPS[letter]) for letter in letters]
        network = from_ops(builders.cifar10_tree(), ops, name)
        # its configuration names no epsilon: the framework's default then
        return dataclasses.replace(network, bn_eps=1e-5)
    if family := families.NETWORKS.get(name):
        side = input_size or family.input_size
        space = builders.mobile(dataclasses.replace(family, input_size=side))
        return from_ops(space, space.hand_designed, name)
    stem, first_block, widths, head, stages = _NETWORKS[name]
    config = SpaceConfig(
        name=name,
        input_size=224 if input_size is None else input_size,
        stem_channels=stem,
        first_block_channels=first_block,
        stage_widths=widths,
        cells=tuple(len(stage.split()) for stage in stages),
        head_channels=head,
    )
    ops = [OpSpec.parse(op) for op in " ".join(stages).split()]
    return from_ops(builders.mobile(config), ops, name)
