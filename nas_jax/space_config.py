"""Search spaces, as frozen dataclasses. No JAX."""

from dataclasses import dataclass

from nas_jax.checks import LARGEST, MOST_LAYERS, require
from nas_jax.config_json import require_types

MBCONV_CANDIDATES = (
    "mb3_k3",
    "mb6_k3",
    "mb3_k5",
    "mb6_k5",
    "mb3_k7",
    "mb6_k7",
    "zero",
)


_SIZE = f"a positive integer, at most {LARGEST:,}"
MOST_CANDIDATES = 100
_CLASSES = f"at least 2, at most {LARGEST:,}"


@dataclass(frozen=True)
class SpaceConfig:
    """A MobileNetV2-like space; the defaults are the paper's ImageNet space.

    Stem, optionally a fixed first block of expansion 1, then `cells[i]` searchable
    layers of width `stage_widths[i]` per stage, a 1x1 convolution and a classifier.
    Widths are multiplied by `width_mult` and rounded to multiples of 8.
    """

    name: str = "imagenet_mobile"
    input_size: int = 224
    input_channels: int = 3
    classes: int = 1000
    stem_channels: int = 32
    stem_stride: int = 2
    first_block_channels: int | None = 16
    """Width of the fixed first block; None leaves the block out."""
    stage_widths: tuple[int, ...] = (24, 40, 80, 96, 192, 320)
    cells: tuple[int, ...] = (4, 4, 4, 4, 4, 1)
    strides: tuple[int, ...] = (2, 2, 2, 1, 2, 1)
    """Stride of the first cell of each stage."""
    candidates: tuple[str, ...] = MBCONV_CANDIDATES
    """Candidate operations; `zero` is offered only where the shortcut exists."""
    head_channels: int = 1280
    width_mult: float = 1.0

    def __post_init__(self) -> None:
        require_types(self, "space.")
        for name in ("input_size", "input_channels", "stem_channels", "head_channels"):
            value = getattr(self, name)
            require(1 <= value <= LARGEST, f"space.{name}", _SIZE, value)
        first = self.first_block_channels
        fits = first is None or 1 <= first <= LARGEST
        require(fits, "space.first_block_channels", f"{_SIZE}, or None", first)
        require(2 <= self.classes <= LARGEST, "space.classes", _CLASSES, self.classes)
        require(
            self.stem_stride in (1, 2), "space.stem_stride", "1 or 2", self.stem_stride
        )
        scale = self.width_mult
        require(0 < scale <= 100, "space.width_mult", "above 0, at most 100", scale)
        stages = (len(self.stage_widths), len(self.cells), len(self.strides))
        require(
            len(set(stages)) == 1 and stages[0] > 0,
            "space.stage_widths, space.cells, space.strides",
            "one value per stage in each",
            stages,
        )
        for name in ("stage_widths", "cells"):
            values = getattr(self, name)
            fits = min(values) >= 1 and max(values) <= LARGEST
            require(fits, f"space.{name}", f"each {_SIZE}", values)
        require(
            sum(self.cells) <= MOST_LAYERS,
            "space.cells",
            f"at most {MOST_LAYERS} layers",
            self.cells,
        )
        require(
            set(self.strides) <= {1, 2}, "space.strides", "1 or 2 each", self.strides
        )
        require(
            len(set(self.candidates)) == len(self.candidates) > 0
            and len(self.candidates) <= MOST_CANDIDATES,
            "space.candidates",
            f"distinct names, 1 to {MOST_CANDIDATES}",
            self.candidates,
        )


TREE_CANDIDATES = (
    "identity",
    "sep_k3",
    "sep_k5",
    "sep_k7",
    "dil_k3",
    "avg_k3",
    "max_k3",
)


@dataclass(frozen=True)
class TreeConfig:
    """A PyramidNet of tree cells; the defaults are the paper's CIFAR-10 space.

    Three stages of cells whose widths grow evenly; 12 operations are open in each cell.
    """

    name: str = "cifar10_tree"
    input_size: int = 32
    input_channels: int = 3
    classes: int = 10
    stem_channels: int = 16
    cells_per_stage: int = 18
    """B of the paper."""
    last_channels: int = 400
    """F of the paper: the width of the last block."""
    candidates: tuple[str, ...] = TREE_CANDIDATES

    def __post_init__(self) -> None:
        require_types(self, "space.")
        for name in ("input_channels", "stem_channels", "last_channels"):
            value = getattr(self, name)
            require(1 <= value <= LARGEST, f"space.{name}", _SIZE, value)
        most = MOST_LAYERS // 36  # three stages, 12 open operations a cell
        require(
            1 <= self.cells_per_stage <= most,
            "space.cells_per_stage",
            f"a positive integer, at most {most}",
            self.cells_per_stage,
        )
        require(2 <= self.classes <= LARGEST, "space.classes", _CLASSES, self.classes)
        require(
            4 <= self.input_size <= LARGEST and self.input_size % 4 == 0,
            "space.input_size",
            "a multiple of 4 (the side is halved twice)",
            self.input_size,
        )
        require(
            self.last_channels >= 8 and self.last_channels % 8 == 0,
            "space.last_channels",
            "a multiple of 8 (a quarter of it, even, is the width inside)",
            self.last_channels,
        )
        widest_start = min(64, self.last_channels)
        require(
            self.stem_channels <= widest_start,
            "space.stem_channels",
            f"at most {widest_start}, where the first cell begins",
            self.stem_channels,
        )
        require(
            len(set(self.candidates)) == len(self.candidates) > 0
            and len(self.candidates) <= MOST_CANDIDATES,
            "space.candidates",
            f"distinct names, 1 to {MOST_CANDIDATES}",
            self.candidates,
        )
