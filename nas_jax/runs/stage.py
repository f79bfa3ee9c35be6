"""A stage of a run that continues after a stop: its snapshots, metrics and clock."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas_jax.base import Metrics, PyTree
from nas_jax.config import changes
from nas_jax.config.experiment import Experiment
from nas_jax.config.from_json import from_json
from nas_jax.runs import run_folder
from nas_jax.runs.session import Run
from nas_jax.runs.snapshots import Notes, Snapshot, Snapshots


@contextmanager
def opened(run: Run, folder: Path) -> Iterator["Stage"]:
    """A stage with its snapshots in `folder`; a stop request waits for the next one.

    Raises:
      ValueError: if the device has no room left.
      Stopped: when requested, after a snapshot.
    """
    with (
        run.session.stop.held(),
        run.session.compiler.within_memory(),
        Snapshots(folder, run.experiment.checkpoints_kept) as snapshots,
    ):
        yield Stage(run, snapshots)


class Stage:
    """A search or a training that is saved now and then, and at once on a stop."""

    def __init__(self, run: Run, snapshots: Snapshots) -> None:
        self._run, self._snapshots = run, snapshots
        self._start = time.perf_counter()
        self._due: float | None = None

    def newest(self, like: Callable[[Notes], PyTree]) -> Snapshot | None:
        """The snapshot to continue from, if there is one; its seconds count.

        `like` gives the shapes of the state, from the notes. Raises `ValueError` for
        snapshots of another configuration.
        """

        def checked(notes: Notes) -> PyTree:
            saved = from_json(Experiment, notes["config"])
            origin = f"{self._snapshots.folder}: a checkpoint"
            changes.require_same(saved, self._run.experiment, origin, changes.RATES)
            return like(notes)

        newest = self._snapshots.newest(checked, self._run.progress.line)
        self._start = time.perf_counter()
        if newest is not None:
            self._start -= newest.notes["seconds"]
            self._run.progress.line(
                f"goes on from the checkpoint of step {newest.step}"
            )
        return newest

    def is_due(self) -> bool:
        """Whether to call `save` now; time counts from the first call."""
        every_s = self._run.experiment.checkpoint_every_s
        if self._due is None:
            self._due = time.monotonic() + every_s
        is_time = time.monotonic() >= self._due and not self._snapshots.is_writing
        return is_time or self._run.session.stop.is_asked

    def save(
        self, step: int, state: PyTree, notes: Notes, accuracy: float | None = None
    ) -> None:
        """Begins to write a snapshot; raises `Stopped` once it is there, if requested.

        Configuration and seconds are added to the notes.
        """
        notes = {
            "config": dataclasses.asdict(self._run.experiment),
            **notes,
            "seconds": time.perf_counter() - self._start,
        }
        run_folder.sync_metrics(self._run.folder)
        self._snapshots.save(step, state, notes, accuracy)
        self._run.session.write_seconds()
        self._due = time.monotonic() + self._run.experiment.checkpoint_every_s
        if self._run.session.stop.is_asked:
            self._snapshots.finish()
            self._run.progress.line(f"checkpoint of step {step} saved")
            self._run.session.stop.obey()

    def log(self, place: dict[str, Any], metrics: Metrics) -> None:
        """Adds a line to `metrics.jsonl`."""
        seconds = {"seconds": round(time.perf_counter() - self._start, 3)}
        run_folder.append_metrics(self._run.folder, place | seconds | metrics)
