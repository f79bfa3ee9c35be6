"""Predicted against measured latency of held-out networks, a panel per model."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from nas_jax.latency.measurement.whole_networks import LABELS


def plot(record: dict[str, Any], file: Path) -> None:
    """Draws a record of `networks.validate` into a file, whose name says the format."""
    draw(record).savefig(file, dpi=150)


def draw(record: dict[str, Any]) -> Figure:
    """All models; the line is perfect prediction, the band within 10 %."""
    held = [one for one in record["networks"] if one["held_out"]]
    measured = [one["measured_ms"] for one in held]
    models = list(record["models"])
    figure = Figure(figsize=(3.4 * len(models), 3.6), layout="constrained")
    panels = figure.subplots(1, len(models), squeeze=False, sharex=True, sharey=True)
    ends = [0.95 * min(measured), 1.05 * max(measured)]
    for axes, name in zip(panels[0], models, strict=True):
        predicted = [one[f"{name}_ms"] for one in held]
        axes.fill_between(
            ends, [0.9 * x for x in ends], [1.1 * x for x in ends], color="0.92"
        )
        axes.plot(ends, ends, color="0.6", linewidth=1)
        axes.scatter(measured, predicted, s=12, color="tab:blue")
        share = record["models"][name]["within_10_percent"]
        axes.set_title(f"{LABELS[name]}\n{share:.0%} within 10 %", fontsize=10)
        axes.set_xlabel("measured, ms")
    panels[0, 0].set_ylabel("predicted, ms")
    return figure
