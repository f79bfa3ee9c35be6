"""Results one a line, behind a line that says what they are results of.

A long computation is stopped and taken up again: what stands in the file is not
computed twice, and a file of other settings is refused.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nas_jax.config import files

Row = dict[str, Any]


class Ledger(NamedTuple):
    """The settings that all rows share, where they come from, and the rows."""

    settings: Row
    provenance: Row
    rows: list[Row]


def read(file: Path) -> Ledger:
    """A ledger as it stands; a last line cut short, as by a kill, is left out.

    Raises:
      ValueError: if there is no such file, or it is no ledger.
    """
    if not file.exists():
        raise ValueError(
            f"{file}: expected a file of results, got none; `benchmarks enumeration "
            "--file FILE` makes one of networks, `benchmarks enumerated --file FILE` "
            "one of searches, `benchmarks.guidelines --file FILE` one of tasks"
        )
    try:
        first, *rows = files.read_lines(file)
        return Ledger(first["settings"], first["provenance"], rows)
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{file}: expected JSON lines with settings and provenance in the first, "
            f"got {type(error).__name__}: {error}; remove it and begin again"
        ) from error


def begin(file: Path, settings: Row, provenance: Row) -> Ledger:
    """A new ledger, or the one that is there.

    Raises `ValueError` if the file has other settings.
    """
    if not file.exists():
        files.append_line(file, {"settings": settings, "provenance": provenance})
    found = read(file)
    if found.settings != as_json(settings):
        raise ValueError(
            f"{file}: expected rows of settings {settings}, got {found.settings}; "
            "choose another file"
        )
    return found


def as_json(settings: Row) -> Row:
    """Settings as they come back from a file: tuples are lists there."""
    return json.loads(json.dumps(settings))


def extended(file: Path, rows: Iterator[Row]) -> Iterator[Row]:
    """Appends every row as it comes, and passes it on."""
    for row in rows:
        files.append_line(file, row)
        yield row
