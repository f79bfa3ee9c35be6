"""Search spaces from their configurations: mobile chains, and trees of cells."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable

from nas_jax.config import families
from nas_jax.config.space import (
    AnySpace,
    ElasticConfig,
    OwnSpace,
    SpaceConfig,
    TreeConfig,
)
from nas_jax.config.widths import round_channels
from nas_jax.spaces import topology
from nas_jax.spaces.operations import CONVOLUTION, Block, OpSpec
from nas_jax.spaces.parts import (
    Classifier,
    Conventions,
    Head,
    Hidden,
    Norm,
    Stem,
)
from nas_jax.spaces.space import LayerSpec, SearchSpace


def mobile(config: SpaceConfig) -> SearchSpace:
    """Builds the MobileNetV2-like space that `config` describes.

    `zero` is offered where the shortcut exists (stride 1, equal widths), so it means
    that the block is the identity. With `width_mult` above 1 the head grows too.

    >>> space = mobile(SpaceConfig())
    >>> len(space.layers), space.architectures == 6**6 * 7**15
    (21, True)
    """
    candidates = tuple(OpSpec.parse(name) for name in config.candidates)
    if all(op.is_zero for op in candidates):
        raise ValueError(
            f"space.candidates: expected at least one operation besides 'zero', got "
            f"{config.candidates}"
        )
    scale, conventions = config.width_mult, Conventions(config.bn_eps, config.padding)
    ends = config.ends
    stem = Stem(
        in_channels=config.input_channels,
        out_channels=round_channels(config.stem_channels * scale),
        stride=config.stem_stride,
        input_size=config.input_size,
        activation=ends.stem_activation,
    )
    channels, size = stem.out_channels, stem.output_size
    first_block = None
    if config.first_block_channels is not None:
        first_block = Block(
            op=OpSpec.parse("mb1_k3"),
            in_channels=channels,
            out_channels=round_channels(config.first_block_channels * scale),
            stride=1,
            input_size=size,
            shortcut=False,
        )
        channels = first_block.out_channels
    layers: list[LayerSpec] = []
    stages = config.stage_candidates or (config.candidates,) * len(config.cells)
    for stage_width, cells, stage_stride, names in zip(
        config.stage_widths, config.cells, config.strides, stages, strict=True
    ):
        width = round_channels(stage_width * scale)
        for cell in range(cells):
            stride = stage_stride if cell == 0 else 1
            is_skippable = stride == 1 and channels == width
            offered = tuple(
                op for op in candidates if op.name in names and op.can_stride(stride)
            )
            plain = [op for op in offered if op.kind == CONVOLUTION.kind]
            is_bottleneck = len(plain) < len(offered)
            # convolutions stand among bottlenecks where `zero` cannot
            if is_bottleneck and is_skippable:
                offered = tuple(op for op in offered if op not in plain)
            if not is_skippable or cell < config.required_cells:
                offered = tuple(op for op in offered if not op.is_zero)
            if not offered:
                raise ValueError(
                    "space.candidates: expected for every layer at least one operation "
                    f"that can stand there, got {', '.join(names)} at stride {stride} "
                    f"from {channels} to {width} channels"
                )
            layer = LayerSpec(
                candidates=offered,
                in_channels=channels,
                out_channels=width,
                stride=stride,
                input_size=size,
                residual=is_bottleneck,
                conventions=conventions,
            )
            layers.append(layer)
            channels, size = width, layer.output_size
    hand_designed = tuple(map(OpSpec.parse, config.hand_designed))
    for place, (layer, op) in enumerate(zip(layers, hand_designed, strict=False)):
        if op not in layer.candidates:
            known = ", ".join(one.name for one in layer.candidates)
            raise ValueError(
                f"space.hand_designed: expected for layer {place} one of {known}, "
                f"got {op.name!r}"
            )
    head_channels = config.head_channels
    if scale > 1:
        head_channels = round_channels(head_channels * scale)
    hidden = None
    if ends.hidden_channels is not None:
        hidden = Hidden(ends.hidden_channels, ends.hidden_form, ends.hidden_activation)
    return SearchSpace(
        name=config.name,
        candidates=candidates,
        stem=stem,
        first_block=first_block,
        layers=tuple(layers),
        head=Head(channels, head_channels, size, ends.head_activation),
        classifier=Classifier(head_channels, config.classes, size, hidden),
        conventions=conventions,
        hand_designed=hand_designed,
    )


def imagenet_mobile(width_mult: float = 1.0) -> SearchSpace:
    """The paper's ImageNet space (section 4.2): 21 layers, 6^6 * 7^15 networks."""
    return mobile(dataclasses.replace(SpaceConfig(), width_mult=width_mult))


def tree(config: TreeConfig) -> SearchSpace:
    """Builds the PyramidNet of tree cells that `config` describes (`topology`)."""
    candidates = tuple(OpSpec.parse(name) for name in config.candidates)
    stem = Stem(
        in_channels=config.input_channels,
        out_channels=config.stem_channels,
        stride=1,
        input_size=config.input_size,
        activation="none",
    )
    cells = topology.pyramid(
        config.cells_per_stage,
        config.last_channels,
        stem_channels=config.stem_channels,
        input_size=config.input_size,
    )
    layers = [
        LayerSpec(
            candidates, cell.width, cell.width, 1, cell.output_size, residual=False
        )
        for cell in cells
        for _ in range(topology.EDGES)
    ]
    channels, size = cells[-1].out_channels, cells[-1].output_size
    return SearchSpace(
        name=config.name,
        candidates=candidates,
        stem=stem,
        first_block=None,
        layers=tuple(layers),
        head=Norm(channels, size, activate=True),
        classifier=Classifier(channels, config.classes, size),
        cells=cells,
    )


_OWN_SPACES: dict[str, SearchSpace] = {}


def own(space: SearchSpace) -> OwnSpace:
    """A space built by hand, as the field `space` of an experiment.

    The experiment's file has to make it each time it is read: config.json of a run
    keeps its name and digest, and the run's experiment.py builds it again.
    """
    digest = hashlib.sha256(repr(space).encode()).hexdigest()[:16]
    _OWN_SPACES[digest] = space
    size, _, channels = space.input_shape
    return OwnSpace(
        name=space.name,
        input_size=size,
        input_channels=channels,
        classes=space.classifier.classes,
        candidates=tuple(op.name for op in space.candidates),
        digest=digest,
    )


def is_built(config: AnySpace) -> bool:
    """Whether `build` knows the space: an experiment's own is built by its file."""
    return not isinstance(config, OwnSpace) or config.digest in _OWN_SPACES


def build(config: AnySpace) -> SearchSpace:
    """The space that a configuration describes; of an elastic one the middle shape.

    Raises `ValueError` for an `OwnSpace` that no file of this process has built.
    """
    match config:
        case TreeConfig():
            return tree(config)
        case SpaceConfig():
            return mobile(config)
        case ElasticConfig():
            return mobile(config.middle)
    if not is_built(config):
        raise ValueError(
            f"space {config.name!r}: expected the space with digest {config.digest} "
            "that the experiment's file built, got none; keep the run's experiment.py "
            "as it was and read the run with it"
        )
    return _OWN_SPACES[config.digest]


def cifar10_tree(cells_per_stage: int = 18, last_channels: int = 400) -> SearchSpace:
    """The paper's CIFAR-10 space (section 4.1), or a smaller one of its kind."""
    return tree(
        TreeConfig(cells_per_stage=cells_per_stage, last_channels=last_channels)
    )


PRESETS: dict[str, Callable[[], SearchSpace]] = {
    "imagenet_mobile": imagenet_mobile,
    "cifar10_tree": cifar10_tree,
    **{
        name: functools.partial(mobile, config)
        for name, config in families.SPACES.items()
    },
}
