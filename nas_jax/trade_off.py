"""One warm-up, several targets: a curve of accuracy against measured latency.

The warm-up of a supernet depends on no target, so it is run once. Every target then has
a search of its own from there, in `targets/<name>`, and its network is trained anew.
The curve to beat is that of the hand-designed network at several widths.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax import (
    assessment,
    baselines,
    builders,
    derivation,
    devices,
    files,
    limits,
    pipeline,
    problem,
    report,
    retraining,
    run_folder,
    search_stage,
    table_risk,
    tables,
    trials,
)
from nas_jax.architecture import Architecture
from nas_jax.config import Experiment, SearchConfig, SpaceConfig
from nas_jax.search_config import TARGETS, parse_target
from nas_jax.session import Session
from nas_jax.stopping import Stop
from nas_jax.watch import Watch

TARGETS_FILE = "targets.json"
"""File of a run with its targets, as they were given."""
WIDTHS = (1.0, 0.5, 0.75, 1.5)
"""Of the hand-designed network; where two are the same network, the first stays."""


def experiments(experiment: Experiment, targets: Sequence[str]) -> list[Experiment]:
    """The experiment once for every target: a ratio, or a time as in `0.25ms`.

    Raises:
      ValueError: for a target that is neither, or is given twice, and for settings that
        a curve has no use for.
    """
    if experiment.train.start != "scratch":
        raise ValueError(
            "--targets: expected train.start scratch, got "
            f"{experiment.train.start!r}; all networks of a curve begin afresh"
        )
    aimed = [_aimed(experiment, text) for text in targets]
    if len(set(aimed)) < len(aimed) or not aimed:
        raise ValueError(f"--targets: expected distinct targets, got {list(targets)}")
    return [dataclasses.replace(experiment, search=search) for search in aimed]


def _aimed(experiment: Experiment, text: str) -> SearchConfig:
    name, amount = parse_target(text)
    none: dict[str, Any] = dict.fromkeys((*TARGETS.values(), "target_ratio"))
    return dataclasses.replace(experiment.search, **none | {name: amount})


def run(
    experiment: Experiment,
    targets: Sequence[str],
    folder: Path,
    command: str,
    watch: Watch,
    stop: Stop | None = None,
) -> dict[str, Any]:
    """Runs everything into a folder made by `run_folder.create`; returns the result.

    What the folder holds already is not done again, as in `pipeline.run`.

    Raises:
      ValueError: if a target is out of reach, before anything is compiled.
      Stopped: when `stop` asks for it; what runs is saved first.
    """
    text = json.dumps(list(targets)) + "\n"
    files.write(folder / TARGETS_FILE, text)
    session = Session(folder, watch, stop)
    aimed = experiments(experiment, targets)
    given = problem.load(experiment, devices.execution_of(experiment))
    table = pipeline.stored_table(experiment, given.space, folder, session)
    kept_to = [pipeline.aims(one, given.space, table, folder, watch) for one in aimed]
    networks: dict[str, Architecture] = {}
    found: dict[str, Any] = {}
    with session.timed("search"):
        warm = None
        if epochs := experiment.search.warmup_epochs:
            watch.phase("warm-up, shared by all targets")
            warm = search_stage.run(
                aimed[0], given, kept_to[0], folder, session, epochs=epochs
            )
        for place, (text, one, limit) in enumerate(
            zip(targets, aimed, kept_to, strict=True), start=1
        ):
            name = f"{derivation.SEARCHED}_{place}"
            amount = limits.amount(one.search.cost, limit[0].target)
            watch.phase(f"search {place} of {len(targets)}, target {amount}")
            own = folder / "targets" / text
            own.mkdir(parents=True, exist_ok=True)
            run_folder.write_experiment(own, one)
            own_table = own / "latency_table.json"
            if not own_table.is_file():  # a run that goes on has it
                tables.save(table, own_table)
            network, derived = pipeline.searched(one, given, limit, own, session, warm)
            networks[name] = dataclasses.replace(network, name=name)
            if derived["trials"]:
                trials.keep(own, derived["trial"], folder, name)
            target = {TARGETS[one.search.cost]: limit[0].target}
            found[name] = {"target": text, **target, "derivation": derived}
    networks |= widened(experiment)
    with session.timed("retrain"):
        models = retraining.retrain_all(experiment, given, networks, folder, session)
    with session.timed("evaluate"):
        watch.phase("test, export, timing")
        results = assessment.assess(experiment, given, models, None, folder, watch)
    for name in found:  # the table knows no other widths
        results[name]["predicted_ms"] = tables.predict_ms(table, networks[name])
        found[name]["speed_up"] = speed_up(results, name)
        if experiment.search.cost == "latency":
            risk = table_risk.within(table, networks[name], found[name]["target_ms"])
            results[name]["risk"] = None if risk is None else risk._asdict()
            watch.line(f"{name}: {table_risk.line(risk)}")
    result = {
        "networks": results,
        "targets": found,
        **pipeline.closing(experiment, folder, session, command),
    }
    files.write_json(folder / "result.json", result)
    report.write(folder)
    return result


def targets_of(folder: Path) -> list[str]:
    """The targets that a run was given; none for a run with its experiment's one."""
    path = folder / TARGETS_FILE
    found = files.read_json(path) if path.is_file() else []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"{path}: expected a list of targets, got {found!r:.60}")
    for text in found:  # each is the name of a folder
        parse_target(text)
    return found


def widened(experiment: Experiment) -> dict[str, Architecture]:
    """The hand-designed network at several widths, `baseline_75` at 0.75.

    Rounding of the channels may make two of them the same. A space of tree cells has no
    width and gives one network.
    """
    config = experiment.space
    found: dict[str, Architecture] = {}
    if not isinstance(config, SpaceConfig):
        return {"baseline": baselines.hand_designed(builders.build(config))}
    for width in WIDTHS:
        scaled = dataclasses.replace(config, width_mult=width * config.width_mult)
        network = baselines.hand_designed(builders.build(scaled))
        if network not in found.values():
            found[f"baseline_{round(100 * width)}"] = network
    return {
        name: dataclasses.replace(network, name=name) for name, network in found.items()
    }


def speed_up(results: Mapping[str, Any], name: str) -> float | None:
    """How much slower the hand-designed network of equal accuracy is.

    Its latency at that accuracy lies on straight lines between its widths, from the
    fastest on, as long as more time brings more accuracy. None where the curve does not
    reach the accuracy, or begins above it.
    """
    points = sorted(
        (found["measured_ms"]["median"], found["test_accuracy"])
        for other, found in results.items()
        if other.startswith("baseline")
    )
    frontier = [
        point
        for place, point in enumerate(points)
        if all(point[1] > other[1] for other in points[:place])
    ]
    times, accuracies = zip(*frontier, strict=True)
    accuracy = results[name]["test_accuracy"]
    if not accuracies[0] <= accuracy <= accuracies[-1]:
        return None
    equal = float(np.interp(accuracy, accuracies, times))
    return equal / results[name]["measured_ms"]["median"]


def table(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Targets and what became of them, for the terminal."""
    rows: list[tuple[str, ...]] = [
        ("network", "target", "unspent", "P(kept)", "log-prob. given up", "speed-up")
    ]
    for name, found in result["targets"].items():
        derived, faster = found["derivation"], found["speed_up"]
        slack = next(iter(derived.get("slack", {}).values()), None)
        risk = result["networks"][name].get("risk")
        rows.append(
            (
                name,
                found["target"],
                "-" if slack is None else f"{slack:.2%}",
                "-" if risk is None else f"{risk['probability']:.0%}",
                "-" if slack is None else f"{derived['log_prob_given_up']:.3g}",
                "-" if faster is None else f"{faster:.2f}",
            )
        )
    return rows
