"""The summary of a run: its question, its result, or how far it has come."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from nas_jax.config.data import DataConfig
from nas_jax.config.experiment import Experiment
from nas_jax.config.from_json import from_json
from nas_jax.config.space import AnySpace, ElasticConfig
from nas_jax.report import proof, provenance, target, verdict
from nas_jax.report import quantities as q
from nas_jax.report.comparison import interval
from nas_jax.report.run_files import RunFiles
from nas_jax.report.styles import kind
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.spaces.space import SearchSpace

_SPLITS = {
    "train_weights": "for the weights",
    "train_alphas": "for the architecture",
    "valid": "for validation",
    "test": "for the test",
}
_UNITS = {"target_ms": "ms", "target_macs": "MACs", "target_params": "parameters"}


_WHERE = "result.json: derivation."


@dataclass(frozen=True)
class _Drawn:
    drawn: int
    is_scored: bool
    trials: int
    answers_lost: float | None = None


@dataclass(frozen=True)
class _Derivation:
    slack: dict[str, float]
    log_prob_given_up: float
    log_prob_gap: float
    excluded: int = 0
    is_spent: bool = True
    is_proven: bool = True


def question(run: RunFiles) -> dict[str, str]:
    """Space, data, target and device, as far as they are known."""
    rows = {}
    if run.experiment is not None and run.whole is not None:
        rows["space"] = _space(run.whole, run.experiment.space)
        has_alphas = not run.chosen_by_drawing
        rows["data"] = _data(run.experiment.data, run.images, has_alphas)
        rows["target"] = _targets(run)
    rows["how sure the latency is"] = " ".join(_of_target(run)[1:])
    rows["device"] = provenance.conditions(run)
    return {name: text for name, text in rows.items() if text}


def progress(run: RunFiles) -> str:
    """The state of a run without one searched network that was tested."""
    if run.result.targets:
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
    total = ""
    if run.experiment is not None:
        planned = run.experiment.search
        total = f" of {planned.warmup_epochs + planned.joint_epochs}"
    return f"Not finished: searching, {phase}, epoch {len(lines)}{total}"


def lead(run: RunFiles) -> str:
    """What belongs to the result: who won, the target, whether intervals overlap."""
    searched = run.result_of("searched")
    sentences = []
    if run.experiment is not None and run.experiment.about:
        sentences.append(f"This was {run.experiment.about}.")
    if won := verdict.sentence(run.networks):
        sentences.append(won)
    sentences += _of_target(run)[:1]
    first, second = interval(searched), interval(run.result_of("baseline"))
    if first is not None and second is not None:
        overlap = first[0] <= second[1] and second[0] <= first[1]
        verb = "overlap" if overlap else "do not overlap"
        which = f"the searched and the {run.reference} network"
        sentences.append(f"The 95{q.NBSP}% intervals of {which} {verb}.")
    return " ".join(sentences)


def _of_target(run: RunFiles) -> list[str]:
    if run.target_ms is None:
        return []
    searched = run.result_of("searched")
    return target.sentences(
        run.target_ms,
        searched.predicted_ms,
        searched.measured_ms,
        searched.quartiles_ms,
        searched.risk,
        run.result.pace,
        fastest_ms=searched.fastest_ms,
    )


def derivation(run: RunFiles) -> str:
    """What the derivation left unspent and gave up, if the result says so."""
    if "drawn" in run.result.derivation:
        drawn = from_json(_Drawn, run.result.derivation, _WHERE, extra="ignore")
        told = [f"{drawn.drawn} networks were drawn within the target"]
        if drawn.answers_lost is not None:
            told = [
                f"{drawn.drawn} networks within the target were taken that keep most "
                "of what the given one answers"
            ]
        told += ["compared by the shared supernet"] * drawn.is_scored
        told += [f"{drawn.trials} were compared by trainings"] * (drawn.trials > 0)
        return f"{'; '.join(told)}."
    if "slack" not in run.result.derivation:
        return ""
    found = from_json(_Derivation, run.result.derivation, _WHERE, extra="ignore")
    left = [f"{q.percent(share)} of {name}" for name, share in found.slack.items()]
    proven = proof.words(asdict(found))
    kept = f"e^-{found.log_prob_given_up:.3g}"
    return (
        f"Derivation left {', '.join(left)} unspent and kept {kept} of the "
        f"probability of the most probable network without limits ({proven})."
    )


def use(run: RunFiles) -> list[tuple[str, str]]:
    """Commands that put the networks of a finished run to use, and what each does."""
    named = shlex.quote(run.typed)
    names = [
        name
        for name, one in run.networks.items()
        if kind(name) == "searched" and one.test_accuracy is not None
    ]
    if not names:
        return []
    model = f"{run.typed}/checkpoints/{names[0]}"
    return [
        (f"nas_jax predict {named} PICTURES", "the class of each, and how sure"),
        (f"nas_jax export {named} --format onnx,stablehlo", "files for a runtime"),
        (f"nas_jax.load_model({model!r})", "in Python, after import nas_jax"),
    ]


def _trade_off(run: RunFiles) -> str:
    """The networks of several targets, from the fastest to the slowest."""
    points = sorted(
        (found.measured_ms, found.shipped_accuracy)
        for name, found in run.networks.items()
        if kind(name) == "searched"
        and found.measured_ms is not None
        and found.shipped_accuracy is not None
    )
    if not points:
        return "Several targets from one warm-up, no network measured"
    ends = [
        f"{q.percent(accuracy)} at {q.milliseconds(ms)}"
        for ms, accuracy in (points[0], points[-1])
    ]
    return f"{len(points)} targets from one warm-up: {' to '.join(ends)} measured"


def _space(space: SearchSpace | ElasticSpace, config: AnySpace) -> str:
    digits = math.log10(space.architectures)
    size = str(space.architectures) if digits < 6 else f"about 10^{digits:.0f}"
    middle = space.middle
    names = ", ".join(op.name for op in middle.candidates)
    height, width, channels = middle.input_shape
    images = f"images of {height}×{width}×{channels}"
    if isinstance(config, ElasticConfig):
        sides = ", ".join(map(str, config.input_sizes))
        each = (config.stem_widths, *config.stage_choices)
        widths = " – ".join("/".join(map(str, choices)) for choices in each)
        colours = "grey" if channels == 1 else f"{channels} channels"
        images = f"images of side {sides}, {colours}; widths {widths}"
    return (
        f"{space.name}: {len(middle.layers)} layers with up to "
        f"{len(middle.candidates)} candidates each ({names}), {size} networks; "
        f"{images}, {middle.classifier.classes} classes"
    )


def _data(config: DataConfig, images: Mapping[str, int], has_alphas: bool) -> str:
    sizes: dict[str, int | str] = {
        key: getattr(config, key) or "the rest" for key in _SPLITS
    }
    sizes |= images
    if not has_alphas:
        weights, alphas = sizes.pop("train_weights"), sizes.pop("train_alphas")
        if isinstance(weights, int) and isinstance(alphas, int):
            weights += alphas
        sizes = {"train": weights, **sizes}
    uses = {"train": "to train", **_SPLITS}
    splits = ", ".join(f"{size} {uses[key]}" for key, size in sizes.items())
    return f"{config.name}; images: {splits}"


def _targets(run: RunFiles) -> str:
    """The targets as they were set, and the time that each came to."""
    runs = run.targets or {"": run}
    texts = {
        name: _target(one.experiment, one.target_ms)
        for name, one in runs.items()
        if one.experiment is not None
    }
    return "; ".join(
        f"{name}: {text}" if name else text for name, text in texts.items()
    )


def _target(experiment: Experiment, target_ms: float | None) -> str:
    parts, search = [], experiment.search
    if search.target_ratio is not None:
        of = f"{search.target_ratio} of the {experiment.reference} network's "
        parts.append(of + search.cost)
    stated = {unit: getattr(search, name) for name, unit in _UNITS.items()}
    parts += [f"{value} {unit}" for unit, value in stated.items() if value is not None]
    if search.objective == "none":
        parts = ["none: accuracy alone"]
    elif target_ms is not None and search.target_ms is None:
        parts.append(q.milliseconds(target_ms))
    if search.limits:
        parts.append(f"limits {', '.join(search.limits)}")
    return ", ".join(parts)
