"""How blocks are put together: in a chain, or as the leaves and twigs of tree cells.

A *tree cell* (ProxylessNAS, section 4.1; PathLevel EAS) replaces the 3x3 convolution of
a residual bottleneck. Its root doubles the channels and hands half of them to each of
two branches; a branch sends its half through two operations, the result of each through
two more, and adds everything up:

    cell(x)   = sum over branches b of  h_b + BN(child(h_b)),   h = split(root(x))
    child(h)  = sum over e of  leaf_e0(edge_e(h)) + leaf_e1(edge_e(h))
    block(x)  = widen(x) + BN(conv(relu(BN(cell(conv(BN(x)))))))

so 2 (2 + 4) = 12 operations are open in a cell. Nothing here knows what a signal is:
the functions that run a part are given, so training, export and counting share one way.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nas_jax.spaces.operations import Block, Strided
from nas_jax.spaces.parts import Norm, NormConv, Part, Widen

EDGES = 12
"""Open operations of a cell, in the order branch, edge, (edge, leaf 0, leaf 1)."""

RunFixed = Callable[[str, Any], Any]
RunLayer = Callable[[int, Any], Any]


@dataclass(frozen=True)
class Cell(Strided):
    """A residual block whose middle is a tree of operations on `width` channels."""

    in_channels: int
    width: int
    out_channels: int
    stride: int
    input_size: int

    def __post_init__(self) -> None:
        if self.out_channels < self.in_channels:
            raise ValueError(
                "tree cell: expected at least as many channels out as in (the shortcut "
                f"adds zeros), got {self.in_channels} -> {self.out_channels}"
            )

    @functools.cached_property
    def fixed(self) -> dict[str, Part]:
        """The parts around its open operations."""
        size, width = self.output_size, self.width
        parts: dict[str, Part] = {
            "in": NormConv(self.in_channels, width, 1, self.input_size, activate=False),
            "root": NormConv(
                width, 2 * width, self.stride, self.input_size, kernel=3, groups=2
            ),
            "branch_0": Norm(width, size),
            "branch_1": Norm(width, size),
            "out": NormConv(width, self.out_channels, 1, size),
            "norm": Norm(self.out_channels, size),
        }
        if (self.in_channels, self.stride) != (self.out_channels, 1):
            parts["widen"] = Widen(
                self.in_channels, self.out_channels, self.stride, self.input_size
            )
        return parts

    def check(self, block: Block) -> None:
        """Raises `ValueError` unless an operation fits on the cell's edges."""
        width, size = self.width, self.output_size
        if block != Block(block.op, width, width, 1, size, shortcut=False):
            raise ValueError(
                f"tree cell: expected operations on {width} channels at side {size}, "
                f"stride 1, without shortcut, got {block.key!r}"
            )

    def forward(self, fixed: RunFixed, layer: RunLayer, x: Any) -> Any:
        """The way of a signal through the cell; `layer` counts from 0."""
        y = fixed("root", fixed("in", x))
        halves = y[..., : self.width], y[..., self.width :]
        total: Any = None
        for branch, half in enumerate(halves):
            leaves = []
            for edge in range(2):
                first = 6 * branch + 3 * edge
                twig = layer(first, half)
                leaves += [layer(first + 1, twig), layer(first + 2, twig)]
            child = leaves[0] + leaves[1] + leaves[2] + leaves[3]
            grown = half + fixed(f"branch_{branch}", child)
            total = grown if total is None else total + grown
        y = fixed("norm", fixed("out", total))
        return (fixed("widen", x) if "widen" in self.fixed else x) + y


def pyramid(
    cells_per_stage: int, last_channels: int, *, stem_channels: int, input_size: int
) -> tuple[Cell, ...]:
    """Cells of a PyramidNet: three stages at full, half and quarter side.

    Of n cells the k-th (from 1) has 2 floor(round(s + (F/4 - s) k / n) / 2) channels
    inside and four times as many outside, with F = `last_channels` and s = 16, or F/4
    if that is less. (The published network: n = 54, F = 400.)
    """
    total = 3 * cells_per_stage
    start = min(16.0, last_channels / 4)
    cells: list[Cell] = []
    channels, size = stem_channels, input_size
    for k in range(1, total + 1):
        width = round(start + (last_channels / 4 - start) * k / total) // 2 * 2
        stride = 2 if k > 1 and (k - 1) % cells_per_stage == 0 else 1
        cell = Cell(channels, width, 4 * width, stride, size)
        cells.append(cell)
        channels, size = cell.out_channels, cell.output_size
    return tuple(cells)


def edge_name(index: int) -> str:
    """Where an open operation stands.

    >>> edge_name(0), edge_name(22)
    ('cell_0_branch_0_edge_0', 'cell_1_branch_1_edge_1_leaf_0')
    """
    cell, inside = divmod(index, EDGES)
    branch, rest = divmod(inside, 6)
    edge, leaf = divmod(rest, 3)
    name = f"cell_{cell}_branch_{branch}_edge_{edge}"
    return name if leaf == 0 else f"{name}_leaf_{leaf - 1}"


def fixed_parts(cells: Sequence[Cell]) -> dict[str, Part]:
    """The parts around the open operations of all cells, by name."""
    return {
        f"cell_{index}_{name}": part
        for index, cell in enumerate(cells)
        for name, part in cell.fixed.items()
    }


def forward(
    cells: Sequence[Cell],
    shortcuts: Sequence[bool],
    fixed: RunFixed,
    layer: RunLayer,
    x: Any,
) -> Any:
    """The way of a signal from the stem's output to the head's input.

    Args:
      cells: tree cells; none for a chain of blocks.
      shortcuts: of a chain: which blocks add their input to their output.
      fixed: runs a fixed part by name.
      layer: runs a block by index, without its shortcut.
      x: the signal.
    """
    for index, cell in enumerate(cells):

        def inside(name: str, x: Any, index: int = index) -> Any:
            return fixed(f"cell_{index}_{name}", x)

        def open_layer(position: int, x: Any, index: int = index) -> Any:
            return layer(EDGES * index + position, x)

        x = cell.forward(inside, open_layer, x)
    if not cells:
        for index, has_shortcut in enumerate(shortcuts):
            y = layer(index, x)
            x = x + y if has_shortcut else y
    return x
