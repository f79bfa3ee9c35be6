"""Curves over the epochs, as charts: the search, and retraining."""

from collections.abc import Iterator, Mapping

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nas_jax.report.metrics import Curves, as_series
from nas_jax.report.plotting import MARKERS, colour, new_axes, style, to_svg
from nas_jax.report.styles import is_tried, kind

# Colours of the lines of the search: their style, and what they stand for
_LINES = {
    "muted": ((0, (2, 2)), "target"),
    "baseline": ("dashed", "training"),
    "searched": ("solid", "search"),
}
# Caption, unit, and columns of `metrics.jsonl` for the lines above, "-" for none
_TARGET = "and the target (dotted)"
_SEARCH = (
    (f"Expected latency, {_TARGET}", "ms", "target_ms - expected_latency_ms"),
    (f"Expected multiply-adds, {_TARGET}", "MACs", "target_macs - expected_macs"),
    (
        f"Expected parameters, {_TARGET}",
        "parameters",
        "target_params - expected_params",
    ),
    ("Multiplier of the constraint", "multiplier", "- - multiplier"),
    ("Weight of the squared excess", "penalty weight", "- - penalty_weight"),
    (
        "Accuracy: valid solid, training batches dashed",
        "%",
        "- accuracy valid_accuracy",
    ),
    ("Entropy of the path probabilities", "nats, mean of layers", "- - entropy"),
    ("Loss on the training batches", "loss", "- loss -"),
)


def search_curves(curves: Curves, prefix: str = "") -> Iterator[tuple[str, Markup]]:
    """Caption and chart of cost, constraint, accuracy and entropy over the epochs.

    Ids within the charts begin with `prefix`, which keeps several searches on one page
    apart.
    """
    for caption, unit, columns in _SEARCH:
        known = {
            look: column
            for look, column in zip(_LINES, columns.split(), strict=True)
            if column != "-"
        }
        lines = {look: curves.series(f"search/{known[look]}") for look in known}
        name = prefix + [*known.values()][-1]
        chart = _over_epochs(name, caption, unit, lines, search=curves)
        if chart is not None:
            yield caption, chart


def retraining_curves(curves: Curves) -> Iterator[tuple[str, Markup]]:
    """Caption and chart of accuracy and loss while the networks are retrained."""
    for key, unit in (("accuracy", "%"), ("loss", "loss")):
        caption = f"{key.capitalize()} on the training batches"
        lines = {
            name: as_series(found, f"train/{key}")
            for name, found in curves.retraining.items()
        }
        chart = _over_epochs(f"train-{key}", caption, unit, lines)
        if chart is not None:
            yield caption, chart


def _over_epochs(
    name: str,
    caption: str,
    unit: str,
    lines: Mapping[str, np.ndarray],
    *,
    search: Curves | None = None,
) -> Markup | None:
    """Lines over epochs, by colour for a `search` (whose warm-up is shaded).

    Those of retraining are named by their network and carry its marker, but for those
    that were only tried, which are thin.
    """
    factor = 100 if unit == "%" else 1
    lines = {look: factor * values for look, values in lines.items()}
    if not any(np.isfinite(values).any() for values in lines.values()):
        return None
    first = 1 if search is None else search.first_epoch
    with style():
        figure, axes = new_axes(4.6, 2.5)
        for look, values in lines.items():
            # what is not told every epoch is one line still
            known = np.isfinite(values)
            epochs = np.arange(first, first + len(values))[known]
            # one point alone would be an invisible line
            is_thin = search is None and is_tried(look)
            is_marked = (search is None and not is_thin) or len(epochs) == 1
            axes.plot(
                epochs,
                values[known],
                color=colour(look),
                linestyle="solid" if search is None else _LINES[look][0],
                marker=MARKERS.get(kind(look), "v") if is_marked else None,
                markevery=max(len(epochs) // 6, 1),
                markersize=2.5 if is_thin else 4.5,
                linewidth=0.9 if is_thin else None,
                zorder=1.5 if is_thin else 2,
            )
        axes.set_xlim(first - 0.5, first + max(map(len, lines.values())) - 0.5)
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if search is not None and search.warmup_epochs:
            _mark_phases(axes, search.warmup_epochs)
        names = {look: look if search is None else _LINES[look][1] for look in lines}
        ends = [
            f"{names[look]} from {known[0]:.3g} to {known[-1]:.3g}"
            for look, values in lines.items()
            if len(known := values[np.isfinite(values)])
        ]
        return to_svg(figure, name, f"{caption}: {'; '.join(ends)}")


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
