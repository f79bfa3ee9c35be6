"""Names of tensors: how code bases call the layers of a chain of inverted bottlenecks.

Four write the same networks under other names. A layer is a convolution and the batch
normalisation after it; a block has an expansion (not at expansion 1), a depthwise
convolution and a projection, in this order. With its names and the shapes of its
tensors a network is known but for three things, which no file holds: the strides, the
padding and the epsilon. The strides are those of both families that are written so,
MobileNetV2 and EfficientNet-Lite; the reference writes its own into a file beside.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nas_jax.base import PyTree
from nas_jax.config.naming import few
from nas_jax.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import MBCONV, Block, OpSpec
from nas_jax.spaces.parts import Classifier, Conventions, Head, Stem

STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Of the first block of each stage; MobileNetV2 (CVPR 2018, table 2) and EfficientNet
(ICML 2019, table 1) agree."""
SIDES = {(21, 320): 240, (21, 352): 260, (24, 384): 280, (30, 448): 300}
"""Side of the images by blocks and last width, of EfficientNet-Lite1 to 4 (the README
of TensorFlow's); 224 of all others."""

Shape = tuple[int, ...]


class Layer(NamedTuple):
    """Names of a convolution and of the batch normalisation after it."""

    convolution: str
    norm: str


class Naming(NamedTuple):
    """The names of one code base."""

    title: str
    stem: Layer
    block: str
    """What names in a block begin with: a regular expression whose numbers are in the
    order of the blocks; the first of two is that of the stage."""
    expanded: tuple[Layer, Layer, Layer]
    plain: tuple[Layer, Layer]
    """At expansion 1."""
    head: Layer
    classifier: str


REFERENCE = Naming(
    "proxylessnas",
    Layer("first_conv.conv", "first_conv.bn"),
    r"blocks\.(\d+)\.mobile_inverted_conv\.",
    (
        Layer("inverted_bottleneck.conv", "inverted_bottleneck.bn"),
        Layer("depth_conv.conv", "depth_conv.bn"),
        Layer("point_linear.conv", "point_linear.bn"),
    ),
    (
        Layer("depth_conv.conv", "depth_conv.bn"),
        Layer("point_linear.conv", "point_linear.bn"),
    ),
    Layer("feature_mix_layer.conv", "feature_mix_layer.bn"),
    "classifier.linear",
)
EFFICIENTNET = Naming(
    "efficientnet_pytorch",
    Layer("_conv_stem", "_bn0"),
    r"_blocks\.(\d+)\.",
    (
        Layer("_expand_conv", "_bn0"),
        Layer("_depthwise_conv", "_bn1"),
        Layer("_project_conv", "_bn2"),
    ),
    (Layer("_depthwise_conv", "_bn1"), Layer("_project_conv", "_bn2")),
    Layer("_conv_head", "_bn1"),
    "_fc",
)
TIMM = Naming(
    "timm",
    Layer("conv_stem", "bn1"),
    r"blocks\.(\d+)\.(\d+)\.",
    (Layer("conv_pw", "bn1"), Layer("conv_dw", "bn2"), Layer("conv_pwl", "bn3")),
    (Layer("conv_dw", "bn1"), Layer("conv_pw", "bn2")),
    Layer("conv_head", "bn2"),
    "classifier",
)
TORCHVISION = Naming(
    "torchvision",
    Layer("features.0.0", "features.0.1"),
    r"features\.(\d+)\.conv\.",
    (Layer("0.0", "0.1"), Layer("1.0", "1.1"), Layer("2", "3")),
    (Layer("0.0", "0.1"), Layer("1", "2")),
    Layer("features.18.0", "features.18.1"),
    "classifier.1",
)
RECOGNISED = (EFFICIENTNET, TIMM, TORCHVISION)
"""Those whose files say their network; the reference writes it into a file beside."""


class Names(NamedTuple):
    """The names of a network's tensors, as trees of its parameters and statistics."""

    params: PyTree
    batch_stats: PyTree


def of(
    naming: Naming, network: Architecture, blocks: Sequence[str] | None = None
) -> Names:
    """The names that a network's tensors have in a code base.

    `blocks` are the beginnings of the names in its blocks; None for the reference's,
    which count them.
    """
    if blocks is None:
        count = len(network.blocks)
        blocks = [f"blocks.{place}.mobile_inverted_conv." for place in range(count)]
    owned: list[tuple[PyTree, PyTree]] = []
    for start, block in zip(blocks, network.blocks, strict=True):
        if block.op.is_zero:
            owned.append(({}, {}))
            continue
        layers = naming.expanded if block.op.expansion > 1 else naming.plain
        parts = ("expand", "depthwise", "project")[-len(layers) :]
        named = [_layer(layer, start) for layer in layers]
        params, stats = (
            dict(zip(parts, trees, strict=True)) for trees in zip(*named, strict=True)
        )
        owned.append((params, stats))
    stem, head = _layer(naming.stem), _layer(naming.head)
    linear = {name: f"{naming.classifier}.{end}" for name, end in _LINEAR}
    return Names(
        {
            "stem": stem[0],
            "blocks": [params for params, _ in owned],
            "head": head[0],
            "classifier": linear,
        },
        {
            "stem": stem[1],
            "blocks": [stats for _, stats in owned],
            "head": head[1],
            "classifier": {},
        },
    )


_LINEAR = (("kernel", "weight"), ("bias", "bias"))


def _layer(layer: Layer, start: str = "") -> tuple[PyTree, PyTree]:
    norm = f"{start}{layer.norm}"
    params = {
        "kernel": f"{start}{layer.convolution}.weight",
        "bn": {"scale": f"{norm}.weight", "bias": f"{norm}.bias"},
    }
    return params, {
        "bn": {"mean": f"{norm}.running_mean", "var": f"{norm}.running_var"}
    }


class Found(NamedTuple):
    """A network, and the names of its tensors."""

    naming: Naming
    network: Architecture
    names: Names


def recognise(shapes: Mapping[str, Shape], name: str, side: int | None) -> Found | None:
    """The network of a file by the names and shapes of its tensors; None for no naming.

    Its conventions are ours; the caller knows those of its origin. `side` is that of
    the images, None for the family's.

    Raises `ValueError` naming the block that is not one of ours, and why.
    """
    for naming in RECOGNISED:
        anchor = f"{naming.stem.convolution}.weight"
        for place in shapes:
            root = place.removesuffix(anchor)
            if place.endswith(anchor) and (not root or root.endswith(".")):
                below = {
                    key.removeprefix(root): shape
                    for key, shape in shapes.items()
                    if key.startswith(root)
                }
                network, blocks = _network(naming, below, name, side)
                return Found(naming, network, of(naming, network, blocks))
    return None


def _network(
    naming: Naming, shapes: Mapping[str, Shape], name: str, side: int | None
) -> tuple[Architecture, list[str]]:
    """The network of tensors, and the beginnings of the names in its blocks."""
    starts: dict[tuple[int, ...], str] = {}
    for key in shapes:
        if match := re.match(naming.block, key):
            starts[tuple(map(int, match.groups()))] = match[0]
    order = sorted(starts)
    blocks = [starts[place] for place in order]
    read = [_block(naming, shapes, start) for start in blocks]
    stages = [place[0] for place in order]
    if order and len(order[0]) == 1:  # no stages in the names: widths grow with them
        widths = [out for _, _, out in read]
        grown = [0, *(a != b for a, b in itertools.pairwise(widths))]
        stages = [sum(grown[: place + 1]) for place in range(len(grown))]
    count = len(set(stages))
    if count != len(STRIDES):
        raise ValueError(
            f"expected {len(STRIDES)} stages in the names of {naming.title}, as "
            f"MobileNetV2 and EfficientNet-Lite have, got {count} in {len(read)} "
            "blocks; the strides of others are in no file"
        )
    stem = _shape(shapes, f"{naming.stem.convolution}.weight", 4)
    if side is None:
        side = SIDES.get((len(read), read[-1][2]), 224)
    first = Stem(stem[1], stem[0], 2, side, stem[2])
    channels, size = first.out_channels, first.output_size
    made: list[Block] = []
    for index, (start, (op, width, out)) in enumerate(zip(blocks, read, strict=True)):
        if width != channels:
            raise ValueError(
                f"{start}: expected an input of {channels} channels, got {width}"
            )
        is_first = index == 0 or stages[index] != stages[index - 1]
        stride = STRIDES[sorted(set(stages)).index(stages[index])] if is_first else 1
        is_kept = stride == 1 and channels == out
        made.append(Block(op, channels, out, stride, size, is_kept))
        channels, size = out, made[-1].output_size
    head = Head(
        channels, _shape(shapes, f"{naming.head.convolution}.weight", 4)[0], size
    )
    classes = _shape(shapes, f"{naming.classifier}.weight", 2)[0]
    last = Classifier(head.out_channels, classes, size)
    return Architecture(name, first, tuple(made), head, last), blocks


def _block(
    naming: Naming, shapes: Mapping[str, Shape], start: str
) -> tuple[OpSpec, int, int]:
    """Operation, input width and output width of a block."""
    inside = {key.removeprefix(start) for key in shapes if key.startswith(start)}
    modules = {key.rpartition(".")[0] for key in inside}
    forms = (naming.plain, naming.expanded)  # that which has more of its layers here
    layers = max(forms, key=lambda form: len(modules & {*itertools.chain(*form)}))
    is_expanded = layers is naming.expanded
    known = {name for layer in layers for name in layer}
    others = sorted(key for key in inside if key.rpartition(".")[0] not in known)
    if others:
        raise ValueError(
            f"this block is not one of ours: {start.rstrip('.')} has "
            f"{few(others, 2)} beside expansion, depthwise convolution and projection"
            f"{_why(others)}"
        )
    depthwise, project = (
        _shape(shapes, f"{start}{layer.convolution}.weight", 4) for layer in layers[-2:]
    )
    width = hidden = depthwise[0]
    if is_expanded:
        width = _shape(shapes, f"{start}{layers[0].convolution}.weight", 4)[1]
    expansion = hidden // width
    is_ours = (
        depthwise[1] == 1
        and depthwise[2] == depthwise[3]
        and depthwise[2] % 2 == 1
        and hidden == expansion * width
        and expansion in range(1 + is_expanded, 10)
    )
    if not is_ours:
        raise ValueError(
            f"this block is not one of ours: {start.rstrip('.')} expands {width} "
            f"channels to {hidden}, with kernels {depthwise[2:]} for {depthwise[1]} "
            "each; expected a whole expansion to 9 and an odd square kernel for each "
            "channel"
        )
    return OpSpec(MBCONV.kind, depthwise[2], expansion), width, project[0]


def _why(names: Sequence[str]) -> str:
    is_gate = any("se" in re.split(r"[._]", name) for name in names)
    return " (squeeze-and-excitation)" if is_gate else ""


def _shape(shapes: Mapping[str, Shape], name: str, axes: int) -> Shape:
    shape = shapes.get(name)
    if shape is None or len(shape) != axes or min(shape) < 1:
        raise ValueError(f"{name}: expected a tensor with {axes} axes, got {shape}")
    return shape


class Origin(NamedTuple):
    """What a file does not say of its network: conventions, statistics of images."""

    conventions: Conventions
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_PYTORCH = Conventions(bn_eps=1e-5)
_TENSORFLOW = Conventions(bn_eps=1e-3, padding="same")


def origin(found: Found, is_tensorflow: bool | None) -> Origin:
    """The origin of a recognised network.

    `is_tensorflow` says whether weights in timm's names were converted from TensorFlow,
    as its tf_efficientnet_lite are; None where nobody says it. Raises `ValueError`
    where it has to be said.
    """
    if found.naming is EFFICIENTNET:
        # TensorFlow's EfficientNet-Lite: (value - 127) / 128
        return Origin(_TENSORFLOW, (127 / 255,) * 3, (128 / 255,) * 3)
    kernels = {block.op.kernel for block in found.network.blocks}
    if found.naming is TORCHVISION or kernels == {3}:  # MobileNetV2
        return Origin(_PYTORCH, IMAGENET_MEAN, IMAGENET_STD)
    if is_tensorflow is None:
        raise ValueError(
            "--padding: expected 'same' for timm's tf_efficientnet_lite, 'centre' for "
            "its efficientnet_lite, whose tensors have the same names, got none; or "
            "put timm's config.json beside the weights"
        )
    if is_tensorflow:
        return Origin(_TENSORFLOW, (0.5,) * 3, (0.5,) * 3)
    return Origin(_PYTORCH, IMAGENET_MEAN, IMAGENET_STD)
