"""Architectures as JSON: chains of blocks, and PyramidNets of tree cells."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from annotated_types import MinLen

from nas_jax.config import files
from nas_jax.config.checks import Count
from nas_jax.config.from_json import from_json as typed
from nas_jax.config.space import ActivationName, HiddenForm, Padding
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import BN_EPS, Classifier, Head, Hidden, Norm, Stem
from nas_jax.spaces.topology import Cell


@dataclass(frozen=True)
class _Stem:
    out: Count
    stride: Count
    kernel: Count
    activation: ActivationName = "relu6"


@dataclass(frozen=True)
class _Block:
    op: str
    out: Count
    stride: Count
    shortcut: bool


@dataclass(frozen=True)
class _Cell:
    width: Count
    out: Count
    stride: Count
    ops: tuple[str, ...]


@dataclass(frozen=True)
class _Head:
    out: Count
    activation: ActivationName = "relu6"


@dataclass(frozen=True)
class _Hidden:
    out: Count
    form: HiddenForm
    activation: ActivationName


@dataclass(frozen=True, kw_only=True)
class _Network:
    name: str
    input_size: Count
    input_channels: Count
    stem: _Stem
    classes: Count
    bn_eps: float = BN_EPS
    padding: Padding = "centre"


@dataclass(frozen=True, kw_only=True)
class _Chain(_Network):
    blocks: tuple[_Block, ...]
    head: _Head
    hidden: _Hidden | None = None


@dataclass(frozen=True, kw_only=True)
class _Tree(_Network):
    cells: Annotated[tuple[_Cell, ...], MinLen(1)]


def to_json(architecture: Architecture) -> str:
    """Writes an architecture as JSON; `from_json` reads it back unchanged."""
    stem, blocks = architecture.stem, architecture.blocks
    document: dict[str, Any] = {
        "name": architecture.name,
        "input_size": stem.input_size,
        "input_channels": stem.in_channels,
        "stem": {
            "out": stem.out_channels,
            "stride": stem.stride,
            "kernel": stem.kernel,
        },
        "classes": architecture.classifier.classes,
        "bn_eps": float(architecture.bn_eps),
    }
    if architecture.padding != "centre":
        document["padding"] = architecture.padding
    if architecture.cells:
        document["cells"] = [
            asdict(_Cell(cell.width, cell.out_channels, cell.stride, ops))
            for index, cell in enumerate(architecture.cells)
            for ops in [tuple(one.op.name for one in architecture.blocks_of(index))]
        ]
    else:
        document["blocks"] = [
            asdict(_Block(one.op.name, one.out_channels, one.stride, one.shortcut))
            for one in blocks
        ]
        head, hidden = architecture.head, architecture.classifier.hidden
        document["head"] = {"out": head.out_channels}
        if isinstance(head, Head) and head.activation != "relu6":
            document["head"]["activation"] = head.activation
        if stem.activation != "relu6":
            document["stem"]["activation"] = stem.activation
        if hidden is not None:
            told = _Hidden(hidden.channels, hidden.form, hidden.activation)
            document["hidden"] = asdict(told)
    return json.dumps(document, indent=1) + "\n"


def from_json(text: str) -> Architecture:
    """Reads what `to_json` wrote; raises `ValueError` naming what is wrong.

    A document without `bn_eps`, as older versions wrote it, means 1e-3; one without
    `padding` means "centre".
    """
    document = files.parse(text, "architecture")
    is_tree = isinstance(document, dict) and "cells" in document
    network = typed(
        _Tree if is_tree else _Chain, document, "architecture: ", extra="ignore"
    )
    stem = Stem(
        in_channels=network.input_channels,
        out_channels=network.stem.out,
        stride=network.stem.stride,
        input_size=network.input_size,
        kernel=network.stem.kernel,
        activation="none" if is_tree else network.stem.activation,
    )
    channels, size = stem.out_channels, stem.output_size
    blocks: list[Block] = []
    cells: list[Cell] = []
    head: Head | Norm
    hidden = None
    if is_tree:
        for one in network.cells:
            cells.append(Cell(channels, one.width, one.out, one.stride, size))
            channels, size = one.out, cells[-1].output_size
            for name in one.ops:
                op = OpSpec.parse(name)
                blocks.append(Block(op, one.width, one.width, 1, size, shortcut=False))
        head = Norm(channels, size, activate=True)
    else:
        for one in network.blocks:
            op = OpSpec.parse(one.op)
            blocks.append(Block(op, channels, one.out, one.stride, size, one.shortcut))
            channels, size = one.out, blocks[-1].output_size
        head = Head(channels, network.head.out, size, network.head.activation)
        if one := network.hidden:
            hidden = Hidden(one.out, one.form, one.activation)
    return Architecture(
        network.name,
        stem,
        tuple(blocks),
        head,
        Classifier(head.out_channels, network.classes, size, hidden),
        network.bn_eps,
        tuple(cells),
        network.padding,
    )
