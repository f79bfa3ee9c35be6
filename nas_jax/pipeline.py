"""The push of the button: every stage of a run, from a configuration to a report.

    measure -> search -> derive -> retrain -> test -> export -> time -> report

Each stage reads and writes the run folder, so the later ones can be run again alone
(`derive`, `train`, `evaluate`). Progress goes through `watch.Watch`, which the command
line draws and a notebook may replace.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas_jax import (
    assessment,
    baselines,
    checkpoint,
    derivation,
    devices,
    limits,
    problem,
    provenance,
    report,
    retraining,
    run_folder,
    search_loop,
    search_stage,
    shipped,
    supernet,
    table_risk,
    tables,
    train,
    trials,
)
from nas_jax.architecture import Architecture
from nas_jax.config import Experiment, LatencyConfig
from nas_jax.derivation import SEARCHED
from nas_jax.derive import Limit
from nas_jax.measure import onnx_runtime, operations
from nas_jax.measure.journal import Journal
from nas_jax.problem import Problem
from nas_jax.search_config import TARGETS
from nas_jax.session import Session
from nas_jax.space import SearchSpace
from nas_jax.stopping import Stop
from nas_jax.watch import Watch


def measure(
    searched: SearchSpace, config: LatencyConfig, watch: Watch
) -> tables.LatencyTable:
    """The stored table that `config` names, or a new one measured here."""
    if config.table is not None:
        return tables.load(shipped.table_file(config.table))
    return operations.measure_table(
        onnx_runtime.device(config),
        tables.required_parts(searched),
        searched.input_shape,
        config,
        Journal(None, {}),
        progress=watch.steps,
    )


def run(
    experiment: Experiment,
    folder: Path,
    command: str,
    watch: Watch,
    stop: Stop | None = None,
) -> dict:
    """Runs everything into a folder made by `run_folder.create`; returns the result.

    What the folder holds already, of a process that was stopped, is not done again; the
    result is the same, but for what is timed. Of several processes only the one that
    writes goes on after the retraining.

    Raises:
      ValueError: if data, table or target do not fit; the folder then holds what was
        finished, a measured table among it.
      Stopped: when `stop` asks for it; what runs is saved first.
    """
    session = Session(folder, watch, stop)
    given = problem.load(experiment, devices.execution_of(experiment))
    for note in given.notes:
        watch.line(note)
    table = stored_table(experiment, given.space, folder, session)
    origin, z = origin_of(experiment), experiment.latency.z
    model = problem.cost_model(table, given.space, origin, z)
    kept_to = aims(experiment, given.space, table, folder, watch)
    cost, target = experiment.search.cost, kept_to[0].target
    with session.timed("search"):
        watch.phase(f"search, target {limits.amount(cost, target)}")
        found, derived = searched(experiment, given, kept_to, folder, session)
    networks = baselines.comparison(
        given.space, model, found, experiment.random_networks, experiment.seed
    )
    if derived["trials"]:
        trials.keep(folder, derived["trial"], folder, SEARCHED)
    with session.timed("retrain"):
        models = retraining.retrain_all(experiment, given, networks, folder, session)
    if not given.execution.writes:
        return {}
    with session.timed("evaluate"):
        watch.phase("test, export, timing")
        results = assessment.assess(experiment, given, models, table, folder, watch)
    if cost == "latency":
        risk = table_risk.within(table, found, target)
        results[SEARCHED]["risk"] = None if risk is None else risk._asdict()
        watch.line(table_risk.line(risk))
    result = {
        "networks": results,
        TARGETS[cost]: target,
        "derivation": derived,
        **closing(experiment, folder, session, command),
    }
    run_folder.write_text(folder / "result.json", json.dumps(result, indent=1) + "\n")
    report.write(folder)
    return result


def closing(
    experiment: Experiment, folder: Path, session: Session, command: str
) -> dict[str, Any]:
    """What `result.json` says of the run itself."""
    return {
        "seed": experiment.seed,
        **provenance.record(),
        "seconds_per_phase": session.seconds(),
        "command": command,
        "resumed": run_folder.resumptions(folder),
    }


def stored_table(
    experiment: Experiment, searched: SearchSpace, folder: Path, session: Session
) -> tables.LatencyTable:
    """The table of the folder; measured, or read where it is stored, if it has none."""
    path = folder / "latency_table.json"
    with session.timed("measure"):
        session.watch.phase("latency table")
        if path.is_file():
            return tables.load(path)
        table = measure(searched, experiment.latency, session.watch)
        session.watch.line(tables.validation_line(table.validation))
        tables.save(table, path)
    return table


def searched(
    experiment: Experiment,
    given: Problem,
    kept_to: Sequence[Limit],
    folder: Path,
    session: Session,
    after: search_loop.Reached | None = None,
) -> tuple[Architecture, dict[str, Any]]:
    """The network that the search of a folder finds, and what its derivation cost.

    Searches and compares the finalists unless the folder has them compared; what trials
    remain are made.
    """
    keeps = experiment.train.start == "supernet"
    is_compared = (folder / derivation.FINALISTS).is_file()
    is_kept = not keeps or (folder / retraining.KEPT).exists()
    if not (is_compared and is_kept):
        last = search_stage.run(experiment, given, kept_to, folder, session, after)
        if not is_compared:
            derivation.compare(folder, last.accuracy(given.splits["valid"]))
    if experiment.search.trials > 1:
        trials.run(experiment, given, folder, session)
    found, derived = derivation.derive_run(folder)
    session.watch.line(derivation.told(derived))
    if not is_kept:
        model = kept(experiment, given, last, found)
        checkpoint.save_model(folder / retraining.KEPT, model)
    return found, derived


def origin_of(experiment: Experiment) -> str:
    """Names the latency table in errors."""
    return experiment.latency.table or "the measured table"


def aims(
    experiment: Experiment,
    searched: SearchSpace,
    table: tables.LatencyTable,
    folder: Path,
    watch: Watch,
) -> list[Limit]:
    """Target and limits, by the table of a run; `ValueError` if out of reach."""
    config, z, origin = experiment.search, experiment.latency.z, origin_of(experiment)
    try:
        found, warning = limits.resolve(config, searched, table, origin, z)
    except ValueError as error:
        if experiment.latency.table is not None:
            raise
        raise ValueError(
            f"{error}; measured already: --latency.table "
            f"{folder / 'latency_table.json'}"
        ) from error
    if warning:
        watch.phase(f"warning: {warning}")
    return found


def kept(
    experiment: Experiment,
    given: Problem,
    last: search_loop.Reached,
    found: Architecture,
) -> checkpoint.Model:
    """The derived network with the supernet's weights, statistics estimated anew."""
    state = given.execution.local(last.state)
    params, _ = supernet.extract(last.space, state.params, state.batch_stats, found)
    data = retraining.train_images(given).evaluated()
    batch_stats = train.reestimate(found, params, data, experiment.train.batch)
    return checkpoint.Model(found, params, batch_stats)


def train_network(
    experiment: Experiment,
    network: Architecture,
    folder: Path,
    watch: Watch,
    stop: Stop | None = None,
) -> tuple[Path, float]:
    """Trains and saves one network; returns its folder and its test accuracy.

    From its snapshot on, if the folder has one.
    """
    given = problem.load(experiment, devices.execution_of(experiment))
    saved = folder / "checkpoints" / network.name
    if saved.exists():
        raise ValueError(
            f"{saved} exists: this network is trained already; 'nas_jax evaluate "
            f"{folder}' tests it"
        )
    watch.phase(f"training: {network.name}")
    session = Session(folder, watch, stop)
    model = retraining.retrain(experiment, given, network, folder, session)
    return saved, assessment.test_accuracy(model, given.splits["test"])
