"""The searched network against the others: the sentence and the table."""

from collections.abc import Iterable, Mapping, Sequence

from nas_jax.report import legends
from nas_jax.report import quantities as q
from nas_jax.report.folder import NetworkResult, Run
from nas_jax.report.intervals import Z_95, wilson
from nas_jax.report.markup import Html, element, join
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


def headline(run: Run) -> Html:
    """The result in one sentence, or how far the run has come."""
    searched = run.networks.get("searched", NetworkResult())
    if run.result.get("targets"):
        return join([_curve(run)])
    if searched.test_accuracy is None:
        return join([_progress(run)])
    sentence: list[str] = [
        "Searched network: ",
        element("b", q.percent(searched.test_accuracy)),
        " test accuracy",
    ]
    if searched.measured_ms is not None:
        sentence += [" at ", element("b", q.milliseconds(searched.measured_ms))]
        sentence += [" measured"]
        baseline = run.networks.get("baseline", NetworkResult())
        speed = _ratio(baseline.measured_ms, searched.measured_ms)
        if speed is not None:
            beside = f"{q.percent(baseline.test_accuracy)} at "
            beside += q.milliseconds(baseline.measured_ms)
            sentence += [", ", element("b", q.ratio(speed)), " the speed of the "]
            sentence += [f"hand-designed baseline ({beside})"]
    return join(sentence)


def lead(run: Run) -> str:
    """What belongs to the headline: the target, and how sure the difference is."""
    searched = run.networks.get("searched", NetworkResult())
    baseline = run.networks.get("baseline", NetworkResult())
    sentences = []
    if run.target_ms is not None:
        target = f"Target {q.milliseconds(run.target_ms)}"
        if searched.predicted_ms is not None:
            is_met = searched.predicted_ms <= run.target_ms * (1 + 1e-6)
            target += f", {'met' if is_met else 'missed'}: the latency table predicts "
            target += q.milliseconds(searched.predicted_ms)
        sentences.append(f"{target}.")
    sentences += _derivation(run)
    first, second = interval(searched), interval(baseline)
    if first is not None and second is not None:
        overlap = first[0] <= second[1] and second[0] <= first[1]
        verb = "overlap" if overlap else "do not overlap"
        sentences.append(f"The 95{q.NBSP}% intervals of the two accuracies {verb}.")
    return " ".join(sentences)


def about(networks: Mapping[str, NetworkResult]) -> str:
    """What the numbers of the table are, and what their intervals mean."""
    text = "Test accuracy with its 95 % Wilson interval; measured time as the median "
    text += "with its quartiles."
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
    off = _ratio(found.measured_ms, found.predicted_ms)
    return [
        element("span", *accuracy),
        element("span", q.count(found.params), title=found.params),
        element("span", q.count(found.macs), title=found.macs),
        element("span", *predicted),
        element("span", *measured),
        element("span", q.ABSENT if off is None else f"{off:.2f}"),
    ]


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _derivation(run: Run) -> list[str]:
    """What the derivation left unspent and gave up, if the result says so."""
    found = run.result.get("derivation")
    if not isinstance(found, dict) or not isinstance(found.get("slack"), dict):
        return []
    where = "result.json: derivation"
    given_up = number(found, "log_prob_given_up", where)
    gap = number(found, "log_prob_gap", where)
    left = [
        f"{q.percent(number(found['slack'], name, f'{where}: slack'))} of {name}"
        for name in found["slack"]
    ]
    proven = "the best there is" if gap == 0 else f"within {gap:.3g} of the best"
    return [
        f"Derivation left {', '.join(left)} unspent and gave up a log-probability of "
        f"{given_up:.3g} against the most probable network of all ({proven})."
    ]


def _curve(run: Run) -> str:
    """The networks of several targets, from the fastest to the slowest."""
    points = sorted(
        (found.measured_ms, found.test_accuracy)
        for name, found in run.networks.items()
        if kind(name) == "searched"
        and found.measured_ms is not None
        and found.test_accuracy is not None
    )
    ends = [
        f"{q.percent(points[end][1])} at {q.milliseconds(points[end][0])}"
        for end in (0, -1)
    ]
    return f"{len(points)} targets from one warm-up: {' to '.join(ends)} measured"


def _progress(run: Run) -> str:
    """The state of a run without a result."""
    lines = run.curves.search
    if run.targets and not run.curves.retraining:
        names = ", ".join(run.targets)
        return f"Not finished: searches for several targets, begun: {names}"
    if run.curves.retraining:
        names = ", ".join(run.curves.retraining)
        return f"Not finished: retraining ({names}) after {len(lines)} epochs of search"
    if not lines:
        return "Not finished: the search has not begun"
    phase = "warm-up" if lines[-1]["phase"] == "warmup" else "joint phase"
    planned = run.config.get("search")
    total = ""
    if isinstance(planned, dict):
        epochs = [planned.get(key) for key in ("warmup_epochs", "joint_epochs")]
        known = [value for value in epochs if isinstance(value, int)]
        if len(known) == 2:
            total = f" of {sum(known)}"
    return f"Not finished: searching, {phase}, epoch {len(lines)}{total}"
