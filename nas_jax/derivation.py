"""From the files of a run to its network, and what the derivation cost."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax import (
    architecture,
    architecture_json,
    builders,
    derive,
    files,
    limits,
    run_folder,
    tables,
)
from nas_jax.architecture import Architecture

SEARCHED = "searched"
"""Name of the network that a search derives."""
_TOLD = ("log_prob_given_up", "log_prob_gap", "is_spent")
"""What is said of a derivation within limits."""
_NUMBERS = (*_TOLD[:2], "valid_accuracy", "trained_valid_loss")
FINALISTS = "finalists.json"
"""File of a run with the networks that were compared, the most probable first."""


def finalists(folder: Path) -> list[dict[str, Any]]:
    """The `search.finalists` most probable networks of a run's newest probabilities.

    Of those within target and limits, or with the objective none the most probable of
    all alone. As dicts: the path and what `result.json` says about a derivation.
    """
    experiment = run_folder.read_experiment(folder)
    config, searched = experiment.search, builders.build(experiment.space)
    probs = np.array(run_folder.last_probabilities(folder))
    if probs.shape != searched.mask.shape:
        raise ValueError(
            f"{folder}: expected search/probs of {searched.mask.shape}, layers and "
            f"candidates of its space, got {probs.shape}"
        )
    table, origin = tables.load(folder / "latency_table.json"), "latency_table.json"
    z = experiment.latency.z
    if config.objective == "none":
        costs, _ = tables.costs(table, searched, origin, z=z)
        return [{"path": derive.most_probable(searched, probs, costs).tolist()}]
    kept_to, _ = limits.resolve(config, searched, table, origin, z)
    ranked = derive.ranked_within(
        searched, probs, kept_to, config.max_slack, config.finalists
    )
    return [one._asdict() | {"path": one.path.tolist()} for one in ranked]


def compare(folder: Path, accuracy: Callable[[np.ndarray], float]) -> None:
    """Writes the finalists of a run with their validation accuracies.

    `accuracy` is that of a path `[L]` with the weights of the supernet, of images that
    trained neither weights nor alphas.
    """
    found = finalists(folder)
    for one in found:
        one["valid_accuracy"] = accuracy(np.array(one["path"], np.int32))
    _write(folder, found)


def best(folder: Path, count: int) -> list[Architecture]:
    """The finalists of a run with the best validation accuracies, `trial_1` first.

    Of equal ones the more probable comes first; fewer than `count` if there are not as
    many.
    """
    searched = builders.build(run_folder.read_experiment(folder).space)
    ordered = sorted(_compared(folder), key=lambda one: -one["valid_accuracy"])
    return [
        architecture.from_path(searched, one["path"], f"trial_{place}")
        for place, one in enumerate(ordered[:count], start=1)
    ]


def add_trial(folder: Path, network: Architecture, loss: float) -> None:
    """Writes beside a finalist its loss on `valid` after a full training."""
    searched = builders.build(run_folder.read_experiment(folder).space)
    path = architecture.path_of(searched, network).tolist()
    found = _compared(folder)
    for one in found:
        if one["path"] == path:
            one |= {"trial": network.name, "trained_valid_loss": loss}
    _write(folder, found)


def derive_run(folder: Path) -> tuple[Architecture, dict[str, Any]]:
    """Derives the network of a run; writes architecture.json.

    Of the finalists that were trained in full the one with the smallest loss on
    `valid`; if none were, the one with the best validation accuracy by the supernet, of
    equal ones the most probable; if none were compared, as when a search was stopped,
    the most probable. Also returns what `result.json` says about it.
    """
    searched = builders.build(run_folder.read_experiment(folder).space)
    compared = _compared(folder)
    found = compared or finalists(folder)[:1]
    losses = [one.get("trained_valid_loss", np.inf) for one in found]
    trials = int(np.isfinite(losses).sum())
    rank = int(np.argmin(losses))
    if not trials:
        rank = int(np.argmax([one.get("valid_accuracy", 0.0) for one in found]))
    network = architecture.from_path(searched, found[rank].pop("path"), SEARCHED)
    text = architecture_json.to_json(network)
    files.write(folder / "architecture.json", text)
    counted = {"finalists": len(compared), "rank": rank, "trials": trials}
    return network, found[rank] | counted


def _compared(folder: Path) -> list[dict[str, Any]]:
    file = folder / FINALISTS
    if not file.is_file():
        return []
    found = files.read_json(file)
    if not (isinstance(found, list) and found):
        raise ValueError(
            f"{file}: expected a list of finalists, at least one, got {found!r:.60}"
        )
    for place, one in enumerate(found):
        _check(one, f"{file}, number {place + 1}")
    return found


def _check(one: Any, where: str) -> None:
    """A finalist as `compare` and `add_trial` write it."""
    if not isinstance(one, dict):
        raise ValueError(f"{where}: expected an object, got {one!r:.60}")
    path, trial = one.get("path"), one.get("trial", "trial_1")
    if not isinstance(path, list) or not all(type(k) is int for k in path):
        raise ValueError(f"{where}: expected a path of integers, got {path!r:.60}")
    # it names a folder
    if not isinstance(trial, str) or not re.fullmatch(r"trial_[0-9]{1,4}", trial):
        raise ValueError(
            f"{where}: expected a trial such as trial_1, got {trial!r:.60}"
        )
    slack = one.get("slack", {})
    if not isinstance(slack, dict):
        raise ValueError(f"{where}: expected an object 'slack', got {slack!r:.60}")
    numbers = {name: one[name] for name in _NUMBERS if name in one}
    for name, value in (numbers | slack).items():
        if type(value) not in (int, float):
            raise ValueError(f"{where}: expected a number {name!r}, got {value!r:.60}")
    missing = [name for name in _TOLD if "slack" in one and name not in one]
    if missing or "valid_accuracy" not in one:
        raise ValueError(f"{where}: expected {[*_TOLD, 'valid_accuracy']}, got {one}")


def _write(folder: Path, found: list[dict[str, Any]]) -> None:
    files.write_json(folder / FINALISTS, found)


def told(derivation: dict[str, Any]) -> str:
    """What a derivation cost, in a line."""
    if "slack" not in derivation:
        return "derived: the most probable network of all"
    left = ", ".join(
        f"{share:.2%} of {name}" for name, share in derivation["slack"].items()
    )
    gap = derivation["log_prob_gap"]
    proven = f"the best has at most e^{gap:.3g} times it"
    if gap == 0:
        proven = "the best there is"
    given_up = derivation["log_prob_given_up"]
    if not derivation["is_spent"]:
        proven += "; no network was asked to spend more, or none does"
    chosen = "the most probable"
    if derivation["finalists"] > 1:
        chosen = (
            f"number {derivation['rank'] + 1} by probability of "
            f"{derivation['finalists']}, {derivation['valid_accuracy']:.1%} right on "
            "validation images with the supernet's weights"
        )
    if derivation["trials"]:
        chosen += (
            f", and of {derivation['trials']} trained in full the one with the "
            f"smallest loss there, {derivation['trained_valid_loss']:.3g}"
        )
    return (
        f"derived: {chosen}; left unspent {left}; e^-{given_up:.3g} of the probability "
        f"of the most probable network without limits, {proven}"
    )
