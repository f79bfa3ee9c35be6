"""One network of a space, written down: an `Architecture` is a chain of parts.

It is self-contained (no space is needed to build, count, time or export it) and goes
through JSON unchanged.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_jax import topology
from nas_jax.parts import Block, Classifier, Head, Norm, OpSpec, Part, Stem
from nas_jax.space import SearchSpace
from nas_jax.topology import Cell


@dataclass(frozen=True)
class Architecture:
    """A plain network: stem, blocks (the fixed first one included), head, classifier.

    Raises `ValueError` if the widths or sizes of neighbouring parts do not fit.
    """

    name: str
    stem: Stem
    blocks: tuple[Block, ...]
    head: Head | Norm
    classifier: Classifier
    cells: tuple[Cell, ...] = ()

    def __post_init__(self) -> None:
        # it becomes the name of a folder
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise ValueError(
                "architecture: expected a 'name' of letters, digits, - and _, got "
                f"{self.name!r}"
            )
        if self.stem.kernel % 2 == 0:
            raise ValueError(
                f"architecture {self.name!r}: expected a stem kernel of odd size "
                f"(padding is k//2), got {self.stem.kernel}"
            )
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
            if block.op.kind == "zero" and not block.shortcut:
                raise ValueError(
                    f"architecture {self.name!r}: block {index} is 'zero' without a "
                    "shortcut, so nothing would pass through it"
                )
            channels, size = block.out_channels, block.output_size
        _check_chain("head", self.head, channels, size)
        _check_chain("classifier", self.classifier, self.head.out_channels, size)

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

    @property
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
        space.cells,
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


def to_json(architecture: Architecture) -> str:
    """Writes an architecture as JSON; `from_json` reads it back unchanged."""
    stem = architecture.stem
    document: dict[str, Any] = {
        "name": architecture.name,
        "input_size": stem.input_size,
        "input_channels": stem.in_channels,
        "stem": {
            "out": stem.out_channels,
            "stride": stem.stride,
            "kernel": stem.kernel,
        },
    }
    if architecture.cells:
        document["cells"] = [
            {
                "width": cell.width,
                "out": cell.out_channels,
                "stride": cell.stride,
                "ops": [block.op.name for block in architecture.blocks_of(index)],
            }
            for index, cell in enumerate(architecture.cells)
        ]
    else:
        document["blocks"] = [
            {
                "op": block.op.name,
                "out": block.out_channels,
                "stride": block.stride,
                "shortcut": block.shortcut,
            }
            for block in architecture.blocks
        ]
        document["head"] = {"out": architecture.head.out_channels}
    document["classes"] = architecture.classifier.classes
    return json.dumps(document, indent=1) + "\n"


def _field(document: Any, key: str, kind: type) -> Any:
    value = document.get(key) if isinstance(document, dict) else None
    # bool is an int to Python, but not a width
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(
            f"architecture: expected {key!r} of type {kind.__name__}, got {value!r}"
        )
    if isinstance(value, int) and not isinstance(value, bool) and value < 1:
        raise ValueError(f"architecture: expected a positive {key!r}, got {value}")
    return value


def from_json(text: str) -> Architecture:
    """Reads what `to_json` wrote; raises `ValueError` naming what is wrong."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"architecture: expected JSON, got {error}") from error
    stem_document = _field(document, "stem", dict)
    stem = Stem(
        in_channels=_field(document, "input_channels", int),
        out_channels=_field(stem_document, "out", int),
        stride=_field(stem_document, "stride", int),
        input_size=_field(document, "input_size", int),
        kernel=_field(stem_document, "kernel", int),
        activate="cells" not in document,
    )
    name, classes = _field(document, "name", str), _field(document, "classes", int)
    if "cells" in document:
        cells, twigs = _read_cells(document, stem)
        channels, size = stem.out_channels, stem.output_size
        if cells:
            channels, size = cells[-1].out_channels, cells[-1].output_size
        norm = Norm(channels, size, activate=True)
        last = Classifier(channels, classes, size)
        return Architecture(name, stem, twigs, norm, last, cells)
    blocks = _read_blocks(document, stem)
    channels = blocks[-1].out_channels if blocks else stem.out_channels
    size = blocks[-1].output_size if blocks else stem.output_size
    head = Head(channels, _field(_field(document, "head", dict), "out", int), size)
    classifier = Classifier(head.out_channels, classes, size)
    return Architecture(name, stem, blocks, head, classifier)


def _read_blocks(document: Any, stem: Stem) -> tuple[Block, ...]:
    channels, size = stem.out_channels, stem.output_size
    blocks = []
    for entry in _field(document, "blocks", list):
        block = Block(
            op=OpSpec.parse(_field(entry, "op", str)),
            in_channels=channels,
            out_channels=_field(entry, "out", int),
            stride=_field(entry, "stride", int),
            input_size=size,
            shortcut=_field(entry, "shortcut", bool),
        )
        blocks.append(block)
        channels, size = block.out_channels, block.output_size
    return tuple(blocks)


def _read_cells(
    document: Any, stem: Stem
) -> tuple[tuple[Cell, ...], tuple[Block, ...]]:
    channels, size = stem.out_channels, stem.output_size
    cells: list[Cell] = []
    blocks: list[Block] = []
    for entry in _field(document, "cells", list):
        cell = Cell(
            in_channels=channels,
            width=_field(entry, "width", int),
            out_channels=_field(entry, "out", int),
            stride=_field(entry, "stride", int),
            input_size=size,
        )
        cells.append(cell)
        channels, size = cell.out_channels, cell.output_size
        for name in _field(entry, "ops", list):
            if not isinstance(name, str):
                raise ValueError(
                    f"architecture: expected names of operations in 'ops', got {name!r}"
                )
            op = OpSpec.parse(name)
            blocks.append(Block(op, cell.width, cell.width, 1, size, shortcut=False))
    return tuple(cells), tuple(blocks)
