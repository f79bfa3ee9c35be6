"""`nas_jax guidelines report`: one page of what the records say."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.ticker import NullFormatter

from nas_jax import files
from nas_jax.guidelines import judgement, kinds, records
from nas_jax.guidelines.advice import Wish
from nas_jax.guidelines.kinds import Kind, Point
from nas_jax.report import quantities as q
from nas_jax.report.markup import Html, element
from nas_jax.report.page import document
from nas_jax.report.plotting import colour, new_axes, style, to_svg

_COLOURS = ("searched", "baseline", "cheapest", "random", "other")
_MARKERS = ("o", "s", "^", "D", "v")
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
    networks = sum(len(kind.points) for kind in known)
    figures = [
        element("figure", element("figcaption", family), _chart(family, own))
        for family, own in families.items()
    ]
    return document(
        "Guidelines",
        element(
            "header",
            element("p", "nas_jax guidelines", class_="run"),
            element("h1", "How large a network does a kind of problem need?"),
            element(
                "p",
                f"{len(known)} kinds of tasks in {len(families)} families, {networks} "
                "networks.",
                class_="lead",
            ),
        ),
        element(
            "section",
            element("h2", "Accuracy by size"),
            element(
                "p",
                "A line per kind of task, a point per network. The ring is the "
                "smallest network as good as the largest, less a point of accuracy, "
                "by the rising fit.",
                class_="about",
            ),
            element("div", *figures, class_="charts"),
        ),
        _devices(known),
        _verdict(known),
        element("footer", "Written by nas_jax guidelines report from the records."),
    )


def _chart(family: str, own: Sequence[Kind]) -> Html:
    """Accuracy over parameters, every task of a family."""
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


def _devices(known: Sequence[Kind]) -> Html:
    """What networks specialised for a device are made of, stage by stage."""
    title = element("h2", "What each device prefers")
    found = [
        point
        for kind in known
        for point in kind.points
        if (target := point.record["target"]) and target["device"]
    ]
    if not found:
        text = "No record states a device that its network was searched for."
        return element("section", title, element("p", text, class_="about"))
    head = ("device", "network", "stages: operations")
    rows = [
        element(
            "tr",
            element("th", point.record["target"]["device"], scope="row"),
            element("td", point.record["network"]["architecture"]["name"]),
            element("td", "; ".join(stages(point))),
        )
        for point in found
    ]
    return element(
        "section",
        title,
        element(
            "p",
            "Stages are separated by halved feature maps; blocks that were left out "
            "are not shown.",
            class_="about",
        ),
        element(
            "table",
            element("thead", element("tr", *(element("th", one) for one in head))),
            element("tbody", *rows),
        ),
    )


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


def _verdict(known: Sequence[Kind]) -> Html:
    """How good the advice is on families that it has not seen."""
    title = element("h2", "How good the advice has been")
    try:
        result = judgement.judge(known)
    except ValueError as error:
        text = f"Not judged: {error}."
        return element("section", title, element("p", text, class_="about"))
    header, *rows = judgement.table(result)
    lead = (
        f"One family left out at a time: {q.percent(result['hit_rate'])} of the "
        "recommended networks reach the largest one's accuracy less a point, at a "
        f"median saving of {q.percent(result['median_saving'])} of its parameters; "
        f"{q.percent(result['coverage'])} of the accuracies lie in the stated "
        f"{q.percent(Wish.chance)} interval. {result['not_answered']} tasks had no "
        "evidence near them."
    )
    return element(
        "section",
        title,
        element("p", lead, class_="about"),
        element(
            "table",
            element("thead", element("tr", *(element("th", one) for one in header))),
            element(
                "tbody",
                *(
                    element("tr", *(element("td", cell) for cell in row))
                    for row in rows
                ),
            ),
        ),
    )
