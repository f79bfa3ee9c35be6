"""The work of one process on a run: progress, the compiler, a stop request, a clock.

A run may take several processes, one after the other. Their seconds add up in
`seconds.json` of the run folder, for all that was not lost at a stop.
"""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas_jax.config import files
from nas_jax.config.experiment import Experiment
from nas_jax.runs.setup import Setup
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
        now = {"compile": compiling, self._phase: spent}
        added = {name: self._earlier.get(name, 0.0) + now[name] for name in now}
        return self._earlier | {name: round(value, 2) for name, value in added.items()}

    def write_seconds(self) -> None:
        text = json.dumps(self.seconds()) + "\n"
        files.write(self._file, text)


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


def _seconds(file: Path) -> dict[str, float]:
    document = files.read_object(file)
    for phase, value in document.items():
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise ValueError(
                f"{file}: expected seconds of {phase!r:.60}, got {value!r:.60}; remove "
                "the file, and they count from 0"
            )
    return {"compile": 0.0} | document
