"""The drawing of a network on its own: for a notebook, or as an SVG file.

An `Architecture` stays free of drawing: it is static data, and this is an edge. So a
notebook ends a cell with `report.draw(architecture)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from nas_jax.report import drawing
from nas_jax.report.rendering import render, stylesheet
from nas_jax.spaces.architecture import Architecture


@dataclass(frozen=True)
class Picture:
    """The drawing of a network, which a notebook shows as it is."""

    svg: str = field(repr=False)
    """One element with its own colours, light and dark."""

    def _repr_html_(self) -> str:
        return self.svg

    def save(self, path: Path) -> Path:
        """Writes a new SVG file; `ValueError` if it exists or is called otherwise."""
        if path.suffix != ".svg":
            raise ValueError(f"{path}: expected a name that ends in .svg")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(self.svg + "\n")
        except FileExistsError:
            raise ValueError(
                f"{path}: expected a new file, this one exists; choose another name"
            ) from None
        return path


def draw(
    architecture: Architecture,
    part_ms: Mapping[str, float] = MappingProxyType({}),
) -> Picture:
    """Draws a network from the image (top) to the classes (bottom).

    A box is as wide as its output channels, as high as its expansion, and coloured by
    its kernel. `part_ms` are predicted times by `part.key`, if they shall be shown; a
    table may know some parts, all, or none.
    """
    drawn = drawing.draw(architecture, part_ms, drawing.scale([architecture]))
    style = stylesheet("palette.css", "picture.css")
    return Picture(render("network.svg", drawing=drawn, style=style).strip())
