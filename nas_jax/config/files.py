"""Files of text, JSON and JSON lines: one way to read them and one to write.

What comes from outside is bounded. Python's parser keeps the last of two equal keys,
recurses as deep as the text nests, and makes integers of any length and texts that no
file can hold. None of that is in a file of ours, and each is an exception somewhere
behind the reader. Importing this module imports no JAX.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DEEPEST = 60
"""Objects and lists in each other; what we write has ten."""
DIGITS = 18
"""Of an integer: it fits in 64 bits."""


def read_text(path: str | Path, advice: str = "") -> str:
    """The text of a file; `ValueError` if it cannot be read or is no UTF-8."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected text (UTF-8), got {error}{advice}"
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"{path}: cannot be read ({reason}){advice}") from error


def read_json(path: str | Path, advice: str = "") -> Any:
    """The JSON of a file; `ValueError` if it cannot be read or is none."""
    return parse(read_text(path, advice), str(path), advice)


def read_object(path: str | Path, advice: str = "") -> dict[str, Any]:
    """The JSON object of a file; `ValueError` if it cannot be read or is none."""
    return parse_object(read_text(path, advice), str(path), advice)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines, none if there is no such file.

    What follows the last line break was cut off by a stop and is left out. Raises
    `ValueError` naming file and line for any other line that is no object.
    """
    *whole, _ = read_text(path).split("\n") if path.is_file() else [""]
    return [
        parse_object(line, f"{path}, line {place}")
        for place, line in enumerate(whole, start=1)
    ]


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Adds a row to a file of JSON lines, in place of one that a stop cut off."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        file.write(_line(row).encode())


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes a file of JSON lines, in one step."""
    write(path, "".join(map(_line, rows)))


def sync(path: Path) -> None:
    """Returns when the disk has what was written to a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write(path: str | Path, content: str | bytes) -> None:
    """Writes a file in one step: a reader sees the one before or all of this one."""
    path = Path(path)
    # of this process alone: two may write the same report at once
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: str | Path, document: Any) -> None:
    """Writes a document as indented JSON, in one step."""
    write(path, json.dumps(document, indent=1) + "\n")


def require_new(flag: str, path: Path | None) -> None:
    """Raises `ValueError` if the file that `flag` names exists; None is no file.

    Also if its folder does not: better before the work than after it.
    """
    if path is not None and path.exists():
        raise ValueError(
            f"{flag} {path}: expected a new file, this one exists; choose another name"
        )
    if path is not None and not path.parent.is_dir():
        raise ValueError(
            f"{flag} {path}: expected a folder {path.parent} to write to, found none; "
            "make it"
        )


def parse(text: str | bytes, where: str, advice: str = "") -> Any:
    """The document in a text; NaN and the infinities are let through.

    Raises `ValueError` in a line that begins with `where` and ends with `advice`, for
    what is no JSON, a key that comes twice, an integer of more than `DIGITS` digits,
    nesting deeper than `DEEPEST`, a lone surrogate.
    """
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_int=_integer)
        _check(document)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: expected JSON, got {error}{advice}") from error
    return document


def parse_object(text: str | bytes, where: str, advice: str = "") -> dict[str, Any]:
    """The document if it is an object; otherwise raises `ValueError` as `parse`."""
    document = parse(text, where, advice)
    if not isinstance(document, dict):
        got = f"{document!r:.60}"
        raise ValueError(f"{where}: expected a JSON object, got {got}{advice}")
    return document


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a key that occurs twice, of which JSON would silently keep the last."""
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"the key {key!r:.60} twice")
        document[key] = value
    return document


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > DIGITS:
        raise ValueError(f"an integer of more than {DIGITS} digits, {digits:.30}...")
    return int(digits)


def _check(document: Any) -> None:
    """Level by level: a walk that recurses could be led too deep itself."""
    level = [document]
    for _ in range(DEEPEST + 1):
        below: list[Any] = []
        for one in level:
            if isinstance(one, str):
                one.encode()  # a lone surrogate is a UnicodeEncodeError
            elif isinstance(one, dict):
                below += [*one.keys(), *one.values()]
            elif isinstance(one, list):
                below += one
        if not below:
            return
        level = below
    raise ValueError(f"objects or lists more than {DEEPEST} deep in each other")
