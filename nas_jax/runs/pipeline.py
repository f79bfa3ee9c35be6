"""The stages of a run, from a configuration to a report.

    measure -> search -> derive -> retrain -> test -> export -> time -> report

Each reads and writes the run folder, so the later ones can be repeated alone (`derive`,
`train`, `evaluate`). `run` is the chain for one target, `trade_off.run` for several.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nas_jax import report, supernet
from nas_jax.config import files, provenance, shipped
from nas_jax.config.experiment import Experiment, LatencyConfig
from nas_jax.config.search import TARGETS
from nas_jax.latency import risk as table_risk
from nas_jax.latency import tables
from nas_jax.latency.measurement import operations
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.latency.tables import LatencyTable
from nas_jax.networks import checkpoint
from nas_jax.runs import assess, finalists, retrain, run_folder, search, targets
from nas_jax.runs.finalists import SEARCHED
from nas_jax.runs.session import Run, Session, tell
from nas_jax.runs.setup import begin, resolve_targets
from nas_jax.runs.stopping import Stop
from nas_jax.search import baselines
from nas_jax.search import loop as search_loop
from nas_jax.search.targets import Targets
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import loop as training_loop
from nas_jax.training.progress import Progress
from nas_jax.training.scores import Scores


class Searched(NamedTuple):
    """The outcome of a search: its network, and the record of the derivation."""

    network: Architecture
    targets: Targets
    derivation: dict[str, Any]


def run(
    experiment: Experiment,
    folder: Path,
    *,
    command: str,
    progress: Progress,
    stop: Stop | None = None,
) -> dict[str, Any]:
    """Runs everything into a folder made by `run_folder.create`; returns the result.

    Work that a stopped process has left there is not repeated; the result is the same,
    but for what is timed. Of several processes only the one that writes continues after
    the retraining; the others return {}.

    Raises:
      ValueError: if data, table or target do not fit; the folder then holds what was
        finished, a measured table among it.
      Stopped: when `stop` requests it; the running stage is saved first.
    """
    work = Run(begin(experiment, folder), folder, Session(folder, progress, stop))
    tell(work.setup.notes, progress)
    table = stored_table(work)
    resolved = targets_of(work, table)
    cost = experiment.search.cost
    with work.session.timed("search"):
        progress.phase(f"search, target {targets.amount(cost, resolved.target)}")
        searched = search_and_derive(work, resolved)
    assert resolved.latency is not None  # by the table
    networks = baselines.comparison(
        work.setup.space,
        resolved.latency.model,
        searched.network,
        experiment.random_networks,
        experiment.seed,
    )
    with work.session.timed("retrain"):
        models = retrain.retrain_all(work, networks)
    if not work.setup.devices.writes:
        return {}
    with work.session.timed("evaluate"):
        progress.phase("test, export, timing")
        results = assess.assess(work, models, table)
    add_risk(work, table, {SEARCHED: searched}, results)
    answer = {TARGETS[cost]: resolved.target, "derivation": searched.derivation}
    return finish(work, {"networks": results, **answer}, command)


def stored_table(run: Run) -> LatencyTable:
    """The table of the folder; without one, as `measure` gives it."""
    path = run.folder / "latency_table.json"
    with run.session.timed("measure"):
        run.progress.phase("latency table")
        if path.is_file():
            return tables.load(path)
        table = measure(run.setup.space, run.experiment.latency, run.progress)
        run.progress.line(tables.validation_line(table.validation))
        tables.save(table, path)
    return table


def measure(
    space: SearchSpace, config: LatencyConfig, progress: Progress
) -> LatencyTable:
    """The stored table that `config` names, or a new one measured here."""
    if config.table is not None:
        return tables.load(shipped.table_file(config.table))
    device = onnx_runtime.device(config)
    return operations.measure_table(device, space, progress=progress.steps)


def targets_of(run: Run, table: LatencyTable) -> Targets:
    """Target and limits, by the table of a run; `ValueError` if out of reach."""
    try:
        resolved = resolve_targets(run.setup, table)
    except ValueError as error:
        if run.experiment.latency.table is not None:
            raise
        raise ValueError(
            f"{error}; measured already: --latency.table "
            f"{run.folder / 'latency_table.json'}"
        ) from error
    if resolved.warning:
        run.progress.phase(f"warning: {resolved.warning}")
    return resolved


def search_and_derive(
    run: Run,
    goal: Targets,
    *,
    after: search_loop.Reached | None = None,
) -> Searched:
    """The network of a folder's search, from its beginning or `after` a warm-up.

    Searches and compares the finalists unless the folder has them compared; missing
    trials are trained.
    """
    experiment, folder = run.experiment, run.folder
    weights = folder / retrain.SUPERNET_WEIGHTS
    is_compared = (folder / finalists.FINALISTS).is_file()
    is_complete = experiment.train.start != "supernet" or weights.exists()
    if not (is_compared and is_complete):
        last = search.run(run, goal, after=after)
        if not is_compared:
            accuracy = last.accuracy(run.setup.splits["valid"])
            finalists.compare(folder, accuracy, goal)
    if experiment.search.trials > 1:
        retrain.run_trials(run)
    network, derivation = finalists.derive_run(folder)
    run.progress.line(finalists.line(derivation))
    if not is_complete:
        state, recipe = run.setup.devices.local(last.state), run.setup.recipe
        stored = state.params, state.batch_stats
        params, _ = supernet.extract(last.space, *stored, network)
        data, batch = recipe.data.evaluated(), recipe.config.batch
        stats = training_loop.reestimate(network, params, data, batch)
        checkpoint.save_model(weights, checkpoint.Model(network, params, stats))
    return Searched(network, goal, derivation)


def add_risk(
    run: Run,
    table: LatencyTable,
    searches: Mapping[str, Searched],
    results: dict[str, Any],
) -> None:
    """Adds to the results how likely each searched network keeps its target in ms."""
    if run.experiment.search.cost != "latency":
        return
    for name, searched in searches.items():
        risk = table_risk.within(table, searched.network, searched.targets.target)
        results[name]["risk"] = None if risk is None else risk._asdict()
        run.progress.line(f"{name}: {table_risk.line(risk)}")


def finish(run: Run, result: dict[str, Any], command: str) -> dict[str, Any]:
    """Writes `result.json`, the run's own facts added, and the report."""
    result |= {
        "seed": run.experiment.seed,
        **provenance.record(),
        "seconds_per_phase": run.session.seconds(),
        "command": command,
        "resumed": run_folder.resumptions(run.folder),
    }
    files.write_json(run.folder / "result.json", result)
    report.write(run.folder)
    return result


def train_network(
    experiment: Experiment,
    network: Architecture,
    folder: Path,
    *,
    progress: Progress,
    stop: Stop | None = None,
) -> tuple[Path, Scores]:
    """Trains one network, or resumes that; returns its folder and its scores."""
    setup = begin(experiment, folder)
    tell(setup.notes, progress)
    saved = folder / retrain.TRAINED / network.name
    if saved.exists():
        raise ValueError(
            f"{saved} exists: this network is trained already; 'nas_jax evaluate "
            f"{folder}' tests it"
        )
    progress.phase(f"training: {network.name}")
    work = Run(setup, folder, Session(folder, progress, stop))
    model = retrain.retrain(work, network)
    return saved, assess.tested(model, setup)
