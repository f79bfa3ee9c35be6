"""What colours, shapes and heights on the page stand for."""

from collections.abc import Sequence

from nas_jax.architecture import Architecture
from nas_jax.report.drawing import block_height, box
from nas_jax.report.markup import Html, element
from nas_jax.report.styles import kernel_colour, kind, network_colour, run_look

_MARKS = {
    "searched": '<circle cx="7" cy="7" r="6"></circle>',
    "baseline": '<rect x="1.5" y="1.5" width="11" height="11"></rect>',
    "cheapest": '<path d="M7 1L13 13H1z"></path>',
    "random": '<path d="M7 0L14 7L7 14L0 7z"></path>',
}
_OTHER_MARK = '<path d="M1 1H13L7 13z"></path>'


def networks(names: list[str]) -> Html:
    return element(
        "ul", *(element("li", mark(name), name) for name in names), class_="legend"
    )


def mark(name: str) -> Html:
    """The colour and shape that stand for a network everywhere on the page."""
    return element(
        "svg",
        Html(_MARKS.get(kind(name), _OTHER_MARK)),
        viewBox="0 0 14 14",
        fill=network_colour(name),
        aria_hidden="true",
    )


def runs(names: Sequence[str], kinds: Sequence[str]) -> Html:
    """What colours and shapes stand for where several runs are in one picture."""
    items = []
    for place, name in enumerate(names):
        hue, is_hollow = run_look(place)
        look = f"fill:{'none' if is_hollow else f'var(--{hue})'};stroke:var(--{hue})"
        swatch = element(
            "svg",
            element("rect", x=1, y=3, width=12, height=8, rx=2, style=look),
            viewBox="0 0 14 14",
            aria_hidden="true",
        )
        items.append(element("li", swatch, name))
    for one in kinds:
        shape = Html(_MARKS.get(one, _OTHER_MARK))
        swatch = element(
            "svg", shape, viewBox="0 0 14 14", fill="var(--muted)", aria_hidden="true"
        )
        items.append(element("li", swatch, one))
    return element("ul", *items, class_="legend")


def blocks(architectures: Sequence[Architecture]) -> Html:
    """What the colours, heights and lines of the drawings mean."""
    ops = {block.op for found in architectures for block in found.blocks}
    kernels = sorted({op.kernel for op in ops if not op.is_zero})
    expansions = sorted({op.expansion for op in ops if not op.is_zero})
    items = [
        (
            _swatch(box(9, 7, 18, 12, kernel_colour(kernel))),
            f"kernel {kernel} × {kernel}",
        )
        for kernel in kernels
    ]
    items += [
        (
            _swatch(box(9, 7, 18, 0.62 * block_height(expansion), "var(--muted)")),
            f"expansion {expansion}",
        )
        for expansion in expansions
    ]
    if any(op.is_zero for op in ops):
        line = element("path", d="M9 0V14", stroke="var(--muted)", stroke_width=1.5)
        items.append((_swatch(line), "zero: the block is skipped"))
    items.append((_swatch(box(9, 7, 18, 5, "var(--fixed)")), "fixed layer"))
    rows = (element("li", swatch, text) for swatch, text in items)
    return element("ul", *rows, class_="legend")


def probabilities(has_choice: bool) -> Html:
    ramp = [
        element(
            "rect",
            x=6 * step,
            y=2,
            width=6,
            height=10,
            fill="var(--k5)",
            fill_opacity=step / 10,
        )
        for step in range(11)
    ]
    frame = element(
        "rect", x=0.5, y=2, width=65, height=10, fill="none", stroke="var(--line)"
    )
    items = [
        element(
            "li",
            "0",
            element("svg", *ramp, frame, viewBox="0 0 66 14", aria_hidden="true"),
            "1 probability; hue = kernel size",
        )
    ]
    if has_choice:
        dot = element("circle", cx=7, cy=7, r=3.5, fill="var(--ink)")
        mark = element("svg", dot, viewBox="0 0 14 14", aria_hidden="true")
        items.append(element("li", mark, "operation of the searched network"))
    return element("ul", *items, class_="legend")


def _swatch(shape: Html) -> Html:
    return element("svg", shape, viewBox="0 0 18 14", aria_hidden="true")
