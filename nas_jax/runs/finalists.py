"""The finalists of a run (finalists.json), and the network derived from them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval

from nas_jax.config import files
from nas_jax.config.from_json import from_json
from nas_jax.config.space import AnySpace, ElasticConfig
from nas_jax.latency import tables
from nas_jax.report import proof
from nas_jax.runs import run_folder, targets
from nas_jax.search import derivation
from nas_jax.search.targets import Targets
from nas_jax.spaces import architecture, architecture_json, builders, elastic
from nas_jax.spaces.architecture import Architecture

SEARCHED = "searched"
"""Name of the network that a search derives."""
FINALISTS = "finalists.json"
"""File of a run with the networks that were compared, the most probable first."""


def of_run(folder: Path, goal: Targets | None = None) -> list[dict[str, Any]]:
    """The `search.finalists` most probable networks of a run's newest probabilities.

    Of those within target and limits; with the objective none only the most probable of
    all. As dicts: the path and the fields of a derivation in `result.json`. `goal` are
    by default the targets of the run's files.
    """
    experiment = run_folder.read_experiment(folder)
    config, searched = experiment.search, builders.build(experiment.space)
    probs = np.array(run_folder.last_probabilities(folder))
    if probs.shape != searched.mask.shape:
        raise ValueError(
            f"{folder}: expected search/probs of {searched.mask.shape}, layers and "
            f"candidates of its space, got {probs.shape}"
        )
    if goal is None:
        file, z = "latency_table.json", experiment.latency.z
        table = tables.load(folder / file)
        goal = targets.resolve(config, searched, table, origin=file, z=z)
    searched = goal.within(searched)
    if config.objective == "none":
        assert goal.latency is not None  # a run has a table
        path = derivation.most_probable(searched, probs, goal.latency.candidates)
        return [{"path": path.tolist()}]
    ranked = derivation.ranked_within(
        searched, probs, goal.limits, config.max_slack, config.finalists
    )
    return [derived._asdict() | {"path": derived.path.tolist()} for derived in ranked]


def compare(
    folder: Path, accuracy: Callable[[np.ndarray], float], goal: Targets | None = None
) -> None:
    """Writes the finalists of a run with their validation accuracies.

    `accuracy` is that of a path `[L]` with the weights of the supernet, of images that
    trained neither weights nor alphas; `goal` as in `of_run`.
    """
    compared = of_run(folder, goal)
    for finalist in compared:
        path = np.array(finalist["path"], np.int32)
        finalist["valid_accuracy"] = accuracy(path)
    files.write_json(folder / FINALISTS, compared)


def best(folder: Path, count: int) -> list[Architecture]:
    """The finalists of a run with the best validation accuracies, `trial_1` first.

    Of equal ones the more probable comes first; fewer than `count` if there are not as
    many.
    """
    config = run_folder.read_experiment(folder).space
    # those of an elastic space are in order: within the target first, the best first
    ordered = _compared(folder)
    if not isinstance(config, ElasticConfig):
        for number, each in enumerate(ordered, start=1):
            if each.get("valid_accuracy") is None:
                raise ValueError(
                    f"{folder / FINALISTS}, number {number}: expected valid_accuracy, "
                    "by which the finalists are tried, found none; remove the file to "
                    "have them compared again"
                )
        ordered.sort(key=lambda each: -each["valid_accuracy"])
    return [
        _network(config, finalist, f"trial_{place}")
        for place, finalist in enumerate(ordered[:count], start=1)
    ]


def _network(config: AnySpace, finalist: Mapping[str, Any], name: str) -> Architecture:
    """The network of a line: a path through a shape, the only one by default."""
    shapes = elastic.whole(config).shapes
    shape = finalist.get("shape", 0)
    if shape >= len(shapes):
        raise ValueError(
            f"{FINALISTS}: expected a shape below {len(shapes)}, got {shape}"
        )
    return architecture.from_path(shapes[shape], finalist["path"], name)


def add_trial(folder: Path, network: Architecture, rung: int, loss: float) -> None:
    """Records the loss of a finalist on `valid` after a rung of trainings, from 1."""
    config = run_folder.read_experiment(folder).space
    compared = _compared(folder)
    for finalist in compared:
        if _network(config, finalist, network.name) == network:
            finalist |= {"trial": network.name, "rung": rung}
            finalist["trained_valid_loss"] = loss
    files.write_json(folder / FINALISTS, compared)


def derive_run(folder: Path) -> tuple[Architecture, dict[str, Any]]:
    """Derives the network of a run; writes architecture.json.

    Of the finalists that were trained in the last rung the one with the smallest loss
    on `valid`; if none were, the one with the best validation accuracy by the supernet,
    of equal ones the most probable; if none were compared, as when a search was
    stopped, the most probable. Also returns its fields in `result.json`.
    """
    config = run_folder.read_experiment(folder).space
    compared = _compared(folder)
    if not compared and isinstance(config, ElasticConfig):
        raise ValueError(
            f"{folder}: expected {FINALISTS}, which a search of an elastic space "
            f"writes at its end, found none; go on with it: 'nas_jax search --resume "
            f"{folder}'"
        )
    candidates = compared or of_run(folder)[:1]
    losses = [each.get("trained_valid_loss", np.inf) for each in candidates]
    trials = int(np.isfinite(losses).sum())
    reached = [each.get("rung", 0) for each in candidates]
    rank = min(range(len(losses)), key=lambda place: (-reached[place], losses[place]))
    if not trials and not isinstance(config, ElasticConfig):
        rank = int(
            np.argmax([each.get("valid_accuracy") or 0.0 for each in candidates])
        )
    chosen = candidates[rank]
    network = _network(config, chosen, SEARCHED)
    text = architecture_json.to_json(network)
    files.write(folder / "architecture.json", text)
    told = {name: value for name, value in chosen.items() if name != "path"}
    return network, told | {
        "finalists": len(compared),
        "rank": rank,
        "trials": trials,
    }


@dataclass(frozen=True)
class _Finalist:
    """A line of finalists.json, as `compare` and `add_trial` write it."""

    path: list[int]
    valid_accuracy: float | None = None
    """None where no supernet was trained."""
    trained_valid_loss: float = np.inf
    answers_lost: float | None = None
    """Of the network whose weights it starts from, where these decide what is tried."""
    rung: int = 0
    shape: Annotated[int, Interval(ge=0)] = 0
    trial: str = "trial_1"
    slack: dict[str, float] = field(default_factory=dict)
    log_prob_given_up: float = 0.0
    log_prob_gap: float = 0.0
    excluded: int = 0
    is_spent: bool = True
    is_proven: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"trial_[0-9]{1,4}", self.trial):  # the name of a folder
            raise ValueError(
                f"trial: expected a name such as trial_1, got {self.trial!r:.60}"
            )


def _compared(folder: Path) -> list[dict[str, Any]]:
    file = folder / FINALISTS
    if not file.is_file():
        return []
    rows = files.read_json(file)
    if not (isinstance(rows, list) and rows):
        raise ValueError(
            f"{file}: expected a list of finalists, at least one, got {rows!r:.60}"
        )
    for number, row in enumerate(rows, start=1):
        from_json(_Finalist, row, f"{file}, number {number}: ", extra="ignore")
        is_drawn = "shape" in row  # not by probability
        lacking = {"log_prob_given_up", "log_prob_gap", "is_spent"} - row.keys()
        if "slack" in row and lacking and not is_drawn:
            raise ValueError(f"{file}, number {number}: expected {lacking}, got {row}")
    return rows


def line(told: dict[str, Any]) -> str:
    """The cost of a derivation, in a line."""
    if "shape" in told:
        return _line_of_drawn(told)
    if "slack" not in told:
        return "chosen: the most probable network of all"
    left = ", ".join(f"{share:.2%} of {name}" for name, share in told["slack"].items())
    given_up = told["log_prob_given_up"]
    chosen = "the most probable"
    if told["finalists"] > 1:
        chosen = (
            f"number {told['rank'] + 1} by probability of "
            f"{told['finalists']}, {told['valid_accuracy']:.1%} right on "
            "validation images with the supernet's weights"
        )
    if told["trials"]:
        chosen += (
            f", and of {told['trials']} compared by trainings the one with the "
            f"smallest loss there, {told['trained_valid_loss']:.3g}"
        )
    return (
        f"chosen: {chosen}; left unspent {left}; e^-{given_up:.3g} of the probability "
        f"of the most probable network without limits, {proof.words(told)}"
    )


def _line_of_drawn(derivation: dict[str, Any]) -> str:
    """That of a network of an elastic space, drawn within the target and compared."""
    parts = [f"chosen: one of {derivation['drawn']} networks drawn within the target"]
    if "answers_lost" in derivation:
        parts = [
            f"chosen: one of the {derivation['drawn']} networks within the target that "
            "should keep most of what the given one knows; it loses "
            f"{derivation['answers_lost']:.0%} of its answers untrained"
        ]
    if derivation["is_scored"]:
        parts.append(
            f"number {derivation['rank'] + 1} by the shared supernet of those that "
            f"keep it as measured, {derivation['valid_accuracy']:.1%} right on "
            "validation images with its weights"
        )
    if derivation["trials"]:
        parts.append(
            f"{derivation['trials']} were compared by trainings, and it has the "
            "smallest loss on validation images, "
            f"{derivation['trained_valid_loss']:.3g}"
        )
    return "; ".join(parts)
