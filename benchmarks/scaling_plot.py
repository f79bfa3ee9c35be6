"""Small multiples of `benchmarks scaling`: a column per axis, a row per quantity."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

STEPS = ("plain_step", "weight_step", "arch_step")
AXIS_LABELS = {
    "candidates": "candidates per layer",
    "cells": "searchable layers",
    "batch": "images per batch",
    "input_size": "side of the images, pixels",
}


class Quantity(NamedTuple):
    """What is drawn of a step: its name, its unit, and where it lies in a result."""

    label: str
    unit: str
    of: Callable[[dict[str, Any]], float]


QUANTITIES = (
    Quantity("time per step", "ms", lambda step: step["ms"]["min"]),
    Quantity("temporary memory", "MiB", lambda step: step["temp_bytes"] / 2**20),
    Quantity("compilation", "s", lambda step: step["compile_s"]),
)
_LINES: dict[str, dict[str, Any]] = {
    "plain_step": {"label": "one plain path", "color": "0.4", "linestyle": "--"},
    "weight_step": {"label": "weight step", "color": "tab:blue", "marker": "o"},
    "arch_step": {
        "label": "architecture step",
        "color": "tab:orange",
        "marker": "s",
    },
}


def position(row: dict[str, Any]) -> int:
    """Where a row stands on its axis: cells are counted as layers."""
    return row["layers"] if row["axis"] == "cells" else row["value"]


def plot(result: dict[str, Any], file: Path) -> None:
    """Draws the table into a file, whose name says the format."""
    draw(result).savefig(file, dpi=150)


def draw(result: dict[str, Any]) -> Figure:
    """All panels; the dashed line is what one path has to cost."""
    figure = Figure(figsize=(12, 8), layout="constrained")
    panels = figure.subplots(
        len(QUANTITIES), len(AXIS_LABELS), squeeze=False, sharex="col", sharey="row"
    )
    for line, quantity in zip(panels, QUANTITIES, strict=True):
        line[0].set_ylabel(f"{quantity.label}, {quantity.unit}")
        for axes, axis in zip(line, AXIS_LABELS, strict=True):
            rows = [row for row in result["rows"] if row["axis"] == axis]
            places = [position(row) for row in rows]
            for step, look in _LINES.items():
                axes.plot(places, [quantity.of(row[step]) for row in rows], **look)
            axes.set_xticks(places)
            axes.grid(color="0.9")
        # shared along the line; set earlier it would cut what is drawn after it
        line[0].set_ylim(bottom=0)
    for axes, label in zip(panels[-1], AXIS_LABELS.values(), strict=True):
        axes.set_xlabel(label)
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3
    )
    return figure
