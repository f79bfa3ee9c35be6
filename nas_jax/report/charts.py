"""What was logged over the epochs, as charts: the search, and retraining."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nas_jax.report.markup import Html
from nas_jax.report.metrics import Curves, as_series
from nas_jax.report.plotting import MARKERS, colour, new_axes, style, to_svg
from nas_jax.report.styles import kind

# What the lines of the search stand for, by the colour they have
_SEARCH_STYLES = {"muted": (0, (2, 2)), "baseline": "dashed", "searched": "solid"}
_SEARCH_WORDS = {"muted": "target", "baseline": "training", "searched": "search"}


def search_curves(curves: Curves, prefix: str = "") -> Iterator[tuple[str, Html]]:
    """Caption and chart of cost, constraint, accuracy and entropy over the epochs.

    Ids within the charts begin with `prefix`, which keeps several searches on one page
    apart.
    """
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
    multiplier = {"searched": curves.series("search/multiplier")}
    penalty = {"searched": curves.series("search/penalty_weight")}
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
        ("multiplier", "Multiplier of the constraint", "multiplier", multiplier),
        ("penalty", "Weight of the squared excess", "penalty weight", penalty),
        (
            "accuracy",
            "Accuracy: valid solid, training batches dashed",
            "%",
            accuracy,
        ),
        (
            "entropy",
            "Entropy of the path probabilities",
            "nats, mean of layers",
            entropy,
        ),
        ("loss", "Loss on the training batches", "loss", loss),
    ):
        chart = _over_epochs(
            prefix + name,
            caption,
            unit,
            lines,
            (curves.first_epoch, curves.warmup_epochs),
            _SEARCH_STYLES,
        )
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
        chart = _over_epochs(key.replace("/", "-"), caption, unit, lines)
        if chart is not None:
            yield caption, chart


def _over_epochs(
    name: str,
    caption: str,
    unit: str,
    lines: Mapping[str, np.ndarray],
    start: tuple[int, int] = (1, 0),
    styles: Mapping[str, Any] = MappingProxyType({}),
) -> Html | None:
    """Lines over epochs from `start`: the first one, and how many are warm-up.

    The warm-up, if any, is shaded. Lines without a style of their own carry the marker
    of their network.
    """
    if not any(np.isfinite(values).any() for values in lines.values()):
        return None
    first, warmup_epochs = start
    with style():
        figure, axes = new_axes(4.6, 2.5)
        for label, values in lines.items():
            known = np.isfinite(
                values
            )  # what is not told every epoch is one line still
            epochs = np.arange(first, first + len(values))[known]
            # one point alone would be an invisible line
            is_marked = not styles or len(epochs) == 1
            axes.plot(
                epochs,
                values[known],
                color=colour(label),
                linestyle=styles.get(label, "solid"),
                marker=MARKERS.get(kind(label), "v") if is_marked else None,
                markevery=max(len(epochs) // 6, 1),
                markersize=4.5,
            )
        axes.set_xlim(first - 0.5, first + max(map(len, lines.values())) - 0.5)
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if warmup_epochs:
            _mark_phases(axes, warmup_epochs)
        words = _SEARCH_WORDS if styles else {}
        return to_svg(figure, name, f"{caption}: {_in_words(lines, words)}")


def _in_words(lines: Mapping[str, np.ndarray], words: Mapping[str, str]) -> str:
    """First and last value of every line; `words` are names for colours."""
    ends = {
        name: known[[0, -1]]
        for name, values in lines.items()
        if len(known := values[np.isfinite(values)])
    }
    return "; ".join(
        f"{words.get(name, name)} from {begin:.3g} to {end:.3g}"
        for name, (begin, end) in ends.items()
    )


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
