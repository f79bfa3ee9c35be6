"""Where the milliseconds go: every layer by the table, against the measured whole."""

from nas_jax import tables
from nas_jax.architecture import Architecture
from nas_jax.report import quantities as q
from nas_jax.report.drawing import op_name
from nas_jax.report.folder import NetworkResult, Run
from nas_jax.report.markup import Html, element

_METHODS = {
    "operations": "Every part was timed alone",
    "networks": "The times were fitted to those of whole networks",
    "imported": "The times were measured elsewhere",
}


def about(run: Run) -> str:
    """How the parts were timed, and how well their sum has met whole networks."""
    method = _METHODS.get(str(run.table.provenance.get("method")), "")
    text = f"{method}; the sum" if method else "The sum"
    text += " and what the runtime costs once per network make the prediction."
    found = run.table.validation
    if found is None:
        return f"{text} The table was not held against whole networks."
    if found.get("networks") is not None and found.get("mape") is not None:
        text += f" On {found['networks']} networks that the table had not seen it was "
        text += f"off by {q.percent(found['mape'])} on average."
    return text


def bars(run: Run, network: Architecture, found: NetworkResult) -> Html | None:
    """A bar per part that costs time, their sum, the measured total beneath.

    None for a network of which the table does not know every part, or no time.
    """
    if tables.missing(run.table, network.parts):
        return None
    timed = [part for part in network.parts if not tables.is_free(part)]
    rows = [(op_name(part), run.table.entries[part.key].mean_ms) for part in timed]
    if run.table.fixed_ms:
        rows.append(("runtime", run.table.fixed_ms))
    predicted = tables.predict_ms(run.table, network)
    longest = max(ms for _, ms in rows)
    if longest <= 0:
        return None
    # the same number of decimals in all rows: three digits of the longest time
    digits = len(q.decimals(longest).partition(".")[2])
    lines = [
        _line(
            name,
            100 * ms / longest,
            f"{ms:.{digits}f}{q.NBSP}ms, {q.whole_percent(ms / predicted)}",
        )
        for name, ms in rows
    ]
    totals = [_total("predicted", q.milliseconds(predicted))]
    if found.measured_ms is not None:
        share = q.percent(found.measured_ms / predicted)
        text = f"{q.milliseconds(found.measured_ms)}, {share} of it"
        totals.append(_total("measured", text))
    return element("div", *lines, *totals)


def _line(name: str, width: float, text: str) -> Html:
    return element(
        "div",
        element("span", name),
        element("div", element("i", style=f"width:{width:.1f}%")),
        element("span", text, class_="least"),
        class_="bar",
    )


def _total(name: str, text: str) -> Html:
    return element(
        "div",
        element("span", name),
        element("div"),
        element("span", text, class_="least"),
        class_="bar total",
    )
