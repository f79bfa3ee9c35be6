"""The search space, as static, hashable data without arrays.

A `SearchSpace` is a chain of parts in which L blocks are open: each `LayerSpec` lists
its candidate operations. Structure and rules: ProxylessNAS, section 3 and appendix;
widths and candidate order as in the reference implementation
(`mit-han-lab/proxylessnas`).
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_jax import topology
from nas_jax.config import SpaceConfig, TreeConfig
from nas_jax.parts import Block, Classifier, Head, Norm, OpSpec, Part, Stem, strided
from nas_jax.topology import Cell


@dataclass(frozen=True)
class LayerSpec:
    """A searchable layer: a block whose operation is one of `candidates`."""

    candidates: tuple[OpSpec, ...]
    in_channels: int
    out_channels: int
    stride: int
    input_size: int
    residual: bool = True
    """Whether the input is added to the output where their shapes are equal."""

    def __post_init__(self) -> None:
        if OpSpec("zero") in self.candidates and not self.shortcut:
            raise ValueError(
                "candidate 'zero' needs a shortcut, stride 1 and equal widths (it is "
                f"the identity there), got stride {self.stride}, {self.in_channels} -> "
                f"{self.out_channels} channels; remove it from this layer"
            )

    @property
    def shortcut(self) -> bool:
        is_same = self.stride == 1 and self.in_channels == self.out_channels
        return self.residual and is_same

    @property
    def output_size(self) -> int:
        return strided(self.input_size, self.stride)

    def block(self, op: OpSpec) -> Block:
        """This layer with one operation in its place."""
        if op not in self.candidates:
            names = ", ".join(candidate.name for candidate in self.candidates)
            raise ValueError(
                f"operation {op.name!r} is no candidate of this layer; its candidates "
                f"are {names}"
            )
        return Block(
            op=op,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            stride=self.stride,
            input_size=self.input_size,
            shortcut=self.shortcut,
        )


@dataclass(frozen=True)
class SearchSpace:
    """L searchable layers with K candidate operations, and the fixed parts around them.

    `candidates` fixes the order of the K operations for all arrays `[L K]`. The layers
    are a chain, or, with `cells`, the open operations of tree cells (`topology`).
    """

    name: str
    candidates: tuple[OpSpec, ...]
    stem: Stem
    first_block: Block | None
    layers: tuple[LayerSpec, ...]
    head: Head | Norm
    classifier: Classifier
    cells: tuple[Cell, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """H, W, C of an image."""
        size = self.stem.input_size
        return (size, size, self.stem.in_channels)

    @functools.cached_property
    def fixed(self) -> dict[str, Part]:
        """The parts that every network of the space contains, by name."""
        first = {} if self.first_block is None else {"first_block": self.first_block}
        return {
            "stem": self.stem,
            **first,
            **topology.fixed_parts(self.cells),
            "head": self.head,
            "classifier": self.classifier,
        }

    @property
    def fixed_parts(self) -> tuple[Part, ...]:
        return tuple(self.fixed.values())

    @functools.cached_property
    def runs(self) -> tuple[range, ...]:
        """The layers in order, equal ones that follow each other together."""
        return topology.runs(self.cells, self.layers)

    def forward(self, fixed: topology.RunFixed, run: topology.RunLayer, x: Any) -> Any:
        """The way of a signal: `fixed(name, x)` and `run(index, x)` run the parts.

        `run` takes a place in `runs`, and adds the shortcuts of its layers.
        """
        x = fixed("stem", x)
        if self.first_block is not None:
            x = fixed("first_block", x)
        x = topology.forward(self.cells, [False] * len(self.runs), fixed, run, x)
        return fixed("classifier", fixed("head", x))

    @functools.cached_property
    def mask(self) -> np.ndarray:
        """Bool `[L K]`: which operations each layer offers."""
        rows = [
            [op in layer.candidates for op in self.candidates] for layer in self.layers
        ]
        return np.array(rows, dtype=bool)

    @property
    def architectures(self) -> int:
        """Number of networks in the space."""
        return math.prod(len(layer.candidates) for layer in self.layers)

    def check_path(self, path: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns a path as Int `[L]`, or raises `ValueError` if it is not one.

        Inside a compiled step a wrong index would be clamped silently, so paths from
        outside are checked here.
        """
        array = np.asarray(path)
        valid = (
            array.shape == (len(self.layers),)
            and np.issubdtype(array.dtype, np.integer)
            and bool(((array >= 0) & (array < len(self.candidates))).all())
            and bool(self.mask[np.arange(len(array)), array].all())
        )
        if not valid:
            raise ValueError(
                f"path: expected {len(self.layers)} candidate indices of space "
                f"{self.name!r} (each below {len(self.candidates)} and offered by its "
                f"layer), got {array.tolist()}"
            )
        return array.astype(np.int32)


def round_channels(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor`, at least one, never more than 10 % below.

    >>> [round_channels(width) for width in (9.6, 17.92, 33, 1433.6)]
    [16, 24, 32, 1432]
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def mobile(config: SpaceConfig) -> SearchSpace:
    """Builds the MobileNetV2-like space that `config` describes.

    `zero` is offered where the shortcut exists (stride 1, equal widths), so it means
    that the block is the identity. With `width_mult` above 1 the head grows too.

    >>> space = mobile(SpaceConfig())
    >>> len(space.layers), space.architectures == 6**6 * 7**15
    (21, True)
    """
    candidates = tuple(OpSpec.parse(name) for name in config.candidates)
    movable = tuple(op for op in candidates if op.kind != "zero")
    if not movable:
        raise ValueError(
            f"space.candidates: expected at least one operation besides 'zero', got "
            f"{config.candidates}"
        )
    scale = config.width_mult
    stem = Stem(
        in_channels=config.input_channels,
        out_channels=round_channels(config.stem_channels * scale),
        stride=config.stem_stride,
        input_size=config.input_size,
    )
    channels, size = stem.out_channels, stem.output_size
    first_block = None
    if config.first_block_channels is not None:
        first_block = Block(
            op=OpSpec("mbconv", kernel=3, expansion=1),
            in_channels=channels,
            out_channels=round_channels(config.first_block_channels * scale),
            stride=1,
            input_size=size,
            shortcut=False,
        )
        channels = first_block.out_channels
    layers: list[LayerSpec] = []
    for stage_width, cells, stage_stride in zip(
        config.stage_widths, config.cells, config.strides, strict=True
    ):
        width = round_channels(stage_width * scale)
        for cell in range(cells):
            stride = stage_stride if cell == 0 else 1
            is_skippable = stride == 1 and channels == width
            layer = LayerSpec(
                candidates=candidates if is_skippable else movable,
                in_channels=channels,
                out_channels=width,
                stride=stride,
                input_size=size,
            )
            layers.append(layer)
            channels, size = width, layer.output_size
    head_channels = config.head_channels
    if scale > 1:
        head_channels = round_channels(head_channels * scale)
    return SearchSpace(
        name=config.name,
        candidates=candidates,
        stem=stem,
        first_block=first_block,
        layers=tuple(layers),
        head=Head(channels, head_channels, size),
        classifier=Classifier(head_channels, config.classes, size),
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
        activate=False,
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


def build(config: SpaceConfig | TreeConfig) -> SearchSpace:
    """The space that a configuration describes."""
    return tree(config) if isinstance(config, TreeConfig) else mobile(config)


def cifar10_tree(cells_per_stage: int = 18, last_channels: int = 400) -> SearchSpace:
    """The paper's CIFAR-10 space (section 4.1), or a smaller one of its kind."""
    return tree(
        TreeConfig(cells_per_stage=cells_per_stage, last_channels=last_channels)
    )


PRESETS: dict[str, Callable[[], SearchSpace]] = {
    "imagenet_mobile": imagenet_mobile,
    "cifar10_tree": cifar10_tree,
}
