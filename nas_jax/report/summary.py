"""The summary of a run: its question, its result, or how far it has come."""

import math
from typing import Any

from nas_jax.report import provenance
from nas_jax.report import quantities as q
from nas_jax.report.comparison import interval
from nas_jax.report.metrics import number, require
from nas_jax.report.run_files import RunFiles
from nas_jax.report.styles import kind

_SPLITS = {
    "train_weights": "for the weights",
    "train_alphas": "for the architecture",
    "valid": "for validation",
    "test": "for the test",
}
_UNITS = {"target_ms": "ms", "target_macs": "MACs", "target_params": "parameters"}


def question(run: RunFiles) -> dict[str, str]:
    """Space, data, target and device, as far as they are known."""
    rows = {
        "space": _space(run),
        "data": _data(run.config.get("data")),
        "target": _target(run),
        "device": provenance.conditions(run),
    }
    return {name: text for name, text in rows.items() if text}


def progress(run: RunFiles) -> str:
    """The state of a run without one searched network that was tested."""
    if run.result.get("targets"):
        return _trade_off(run)
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
        total = f" of {sum(known)}" if len(known) == 2 else ""
    return f"Not finished: searching, {phase}, epoch {len(lines)}{total}"


def lead(run: RunFiles) -> str:
    """What belongs to the result: the target, and how sure the difference is."""
    searched = run.result_of("searched")
    sentences = []
    if run.target_ms is not None:
        target = f"Target {q.milliseconds(run.target_ms)}"
        if searched.predicted_ms is not None:
            is_met = searched.predicted_ms <= run.target_ms * (1 + 1e-6)
            target += f", {'met' if is_met else 'missed'}: the latency table predicts "
            target += q.milliseconds(searched.predicted_ms)
        sentences.append(f"{target}.")
    sentences += _derivation(run)
    first, second = interval(searched), interval(run.result_of("baseline"))
    if first is not None and second is not None:
        overlap = first[0] <= second[1] and second[0] <= first[1]
        verb = "overlap" if overlap else "do not overlap"
        sentences.append(f"The 95{q.NBSP}% intervals of the two accuracies {verb}.")
    return " ".join(sentences)


def _derivation(run: RunFiles) -> list[str]:
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
    proven = (
        f"the best has at most e^{gap:.3g} times it" if gap else "the best there is"
    )
    return [
        f"Derivation left {', '.join(left)} unspent and kept e^-{given_up:.3g} of the "
        f"probability of the most probable network without limits ({proven})."
    ]


def _trade_off(run: RunFiles) -> str:
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
        f"{q.percent(accuracy)} at {q.milliseconds(ms)}"
        for ms, accuracy in (points[0], points[-1])
    ]
    return f"{len(points)} targets from one warm-up: {' to '.join(ends)} measured"


def _space(run: RunFiles) -> str:
    space = run.space
    if space is None:
        return ""
    digits = math.log10(space.architectures)
    size = str(space.architectures) if digits < 6 else f"about 10^{digits:.0f}"
    names = ", ".join(op.name for op in space.candidates)
    height, width, channels = space.input_shape
    return (
        f"{space.name}: {len(space.layers)} layers with up to {len(space.candidates)} "
        f"candidates each ({names}), {size} networks; images of {height}×{width}×"
        f"{channels}, {space.classifier.classes} classes"
    )


def _data(config: Any) -> str:
    if not isinstance(config, dict) or "name" not in config:
        return ""
    splits = [f"{config[key]} {use}" for key, use in _SPLITS.items() if key in config]
    name = str(config["name"])
    return f"{name}; images: {', '.join(splits)}" if splits else name


def _target(run: RunFiles) -> str:
    """The targets as they were set, and the time that each came to."""
    if run.targets:
        found = {name: _target(one) for name, one in run.targets.items()}
        return "; ".join(f"{name}: {text}" for name, text in found.items() if text)
    search = run.config.get("search")
    if not isinstance(search, dict):
        return ""
    parts = []
    if search.get("target_ratio") is not None:
        of = f"{search['target_ratio']} of the hand-designed network's "
        parts.append(of + str(search.get("cost", "latency")))
    parts += [
        f"{search[key]} {unit}"
        for key, unit in _UNITS.items()
        if search.get(key) is not None
    ]
    if search.get("objective") == "none":
        parts = ["none: accuracy alone"]
    elif run.target_ms is not None and search.get("target_ms") is None:
        parts.append(q.milliseconds(run.target_ms))
    limits = search.get("limits")
    if limits is not None:
        where = "config.json: search: limits"
        require(isinstance(limits, list), where, "a list", limits)
    if limits:
        parts.append(f"limits {', '.join(map(str, limits))}")
    return ", ".join(parts)
