"""The work of one process on a run: its progress, compiler, clock, and its stages.

A run may take several processes, one after the other. Their seconds add up in
`seconds.json` of the run folder, for all that was not lost at a stop. A stage is a
search or a training, which continues from its newest snapshot.
"""

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval

from nas_jax.base import Metrics, PyTree
from nas_jax.config import changes, files
from nas_jax.config.experiment import Experiment
from nas_jax.config.from_json import from_json
from nas_jax.runs import run_folder
from nas_jax.runs.setup import Setup
from nas_jax.runs.snapshots import Notes, Snapshot, Snapshots
from nas_jax.runs.stopping import Stop
from nas_jax.training.compiler import Compiler
from nas_jax.training.progress import Progress


class Session:
    """The work of one process on a run folder."""

    def __init__(
        self, folder: Path, progress: Progress, stop: Stop | None = None
    ) -> None:
        self.progress = progress
        self.compiler = Compiler(progress)
        self.stop = Stop() if stop is None else stop
        self._file = folder / "seconds.json"
        self._earlier = {"compile": 0.0}
        if self._file.is_file():
            kind = dict[str, Annotated[float, Interval(ge=0, lt=math.inf)]]
            seconds = files.read_object(self._file)
            prefix = f"{self._file} (remove it to count from 0): "
            self._earlier |= from_json(kind, seconds, prefix)
        self._phase, self._start, self._compiled = "", 0.0, 0.0

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Time spent on a phase; what was compiled ahead is added to `compile`."""
        self._phase, self._start = phase, time.perf_counter()
        self._compiled = self.compiler.seconds
        yield
        self.write_seconds()
        self._earlier, self._phase = self.seconds(), ""

    def seconds(self) -> dict[str, float]:
        """Seconds per phase up to now, over all processes."""
        if not self._phase:
            return self._earlier
        compiling = self.compiler.seconds - self._compiled
        spent = time.perf_counter() - self._start - compiling
        now = {"compile": compiling, self._phase: spent}
        added = {name: self._earlier.get(name, 0.0) + now[name] for name in now}
        return self._earlier | {name: round(value, 2) for name, value in added.items()}

    def write_seconds(self) -> None:
        """Writes `seconds.json`."""
        files.write(self._file, json.dumps(self.seconds()) + "\n")


@dataclass(frozen=True)
class Run:
    """An experiment at work: its setup, its folder, the session of this process."""

    setup: Setup
    folder: Path
    session: Session

    @property
    def experiment(self) -> Experiment:
        return self.setup.experiment

    @property
    def progress(self) -> Progress:
        return self.session.progress


def tell(notes: Iterable[str], progress: Progress) -> None:
    """Remarks on the data, a line each."""
    for note in notes:
        progress.line(note)


@contextmanager
def stage(run: Run, folder: Path) -> Iterator["Stage"]:
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
        metrics = self._run.folder / "metrics.jsonl"
        if metrics.is_file():
            files.sync(metrics)
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
