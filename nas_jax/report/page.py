"""The page: sections in reading order, each able to say that its files are missing."""

from nas_jax.report import charts, comparison, drawing, heatmap, legends, provenance
from nas_jax.report.folder import FILES, Run, chosen_ops
from nas_jax.report.markup import Html, element
from nas_jax.report.styles import CSS

# Nothing may be fetched and nothing may run, whatever text a run folder brings
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(run: Run) -> str:
    """The whole document."""
    title = run.config.get("name")
    name = run.name if title is None else f"{title} · {run.name}"
    return document(
        name,
        element(
            "header",
            element("p", name, class_="run"),
            element("h1", comparison.headline(run)),
            element("p", comparison.lead(run), class_="lead"),
        ),
        *_notes(run),
        _network(run),
        _comparison(run),
        _search(run),
        _retraining(run),
        _section("Where it comes from", *provenance.content(run)),
        element("footer", "Written by nas_jax report from the files of the run."),
    )


def document(name: str, *content: str) -> str:
    """A page of this content, in the look of the report."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{name} · nas_jax"),
        element("link", rel="icon", href="data:,"),
        element("style", Html(CSS)),
    )
    body = element("body", element("main", *content))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _notes(run: Run) -> list[Html]:
    notes = [f"{name} is missing; it will hold {FILES[name]}." for name in run.missing]
    return [element("p", note, class_="note") for note in (*notes, *run.curves.notes)]


def _section(title: str, *children: str) -> Html:
    return element("section", element("h2", title), *children)


def _about(*text: str) -> Html:
    return element("p", *text, class_="about")


def _figure(caption: str, picture: Html, **attributes: object) -> Html:
    return element("figure", element("figcaption", caption), picture, **attributes)


def _network(run: Run) -> Html:
    title = "The network"
    if run.architecture is None:
        return _section(title, _about("There is no searched network yet."))
    shown = {"Searched": run.architecture}
    baseline = run.networks.get("baseline")
    if baseline is not None and baseline.architecture is not None:
        shown["Hand-designed baseline"] = baseline.architecture
    units = drawing.scale(list(shown.values()))
    figures = [
        _figure(caption, drawing.draw(network, run.part_ms, units))
        for caption, network in shown.items()
    ]
    about = "From the image down to the classes. A box is as wide as its output "
    about += "channels and as high as its expansion; one with a slash is wider than "
    about += "drawn. ↓2 halves the feature map."
    if run.part_ms:
        about += (
            f" Times are predicted by the latency table{provenance.conditions(run)}."
        )
    return _section(
        title,
        _about(about),
        legends.blocks(list(shown.values())),
        element("div", *figures, class_="pair"),
    )


def _comparison(run: Run) -> Html:
    title = "Against other networks"
    if not run.networks:
        text = "No network has been retrained, tested and measured yet."
        return _section(title, _about(text))
    about = "Test accuracy with its 95 % Wilson interval; measured time as the median "
    about += "with its quartiles."
    chart = charts.accuracy_against_latency(run.networks, run.target_ms)
    figure: list[Html] = []
    if chart is not None:
        caption = "Accuracy against measured latency"
        caption += "" if run.target_ms is None else ", and the target (dotted)"
        figure = [_figure(caption, chart, class_="wide")]
    return _section(
        title,
        _about(about),
        comparison.table(run.networks),
        *figure,
        legends.networks(list(run.networks)) if figure else "",
    )


def _search(run: Run) -> Html:
    title = "How the search got there"
    curves = run.curves
    if not curves.search:
        return _section(title, _about("There are no curves of the search yet."))
    content: list[Html] = []
    figures = [_figure(*found) for found in charts.search_curves(curves)]
    if figures:
        content.append(element("div", *figures, class_="charts"))
    epochs, probs = curves.probs()
    if len(probs):
        chosen = chosen_ops(run)
        panels = heatmap.panels(probs, epochs, curves.warmup_epochs, run.space, chosen)
        content += [
            element("h3", "Probabilities of the candidates, layer by layer"),
            legends.probabilities(chosen is not None),
            element("div", *panels, class_="panels"),
        ]
    else:
        content.append(_about("No path probabilities were recorded."))
    joint = len(curves.search) - curves.warmup_epochs
    about = f"{curves.warmup_epochs} epochs of warm-up, in which only weights are "
    about += (
        f"trained, then {joint} epochs in which weights and architecture take turns."
    )
    return _section(title, _about(about), *content)


def _retraining(run: Run) -> Html:
    title = "Retraining"
    figures = [_figure(*found) for found in charts.retraining_curves(run.curves)]
    if not figures:
        return _section(title, _about("There are no curves of retraining yet."))
    return _section(
        title,
        _about("Training of the plain networks, from scratch."),
        legends.networks(list(run.curves.retraining)),
        element("div", *figures, class_="charts"),
    )
