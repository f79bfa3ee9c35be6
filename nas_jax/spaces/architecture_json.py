"""Architectures as JSON: chains of blocks, and PyramidNets of tree cells."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated

from annotated_types import Ge, MinLen

from nas_jax.config import files
from nas_jax.config.from_json import from_json as typed
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import BN_EPS, Classifier, Head, Norm, Stem
from nas_jax.spaces.topology import Cell

_Size = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class _Stem:
    out: _Size
    stride: _Size
    kernel: _Size


@dataclass(frozen=True)
class _Block:
    op: str
    out: _Size
    stride: _Size
    shortcut: bool


@dataclass(frozen=True)
class _Cell:
    width: _Size
    out: _Size
    stride: _Size
    ops: tuple[str, ...]


@dataclass(frozen=True)
class _Head:
    out: _Size


@dataclass(frozen=True, kw_only=True)
class _Network:
    name: str
    input_size: _Size
    input_channels: _Size
    stem: _Stem
    classes: _Size
    bn_eps: float = BN_EPS


@dataclass(frozen=True, kw_only=True)
class _Chain(_Network):
    blocks: tuple[_Block, ...]
    head: _Head


@dataclass(frozen=True, kw_only=True)
class _Tree(_Network):
    cells: Annotated[tuple[_Cell, ...], MinLen(1)]


def to_json(architecture: Architecture) -> str:
    """Writes an architecture as JSON; `from_json` reads it back unchanged."""
    stem = architecture.stem
    network = _Network(
        name=architecture.name,
        input_size=stem.input_size,
        input_channels=stem.in_channels,
        stem=_Stem(stem.out_channels, stem.stride, stem.kernel),
        classes=architecture.classifier.classes,
        bn_eps=float(architecture.bn_eps),
    )
    blocks = [
        _Block(one.op.name, one.out_channels, one.stride, one.shortcut)
        for one in architecture.blocks
    ]
    cells = [
        _Cell(one.width, one.out_channels, one.stride, _ops(architecture, index))
        for index, one in enumerate(architecture.cells)
    ]
    document = asdict(network)
    if cells:
        document["cells"] = list(map(asdict, cells))
    else:
        document["blocks"] = list(map(asdict, blocks))
        document["head"] = {"out": architecture.head.out_channels}
    return json.dumps(document, indent=1) + "\n"


def _ops(architecture: Architecture, cell: int) -> tuple[str, ...]:
    return tuple(block.op.name for block in architecture.blocks_of(cell))


def from_json(text: str) -> Architecture:
    """Reads what `to_json` wrote; raises `ValueError` naming what is wrong.

    A document without `bn_eps`, as older versions wrote it, means 1e-3.
    """
    document = files.parse(text, "architecture")
    is_tree = isinstance(document, dict) and "cells" in document
    kind = _Tree if is_tree else _Chain
    read = typed(kind, document, "architecture: ", extra="ignore")
    stem = Stem(
        in_channels=read.input_channels,
        out_channels=read.stem.out,
        stride=read.stem.stride,
        input_size=read.input_size,
        kernel=read.stem.kernel,
        activate=not is_tree,
    )
    return _tree(read, stem) if is_tree else _chain(read, stem)


def _chain(read: _Chain, stem: Stem) -> Architecture:
    channels, size = stem.out_channels, stem.output_size
    blocks: list[Block] = []
    for one in read.blocks:
        op = OpSpec.parse(one.op)
        blocks.append(Block(op, channels, one.out, one.stride, size, one.shortcut))
        channels, size = one.out, blocks[-1].output_size
    head = Head(channels, read.head.out, size)
    classifier = Classifier(read.head.out, read.classes, size)
    return Architecture(read.name, stem, tuple(blocks), head, classifier, read.bn_eps)


def _tree(read: _Tree, stem: Stem) -> Architecture:
    channels, size = stem.out_channels, stem.output_size
    cells: list[Cell] = []
    blocks: list[Block] = []
    for one in read.cells:
        cells.append(Cell(channels, one.width, one.out, one.stride, size))
        channels, size = one.out, cells[-1].output_size
        for name in one.ops:
            op = OpSpec.parse(name)
            blocks.append(Block(op, one.width, one.width, 1, size, shortcut=False))
    norm = Norm(channels, size, activate=True)
    last = Classifier(channels, read.classes, size)
    twigs, inner = tuple(blocks), tuple(cells)
    return Architecture(read.name, stem, twigs, norm, last, read.bn_eps, inner)
