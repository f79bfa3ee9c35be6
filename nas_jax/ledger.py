"""Results one a line, behind a line that says what they are results of.

A long computation is stopped and taken up again: what stands in the file is not
computed twice, and a file of other settings is refused.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nas_jax import json_text, text_file

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
            f"{file}: expected a file of results, got none; `nas_jax bench enumeration "
            "--file FILE` makes one of networks, `nas_jax bench enumerated --file "
            "FILE` one of searches, `nas_jax guidelines make --file FILE` one of tasks"
        )
    try:
        lines = text_file.read(file).split("\n")
        # what follows the last line break was not written to its end
        first, *rest = [
            json_text.parse_object(line, f"line {place}")
            for place, line in enumerate(lines[:-1], start=1)
        ]
        return Ledger(first["settings"], first["provenance"], rest)
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{file}: expected JSON lines with settings and provenance in the first, "
            f"got {type(error).__name__}: {error}; remove it and begin again"
        ) from error


def begin(file: Path, settings: Row, provenance: Row) -> Ledger:
    """A new ledger, or the one that is there.

    A line cut short is removed from the file. Raises `ValueError` if the file has
    other settings.
    """
    if not file.exists():
        _write(file, [{"settings": settings, "provenance": provenance}])
    found = read(file)
    if found.settings != as_json(settings):
        raise ValueError(
            f"{file}: expected rows of settings {settings}, got {found.settings}; "
            "choose another file"
        )
    head = {"settings": found.settings, "provenance": found.provenance}
    _write(file, [head, *found.rows])
    return found


def as_json(settings: Row) -> Row:
    """Settings as they come back from a file: tuples are lists there."""
    return json.loads(json.dumps(settings))


def extended(file: Path, rows: Iterator[Row]) -> Iterator[Row]:
    """Appends every row as it comes, and passes it on."""
    with file.open("a", encoding="utf-8") as out:
        for row in rows:
            out.write(_line(row))
            out.flush()
            yield row


def _write(file: Path, rows: list[Row]) -> None:
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text("".join(map(_line, rows)), encoding="utf-8")
    temporary.replace(file)


def _line(row: Row) -> str:
    return json.dumps(row, allow_nan=False, separators=(",", ":")) + "\n"
