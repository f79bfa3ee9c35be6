"""A network, drawn layer by layer from the image (top) to the classes (bottom).

Every block is a box: width by output channels, height by expansion, colour by kernel
size; `zero` is only the line that runs through. Rows have one pitch, so that two
networks of a space stand beside each other layer by layer. The SVG is written by hand:
it scales to a phone, follows the colour scheme, and each row carries a tooltip.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from nas_jax import tables
from nas_jax.architecture import Architecture
from nas_jax.parts import Block, Classifier, Head, NormConv, Part, Stem
from nas_jax.report.markup import Html, element, join
from nas_jax.report.quantities import decimals
from nas_jax.report.styles import kernel_colour

_WIDTH, _PITCH, _TOP = 444, 27, 26
_CENTRE, _WIDEST = 139, 168
_OP, _CHANNELS, _MS = 236, 311, 438
# A part wider than this times the widest block is drawn cut, with its number beside it
_CUT = 2.5


def scale(architectures: Sequence[Architecture]) -> float:
    """Units per channel, one for all drawings that shall be compared."""
    blocks = max(
        max(found.stem.out_channels, *(block.out_channels for block in found.blocks))
        for found in architectures
    )
    head = max(architecture.head.out_channels for architecture in architectures)
    return _WIDEST / (head if head <= _CUT * blocks else blocks)


def draw(
    architecture: Architecture,
    part_ms: Mapping[str, float],
    units: float,
    *before: Html,
    **attributes: object,
) -> Html:
    """The drawing of one network; `part_ms` may know some parts, all, or none.

    `before` and `attributes` are what its element shall have besides.
    """
    parts = architecture.parts
    timed = [part for part in parts if not tables.is_free(part)]
    known = [part_ms[part.key] for part in timed if part.key in part_ms]
    # the same number of decimals in all rows: three digits of the longest time
    digits = len(decimals(max(known, default=1.0)).partition(".")[2])
    height = _TOP + len(parts) * _PITCH + (30 if known else 6)
    last = _row_y(len(parts) - 1)
    spine = element(
        "path",
        d=f"M{_CENTRE} {_TOP - 4}V{last}",
        stroke="var(--muted)",
        stroke_width=1.5,
        fill="none",
    )
    rows = [
        _row(index, part, part_ms.get(part.key), digits, units)
        for index, part in enumerate(parts)
    ]
    footer: Sequence[Html] = ()
    if len(known) == len(timed):
        y = height - 10
        footer = (
            _text(_OP, y, "sum of layers", fill="var(--muted)"),
            _text(
                _MS, y, f"{sum(known):.{digits}f}", text_anchor="end", font_weight=600
            ),
        )
    elif known:
        note = f"{len(timed) - len(known)} layers are not in the table"
        footer = (_text(_OP, height - 10, note, fill="var(--muted)"),)
    ops = ", ".join(map(op_name, parts))
    return element(
        "svg",
        *before,
        _bands(parts),
        _header(bool(known)),
        spine,
        *rows,
        *footer,
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        aria_label=f"Network {architecture.name}, from the image on: {ops}",
        font_size=13.5,
        fill="var(--ink)",
        **attributes,
    )


def _row_y(index: int) -> float:
    return _TOP + (index + 0.5) * _PITCH


def block_height(expansion: int) -> float:
    return min(5.0 + 2.7 * expansion, _PITCH - 4.0)


def _out(part: Part) -> int:
    return part.classes if isinstance(part, Classifier) else part.out_channels


def _output_size(part: Part) -> int:
    match part:
        case Head():
            return part.input_size
        case Classifier():
            return 1
    return part.output_size


def op_name(part: Part) -> str:
    """What the part does, in a word or two."""
    match part:
        case Block():
            return part.op.name
        case Stem():
            return f"stem k{part.kernel}"
        case Head():
            return "head k1"
        case Classifier():
            return "classifier"
        case NormConv():
            return f"conv k{part.kernel}"
    return type(part).__name__.lower()


def _row(index: int, part: Part, ms: float | None, digits: int, units: float) -> Html:
    """Box, texts and tooltip of one part."""
    y = _row_y(index)
    zero = _is_zero(part)
    stride = getattr(part, "stride", 1)
    channels = f"{part.in_channels}→{_out(part)}"
    shape = [] if zero else [_shape(part, y, units)]
    texts = [_text(_OP, y + 4, op_name(part), fill="var(--muted)" if zero else None)]
    if not zero:
        widths = channels if part.in_channels != _out(part) else str(_out(part))
        widths += " ↓2" if stride == 2 else ""
        texts.append(_text(_CHANNELS, y + 4, widths, fill="var(--muted)"))
    if ms is not None:
        texts.append(_text(_MS, y + 4, f"{ms:.{digits}f}", text_anchor="end"))
    tooltip = f"{op_name(part)}: {channels} channels, stride {stride}, {part.key}"
    tooltip += "" if ms is None else f", predicted {decimals(ms)} ms"
    # an invisible row makes the whole line answer to the pointer
    area = element(
        "rect",
        x=44,
        y=y - _PITCH / 2,
        width=_WIDTH - 44,
        height=_PITCH,
        fill_opacity=0,
    )
    return element("g", element("title", tooltip), area, *shape, *texts)


def _shape(part: Part, y: float, units: float) -> Html:
    """The box; cut open in the middle where the part is too wide to draw."""
    width = max(units * _out(part), 3.0)
    match part:
        case Block():
            colour, height = (
                kernel_colour(part.op.kernel),
                block_height(part.op.expansion),
            )
        case _:
            colour, height = "var(--fixed)", 7.0
    if width <= _WIDEST + 0.01:
        return box(_CENTRE, y, width, height, colour)
    gap = element(
        "path",
        d=f"M{_CENTRE - 9} {y + 8}l7 -16h6l-7 16z",
        fill="var(--card)",
    )
    return join([box(_CENTRE, y, _WIDEST, height, colour), gap])


def _is_zero(part: Part) -> bool:
    return isinstance(part, Block) and part.op.is_zero


def _bands(parts: Sequence[Part]) -> Html:
    """A background for every size of the feature map, and its name."""
    sizes = [_output_size(part) for part in parts]
    starts = [0, *(i for i in range(1, len(parts)) if sizes[i] != sizes[i - 1])]
    bands = []
    for number, (start, end) in enumerate(pairwise([*starts, len(parts)])):
        top = _TOP + start * _PITCH
        rect = element(
            "rect",
            x=0,
            y=top,
            width=_WIDTH,
            height=(end - start) * _PITCH,
            fill="var(--band)" if number % 2 == 0 else "none",
        )
        name = f"{sizes[start]}×{sizes[start]}"
        bands.append(rect)
        bands.append(_text(6, top + 17.5, name, fill="var(--muted)", font_size=12.5))
    return join(bands)


def _header(has_times: bool) -> Html:
    heads: list[tuple[int, str, str | None]] = [
        (6, "map", None),
        (_OP, "operation", None),
        (_CHANNELS, "channels", None),
    ]
    if has_times:
        heads.append((_MS, "ms", "end"))
    return join(
        _text(x, 14, text, text_anchor=anchor, fill="var(--muted)", font_size=12.5)
        for x, text, anchor in heads
    )


def box(x: float, y: float, width: float, height: float, colour: str) -> Html:
    return element(
        "rect",
        x=x - width / 2,
        y=y - height / 2,
        width=width,
        height=height,
        rx=2.5,
        fill=colour,
    )


def _text(x: float, y: float, content: str, **attributes: object) -> Html:
    return element("text", content, x=x, y=y, **attributes)
