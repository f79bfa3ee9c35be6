"""Templates of the pages, filled: one file each, in which text cannot become markup."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nas_jax.report import quantities, styles

HERE = Path(__file__).parent
_FILTERS = {
    name: getattr(quantities, name) for name in ("percent", "milliseconds", "ratio")
}
_FILTERS |= {
    name: getattr(styles, name) for name in ("kind", "kernel_colour", "network_colour")
}


def stylesheet(*names: str) -> Markup:
    """The text of style sheets, to stand within a page."""
    texts = [(HERE / name).read_text(encoding="utf-8") for name in names]
    return Markup("".join(texts))


def render(template: str, **content: object) -> str:
    """A template, filled with this content; every text in it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= _FILTERS | {"coordinate": _coordinate}
    environment.globals["stylesheet"] = stylesheet
    return environment.get_template(template).render(content)


def _coordinate(value: float) -> str:
    """Two decimals at most, so that drawings stay small."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
