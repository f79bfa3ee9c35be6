"""One network of a space, written down: an `Architecture` is a chain of parts.

It is self-contained (no space is needed to build, count, time or export it) and goes
through JSON unchanged.
"""

import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_jax.config.checks import LARGEST, MOST_LAYERS, WIDEST_KERNEL
from nas_jax.spaces import topology
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import BN_EPS, Classifier, Head, Norm, Part, Stem
from nas_jax.spaces.space import SearchSpace
from nas_jax.spaces.topology import Cell


@dataclass(frozen=True)
class Architecture:
    """A plain network: stem, blocks (the fixed first one included), head, classifier.

    `bn_eps` is the epsilon of all its batch normalisations: y = scale (x - mean) /
    sqrt(var + eps) + bias. Networks of a search space have the default, which is the
    reference's; imported weights need the value that they were trained with.

    Raises `ValueError` if the widths or sizes of neighbouring parts do not fit.
    """

    name: str
    stem: Stem
    blocks: tuple[Block, ...]
    head: Head | Norm
    classifier: Classifier
    bn_eps: float = BN_EPS
    cells: tuple[Cell, ...] = ()

    def __post_init__(self) -> None:
        # it becomes the name of a folder
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", self.name):
            raise ValueError(
                "architecture: expected a 'name' of letters, digits, - and _, at most "
                f"100, got {self.name!r:.60}"
            )
        if self.stem.kernel % 2 == 0:
            raise ValueError(
                f"architecture {self.name!r}: expected a stem kernel of odd size "
                f"(padding is k//2), got {self.stem.kernel}"
            )
        if not 0 < self.bn_eps < math.inf:
            raise ValueError(
                f"architecture {self.name!r}: expected a positive bn_eps, got "
                f"{self.bn_eps}"
            )
        self._check_sizes()
        channels, size = self.stem.out_channels, self.stem.output_size
        if self.cells:
            channels, size = self._check_cells(channels, size)
        for index, block in enumerate(() if self.cells else self.blocks):
            _check_chain(f"block {index}", block, channels, size)
            if block.shortcut and (
                block.stride != 1 or block.in_channels != block.out_channels
            ):
                raise ValueError(
                    f"architecture {self.name!r}: block {index} has a shortcut, which "
                    f"needs stride 1 and equal widths, got {block.key!r}"
                )
            if block.op.is_zero and not block.shortcut:
                raise ValueError(
                    f"architecture {self.name!r}: block {index} is 'zero' without a "
                    "shortcut, so nothing would pass through it"
                )
            channels, size = block.out_channels, block.output_size
        _check_chain("head", self.head, channels, size)
        _check_chain("classifier", self.classifier, self.head.out_channels, size)

    def _check_sizes(self) -> None:
        """Refuses what would fill the memory before anything else is looked at."""
        if len(self.blocks) > MOST_LAYERS:
            raise ValueError(
                f"architecture {self.name!r}: expected at most {MOST_LAYERS} blocks, "
                f"got {len(self.blocks)}"
            )
        kernels = [self.stem.kernel, *(block.op.kernel for block in self.blocks)]
        if max(kernels) > WIDEST_KERNEL:
            raise ValueError(
                f"architecture {self.name!r}: expected kernels of side at most "
                f"{WIDEST_KERNEL}, got {max(kernels)}"
            )
        parts = (self.stem, *self.cells, *self.blocks, self.head, self.classifier)
        for part in parts:
            for name, value in vars(part).items():
                if type(value) is int and not 1 <= value <= LARGEST:
                    raise ValueError(
                        f"architecture {self.name!r}: expected {name} from 1 to "
                        f"{LARGEST:,}, got {value} in {part}"
                    )

    def _check_cells(self, channels: int, size: int) -> tuple[int, int]:
        if len(self.blocks) != topology.EDGES * len(self.cells):
            raise ValueError(
                f"architecture {self.name!r}: expected {topology.EDGES} operations for "
                f"each of {len(self.cells)} cells, got {len(self.blocks)}"
            )
        for index, cell in enumerate(self.cells):
            _check_chain(f"cell {index}", cell, channels, size)
            for block in self.blocks_of(index):
                cell.check(block)
            channels, size = cell.out_channels, cell.output_size
        return channels, size

    def blocks_of(self, cell: int) -> tuple[Block, ...]:
        """The operations of one tree cell."""
        first = topology.EDGES * cell
        return self.blocks[first : first + topology.EDGES]

    @functools.cached_property
    def slots(self) -> dict[str | int, Part]:
        """All parts: fixed ones by name, blocks by index."""
        slots: dict[str | int, Part] = {"stem": self.stem}
        slots.update(topology.fixed_parts(self.cells))
        slots.update(enumerate(self.blocks))
        slots.update(head=self.head, classifier=self.classifier)
        return slots

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(self.slots.values())

    def forward(self, run: Callable[[str | int, Any], Any], x: Any) -> Any:
        """The way of a signal through the parts: `run(slot, x)` runs one."""
        shortcuts = [block.shortcut for block in self.blocks]
        x = topology.forward(self.cells, shortcuts, run, run, run("stem", x))
        return run("classifier", run("head", x))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """H, W, C of an image."""
        size = self.stem.input_size
        return (size, size, self.stem.in_channels)


def _check_chain(
    where: str, part: Block | Cell | Head | Norm | Classifier, channels: int, size: int
) -> None:
    if (part.in_channels, part.input_size) != (channels, size):
        raise ValueError(
            f"architecture: {where} ({part}) does not continue the part before "
            f"it: expected input {size}x{size}x{channels}"
        )


def from_ops(space: SearchSpace, ops: Sequence[OpSpec], name: str) -> Architecture:
    """The network of `space` with one operation per searchable layer."""
    if len(ops) != len(space.layers):
        raise ValueError(
            f"expected {len(space.layers)} operations for space {space.name!r}, got "
            f"{len(ops)}"
        )
    first = () if space.first_block is None else (space.first_block,)
    blocks = tuple(layer.block(op) for layer, op in zip(space.layers, ops, strict=True))
    return Architecture(
        name,
        space.stem,
        (*first, *blocks),
        space.head,
        space.classifier,
        cells=space.cells,
    )


def from_path(
    space: SearchSpace, path: Sequence[int] | np.ndarray, name: str
) -> Architecture:
    """The network that a path (candidate indices, Int `[L]`) runs through."""
    indices = space.check_path(path)
    return from_ops(space, [space.candidates[k] for k in indices], name)


def homogeneous(space: SearchSpace, op: OpSpec) -> Architecture:
    """The network with the same operation everywhere, named after it.

    With 3x3 kernels and expansion 6 this is the MobileNetV2 choice.
    """
    return from_ops(space, [op] * len(space.layers), op.name)


def path_of(space: SearchSpace, architecture: Architecture) -> np.ndarray:
    """The path Int `[L]` of an architecture; `ValueError` if it is of another space."""
    first = () if space.first_block is None else (space.first_block,)
    searchable = architecture.blocks[len(first) :]
    path = [
        space.candidates.index(block.op) if block.op in space.candidates else -1
        for block in searchable
    ]
    rebuilt = None
    if len(path) == len(space.layers) and -1 not in path:
        rebuilt = from_path(space, path, architecture.name)
    if rebuilt != architecture:
        raise ValueError(
            f"architecture {architecture.name!r} is not a network of space "
            f"{space.name!r}"
        )
    return np.array(path, dtype=np.int32)
