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

from nas_jax.config.checks import LARGEST, MOST_LAYERS, WIDEST_KERNEL, require
from nas_jax.config.space import Padding
from nas_jax.spaces import topology
from nas_jax.spaces.operations import MBCONV, NOTHING, Block, OpSpec
from nas_jax.spaces.parts import (
    BN_EPS,
    PADDINGS,
    Classifier,
    Conventions,
    Head,
    Norm,
    Part,
    Stem,
)
from nas_jax.spaces.space import SearchSpace
from nas_jax.spaces.topology import Cell


@dataclass(frozen=True)
class Architecture:
    """A plain network: stem, blocks (the fixed first one included), head, classifier.

    `bn_eps` is the epsilon of all its batch normalisations: y = scale (x - mean) /
    sqrt(var + eps) + bias. Networks of a search space have the default, which is the
    reference's; imported weights need the value that they were trained with. So they do
    of `padding` (`config.space.Padding`), which is "same" for those of TensorFlow.

    Raises `ValueError` if the widths or sizes of neighbouring parts do not fit.
    """

    name: str
    stem: Stem
    blocks: tuple[Block, ...]
    head: Head | Norm
    classifier: Classifier
    bn_eps: float = BN_EPS
    cells: tuple[Cell, ...] = ()
    padding: Padding = "centre"

    def __post_init__(self) -> None:
        # it becomes the name of a folder
        is_plain = re.fullmatch(r"[A-Za-z0-9_-]{1,100}", self.name) is not None
        expected = "a 'name' of letters, digits, - and _, at most 100"
        require(is_plain, "architecture", expected, self.name)
        where = f"architecture {self.name!r}"
        self._require_sizes(where)
        channels, size = self.stem.out_channels, self.stem.output_size
        for index, cell in enumerate(self.cells):
            _require_continued(f"cell {index}", cell, channels, size)
            for block in self.blocks_of(index):
                cell.check(block)
            channels, size = cell.out_channels, cell.output_size
        for index, block in enumerate(() if self.cells else self.blocks):
            _require_continued(f"block {index}", block, channels, size)
            if block.shortcut and (
                block.stride != 1 or block.in_channels != block.out_channels
            ):
                raise ValueError(
                    f"{where}: block {index} has a shortcut, which needs stride 1 and "
                    f"equal widths, got {block.key!r}"
                )
            if not block.op.can_stride(block.stride):
                raise ValueError(
                    f"{where}: block {index} is {block.op.name!r} at stride "
                    f"{block.stride}, expected one with a depthwise convolution"
                )
            if block.op.is_zero and not block.shortcut:
                raise ValueError(
                    f"{where}: block {index} is 'zero' without a shortcut, so nothing "
                    "would pass through it"
                )
            channels, size = block.out_channels, block.output_size
        _require_continued("head", self.head, channels, size)
        _require_continued("classifier", self.classifier, self.head.out_channels, size)

    def _require_sizes(self, where: str) -> None:
        """Raises `ValueError` for what would fill the memory, and impossible sizes."""
        kernel, eps, number = self.stem.kernel, self.bn_eps, len(self.blocks)
        expected = "a stem kernel of odd size (padding is k//2)"
        require(kernel % 2 == 1, where, expected, kernel)
        require(0 < eps < math.inf, where, "a positive bn_eps", eps)
        require(number <= MOST_LAYERS, where, f"at most {MOST_LAYERS} blocks", number)
        require(self.padding in PADDINGS, where, f"one of {PADDINGS}", self.padding)
        if self.padding == "same" and self.beside_mbconv:
            raise ValueError(
                f"{where}: expected mbconv and zero alone with padding 'same', got "
                f"{self.beside_mbconv}; others know 'centre'"
            )
        sides = [(block.op.kernel, block.op.start) for block in self.blocks]
        widest = max(kernel, *map(max, sides), 0)
        expected = f"kernels of side at most {WIDEST_KERNEL}"
        require(widest <= WIDEST_KERNEL, where, expected, widest)
        for part in (self.stem, *self.cells, *self.blocks, self.head, self.classifier):
            for name, value in vars(part).items():
                if type(value) is int and not 1 <= value <= LARGEST:
                    raise ValueError(
                        f"{where}: expected {name} from 1 to {LARGEST:,}, got {value} "
                        f"in {part}"
                    )
        if self.cells and number != topology.EDGES * len(self.cells):
            raise ValueError(
                f"{where}: expected {topology.EDGES} operations for each of "
                f"{len(self.cells)} cells, got {number}"
            )

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
    def beside_mbconv(self) -> str:
        """What it is made of beside MBConv and `zero`, by name; "" of these alone."""
        ours = {MBCONV.kind, NOTHING.kind}
        others = {one.op.name for one in self.blocks if one.op.kind not in ours}
        if not self.cells:
            around = {self.stem.activation, getattr(self.head, "activation", "relu6")}
            others |= {f"{one} in stem or head" for one in around - {"relu6"}}
        if self.classifier.hidden:
            others.add("a hidden layer after pooling")
        return ", ".join(sorted(others)) or ("tree cells" if self.cells else "")

    @property
    def conventions(self) -> Conventions:
        return Conventions(self.bn_eps, self.padding)

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


def _require_continued(
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
    blocks = [] if space.first_block is None else [space.first_block]
    blocks += [layer.block(op) for layer, op in zip(space.layers, ops, strict=True)]
    return Architecture(
        name,
        space.stem,
        tuple(blocks),
        space.head,
        space.classifier,
        space.conventions.bn_eps,
        space.cells,
        space.conventions.padding,
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


def hand_designed(space: SearchSpace) -> Architecture:
    """That of the space, or else 3x3 kernels with expansion 6: the MobileNetV2 choice.

    Of a space without blocks of MobileNetV2, the 3x3 inverted bottleneck of the largest
    expansion that all layers offer, the first of these.

    Raises `ValueError` if the space has none and offers no such operation in every
    layer, and for operations that its layers do not offer.
    """
    if space.hand_designed:
        return from_ops(space, space.hand_designed, "baseline")
    if any(op.kind == MBCONV.kind for op in space.candidates):
        known, missing = [OpSpec.parse("mb6_k3")], "'mb6_k3'"
    else:
        missing = "an inverted bottleneck of 3x3"
        known = [op for op in space.candidates if op.is_inverted_bottleneck]
    everywhere = [
        op
        for op in known
        if op.kernel == 3 and all(op in layer.candidates for layer in space.layers)
    ]
    if not everywhere:
        raise ValueError(
            f"space {space.name!r} does not offer {missing} in every layer, so it has "
            "no hand-designed baseline: add it to space.candidates, or name one in "
            "space.hand_designed"
        )
    op = max(everywhere, key=lambda one: one.expansion)
    return from_ops(space, [op] * len(space.layers), "baseline")


def path_of(space: SearchSpace, architecture: Architecture) -> np.ndarray:
    """The path Int `[L]` of an architecture; `ValueError` if it is of another space."""
    fixed = 0 if space.first_block is None else 1
    ops = [block.op for block in architecture.blocks[fixed:]]
    try:
        is_of_space = from_ops(space, ops, architecture.name) == architecture
    except ValueError:
        is_of_space = False
    if not is_of_space:
        raise ValueError(
            f"architecture {architecture.name!r} is not a network of space "
            f"{space.name!r}"
        )
    return np.array([space.candidates.index(op) for op in ops], dtype=np.int32)
