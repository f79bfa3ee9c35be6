"""Writing HTML and SVG so that text cannot become markup.

`Html` is finished markup; every other string is text and is escaped when it enters an
element. So escaping is the rule and has to be opted out of, and tags always nest.
"""

import html
from collections.abc import Iterable

_VOID = frozenset({"meta", "link", "br"})


class Html(str):
    """Markup that is already safe to put into the page."""

    __slots__ = ()


def join(parts: Iterable[str], separator: str = "") -> Html:
    """Escapes what is not `Html` yet and puts everything in one piece."""
    safe = (part if isinstance(part, Html) else html.escape(part) for part in parts)
    return Html(separator.join(safe))


def element(tag: str, *children: str, **attributes: object) -> Html:
    """One element; attribute names swap `_` for `-`, None leaves an attribute out.

    >>> element("p", "a < b", class_="note", data_label="x")
    '<p class="note" data-label="x">a &lt; b</p>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(_value(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{join(children)}</{tag}>")


def _value(value: object) -> str:
    """Coordinates with two decimals at most, so that drawings stay small."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
