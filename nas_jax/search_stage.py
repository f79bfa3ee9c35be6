"""The search of a run: metrics line by line, snapshots, and on from the newest."""

import dataclasses
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import jax
import numpy as np

from nas_jax import (
    config_changes,
    config_json,
    divergence,
    limits,
    optim,
    plan,
    prune,
    rng,
    run_folder,
    schedule,
    search_loop,
    search_state,
)
from nas_jax.base import Probs, PyTree
from nas_jax.config import Experiment
from nas_jax.derive import Limit
from nas_jax.problem import Problem
from nas_jax.search_config import EXPECTED
from nas_jax.search_loop import SearchData
from nas_jax.search_state import SearchProblem
from nas_jax.session import Keeper, Session
from nas_jax.snapshots import Notes, Snapshots
from nas_jax.space import SearchSpace

PHASES = ("warmup", "joint")


def snapshots_in(folder: Path) -> Path:
    """Where the search of a run has its snapshots."""
    return folder / "snapshots" / "search"


def has_snapshots(folder: Path) -> bool:
    """Whether a search of a run, or of one of its targets, can go on from one."""
    found = folder.glob("**/snapshots/search/*")
    return any(path.name.isdecimal() for path in found)


def run(
    experiment: Experiment,
    given: Problem,
    kept_to: Sequence[Limit],
    folder: Path,
    session: Session,
    after: search_loop.Reached | None = None,
    epochs: int | None = None,
) -> search_loop.Reached:
    """Runs the search, one metrics line per epoch; returns where it ended.

    From the newest snapshot of the folder on, if there is one, else from its beginning
    or `after` the warm-up of another search. It may end early, after `epochs`. Its last
    state is saved always.

    Raises:
      ValueError: as `search_loop.run`, for snapshots of another configuration, and if
        the device has no room left.
      Stopped: when asked, after a snapshot.
    """
    config, key = experiment.search, jax.random.key(experiment.seed)
    key = rng.stream(key, "search")
    images = len(given.splits["train_weights"].labels)
    per_epoch = optim.steps_per_epoch(images, config.batch)
    with (
        session.stop.held(),
        session.compiler.within_memory(),
        Snapshots(snapshots_in(folder), experiment.checkpoints_kept) as snapshots,
    ):

        def like(notes: Notes) -> PyTree:
            saved = config_json.experiment(notes["config"])
            origin = f"{snapshots.folder}: a checkpoint"
            config_changes.require_same(saved, experiment, origin, config_changes.RATES)
            return jax.eval_shape(
                lambda: search_state.init(
                    key,
                    _space(given, notes),
                    config,
                    schedule.search_weights(config, per_epoch),
                    schedule.search_alphas(config),
                )
            )

        found = snapshots.newest(like, session.watch.line)
        start, accuracy = time.perf_counter(), None
        if found is not None:
            notes = found.notes
            collected, accuracy = notes["collected"], notes["accuracy"]
            after = search_loop.Reached(
                _space(given, notes),
                found.state,
                collected,
                execution=given.execution,
            )
            start -= notes["seconds"]
            session.watch.line(f"goes on from the checkpoint of step {found.step}")
        begun = 0 if after is None else int(after.state.step)
        run_folder.cut_metrics(
            folder, lambda line: line["phase"] not in PHASES or line["step"] <= begun
        )
        keeper = Keeper(snapshots, experiment.checkpoint_every_s, session)

        def save(reached: search_loop.Reached) -> None:
            collected = jax.device_get(reached.collected)
            state = given.execution.local(reached.state)
            divergence.require_finite_state(reached.space, state, collected, per_epoch)
            notes = {
                "config": dataclasses.asdict(experiment),
                "mask": reached.space.mask.tolist(),
                "collected": [divergence.numbers(one) for one in collected],
                "accuracy": accuracy,
                "seconds": time.perf_counter() - start,
            }
            run_folder.sync_metrics(folder)
            keeper.save(int(state.step), state, notes, accuracy)

        def keep(reached: search_loop.Reached) -> None:
            if keeper.is_due():
                save(reached)

        splits = given.splits
        running = search_loop.run(
            key,
            SearchProblem(given.space, config, *limits.stacked(kept_to)),
            SearchData(
                *(splits["train_weights"], splits["train_alphas"], splits["valid"]),
                *(given.augment, given.execution),
            ),
            compile=plan.before(session.compiler, experiment, given, session.watch),
            after=after,
            between_steps=keep,
        )
        total = config.warmup_epochs + config.joint_epochs if epochs is None else epochs
        left = total - begun // per_epoch
        steps = session.watch.steps(islice(running, left), total=left, desc="search")
        wanted = limits.amount(config.cost, kept_to[0].target)
        for one in steps:
            after = one.reached
            accuracy = one.metrics.get("search/valid_accuracy", accuracy)
            line = {
                "step": int(one.state.step),
                "phase": one.phase,
                "epoch": one.epoch,
                "seconds": round(time.perf_counter() - start, 3),
                **one.metrics,
                "search/probs": _written(one.probs),
            }
            run_folder.append_metrics(folder, line)
            expected = one.metrics[f"search/{EXPECTED[config.cost]}"]
            session.watch.note(
                phase=one.phase,
                accuracy="-" if accuracy is None else f"{accuracy:.1%}",
                cost=f"{limits.amount(config.cost, expected)} of {wanted}",
                entropy=f"{one.metrics['search/entropy']:.2f}",
            )
            keep(one.reached)
        assert after is not None  # a search has an epoch at least
        save(after)
    return after


def _space(given: Problem, notes: Notes) -> SearchSpace:
    """What pruning had left of the space."""
    return prune.restrict(given.space, np.array(notes["mask"], bool))


def _written(probs: Probs) -> list[list[float]]:
    """Seven digits that matter: a rare candidate stays one, not an impossible one."""
    return [[float(f"{p:.7g}") for p in row] for row in np.asarray(probs).tolist()]
