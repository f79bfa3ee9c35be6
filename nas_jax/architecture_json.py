"""Architectures as JSON: chains of blocks, and PyramidNets of tree cells."""

import json
from typing import Any

from nas_jax import files
from nas_jax.architecture import Architecture
from nas_jax.parts import BN_EPS, Block, Classifier, Head, Norm, OpSpec, Stem
from nas_jax.topology import Cell


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
    document["bn_eps"] = float(architecture.bn_eps)
    return json.dumps(document, indent=1) + "\n"


def _field(document: Any, key: str, kind: type) -> Any:
    value = document.get(key) if isinstance(document, dict) else None
    # bool is an int to Python, but not a width
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(
            f"architecture: expected {key!r} of type {kind.__name__}, got {value!r:.60}"
        )
    if isinstance(value, int) and not isinstance(value, bool) and value < 1:
        raise ValueError(f"architecture: expected a positive {key!r}, got {value}")
    return value


def from_json(text: str) -> Architecture:
    """Reads what `to_json` wrote; raises `ValueError` naming what is wrong.

    A document without `bn_eps`, as older versions wrote it, means 1e-3.
    """
    document = files.parse(text, "architecture")
    stem_document = _field(document, "stem", dict)
    stem = Stem(
        in_channels=_field(document, "input_channels", int),
        out_channels=_field(stem_document, "out", int),
        stride=_field(stem_document, "stride", int),
        input_size=_field(document, "input_size", int),
        kernel=_field(stem_document, "kernel", int),
        activate="cells" not in document,
    )
    bn_eps = _field(document, "bn_eps", float) if "bn_eps" in document else BN_EPS
    name, classes = _field(document, "name", str), _field(document, "classes", int)
    if "cells" in document:
        cells, twigs = _read_cells(document, stem)
        channels, size = cells[-1].out_channels, cells[-1].output_size
        norm = Norm(channels, size, activate=True)
        last = Classifier(channels, classes, size)
        return Architecture(name, stem, twigs, norm, last, bn_eps, cells)
    blocks = _read_blocks(document, stem)
    channels = blocks[-1].out_channels if blocks else stem.out_channels
    size = blocks[-1].output_size if blocks else stem.output_size
    head = Head(channels, _field(_field(document, "head", dict), "out", int), size)
    classifier = Classifier(head.out_channels, classes, size)
    return Architecture(name, stem, blocks, head, classifier, bn_eps)


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
    if not cells:
        raise ValueError("architecture: expected one of 'cells' at least, got none")
    return tuple(cells), tuple(blocks)
