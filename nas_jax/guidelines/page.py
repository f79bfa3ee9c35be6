"""`nas_jax guidelines report`: one page of what the records say."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup
from matplotlib.ticker import NullFormatter

from nas_jax.config import files
from nas_jax.guidelines import judgement, kinds, records
from nas_jax.guidelines.advice import Wish
from nas_jax.guidelines.kinds import Kind, Point
from nas_jax.report import quantities as q
from nas_jax.report import rendering
from nas_jax.report.plotting import colour, new_axes, style, to_svg
from nas_jax.report.table import Row, Table

_COLOURS = ("searched", "baseline", "cheapest", "random", "other")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_TOLERANCE = 0.01


def write(target: Path, known: Sequence[Kind]) -> None:
    """Writes the page in one step.

    Raises:
      ValueError: if there are no records.
    """
    if not known:
        raise ValueError("guidelines report: expected records, got none")
    files.write(target, render(known))


def render(known: Sequence[Kind]) -> str:
    """The whole document."""
    families: dict[str, list[Kind]] = {}
    for kind in known:
        families.setdefault(kind.family, []).append(kind)
    verdict, *judged = _verdict(known)
    return rendering.render(
        "guidelines.html",
        title="Guidelines",
        refresh_s=None,
        known=known,
        networks=sum(len(kind.points) for kind in known),
        figures=[(family, _chart(family, own)) for family, own in families.items()],
        devices=_devices(known),
        verdict=verdict,
        judged=judged,
    )


def _chart(family: str, own: Sequence[Kind]) -> Markup:
    """Accuracy over parameters, every task of a source."""
    with style():
        figure, axes = new_axes(5.2, 3.0)
        for place, kind in enumerate(own):
            look = _COLOURS[place % len(_COLOURS)]
            sizes = [point.params for point in kind.points]
            accuracies = [100 * point.accuracy for point in kind.points]
            axes.plot(
                sizes,
                accuracies,
                color=colour(look),
                marker=_MARKERS[place % len(_MARKERS)],
                markersize=3.5,
                label=kind.name,
            )
            need = sizes.index(kinds.needed(kind, _TOLERANCE))
            axes.plot(
                sizes[need],
                accuracies[need],
                marker="o",
                markersize=11,
                fillstyle="none",
                color=colour(look),
            )
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("parameters")
        axes.set_ylabel("test accuracy (%)")
        axes.legend(fontsize=8, frameon=False)
        return to_svg(
            figure,
            f"size-{family}",
            f"Test accuracy over parameters, {family}: "
            + "; ".join(f"{kind.name}, {len(kind.points)} networks" for kind in own),
        )


def _devices(known: Sequence[Kind]) -> Table | None:
    """What networks specialised for a device are made of, if a record says one."""
    rows = tuple(
        Row(
            target["device"],
            (point.record["network"]["architecture"]["name"], "; ".join(stages(point))),
        )
        for kind in known
        for point in kind.points
        if (target := point.record["target"]) and target["device"]
    )
    return Table(("device", "network", "stages: operations"), rows) if rows else None


def stages(point: Point) -> list[str]:
    """The operations of each stage, as `2 mb3_k5, mb6_k7`; a stride of 2 begins one."""
    found: list[list[str]] = [[]]
    for block in records.blocks(point.record):
        if block["stride"] == 2:
            found.append([])
        if block["op"] != "zero":
            found[-1].append(block["op"])
    texts = []
    for stage in filter(None, found):
        counts = {op: stage.count(op) for op in dict.fromkeys(stage)}
        texts.append(
            ", ".join(op if n == 1 else f"{n} {op}" for op, n in counts.items())
        )
    return texts


def _verdict(known: Sequence[Kind]) -> tuple[str, *tuple[Table, ...]]:
    """How good the advice is on sources that it has not seen: in words and tables."""
    try:
        result = judgement.judge(known)
    except ValueError as error:
        return (f"Not judged: {error}.",)
    lead = (
        "One source of pictures left out at a time: "
        f"{q.percent(result['hit_rate'])} of the recommended networks reach the "
        "largest one's accuracy less a point, at a median saving of "
        f"{q.percent(result['median_saving'])} of its parameters; "
        f"{q.percent(result['coverage'])} of the accuracies lie in the stated "
        f"{q.percent(Wish.chance)} interval. {result['not_answered']} tasks had no "
        "evidence near them."
    )
    return lead, _table(judgement.sources(result)), _table(judgement.table(result))


def _table(rows: list[tuple[str, ...]]) -> Table:
    header, *rest = rows
    return Table(header, tuple(Row(name, tuple(cells)) for name, *cells in rest))
