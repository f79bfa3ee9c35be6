"""One warm-up, several targets: a curve of accuracy against measured latency.

The warm-up of a supernet depends on no target, so it is run once. From there every
target has its search, in `targets/<name>`, and its network is trained from scratch. The
curve to beat is that of the hand-designed network at several widths.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax.config import files
from nas_jax.config.experiment import Experiment
from nas_jax.config.from_json import from_json
from nas_jax.config.search import SCRATCH, TARGETS, parse_target, with_target
from nas_jax.config.space import ElasticConfig, SpaceConfig
from nas_jax.latency import tables
from nas_jax.runs import assess, pipeline, retrain, run_folder, search, targets
from nas_jax.runs.finalists import SEARCHED
from nas_jax.runs.session import Run, Session, tell
from nas_jax.runs.setup import begin
from nas_jax.runs.stopping import Stop
from nas_jax.search import baselines
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import Architecture
from nas_jax.training import scores
from nas_jax.training.progress import Progress

TARGETS_FILE = "targets.json"
"""File of a run with its targets, as they were given."""
WIDTHS = (1.0, 0.5, 0.75, 1.5)
"""Of the hand-designed network; where two are the same network, the first stays."""


def experiments(experiment: Experiment, given: Sequence[str]) -> list[Experiment]:
    """The experiment once for every target: a ratio, or a time as in `0.25ms`.

    Raises:
      ValueError: for a target that is neither, or is given twice, and for settings that
        a curve has no use for.
    """
    if experiment.train.start != SCRATCH:
        raise ValueError(
            "--targets: expected train.start scratch, got "
            f"{experiment.train.start!r}; all networks of a curve begin afresh"
        )
    if isinstance(experiment.space, ElasticConfig):
        raise ValueError(
            "--targets: expected a space of one shape, got an elastic one; search it "
            "for one target at a time, with --target and a new --out"
        )
    # without any, the empty text is refused
    configs = [with_target(experiment.search, text) for text in given or [""]]
    if len(set(configs)) < len(configs):
        raise ValueError(f"--targets: expected distinct targets, got {list(given)}")
    return [replace(experiment, search=config) for config in configs]


def run(
    experiment: Experiment,
    given: Sequence[str],
    folder: Path,
    *,
    command: str,
    progress: Progress,
    stop: Stop | None = None,
) -> dict[str, Any]:
    """Runs everything into a folder made by `run_folder.create`; returns the result.

    Work that the folder holds already is not repeated, as in `pipeline.run`.

    Raises:
      ValueError: if a target is out of reach, before anything is compiled.
      Stopped: when `stop` requests it; the running stage is saved first.
    """
    files.write(folder / TARGETS_FILE, json.dumps(list(given)) + "\n")
    session, setup = Session(folder, progress, stop), begin(experiment, folder)
    tell(setup.notes, progress)
    work = Run(setup, folder, session)
    table = pipeline.stored_table(work)
    runs = [
        Run(replace(setup, experiment=each), folder / "targets" / text, session)
        for text, each in zip(given, experiments(experiment, given), strict=True)
    ]
    goals = [pipeline.targets_of(replace(each, folder=folder), table) for each in runs]
    cost, searches = experiment.search.cost, {}
    with session.timed("search"):
        warm = None
        if epochs := experiment.search.warmup_epochs:
            progress.phase("warm-up, shared by all targets")
            first = replace(runs[0], folder=folder)
            warm = search.run(first, goals[0], until=epochs)
        for number, (each, goal) in enumerate(zip(runs, goals, strict=True), start=1):
            amount = targets.amount(cost, goal.target)
            progress.phase(f"search {number} of {len(runs)}, target {amount}")
            each.folder.mkdir(parents=True, exist_ok=True)
            run_folder.write_experiment(each.folder, each.experiment)
            if not (each.folder / "latency_table.json").is_file():  # resumed
                tables.save(table, each.folder / "latency_table.json")
            name = f"{SEARCHED}_{number}"
            searched = pipeline.search_and_derive(each, goal, after=warm)
            network = replace(searched.network, name=name)
            searches[name] = searched._replace(network=network)
    networks = {name: searched.network for name, searched in searches.items()}
    with session.timed("retrain"):
        for each, searched in zip(runs, searches.values(), strict=True):
            searched.take_over(work, each.folder)
        models = retrain.retrain_all(work, networks | widened(experiment))
    with session.timed("evaluate"):
        progress.phase("test, export, timing")
        assessed = assess.assess(work, models, table)
    answers, results = {}, assessed.networks
    for text, (name, searched) in zip(given, searches.items(), strict=True):
        answers[name] = {
            "target": text,
            TARGETS[cost]: searched.target,
            "derivation": searched.derivation,
            "speed_up": speed_up(results, name),
        }
    pipeline.add_risk(work, table, searches, assessed)
    return pipeline.finish(work, assessed.result() | {"targets": answers}, command)


def targets_of(folder: Path) -> list[str]:
    """The targets that a run was given; none for a run with its experiment's one."""
    path = folder / TARGETS_FILE
    texts = files.read_json(path) if path.is_file() else []
    targets: list[str] = from_json(list[str], texts, f"{path}: ")
    for text in targets:  # each is the name of a folder
        parse_target(text)
    return targets


def widened(experiment: Experiment) -> dict[str, Architecture]:
    """The hand-designed network at several widths, `baseline_75` at 0.75.

    Rounding of the channels may make two of them the same. A space of tree cells has no
    width and gives one network.
    """
    config = experiment.space
    networks: dict[str, Architecture] = {}
    if not isinstance(config, SpaceConfig):
        return {"baseline": baselines.hand_designed(builders.build(config))}
    for width in WIDTHS:
        scaled = replace(config, width_mult=width * config.width_mult)
        network = baselines.hand_designed(builders.build(scaled))
        if network not in networks.values():
            networks[f"baseline_{round(100 * width)}"] = network
    return {name: replace(network, name=name) for name, network in networks.items()}


def speed_up(results: Mapping[str, Any], name: str) -> float | None:
    """How much slower the hand-designed network of equal accuracy is.

    Its latency at that accuracy lies on straight lines between its widths, from the
    fastest on, as long as more time brings more accuracy. None where the curve does not
    reach the accuracy, or begins above it.
    """
    points = sorted(
        (network["measured_ms"]["median"], scores.shipped(network))
        for other, network in results.items()
        if other.startswith("baseline")
    )
    times, accuracies = zip(
        *(
            point
            for rank, point in enumerate(points)
            if all(point[1] > faster[1] for faster in points[:rank])
        ),
        strict=True,
    )
    accuracy = scores.shipped(results[name])
    if not accuracies[0] <= accuracy <= accuracies[-1]:
        return None
    equal = float(np.interp(accuracy, accuracies, times))
    return equal / results[name]["measured_ms"]["median"]


def table(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Targets and what became of them, for the terminal."""
    rows: list[tuple[str, ...]] = [
        (
            *("network", "target", "unspent", "P(kept)", "measured"),
            *("log-prob. given up", "speed-up"),
        )
    ]
    for name, searched in result["targets"].items():
        derived, faster = searched["derivation"], searched["speed_up"]
        slack = next(iter(derived.get("slack", {}).values()), None)
        found, target_ms = result["networks"][name], searched.get("target_ms")
        chance = (found.get("risk") or {}).get("probability")
        rows.append(
            (
                name,
                searched["target"],
                "-" if slack is None else f"{slack:.2%}",
                "-" if chance is None else f"{chance:.0%}",
                "-"
                if target_ms is None
                else f"{found['measured_ms']['median'] / target_ms - 1:+.1%}",
                "-" if slack is None else f"{derived['log_prob_given_up']:.3g}",
                "-" if faster is None else f"{faster:.2f}",
            )
        )
    return rows
