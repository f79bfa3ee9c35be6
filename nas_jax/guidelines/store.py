"""Records in a file of SQLite, per user; and those that come with the package.

Several processes may add at once: every addition is one immediate transaction, and who
comes second waits. A record is known by its digest, so that adding it twice changes
nothing. A file of somebody else's is told by SQLite's application id and refused.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from nas_jax.config import files, shipped
from nas_jax.guidelines import records
from nas_jax.guidelines.records import Record

VARIABLE = "NAS_JAX_GUIDELINES"
COLLECTION = "nas_jax guidelines"
WAIT_SECONDS = 30.0
_APPLICATION = 0x6E61736A  # "nasj"
_CREATE = (
    "CREATE TABLE records (digest TEXT PRIMARY KEY, task TEXT NOT NULL, "
    "family TEXT NOT NULL, body TEXT NOT NULL)"
)


def default_file() -> Path:
    """The user's store: `NAS_JAX_GUIDELINES`, else in the folder for data."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "nas_jax" / "guidelines.sqlite"


def add(file: Path, new: Iterable[Record], wait_s: float = WAIT_SECONDS) -> int:
    """Adds records, all or none; returns how many were not there yet.

    Raises:
      ValueError: for a record that is none, or a file that cannot be written.
    """
    rows = []
    for number, record in enumerate(new):
        records.check(record, f"record {number}")
        task = record["task"]
        rows.append((record["digest"], task["name"], task["family"], _line(record)))
    file.parent.mkdir(parents=True, exist_ok=True)
    with _opened(file, wait_s) as connection:
        # IMMEDIATE: the right to write is taken before anything is looked at
        connection.execute("BEGIN IMMEDIATE")
        try:
            _prepare(connection, file)
            before = connection.total_changes
            connection.executemany(
                "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?)", rows
            )
            added = connection.total_changes - before
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    return added


def stored(file: Path, wait_s: float = WAIT_SECONDS) -> list[Record]:
    """The records of a store in the order they came; none if there is no file.

    Raises:
      ValueError: for a file that is no store, or damaged.
    """
    if not file.exists():
        return []
    with _opened(file, wait_s, mode="ro") as connection:
        _require_ours(connection, file)
        try:
            found = connection.execute("SELECT body FROM records ORDER BY rowid")
            return [_record(body, number) for number, (body,) in enumerate(found)]
        except ValueError as error:
            raise ValueError(_corrupt(file, error)) from error


def packaged() -> list[Record]:
    """The records that come with the package."""
    files = sorted(shipped.folder("guidelines").glob("*.json"))
    return [record for file in files for record in read(file)]


def everything(file: Path) -> list[Record]:
    """Those of the package and those of the store, each digest once."""
    by_digest = {record["digest"]: record for record in packaged()}
    by_digest.update({record["digest"]: record for record in stored(file)})
    return list(by_digest.values())


def read(file: Path) -> list[Record]:
    """The records of a JSON file as `write` makes it; they are not yet checked.

    Raises:
      ValueError: if it is not such a file.
    """
    try:
        document = files.read_json(file)
    except ValueError as error:
        raise ValueError(
            f"{file}: expected a JSON file of records ({error})"
        ) from error
    is_collection = isinstance(document, dict) and document.get("format") == COLLECTION
    found = document.get("records") if is_collection else None
    if not isinstance(found, list):
        raise ValueError(
            f"{file}: expected format {COLLECTION!r} with a list of records; "
            "`nas_jax guidelines export` writes such files"
        )
    return found


def write(file: Path, found: Iterable[Record]) -> None:
    """Writes records into a JSON file, one a line, in one step."""
    lines = ",\n".join(map(_line, found))
    head = f'{{"format": {json.dumps(COLLECTION)}, "records": ['
    files.write(file, f"{head}\n{lines}\n]}}\n")


def _record(body: Any, number: int) -> Record:
    if not isinstance(body, str):
        raise ValueError(f"record {number} is no text")
    record = files.parse(body, f"record {number}")
    records.check(record, f"record {number}")
    return record


def _line(record: Record) -> str:
    return json.dumps(record, allow_nan=False, separators=(",", ":"))


@contextmanager
def _opened(
    file: Path, wait_s: float, mode: str = "rwc"
) -> Iterator[sqlite3.Connection]:
    """A connection whose errors are lines that name the file."""
    try:
        uri = f"{file.resolve().as_uri()}?mode={mode}"
        with closing(
            sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None)
        ) as connection:
            yield connection
    except sqlite3.OperationalError as error:
        text = str(error)
        if "locked" in text or "busy" in text:
            reason = f"is locked by another process for {wait_s:g} s; try again"
        elif "readonly" in text or "unable to open" in text:
            reason = "cannot be opened for this; give another with --db"
        else:
            reason = f"cannot be used ({text}); give another with --db"
        raise ValueError(f"{file}: the store {reason}") from error
    # the text of an error is cut from the file, and need be no UTF-8
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise ValueError(_corrupt(file, error)) from error


def _corrupt(file: Path, error: Exception) -> str:
    return (
        f"{file}: expected a store of guidelines, got a damaged or foreign file "
        f"({error}); give another with --db, or move it away"
    )


def _prepare(connection: sqlite3.Connection, file: Path) -> None:
    """Makes the table of an empty file; refuses a file of something else."""
    is_empty = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    if is_empty and _pragma(connection, "application_id") == 0:
        connection.execute(_CREATE)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {records.VERSION}")
    _require_ours(connection, file)


def _require_ours(connection: sqlite3.Connection, file: Path) -> None:
    found = _pragma(connection, "application_id")
    if found != _APPLICATION:
        raise ValueError(_corrupt(file, ValueError("made by another program")))
    # no view that never ends in its place, no trigger beside it
    schema = connection.execute(
        "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_autoindex%'"
    )
    if schema.fetchall() != [(_CREATE,)]:
        raise ValueError(_corrupt(file, ValueError("of other tables")))
    version = _pragma(connection, "user_version")
    if version != records.VERSION:
        raise ValueError(
            f"{file}: expected a store of version {records.VERSION}, got {version}; "
            "give another with --db"
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
