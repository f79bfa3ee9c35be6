"""The stages of a run, from a configuration to a report.

    measure -> search -> derive -> retrain -> test -> export -> time -> report

Each reads and writes the run folder, so the later ones can be repeated alone (`derive`,
`train`, `evaluate`). `run` is the chain for one target, `trade_off.run` for several.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from nas_jax import report, supernet
from nas_jax.config import files, provenance
from nas_jax.config.experiment import SUPERNET, Experiment, LatencyConfig
from nas_jax.config.search import TARGETS
from nas_jax.config.space import ElasticConfig
from nas_jax.latency import risk as table_risk
from nas_jax.latency import tables
from nas_jax.latency.measurement import (
    operations,
    reference,
    timing,
    whole_networks,
)
from nas_jax.latency.measurement.timing import Device
from nas_jax.latency.runtimes import open_device
from nas_jax.latency.tables import LatencyTable
from nas_jax.networks import checkpoint
from nas_jax.runs import (
    assess,
    eight_bits,
    elastic,
    finalists,
    pretrained,
    retrain,
    run_folder,
    search,
    targets,
)
from nas_jax.runs.assess import Assessed
from nas_jax.runs.finalists import SEARCHED
from nas_jax.runs.session import Run, Session, tell
from nas_jax.runs.setup import begin, elastic_goal, resolve_targets
from nas_jax.runs.stopping import Stop
from nas_jax.runs.targets import ElasticGoal
from nas_jax.search import baselines
from nas_jax.search import loop as search_loop
from nas_jax.search.targets import Costs, Targets
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.elastic import ElasticSpace, place_of
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import loop as training_loop
from nas_jax.training.progress import Progress
from nas_jax.training.scores import Scores

Goal = TypeVar("Goal", Targets, ElasticGoal)

HELD_OUT = 20
"""Networks that a table measured by a run is held against."""
HELD_OUT_S = 20.0
"""Time that their timing may take."""
HELD_OUT_SEED = 0


class Searched(NamedTuple):
    """The outcome of a search: its network, and the record of the derivation."""

    network: Architecture
    target: float
    derivation: dict[str, Any]

    def take_over(self, work: Run, folder: Path) -> None:
        """Its training in the last rung of a search in `folder`, as that in full."""
        made = self.derivation
        if made["trials"]:
            tried = retrain.in_rung(folder, made["trial"], made["rung"])
            retrain.take_over(work, self.network, tried)


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
    goal, latencies = _searched_for(work, table)
    cost = experiment.search.cost
    with work.session.timed("search"):
        progress.phase(f"search, target {targets.amount(cost, goal.target)}")
        if isinstance(goal, Targets):
            searched = search_and_derive(work, goal)
        else:
            searched = draw_and_derive(work, goal, table)
    networks = baselines.comparison(
        work.setup.whole,
        latencies,
        searched.network,
        experiment.random_networks,
        experiment.seed,
        goal.keeps,
    )
    if missing := experiment.random_networks - _random(networks):
        progress.line(
            f"{missing} of {experiment.random_networks} random networks are left out: "
            f"of {baselines.TRIES} drawn at this latency none keeps the limits"
        )
    with work.session.timed("retrain"):
        searched.take_over(work, work.folder)
        if count := experiment.scaled_networks:
            ms = baselines.latency_of(work.setup.whole, latencies, searched.network)
            start = work.experiment.weights
            like = None if start is None else pretrained.read(start).architecture
            ways = baselines.scaled(
                work.setup.whole, latencies, ms, count, like=like, keeps=goal.keeps
            )
            networks |= retrain.best_scaled(work, ways)
        models = retrain.retrain_all(work, networks)
    if not work.setup.devices.writes:
        return {}
    with work.session.timed("evaluate"):
        progress.phase("test, export, timing")
        assessed = assess.assess(work, models, table)
    add_risk(work, table, {SEARCHED: searched}, assessed)
    if experiment.search.limits:
        for name, network in networks.items():
            at = place_of(work.setup.whole, network)
            assessed.networks[name]["keeps_limits"] = goal.keeps(*at)
    answer = {TARGETS[cost]: goal.target, "derivation": searched.derivation}
    return finish(work, assessed.result() | answer, command)


def _random(networks: Iterable[str]) -> int:
    """How many of these were drawn at random."""
    return sum(name.startswith("random_") for name in networks)


def stored_table(run: Run) -> LatencyTable:
    """The table of the folder; without one, as `measure` gives it."""
    path = run.folder / "latency_table.json"
    with run.session.timed("measure"):
        run.progress.phase("latency table")
        for note in eight_bits.notes(run.setup):
            run.progress.line(note)
        if path.is_file():
            return tables.load(path)
        table = measure(run.setup.whole, run.experiment.latency, run.progress)
        run.progress.line(tables.validation_line(table.validation))
        tables.save(table, path)
    return table


def measure(
    space: SearchSpace | ElasticSpace, config: LatencyConfig, progress: Progress
) -> LatencyTable:
    """The stored table that `config` names, or a new one measured here."""
    if config.table is not None:
        return tables.load(config.table)
    device = open_device(config.runtime, config, None)
    parts = tables.required_parts(space)
    table = operations.measure_table(
        device, space.middle, parts=parts, progress=progress.steps
    )
    return held_against_networks(table, space, device, progress)


def held_against_networks(
    table: LatencyTable,
    space: SearchSpace | ElasticSpace,
    device: Device,
    progress: Progress,
) -> LatencyTable:
    """The table validated with as many networks as `HELD_OUT_S` allows.

    Where these are too few, or the space has not as many, it is as it was, and a line
    says why.
    """
    seconds = whole_networks.seconds_of(device.config, table, space)
    count = min(HELD_OUT, int(HELD_OUT_S / seconds), space.architectures)
    if count < whole_networks.LEAST:
        progress.line(
            f"not held against whole networks: {whole_networks.LEAST} or more are "
            f"needed, {count} are in the space and timed within {HELD_OUT_S:g} s"
        )
        return table
    progress.phase(f"{count} networks timed, to judge the table")
    held, record = whole_networks.hold(
        table,
        space,
        device,
        count,
        seed=HELD_OUT_SEED,
        progress=progress.steps,
        spread_s=timing.SPREAD_S,
    )
    if reference.is_told(pace := reference.Pace(**record["pace"])):
        progress.line(reference.line(pace))
    return held


def targets_of(run: Run, table: LatencyTable) -> Targets:
    """Target and limits, by the table of a run; `ValueError` if out of reach."""
    return _told(run, lambda: resolve_targets(run.setup, table))


def _told(run: Run, resolve: Callable[[], Goal]) -> Goal:
    """A target with its warnings, or the error with where the table lies."""
    try:
        resolved = resolve()
    except ValueError as error:
        if run.experiment.latency.table is not None:
            raise
        raise ValueError(
            f"{error}; measured already: --latency.table "
            f"{run.folder / 'latency_table.json'}"
        ) from error
    for line in resolved.warnings:
        run.progress.phase(f"warning: {line}")
    return resolved


def _searched_for(
    run: Run, table: LatencyTable
) -> tuple[Targets | ElasticGoal, Sequence[Costs]]:
    """What a run searches for, and the latencies of its space, shape by shape."""
    goal: Targets | ElasticGoal
    if isinstance(run.experiment.space, ElasticConfig):
        goal = _told(run, lambda: elastic_goal(run.setup, table))
        latencies = goal.latencies
    else:
        goal = targets_of(run, table)
        assert goal.latency is not None  # by the table
        latencies = (goal.latency,)
    return goal, latencies


def draw_and_derive(run: Run, goal: ElasticGoal, table: LatencyTable) -> Searched:
    """The network of an elastic space: drawn, compared, tried, the best one taken."""
    elastic.run(run, goal, table)
    return _best(run, goal.target)


def _best(run: Run, target: float) -> Searched:
    """The network of a folder's finalists, after their trials."""
    if run.experiment.search.trials > 1:
        retrain.run_trials(run)
    network, derivation = finalists.derive_run(run.folder)
    run.progress.line(finalists.line(derivation))
    return Searched(network, target, derivation)


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
    is_complete = experiment.train.start != SUPERNET or weights.exists()
    if not (is_compared and is_complete):
        last = search.run(run, goal, after=after)
        if not is_compared:
            accuracy = last.accuracy(run.setup.splits["valid"])
            finalists.compare(folder, accuracy, goal)
    searched = _best(run, goal.target)
    if not is_complete:
        network = searched.network
        state, recipe = run.setup.devices.local(last.state), run.setup.recipe
        stored = state.params, state.batch_stats
        params, _ = supernet.extract(last.space, *stored, network)
        data, batch = recipe.data.evaluated(), recipe.config.batch
        stats = training_loop.reestimate(network, params, data, batch)
        checkpoint.save_model(weights, checkpoint.Model(network, params, stats))
    return searched


def add_risk(
    run: Run,
    table: LatencyTable,
    searches: Mapping[str, Searched],
    assessed: Assessed,
) -> None:
    """Adds to the results how likely each searched network keeps its target in ms.

    Where that is not known, why.
    """
    if run.experiment.search.cost != "latency":
        return
    for name, searched in searches.items():
        risk = table_risk.within(
            table, searched.network, searched.target, assessed.pace
        )
        assessed.networks[name]["risk"] = (
            {"unknown": table_risk.unknown(table)} if risk is None else risk._asdict()
        )


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
