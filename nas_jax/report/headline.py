"""The result of a run in a sentence, or how far the run has come."""

from nas_jax.report import quantities as q
from nas_jax.report.comparison import interval, ratio
from nas_jax.report.folder import NetworkResult, Run
from nas_jax.report.markup import Html, element, join
from nas_jax.report.metrics import number, require
from nas_jax.report.styles import kind


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
        speed = ratio(baseline.measured_ms, searched.measured_ms)
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


def _derivation(run: Run) -> list[str]:
    """What the derivation left unspent and gave up, if the result says so."""
    found = run.result.get("derivation")
    if not isinstance(found, dict) or not isinstance(found.get("slack"), dict):
        return []
    where = "result.json: derivation"
    given_up, gap = (
        number(found, name, where) for name in ("log_prob_given_up", "log_prob_gap")
    )
    is_told = given_up is not None and gap is not None
    require(is_told, where, "log_prob_given_up and log_prob_gap", found)
    left = [
        f"{q.percent(number(found['slack'], name, f'{where}: slack'))} of {name}"
        for name in found["slack"]
    ]
    proven = f"the best has at most e^{gap:.3g} times it"
    if gap == 0:
        proven = "the best there is"
    return [
        f"Derivation left {', '.join(left)} unspent and kept e^-{given_up:.3g} of the "
        f"probability of the most probable network without limits ({proven})."
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
    if not points:
        return "Several targets from one warm-up, no network measured"
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
