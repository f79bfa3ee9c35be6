"""Pages from templates: one file each, in which text cannot become markup."""

import functools
import re
import shlex
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from nas_jax.report import drawing, quantities, styles

_HERE = Path(__file__).parent


def render(template: str, **content: object) -> str:
    """A template, filled with this content; every text in it is escaped."""
    return _environment().get_template(template).render(content)


def stylesheet(*names: str) -> Markup:
    """The text of style sheets, to stand within a page."""
    return Markup("".join((_HERE / name).read_text("utf-8") for name in names))


@functools.cache
def _environment() -> Environment:
    """The templates, and the functions that they may call."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "coordinate": _coordinate,
        "kernel_colour": styles.kernel_colour,
        "kind": styles.kind,
        "milliseconds": quantities.milliseconds,
        "network_colour": styles.network_colour,
        "percent": quantities.percent,
        "quoted": shlex.quote,
        "ratio": quantities.ratio,
        "unbroken": _unbroken,
    }
    environment.tests["tried"] = styles.is_tried
    environment.globals |= {
        "block_height": drawing.block_height,
        "pitch": drawing.PITCH,
        "widest": drawing.WIDEST,
        "stylesheet": stylesheet,
    }
    return environment


def _unbroken(text: str) -> Markup:
    """Commands whose flags stay in one piece where a line is broken.

    >>> _unbroken("nas_jax list --json")
    Markup('nas_jax list <span>--json</span>')
    """
    return Markup(re.sub(r"--[\w.-]+", r"<span>\g<0></span>", str(escape(text))))


def _coordinate(value: float) -> str:
    """Two decimals at most, so that drawings stay small."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
