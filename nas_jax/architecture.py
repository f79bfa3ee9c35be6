"""One network of a space, written down: an `Architecture` is a chain of parts.

It is self-contained (no space is needed to build, count, time or export it) and goes
through JSON unchanged.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_jax.parts import BN_EPS, Block, Classifier, Head, OpSpec, Part, Stem
from nas_jax.space import SearchSpace


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
    head: Head
    classifier: Classifier
    bn_eps: float = BN_EPS

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
        if not 0 < self.bn_eps < math.inf:
            raise ValueError(
                f"architecture {self.name!r}: expected a positive bn_eps, got "
                f"{self.bn_eps}"
            )
        channels, size = self.stem.out_channels, self.stem.output_size
        for index, block in enumerate(self.blocks):
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

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.stem, *self.blocks, self.head, self.classifier)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """H, W, C of an image."""
        size = self.stem.input_size
        return (size, size, self.stem.in_channels)


def _check_chain(
    where: str, part: Block | Head | Classifier, channels: int, size: int
) -> None:
    if (part.in_channels, part.input_size) != (channels, size):
        raise ValueError(
            f"architecture: {where} ({part.key!r}) does not continue the part before "
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
        name, space.stem, (*first, *blocks), space.head, space.classifier
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
    document = {
        "name": architecture.name,
        "input_size": architecture.stem.input_size,
        "input_channels": architecture.stem.in_channels,
        "stem": {
            "out": architecture.stem.out_channels,
            "stride": architecture.stem.stride,
            "kernel": architecture.stem.kernel,
        },
        "blocks": [
            {
                "op": block.op.name,
                "out": block.out_channels,
                "stride": block.stride,
                "shortcut": block.shortcut,
            }
            for block in architecture.blocks
        ],
        "head": {"out": architecture.head.out_channels},
        "classes": architecture.classifier.classes,
        "bn_eps": float(architecture.bn_eps),
    }
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
    """Reads what `to_json` wrote; raises `ValueError` naming what is wrong.

    A document without `bn_eps`, as older versions wrote it, means 1e-3.
    """
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
    )
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
    head = Head(channels, _field(_field(document, "head", dict), "out", int), size)
    return Architecture(
        name=_field(document, "name", str),
        stem=stem,
        blocks=tuple(blocks),
        head=head,
        classifier=Classifier(
            head.out_channels, _field(document, "classes", int), size
        ),
        bn_eps=_field(document, "bn_eps", float) if "bn_eps" in document else BN_EPS,
    )
