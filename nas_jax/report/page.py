"""The page: sections in reading order, each able to say that its files are missing."""

from collections.abc import Mapping

from nas_jax.architecture import Architecture
from nas_jax.report import (
    charts,
    comparison,
    drawing,
    finalists,
    headline,
    heatmap,
    legends,
    milliseconds,
    preferred,
    provenance,
    question,
    scatter,
)
from nas_jax.report import quantities as q
from nas_jax.report.folder import FILES, NetworkResult, Run, path_of
from nas_jax.report.markup import Html, element
from nas_jax.report.styles import CSS

# Nothing may be fetched and nothing may run, whatever text a run folder brings
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(run: Run, refresh_s: int | None = None) -> str:
    """The whole document; it loads itself again every `refresh_s` seconds, if set."""
    title = run.config.get("name")
    name = run.name if title is None else f"{title} · {run.name}"
    return document(
        name,
        element(
            "header",
            element("p", name, class_="run"),
            element("h1", headline.headline(run)),
            element("p", headline.lead(run), class_="lead"),
        ),
        *(element("p", note, class_="note") for note in notes(run)),
        _question(run),
        _network(run),
        _comparison(run),
        _search(run),
        _milliseconds(run),
        _preferences(run),
        _finalists(run),
        _retraining(run),
        section("Where it comes from", *provenance.content(run)),
        element("footer", "Written by nas_jax report from the files of the run."),
        refresh_s=refresh_s,
    )


def document(name: str, *content: str, refresh_s: int | None = None) -> str:
    """A page of this content, in the look of the report."""
    again = []
    if refresh_s is not None:
        again = [element("meta", http_equiv="refresh", content=str(refresh_s))]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        *again,
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{name} · nas_jax"),
        element("link", rel="icon", href="data:,"),
        element("style", Html(CSS)),
    )
    body = element("body", element("main", *content))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def notes(run: Run) -> list[str]:
    """What is missing of a run, in one note, and what was left out."""
    lacking = " ".join(
        f"{name} is missing; it will hold {FILES[name]}." for name in run.missing
    )
    return [*([lacking] if lacking else []), *run.curves.notes]


def section(title: str, *children: str) -> Html:
    """A part of the page under its heading."""
    return element("section", element("h2", title), *children)


def about(*text: str) -> Html:
    """What a section shows."""
    return element("p", *text, class_="about")


def figure(caption: str, picture: Html, **attributes: object) -> Html:
    """A picture or table under its caption."""
    return element("figure", element("figcaption", caption), picture, **attributes)


def _question(run: Run) -> Html:
    rows = question.content(run)
    return section("The question", *(rows or [about("There are no settings yet.")]))


def _network(run: Run) -> Html:
    title = "The network" if len(run.searched) < 2 else "The networks"
    if not run.searched:
        return section(title, about("There is no searched network yet."))
    shown = {_caption(run, name): network for name, network in run.searched.items()}
    baseline = run.networks.get("baseline")
    if baseline is not None and baseline.architecture is not None:
        shown["Hand-designed baseline"] = baseline.architecture
    return section(title, *drawings(shown, run))


def drawings(shown: Mapping[str, Architecture], run: Run) -> list[Html]:
    """Networks side by side in one scale, with what the pictures mean."""
    units = drawing.scale(list(shown.values()))
    figures = [
        figure(caption, drawing.draw(network, run.part_ms, units))
        for caption, network in shown.items()
    ]
    text = "From the image down to the classes. A box is as wide as its output "
    text += "channels and as high as its expansion; one with a slash is wider than "
    text += "drawn. ↓2 halves the feature map."
    if run.part_ms:
        words = ", ".join(provenance.conditions(run))
        text += " Times are predicted by the latency table"
        text += f" ({words})." if words else "."
    return [
        about(text),
        legends.blocks(list(shown.values())),
        element("div", *figures, class_="pair"),
    ]


def _caption(run: Run, name: str) -> str:
    """`Searched`, or which of several and for which target."""
    if name not in run.targets:
        return "Searched"
    target = run.targets[name].target_ms
    return name if target is None else f"{name}, target {q.milliseconds(target)}"


def _comparison(run: Run) -> Html:
    title = "Against other networks"
    if not run.networks:
        text = "No network has been retrained, tested and measured yet."
        return section(title, about(text))
    chart = scatter.accuracy_against_latency(run.networks, run.target_ms)
    picture: list[Html] = []
    if chart is not None:
        caption = "Accuracy against measured latency"
        caption += "" if run.target_ms is None else ", and the target (dotted)"
        picture = [figure(caption, chart, class_="wide")]
    return section(
        title,
        about(comparison.about(run.networks)),
        comparison.table(run.networks),
        *comparison.targets(run),
        legends.networks(list(run.networks)) if picture else "",
        *picture,
    )


def _search(run: Run) -> Html:
    title = "How the search got there"
    curves = run.curves
    if not curves.search:
        return section(title, about("There are no curves of the search yet."))
    joint = len(curves.search) - curves.warmup_epochs
    text = f"{curves.warmup_epochs} epochs of warm-up, in which only weights are "
    text += "trained, then "
    if run.targets:
        text += "for each target epochs in which weights and architecture take turns."
    else:
        text += f"{joint} epochs in which weights and architecture take turns."
    own = [
        element(
            "details",
            element("summary", f"The search of {_caption(run, name)}"),
            *_curves(one, f"target{place}-"),
        )
        for place, (name, one) in enumerate(run.targets.items(), start=1)
    ]
    return section(title, about(text), *_curves(run), *own)


def _curves(run: Run, prefix: str = "") -> list[Html]:
    """Charts and probabilities of one search."""
    content: list[Html] = []
    figures = [figure(*found) for found in charts.search_curves(run.curves, prefix)]
    if figures:
        content.append(element("div", *figures, class_="charts"))
    epochs, probs = run.curves.probs()
    if not len(probs):
        return [*content, about("No path probabilities were recorded.")]
    chosen = None
    path = path_of(run, run.architecture)
    if path is not None and run.space is not None:
        chosen = [run.space.candidates[k].name for k in path]
    warm = run.curves.warmup_epochs
    return [
        *content,
        element("h3", "Probabilities of the candidates, layer by layer"),
        legends.probabilities(chosen is not None),
        element(
            "div",
            *heatmap.panels(probs, epochs, warm, run.space, chosen),
            class_="panels",
        ),
    ]


def _milliseconds(run: Run) -> Html:
    title = "Where the milliseconds go"
    shown = []
    for name, network in run.searched.items():
        found = run.networks.get(name, NetworkResult())
        bars = milliseconds.bars(run, network, found)
        if bars is not None:
            shown.append(figure(_caption(run, name), bars))
    if not shown:
        text = "There is no searched network with a predicted time for every layer."
        return section(title, about(text))
    text = about(milliseconds.about(run))
    return section(title, text, element("div", *shown, class_="pair"))


def _preferences(run: Run) -> Html:
    title = "What the device prefers"
    shown = [
        figure(_caption(run, name), found)
        for name, network in run.searched.items()
        if (found := preferred.stages(run, network)) is not None
    ]
    if not shown:
        return section(title, about("No searched network of a space with stages."))
    text = "What is left of every stage, from the first: its blocks, the share of each "
    text += "kernel size among them, their mean expansion."
    return section(title, about(text), element("div", *shown, class_="pair"))


def _finalists(run: Run) -> Html:
    title = "How the network was chosen"
    runs = {_caption(run, name): one for name, one in run.targets.items()}
    shown = []
    for name, one in (runs or {"": run}).items():
        if not one.finalists:
            continue
        chosen = path_of(one, one.architecture)
        rows = finalists.tables(one.finalists, one.space, chosen)
        shown.append(element("h3", name) if name else Html(""))
        shown.append(about(finalists.summary(one.finalists, chosen)))
        shown += rows
    if not shown:
        return section(title, about("No finalists have been compared yet."))
    return section(title, *shown)


def _retraining(run: Run) -> Html:
    title = "Retraining"
    figures = [figure(*found) for found in charts.retraining_curves(run.curves)]
    if not figures:
        return section(title, about("There are no curves of retraining yet."))
    return section(
        title,
        about("Training of the plain networks, from scratch."),
        legends.networks(list(run.curves.retraining)),
        element("div", *figures, class_="charts"),
    )
