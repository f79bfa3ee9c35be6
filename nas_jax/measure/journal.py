"""Rounds of a measurement on disk as they are made, so that none is lost.

A file of JSON lines beside the table that is to come. The first states what is measured
and how; every other is one round of one group: {"group": "parts", "ms": {name: ms}}. A
line is written in one piece and flushed; one that was cut off by a crash is dropped and
its round measured again.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from nas_jax import json_text, text_file
from nas_jax.table_schema import LONGEST

Round = dict[str, float]


class Journal:
    """Rounds by group; kept in memory alone if `path` is None.

    Args:
      path: of the file. What an earlier run of the same measurement kept is read.
      facts: what has to be the same for the rounds to belong together.
      max_seconds: from now on, time after which `keep` stops the measurement.

    Raises:
      ValueError: if the file states other facts, or is damaged before its end.
    """

    def __init__(
        self,
        path: Path | None,
        facts: dict[str, Any],
        max_seconds: float | None = None,
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
        """What to do after an interruption."""
        if self.path is None:
            return "nothing is kept without a file"
        return (
            f"they are kept in {str(self.path)!r} and the same command goes on from "
            "there"
        )

    def stopped(self, error: Exception) -> ValueError:
        """What to say when the device failed."""
        return ValueError(
            f"the device failed after {self._count()} rounds "
            f"({type(error).__name__}: {error}); {self.kept()}"
        )

    def remove(self) -> None:
        """The table is written: the rounds have done their work."""
        if self.path is not None:
            self.path.unlink()

    def _count(self) -> int:
        return sum(map(len, self._rounds.values()))

    def _append(self, line: dict[str, Any]) -> None:
        assert self.path is not None
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _open(self, path: Path, facts: dict[str, Any]) -> None:
        lines = text_file.read(path).split("\n") if path.exists() else []
        if len(lines) < 2:  # new, or cut off within its first line
            path.write_text("")
            self._append(facts)
            return
        *whole, cut_off = lines
        found = [self._line(number, line) for number, line in enumerate(whole, 1)]
        for name in sorted(facts.keys() | found[0].keys()):
            if facts.get(name) != found[0].get(name):
                raise ValueError(
                    f"{str(path)!r} was begun with {name} = {found[0].get(name)!r}, "
                    f"got {facts.get(name)!r}; measure as before, remove the file, or "
                    "choose another --out"
                )
        for line in found[1:]:
            self._rounds.setdefault(line["group"], []).append(line["ms"])
        if cut_off:
            path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")

    def _line(self, number: int, line: str) -> dict[str, Any]:
        try:
            found = json_text.parse(line, "")
        except ValueError:
            found = None
        if not isinstance(found, dict) or (number > 1 and not _is_round(found)):
            raise ValueError(
                f"{str(self.path)!r}, line {number}: expected a round as JSON, got "
                f"{line[:40]!r}; remove the file and measure again"
            )
        return found


def _is_round(found: dict[str, Any]) -> bool:
    if set(found) != {"group", "ms"} or not isinstance(found["group"], str):
        return False
    times = found["ms"]
    return isinstance(times, dict) and all(
        type(ms) in (int, float) and 0 <= ms <= LONGEST for ms in times.values()
    )
