"""The search of a run: metrics line by line, snapshots, resumed from the newest."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import search
from nas_jax.base import PyTree, stream
from nas_jax.config import files
from nas_jax.config.search import EXPECTED
from nas_jax.runs import finalists, plan, pretrained, run_folder, targets
from nas_jax.runs.session import Run, stage
from nas_jax.runs.setup import Setup
from nas_jax.runs.snapshots import Notes
from nas_jax.search import (
    divergence,
    gates,
    movement,
    prune,
    schedule,
    search_state,
)
from nas_jax.search.loop import Reached
from nas_jax.search.search_state import SearchState
from nas_jax.search.targets import Targets
from nas_jax.spaces.space import SearchSpace

PHASES = ("warmup", "joint")


def snapshots_in(folder: Path) -> Path:
    """The folder of a run's search snapshots."""
    return folder / "snapshots" / "search"


def has_snapshots(folder: Path) -> bool:
    """Whether a run, or one of its targets, can continue from what it has saved.

    A snapshot of a search, or drawn finalists, for which there may be no supernet.
    """
    found = folder.glob("**/snapshots/search/*")
    drawn = folder / finalists.FINALISTS
    is_drawn = drawn.is_file() and '"drawn"' in files.read_text(drawn)
    return is_drawn or any(path.name.isdecimal() for path in found)


def run(
    work: Run,
    goal: Targets,
    *,
    after: Reached | None = None,
    until: int | None = None,
) -> Reached:
    """Runs the search, one metrics line per epoch; returns where it ended.

    It resumes from the newest snapshot of the folder, or begins, or continues `after`
    the warm-up of another search. It ends after `until` epochs, if given. Its last
    state is always saved.

    Raises:
      ValueError: as `search.run` and `session.stage`, and for snapshots of another
        configuration.
      Stopped: when requested, after a snapshot.
    """
    setup, config = work.setup, work.experiment.search
    key = stream(jax.random.key(work.experiment.seed), "search")
    per_epoch = setup.steps_per_epoch
    accuracy = None
    with stage(work, snapshots_in(work.folder)) as record:

        def begin(space: SearchSpace) -> SearchState:
            weights_tx = schedule.search_weights(config, per_epoch)
            alphas_tx = schedule.search_alphas(config)
            return search_state.init(key, space, config, weights_tx, alphas_tx)

        def like(notes: Notes) -> PyTree:
            return jax.eval_shape(lambda: begin(_space(setup, notes)))

        newest = record.newest(like)
        if newest is not None:
            _, state, notes = newest
            accuracy, space = notes["accuracy"], _space(setup, notes)
            after = Reached(space, state, notes["collected"], devices=setup.devices)
        if after is None and config.weights is not None:
            space = goal.within(setup.space)
            state = begin(space)
            drawn, draw = (state.params, state.batch_stats), stream(key, "weights")
            params, batch_stats = pretrained.supernet_weights(
                config.weights, space, drawn, draw
            )
            state = replace(state, params=params, batch_stats=batch_stats)
            after = Reached(space, state, devices=setup.devices)
        begun = 0 if after is None else int(after.state.step)
        run_folder.cut_metrics(
            work.folder,
            lambda line: line["phase"] not in PHASES or line["step"] <= begun,
        )

        def save(reached: Reached) -> None:
            collected = jax.device_get(reached.collected)
            state = setup.devices.local(reached.state)
            divergence.require_finite_state(reached.space, state, collected, per_epoch)
            notes = {
                "mask": reached.space.mask.tolist(),
                "collected": [divergence.numbers(metrics) for metrics in collected],
                "accuracy": accuracy,
            }
            record.save(int(state.step), state, notes, accuracy)

        def save_if_due(reached: Reached) -> None:
            if record.is_due():
                save(reached)

        running = search.run(
            setup,
            goal,
            key=key,
            compile=plan.before(work.session.compiler, setup, work.progress),
            after=after,
            between_steps=save_if_due,
        )
        total = config.warmup_epochs + config.joint_epochs if until is None else until
        left = total - begun // per_epoch
        target = targets.amount(config.cost, goal.target)
        for epoch in work.progress.steps(
            islice(running, left), total=left, desc="search"
        ):
            after, metrics = epoch.reached, epoch.metrics
            accuracy = metrics.get("search/valid_accuracy", accuracy)
            step = int(epoch.state.step)
            # seven digits that matter: a rare candidate does not become impossible
            probs = [[float(f"{p:.7g}") for p in row] for row in epoch.probs.tolist()]
            record.log(
                {"step": step, "phase": epoch.phase, "epoch": epoch.epoch},
                metrics | {"search/probs": probs},
            )
            expected = metrics[f"search/{EXPECTED[config.cost]}"]
            work.progress.note(
                phase=epoch.phase,
                accuracy="-" if accuracy is None else f"{accuracy:.1%}",
                cost=f"{targets.amount(config.cost, expected)} of {target}",
                entropy=f"{metrics['search/entropy']:.2f}",
            )
            save_if_due(epoch.reached)
        assert after is not None  # a search has an epoch at least
        save(after)
    if until is None:
        for line in _missed(setup, after, goal):
            work.progress.phase(f"warning: {line}")
    return after


def _space(setup: Setup, notes: Notes) -> SearchSpace:
    """The space that limits and pruning had left."""
    return prune.restrict(setup.space, np.array(notes["mask"], bool))


def _missed(setup: Setup, last: Reached, goal: Targets) -> Iterator[str]:
    """A line for every target that the search ended off."""
    alphas, space = setup.devices.local(last.state.alphas), last.space
    probs = np.asarray(gates.probabilities(alphas, jnp.asarray(space.mask)), float)
    config, spent = setup.experiment.search, goal.are_spent(space)
    return movement.after(
        config, setup.steps_per_epoch, space.mask, goal.limits, spent, probs
    )
