"""A network, drawn layer by layer from the image (top) to the classes (bottom).

Every block is a box: width by output channels, height by expansion, colour by kernel
size; `zero` is only the line that runs through. Rows have one pitch, so that two
networks of a space stand beside each other layer by layer. `templates/network.svg`
places what is decided here: it scales to a phone and follows the colour scheme.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from nas_jax.latency import tables
from nas_jax.report.quantities import decimals, digits_for
from nas_jax.report.styles import kernel_colour
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import Block
from nas_jax.spaces.parts import Classifier, Head, NormConv, Part, Stem

PITCH = 27
WIDEST = 168
"""Height of a row and width of the widest box, in units of the drawing."""
# A part wider than this times the widest block is drawn cut, with its number beside it
_CUT = 2.5


@dataclass(frozen=True)
class Look:
    """How a part looks; no colour for one that is only the line that runs through."""

    name: str
    colour: str = "var(--fixed)"
    height: float = 7.0
    kernel: str = ""
    """What stands in the box if there is room: `k5`."""


@dataclass(frozen=True)
class DrawnPart:
    """A row of the drawing."""

    look: Look
    channels: str
    width: float
    """Of the box; wider than `WIDEST` for one that is drawn cut."""
    ms: str
    tooltip: str


@dataclass(frozen=True)
class Drawing:
    """What the template draws: rows, sizes of the feature map, times."""

    name: str
    parts: tuple[DrawnPart, ...]
    maps: tuple[tuple[int, int], ...]
    """Sizes of the feature map, each with how many rows have it."""
    total_ms: str
    """Sum of the layers, if all are in the table."""
    unknown: int
    """Layers that are not in the table."""

    @property
    def has_times(self) -> bool:
        return any(part.ms for part in self.parts)


def scale(architectures: Sequence[Architecture]) -> float:
    """Units per channel, one for all drawings that shall be compared."""
    blocks = max(
        max(found.stem.out_channels, *(block.out_channels for block in found.blocks))
        for found in architectures
    )
    head = max(architecture.head.out_channels for architecture in architectures)
    return WIDEST / (head if head <= _CUT * blocks else blocks)


def draw(
    architecture: Architecture, part_ms: Mapping[str, float], units: float
) -> Drawing:
    """The drawing of one network; `part_ms` may know some parts, all, or none."""
    timed = [part for part in architecture.parts if not tables.is_free(part)]
    known = [part_ms[part.key] for part in timed if part.key in part_ms]
    # the same number of decimals in all rows: three digits of the longest time
    digits = digits_for(max(known, default=1.0))
    rows = []
    for part in architecture.parts:
        ms = part_ms.get(part.key)
        stride = getattr(part, "stride", 1)
        widths = f"{part.in_channels}→{_out(part)}"
        tooltip = f"{look(part).name}: {widths} channels, stride {stride}, {part.key}"
        channels = widths if part.in_channels != _out(part) else str(_out(part))
        rows.append(
            DrawnPart(
                look(part),
                f"{channels} ↓2" if stride == 2 else channels,
                max(units * _out(part), 3.0),
                "" if ms is None else f"{ms:.{digits}f}",
                tooltip if ms is None else f"{tooltip}, predicted {decimals(ms)} ms",
            )
        )
    sizes = groupby(map(_output_size, architecture.parts))
    return Drawing(
        architecture.name,
        tuple(rows),
        tuple((size, len(list(same))) for size, same in sizes),
        f"{sum(known):.{digits}f}" if len(known) == len(timed) else "",
        len(timed) - len(known),
    )


def block_height(expansion: float) -> float:
    """Height of the box of a block."""
    return min(5.0 + 2.7 * expansion, PITCH - 4.0)


def look(part: Part) -> Look:
    """How a part looks, by its kind."""
    match part:
        case Block() if part.op.is_zero:
            return Look(part.op.name, colour="")
        case Block():
            op = part.op
            sides = [side for side in (op.start, op.kernel) if side]
            kernel = f"k{' '.join(map(str, sides))}" if sides else ""
            colour = kernel_colour(max(op.kernel, op.start))
            return Look(op.name, colour, block_height(op.expansion), kernel)
        case Stem():
            return Look(f"stem k{part.kernel}")
        case Head():
            return Look("head k1")
        case NormConv():
            return Look(f"conv k{part.kernel}")
    return Look(type(part).__name__.lower())


def _out(part: Part) -> int:
    return part.classes if isinstance(part, Classifier) else part.out_channels


def _output_size(part: Part) -> int:
    match part:
        case Head():
            return part.input_size
        case Classifier():
            return 1
    return part.output_size
