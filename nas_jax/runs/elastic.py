"""The search of an elastic space: networks within the target, compared.

    draw -> train the shared supernet -> score -> measure -> finalists.json

Widths and sides are choices of a whole network, for which no gate of a layer stands;
so networks are drawn, all of one latency (`within_target`), and compared with shared
weights. Trainings decide among the best of them (`retrain.run_trials`), as in any
search.
"""

from typing import Any

import jax
import numpy as np

from nas_jax.base import PyTree, stream
from nas_jax.config import files
from nas_jax.config.experiment import SUPERNET
from nas_jax.latency.tables import LatencyTable
from nas_jax.networks import checkpoint
from nas_jax.networks.checkpoint import Model
from nas_jax.runs import finalists, pretrained, run_folder, within_target
from nas_jax.runs.retrain import SUPERNET_WEIGHTS
from nas_jax.runs.search import snapshots_in
from nas_jax.runs.session import Run, stage
from nas_jax.runs.snapshots import Notes
from nas_jax.runs.targets import ElasticGoal
from nas_jax.runs.within_target import Clock
from nas_jax.search import shared_search
from nas_jax.search.shared_search import SharedProblem
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.training.loop import Reached, TrainState

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
    runtime = work.experiment.latency.runtime
    if config.cost == "latency" and within_target.is_here(table, runtime):
        clock = Clock(work, space, table)
    drawn = within_target.draw(work, space, goal, clock)
    found: list[dict[str, Any]] = [
        {
            "path": path.tolist(),
            "shape": shape,
            "slack": {config.cost: 1 - goal.costs[shape].of_path(path) / goal.target},
            "drawn": len(drawn),
            "is_scored": config.warmup_epochs > 0,
        }
        | ({} if lost is None else {"answers_lost": lost})
        for shape, path, lost in drawn
    ]
    if config.warmup_epochs:
        networks = [space.network(one.shape, one.path, "drawn") for one in drawn]
        data = {side: work.setup.shared_data(side) for side in space.sides}
        problem = SharedProblem(tuple(networks), config, data)
        state = train(work, problem)
        kept = work.folder / SUPERNET_WEIGHTS
        if work.experiment.train.start == SUPERNET and not kept.exists():
            widest = Model(problem.widest, state.params, state.batch_stats)
            checkpoint.save_model(kept, widest)
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


def _within(
    work: Run,
    space: ElasticSpace,
    goal: ElasticGoal,
    clock: Clock,
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
