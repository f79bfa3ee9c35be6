"""The search of an elastic space: networks within the target, compared.

    draw -> train the shared supernet -> score -> measure -> finalists.json

Widths and sides are choices of a whole network, for which no gate of a layer stands;
so networks are drawn, all of one latency, and compared with shared weights. Trainings
decide among the best of them (`retrain.run_trials`), as in any search.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from nas_jax.base import PyTree, stream
from nas_jax.config import files, provenance
from nas_jax.config.experiment import SUPERNET
from nas_jax.latency import tables
from nas_jax.latency.measurement import whole_networks
from nas_jax.latency.measurement.journal import Journal
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.latency.tables import LatencyTable
from nas_jax.networks import checkpoint
from nas_jax.networks.checkpoint import Model
from nas_jax.runs import finalists, pretrained, run_folder
from nas_jax.runs.retrain import SUPERNET_WEIGHTS
from nas_jax.runs.search import snapshots_in
from nas_jax.runs.session import Run, stage
from nas_jax.runs.snapshots import Notes
from nas_jax.runs.targets import ElasticGoal
from nas_jax.search import baselines, elastic_census, shared_search
from nas_jax.search.shared_search import SharedProblem
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.training.loop import Reached, TrainState

PROBED = 8
"""Networks by which a table is corrected."""
TOLERANCE = 0.02
"""Share of the target that a finalist may take beyond it, as measured."""


def run(work: Run, goal: ElasticGoal, table: LatencyTable) -> None:
    """Writes the finalists of a search, unless the folder has them.

    Raises:
      ValueError: if the training diverges, and for snapshots of another configuration.
      Stopped: when requested, after a snapshot.
    """
    if (work.folder / finalists.FINALISTS).is_file():
        return
    space, config = work.setup.whole, work.experiment.search
    assert isinstance(space, ElasticSpace)
    clock = None
    if config.cost == "latency" and _is_here(table):
        clock = _Clock(work, space, table)
    drawn = draw(work, space, goal, clock)
    found: list[dict[str, Any]] = [
        {
            "path": path.tolist(),
            "shape": shape,
            "slack": {config.cost: 1 - goal.costs[shape].of_path(path) / goal.target},
            "drawn": len(drawn),
            "is_scored": config.warmup_epochs > 0,
        }
        for shape, path in drawn
    ]
    if config.warmup_epochs:
        networks = [space.network(*one, "drawn") for one in drawn]
        data = {side: work.setup.shared_data(side) for side in space.sides}
        problem = SharedProblem(tuple(networks), config, data)
        state = train(work, problem)
        if work.experiment.train.start == SUPERNET:
            kept = Model(problem.widest, state.params, state.batch_stats)
            checkpoint.save_model(work.folder / SUPERNET_WEIGHTS, kept)
        scored = shared_search.scores(problem, state)
        work.progress.phase(f"{len(drawn)} networks compared by the supernet")
        for line, score in zip(
            found,
            work.progress.steps(scored, total=len(found), desc="compare"),
            strict=True,
        ):
            line["valid_accuracy"] = float(score.accuracy)
            line["valid_loss"] = float(score.loss)
        found.sort(key=lambda line: line["valid_loss"])
    if clock is not None:
        found = _within(work, space, goal, clock, found[: 2 * config.finalists])
    files.write_json(work.folder / finalists.FINALISTS, found[: config.finalists])


class _Clock:
    """Latencies measured here, in the milliseconds of the table.

    With a target that is a share of the hand-designed network's latency, this network
    is timed beside the others, and what it takes over its prediction is the pace of the
    machine now, by which all are divided.
    """

    def __init__(self, work: Run, space: ElasticSpace, table: LatencyTable) -> None:
        self._work, self._table = work, table
        self._reference = baselines.hand_designed(space.middle)

    def measure(self, networks: Sequence[Architecture]) -> np.ndarray:
        every = [
            replace(network, name=f"timed_{place}")
            for place, network in enumerate((self._reference, *networks))
        ]
        device = onnx_runtime.device(self._work.experiment.latency)
        watch = self._work.progress.steps
        base, *times = whole_networks.measure(device, every, Journal(None, {}), watch)
        pace = 1.0
        if self._work.experiment.search.target_ratio is not None:
            pace = base / tables.predict_ms(self._table, self._reference)
        return np.array(times) / pace

    def bias(self, networks: Sequence[Architecture]) -> float:
        """Measured over predicted, the median of some networks."""
        predicted = [tables.predict_ms(self._table, network) for network in networks]
        return float(np.median(self.measure(networks) / predicted))


def draw(
    work: Run, space: ElasticSpace, goal: ElasticGoal, clock: _Clock | None
) -> list[tuple[int, np.ndarray]]:
    """Different networks that spend the target (`ElasticCensus.draw`).

    As many as `search.drawn`, without a supernet as many as can be finalists; fewer
    where there are not as many. They leave at most the share `search.max_slack` of it.

    A table errs by some per cent for all networks of about one latency. With a clock
    the first `PROBED` are timed, and the others drawn where the target is met by it.
    """
    config = work.experiment.search
    wanted = config.drawn if config.warmup_epochs else 2 * config.finalists
    rng = np.random.default_rng((work.experiment.seed, 19))
    aim = goal.target
    if clock is not None:
        work.progress.phase(f"{PROBED} networks timed, to correct the table")
        probed = _draw(rng, space, goal, aim, config.max_slack, PROBED)
        bias = clock.bias([space.network(*one, "probed") for one in probed])
        aim = goal.target / bias
        work.progress.line(
            f"networks at the target take {bias:.3f} of what the table says: those of "
            f"{aim:.4g} ms by table are drawn"
        )
    return _draw(rng, space, goal, aim, config.max_slack, wanted)


def _draw(
    rng: np.random.Generator,
    space: ElasticSpace,
    goal: ElasticGoal,
    aim: float,
    slack: float,
    wanted: int,
) -> list[tuple[int, np.ndarray]]:
    counted = elastic_census.of(space, goal.costs, aim)
    low = aim * (1 - slack)
    if not counted.between(low, aim):
        low = counted.nearest(aim)
    found: dict[tuple[int, ...], tuple[int, np.ndarray]] = {}
    for _ in range(20 * wanted):
        shape, path = counted.draw(rng, low, aim)
        found.setdefault((shape, *path.tolist()), (shape, path))
        if len(found) == wanted:
            break
    return list(found.values())


def train(work: Run, problem: SharedProblem) -> TrainState:
    """The trained supernet, one metrics line per epoch; resumed from a snapshot."""
    key = stream(jax.random.key(work.experiment.seed), "search")
    per_epoch = problem.steps_per_epoch
    with stage(work, snapshots_in(work.folder)) as record:

        def like(notes: Notes) -> PyTree:
            return jax.eval_shape(lambda: shared_search.init(key, problem))

        newest = record.newest(like)
        if newest is None:
            after = Reached(shared_search.init(key, problem, _weights(work, problem)))
        else:
            after = Reached(newest.state, newest.notes["collected"])
        begun = int(after.state.step)
        run_folder.cut_metrics(
            work.folder,
            lambda line: line["phase"] != "warmup" or line["step"] <= begun,
        )

        def save(reached: Reached) -> None:
            collected = jax.tree.map(float, jax.device_get(list(reached.collected)))
            step = int(reached.state.step)
            record.save(step, reached.state, {"collected": collected})

        def save_if_due(reached: Reached) -> None:
            if record.is_due():
                save(reached)

        epochs = shared_search.run(
            key,
            problem,
            compile=work.session.compiler,
            after=after,
            between_steps=save_if_due,
        )
        left = problem.config.warmup_epochs - begun // per_epoch
        for epoch in work.progress.steps(epochs, total=left, desc="supernet"):
            after = Reached(epoch.state)
            place = {"step": int(epoch.state.step), "phase": "warmup"}
            record.log(place | {"epoch": epoch.epoch}, epoch.metrics)
            work.progress.note(accuracy=f"{epoch.metrics['search/accuracy']:.1%}")
            save_if_due(after)
        save(after)
    return after.state


def _weights(work: Run, problem: SharedProblem) -> tuple[PyTree, PyTree] | None:
    """Those that the supernet starts from, if `search.start` says any."""
    start = work.experiment.search.weights
    if start is None:
        return None
    widest, key = problem.widest, jax.random.key(work.experiment.seed)
    data = problem.data[widest.stem.input_size].train
    return pretrained.shared_weights(start, widest, key, data, work.progress)


def _is_here(table: LatencyTable) -> bool:
    """Whether a table was measured on this machine, in the runtime that times."""
    made = table.provenance.get("device"), table.provenance.get("runtime")
    return made == (provenance.device(), "onnxruntime")


def _within(
    work: Run,
    space: ElasticSpace,
    goal: ElasticGoal,
    clock: _Clock,
    found: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Those that keep the target as measured, with their times, in their order.

    The fastest others follow, for where there are too few.
    """
    work.progress.phase(f"{len(found)} networks timed")
    times = clock.measure(
        [space.network(one["shape"], np.array(one["path"]), "timed") for one in found]
    )
    for line, ms in zip(found, times, strict=True):
        line["measured_ms"] = float(ms)
    most = goal.target * (1 + TOLERANCE)
    kept = [line for line in found if line["measured_ms"] <= most]
    others = [line for line in found if line["measured_ms"] > most]
    work.progress.line(f"{len(kept)} of {len(found)} keep the target as measured")
    return kept + sorted(others, key=lambda line: line["measured_ms"])
