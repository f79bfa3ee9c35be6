"""What a process brings to a run: who hears of it, the compiler, a stop, a clock.

A run may take several processes, one after the other. Seconds add up over them in
`seconds.json` of the run folder, to what was spent on what was kept.
"""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas_jax import files
from nas_jax.base import PyTree
from nas_jax.compilation import Compiler
from nas_jax.snapshots import Notes, Snapshots
from nas_jax.stopping import Stop
from nas_jax.watch import Watch


class Session:
    """The work of one process on a run folder."""

    def __init__(self, folder: Path, watch: Watch, stop: Stop | None = None) -> None:
        self.watch = watch
        self.compiler = Compiler(watch)
        self.stop = Stop() if stop is None else stop
        self._file = folder / "seconds.json"
        self._earlier = {"compile": 0.0}
        if self._file.is_file():
            self._earlier = _seconds(self._file)
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
        own = {"compile": compiling, self._phase: spent}
        added = {name: self._earlier.get(name, 0.0) + own[name] for name in own}
        return self._earlier | {name: round(value, 2) for name, value in added.items()}

    def write_seconds(self) -> None:
        text = json.dumps(self.seconds()) + "\n"
        files.write(self._file, text)


def _seconds(file: Path) -> dict[str, float]:
    found = files.read_object(file)
    for phase, value in found.items():
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise ValueError(
                f"{file}: expected seconds of {phase!r:.60}, got {value!r:.60}; remove "
                "the file, and they count from 0"
            )
    return {"compile": 0.0} | found


class Keeper:
    """Saves what runs now and then, and at once if it is to stop."""

    def __init__(self, snapshots: Snapshots, every_s: float, session: Session) -> None:
        self._snapshots, self._every_s, self._session = snapshots, every_s, session
        self._due: float | None = None

    def is_due(self) -> bool:
        """Whether to call `save` now; time counts from the first call."""
        if self._due is None:
            self._due = time.monotonic() + self._every_s
        is_time = time.monotonic() >= self._due and not self._snapshots.is_writing
        return is_time or self._session.stop.is_asked

    def save(
        self, step: int, state: PyTree, notes: Notes, accuracy: float | None = None
    ) -> None:
        """Begins to write a snapshot; raises `Stopped` once it is there, if asked."""
        self._snapshots.save(step, state, notes, accuracy)
        self._session.write_seconds()
        self._due = time.monotonic() + self._every_s
        if self._session.stop.is_asked:
            self._snapshots.finish()
            self._session.watch.line(f"checkpoint of step {step} saved")
            self._session.stop.obey()
