"""The searched network against the others, in tables."""

from collections.abc import Iterable, Mapping, Sequence

from nas_jax.report import legends
from nas_jax.report import quantities as q
from nas_jax.report.folder import NetworkResult, Run
from nas_jax.report.intervals import Z_95, wilson
from nas_jax.report.markup import Html, element
from nas_jax.report.metrics import number
from nas_jax.report.scatter import Measured
from nas_jax.report.styles import kind

_COLUMNS = (
    "test accuracy",
    "parameters",
    "multiply-adds",
    "predicted",
    "measured",
    "measured / predicted",
)


def about(networks: Mapping[str, NetworkResult]) -> str:
    """What the numbers of the table are, and what their intervals mean."""
    text = "Test accuracy with its 95 % Wilson interval; measured time as the median "
    text += "with its quartiles. Measured / predicted is of means over the fastest "
    text += "rounds, net of the call, as the table has them."
    sources = {
        found.prediction.source for found in networks.values() if found.prediction
    }
    if "validation" in sources:
        text += " Beside the predicted time: where 95 % of networks lie by the error "
        text += "of the table on networks that it had not seen."
    elif sources:
        text += " Beside the predicted time: 95 % by the spread of the measured parts "
        text += "alone, which says nothing about whether their times add."
    return text


def table(networks: Mapping[str, NetworkResult]) -> Html:
    """One row per network; on a phone every row becomes a small card."""
    rows = (
        element(
            "tr",
            element("th", legends.mark(name), name, scope="row"),
            *_labelled(_COLUMNS, _cells(found)),
            class_="first" if name == "searched" else None,
        )
        for name, found in networks.items()
    )
    return _table(("network", *_COLUMNS), rows)


def table_of_runs(found: Iterable[Measured]) -> Html:
    """One row per network of several runs, those of a run together."""
    rows = (
        element(
            "tr",
            element("th", one.name, scope="row"),
            *_labelled(
                ("run", *_COLUMNS), [element("span", one.run), *_cells(one.network)]
            ),
            class_="first" if kind(one.name) == "searched" else None,
        )
        for one in found
    )
    return _table(("network", "run", *_COLUMNS), rows)


def _labelled(columns: Sequence[str], cells: Sequence[Html]) -> list[Html]:
    return [
        element("td", cell, data_label=label)
        for label, cell in zip(columns, cells, strict=True)
    ]


def _table(columns: Sequence[str], rows: Iterable[Html]) -> Html:
    head = (element("th", text, scope="col") for text in columns)
    return element(
        "table", element("thead", element("tr", *head)), element("tbody", *rows)
    )


def targets(run: Run) -> list[Html]:
    """A row per target where there are several: what was asked for, and what it gave.

    The speed-up is that over the hand-designed network of equal accuracy, as
    `result.json` states it.
    """
    stated = run.result.get("targets")
    if not isinstance(stated, dict) or not stated:
        return []
    columns = ("target", "predicted", "speed-up at equal accuracy")
    rows = []
    for name, entry in stated.items():
        where = f"result.json: targets: {name}"
        faster = number(entry, "speed_up", where)
        found = run.networks.get(name, NetworkResult())
        target_ms = q.milliseconds(number(entry, "target_ms", where))
        cells = (
            f"{entry.get('target')}: {target_ms}",
            q.milliseconds(found.predicted_ms),
            q.ratio(faster),
        )
        spans = [element("span", text) for text in cells]
        head = element("th", legends.mark(name), name, scope="row")
        rows.append(element("tr", head, *_labelled(columns, spans)))
    return [element("h3", "Target by target"), _table(("network", *columns), rows)]


def predicted_interval(found: NetworkResult) -> tuple[float, float] | None:
    """Where 95 % of such networks are by what the table says of its own error."""
    if found.prediction is None:
        return None
    mean, std, _ = found.prediction
    return mean - Z_95 * std, mean + Z_95 * std


def interval(found: NetworkResult) -> tuple[float, float] | None:
    """The 95 % interval of the test accuracy, if images were counted."""
    if found.test_accuracy is None or not found.test_images:
        return None
    return wilson(found.test_accuracy, found.test_images)


def _cells(found: NetworkResult) -> list[Html]:
    accuracy: list[str] = [q.percent(found.test_accuracy)]
    bounds = interval(found)
    if bounds is not None:
        text = f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}"
        accuracy += [" ", element("small", text)]
    predicted: list[str] = [q.milliseconds(found.predicted_ms)]
    bounds = predicted_interval(found)
    if bounds is not None and found.predicted_ms is not None:
        text = "–".join(q.decimals(value) for value in bounds)
        predicted += [" ", element("small", text)]
    measured: list[str] = [q.milliseconds(found.measured_ms)]
    if found.quartiles_ms is not None:
        text = "–".join(q.decimals(value) for value in found.quartiles_ms)
        measured += [" ", element("small", text)]
    off = found.measured_over_predicted
    return [
        element("span", *accuracy),
        element("span", q.count(found.params), title=found.params),
        element("span", q.count(found.macs), title=found.macs),
        element("span", *predicted),
        element("span", *measured),
        element("span", q.ABSENT if off is None else f"{off:.2f}"),
    ]


def ratio(above: float | None, below: float | None) -> float | None:
    """Their quotient, None if one is not known."""
    return above / below if above is not None and below else None
