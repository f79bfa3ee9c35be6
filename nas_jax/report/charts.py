"""The charts: accuracy against latency, and what was logged over the epochs."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nas_jax.report.folder import NetworkResult
from nas_jax.report.intervals import wilson
from nas_jax.report.markup import Html
from nas_jax.report.metrics import Curves, as_series
from nas_jax.report.plotting import MARKERS, colour, new_axes, style, to_svg
from nas_jax.report.styles import kind

# What the lines of the search stand for, by the colour they have
_SEARCH_STYLES = {"muted": (0, (2, 2)), "baseline": "dashed", "searched": "solid"}


def accuracy_against_latency(
    networks: Mapping[str, NetworkResult], target_ms: float | None
) -> Html | None:
    """Test accuracy with its interval against measured time with its quartiles."""
    with style():
        figure, axes = new_axes(5.8, 3.3)
        points = 0
        for name, found in networks.items():
            if None in (found.test_accuracy, found.test_images, found.measured_ms):
                continue
            assert found.test_accuracy is not None and found.measured_ms is not None
            accuracy = 100 * found.test_accuracy
            low, high = wilson(found.test_accuracy, found.test_images or 1)
            early, late = found.quartiles_ms or (found.measured_ms,) * 2
            axes.errorbar(
                found.measured_ms,
                accuracy,
                xerr=[
                    [max(found.measured_ms - early, 0)],
                    [max(late - found.measured_ms, 0)],
                ],
                yerr=[[accuracy - 100 * low], [100 * high - accuracy]],
                color=colour(name),
                marker=MARKERS.get(kind(name), "v"),
                markersize=7,
                elinewidth=1.3,
                linestyle="none",
            )
            points += 1
        if target_ms is not None:
            axes.axvline(target_ms, color=colour("muted"), lw=1, ls=(0, (2, 3)))
        axes.set_xlim(left=0)
        axes.set_xlabel("measured latency (ms)")
        axes.set_ylabel("test accuracy (%)")
        return to_svg(figure, "tradeoff") if points else None


def search_curves(curves: Curves) -> Iterator[tuple[str, Html]]:
    """Caption and chart of expected cost, accuracy and entropy over the epochs."""
    latency = {
        "muted": curves.series("search/target_ms"),
        "searched": curves.series("search/expected_latency_ms"),
    }
    counted = {
        unit: {
            "muted": curves.series(f"search/target_{unit}"),
            "searched": curves.series(f"search/expected_{unit}"),
        }
        for unit in ("macs", "params")
    }
    accuracy = {
        "baseline": 100 * curves.series("search/accuracy"),
        "searched": 100 * curves.series("search/valid_accuracy"),
    }
    entropy = {"searched": curves.series("search/entropy")}
    loss = {"baseline": curves.series("search/loss")}
    for name, caption, unit, lines in (
        ("latency", "Expected latency, and the target (dotted)", "ms", latency),
        (
            "macs",
            "Expected multiply-adds, and the target (dotted)",
            "MACs",
            counted["macs"],
        ),
        (
            "params",
            "Expected parameters, and the target (dotted)",
            "parameters",
            counted["params"],
        ),
        (
            "accuracy",
            "Accuracy: valid solid, training batches dashed",
            "%",
            accuracy,
        ),
        ("entropy", "Entropy of the path probabilities", "entropy", entropy),
        ("loss", "Loss on the training batches", "loss", loss),
    ):
        chart = _over_epochs(name, unit, lines, curves.warmup_epochs, _SEARCH_STYLES)
        if chart is not None:
            yield caption, chart


def retraining_curves(curves: Curves) -> Iterator[tuple[str, Html]]:
    """Caption and chart of accuracy and loss while the networks are retrained."""
    for key, caption, unit, factor in (
        ("train/accuracy", "Accuracy on the training batches", "%", 100.0),
        ("train/loss", "Loss on the training batches", "loss", 1.0),
    ):
        lines = {
            name: factor * as_series(found, key)
            for name, found in curves.retraining.items()
        }
        chart = _over_epochs(key.replace("/", "-"), unit, lines)
        if chart is not None:
            yield caption, chart


def _over_epochs(
    name: str,
    unit: str,
    lines: Mapping[str, np.ndarray],
    warmup_epochs: int = 0,
    styles: Mapping[str, Any] = MappingProxyType({}),
) -> Html | None:
    """Lines over epochs counted from 1; the warm-up, if any, is shaded.

    Lines without a style of their own carry the marker of their network.
    """
    if not any(np.isfinite(values).any() for values in lines.values()):
        return None
    with style():
        figure, axes = new_axes(5.2, 2.7)
        for label, values in lines.items():
            epochs = np.arange(1, len(values) + 1)
            # one point alone would be an invisible line
            is_marked = not styles or np.isfinite(values).sum() == 1
            axes.plot(
                epochs,
                values,
                color=colour(label),
                linestyle=styles.get(label, "solid"),
                marker=MARKERS.get(kind(label), "v") if is_marked else None,
                markevery=max(len(values) // 6, 1),
                markersize=4.5,
            )
        axes.set_xlim(0.5, max(map(len, lines.values())) + 0.5)
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if warmup_epochs:
            _mark_phases(axes, warmup_epochs)
        return to_svg(figure, name)


def _mark_phases(axes: Axes, warmup_epochs: int) -> None:
    axes.axvspan(0.5, warmup_epochs + 0.5, color=colour("band"), lw=0, zorder=0)
    last_epoch = axes.get_xlim()[1]
    phases = [("warm-up", 0.5)]
    phases += [("joint", warmup_epochs + 0.5)] if last_epoch > warmup_epochs + 1 else []
    for text, left in phases:
        axes.annotate(
            text,
            (left, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, 3),
            textcoords="offset points",
            color=colour("muted"),
            fontsize=9,
        )
