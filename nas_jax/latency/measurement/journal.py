"""Journal of a measurement: its rounds on disk as they are made, so that none is lost.

A file of JSON lines next to the future table. The first states what is measured and
how; every other is one round of one group: {"group": "parts", "ms": {name: ms}}. A line
is written in one piece and flushed; one that a crash cut off is dropped and its round
measured again.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval

from nas_jax.config import files
from nas_jax.config.from_json import Strict, from_json
from nas_jax.latency.tables import LONGEST

Round = dict[str, Annotated[float, Interval(ge=0, le=LONGEST)]]


@dataclass(frozen=True)
class _Line(Strict):
    group: str
    ms: Round


class Journal:
    """Rounds by group; in memory alone if `path` is None.

    Args:
      path: of the file. Rounds of an earlier run of the same measurement are read.
      facts: that must be equal for rounds to belong together.
      max_seconds: time from now after which `keep` stops the measurement.

    Raises:
      ValueError: if the file states other facts, or is damaged before its end.
    """

    def __init__(
        self, path: Path | None, facts: dict[str, Any], max_seconds: float | None = None
    ) -> None:
        self.path = path
        self._rounds: dict[str, list[Round]] = {}
        self._end = None if max_seconds is None else time.monotonic() + max_seconds
        self._max_seconds = max_seconds
        if path is not None:
            self._open(path, json.loads(json.dumps(facts)))

    def rounds(self, group: str) -> list[Round]:
        """The rounds of a group, oldest first."""
        return self._rounds.get(group, [])

    def keep(self, group: str, round_ms: Round) -> None:
        """Adds a round; raises `ValueError` afterwards if the time is over."""
        self._rounds.setdefault(group, []).append(round_ms)
        if self.path is not None:
            self._append({"group": group, "ms": round_ms})
        if self._end is not None and time.monotonic() > self._end:
            raise ValueError(
                f"--max-seconds {self._max_seconds:g}: expected to finish, got "
                f"{self._count()} rounds; {self.kept()}"
            )

    def kept(self) -> str:
        """The advice after an interruption."""
        if self.path is None:
            return "nothing is kept without a file"
        return (
            f"they are kept in {str(self.path)!r} and the same command goes on from "
            "there"
        )

    def stopped(self, error: Exception) -> ValueError:
        """The error of a device that failed."""
        return ValueError(
            f"the device failed after {self._count()} rounds "
            f"({type(error).__name__}: {error}); {self.kept()}"
        )

    def remove(self) -> None:
        """Deletes the file, once the table is written."""
        if self.path is not None:
            self.path.unlink()

    def _count(self) -> int:
        return sum(map(len, self._rounds.values()))

    def _append(self, line: dict[str, Any]) -> None:
        assert self.path is not None
        files.append_line(self.path, line)
        files.sync(self.path)

    def _open(self, path: Path, facts: dict[str, Any]) -> None:
        try:
            lines = files.read_lines(path)
            rounds = [
                from_json(_Line, line, f"{path}, line {place}, ")
                for place, line in enumerate(lines[1:], start=2)
            ]
        except ValueError as error:
            raise ValueError(f"{error}; remove the file and measure again") from error
        if not lines:
            self._append(facts)
            return
        first = lines[0]
        for name in sorted(facts.keys() | first.keys()):
            if facts.get(name) != first.get(name):
                raise ValueError(
                    f"{str(path)!r} was begun with {name} = {first.get(name)!r}, "
                    f"got {facts.get(name)!r}; measure as before, remove the file, or "
                    "choose another --out"
                )
        for line in rounds:
            self._rounds.setdefault(line.group, []).append(line.ms)
