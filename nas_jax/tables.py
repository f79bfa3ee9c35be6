"""Latency tables: what every part of a space costs on one device, as a JSON file.

    {"format": "nas_jax latency table", "version": 1,
     "provenance": {"device": ..., "runtime": ..., ...},
     "entries": {"mb6_k3 16x16x16->16x16x16 s1 skip": {"mean_ms": ..., ...}, ...}}

Keys are `part.key` of `nas_jax.space`; times are milliseconds per inference of a whole
batch. A `zero` block is the identity, has no entry and costs 0. Anything else that is
missing is an error, never a default. A network's latency is predicted by the plain sum
over its parts (ProxylessNAS, section 3.3 and appendix B).
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax.architecture import Architecture
from nas_jax.parts import Block, Part
from nas_jax.space import SearchSpace

FORMAT = "nas_jax latency table"
VERSION = 1

_MEASURE = "measure it with `nas_jax measure EXPERIMENT --out TABLE.json`"
_REPAIR = f"correct the table, or {_MEASURE}"
_NAMES = {dict: "an object", str: "a text", int: "an integer", float: "a number"}


@dataclass(frozen=True)
class Entry:
    """Time of one part, over `count` measurements kept."""

    mean_ms: float
    std_ms: float
    median_ms: float
    q25_ms: float
    q75_ms: float
    count: int


PROVENANCE = {
    "device": str,
    "runtime": str,
    "runtime_version": str,
    "threads": int,
    "batch": int,
    "date": str,
    "repeats": int,
}
"""What every table must say about its origin; it may say more."""


@dataclass(frozen=True)
class LatencyTable:
    """Entries by `part.key`, and where they come from."""

    entries: dict[str, Entry]
    provenance: dict[str, Any]


def save(table: LatencyTable, path: str | os.PathLike[str]) -> None:
    """Writes a table to a new file, all of it or nothing.

    Raises `ValueError` if the file exists, or if `load` would refuse the table.
    """
    path = Path(path)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "provenance": table.provenance,
        "entries": {key: asdict(entry) for key, entry in table.entries.items()},
    }
    _check(document, f"latency table for {str(path)!r}")
    if path.exists():
        raise ValueError(
            f"latency table {str(path)!r}: expected a new file, got one that exists; "
            "choose another name or remove it"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
    )
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, allow_nan=False)
            file.write("\n")
        # mkstemp makes private files; a table is an ordinary one
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load(path: str | os.PathLike[str]) -> LatencyTable:
    """Reads what `save` wrote; `ValueError` names file, key and what is wrong."""
    origin = f"latency table {str(path)!r}"
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(
            f"{origin}: expected a file, got none; give the path of a table, or "
            f"{_MEASURE}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{origin}: expected a readable file, got: {error}") from error
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{origin}: expected JSON, got: {error}; restore the file, or {_MEASURE}"
        ) from error
    _check(document, origin)
    entries = {key: Entry(**entry) for key, entry in document["entries"].items()}
    return LatencyTable(entries, document["provenance"])


def required_parts(space: SearchSpace) -> list[Part]:
    """The parts a table of `space` needs, in order, none twice and no free ones."""
    candidates = [layer.block(op) for layer in space.layers for op in layer.candidates]
    parts: dict[str, Part] = {}
    for part in (*space.fixed_parts, *candidates):
        if not _is_free(part):
            parts.setdefault(part.key, part)
    return list(parts.values())


def costs(
    table: LatencyTable, space: SearchSpace, origin: str = "the latency table"
) -> tuple[np.ndarray, float]:
    """Mean times of the candidates, Float `[L K]`, and of the fixed parts together, ms.

    Costs are 0 where the mask is False and for `zero` and `identity`. `origin` names
    the table in errors. Raises `ValueError` naming the first part that the table lacks.
    """
    required = [part.key for part in required_parts(space)]
    if table.entries and not any(key in table.entries for key in required):
        raise ValueError(
            f"{origin} was made for another space: it has no part of space "
            f"{space.name!r}, which needs for example {required[0]!r}, and it has for "
            f"example {next(iter(table.entries))!r}; {_MEASURE}"
        )
    array = np.zeros(space.mask.shape)
    for row, column in np.argwhere(space.mask):
        op = space.candidates[column]
        where = f"layer {row}, op {op.name}"
        array[row, column] = _cost(table, space.layers[row].block(op), where, origin)
    fixed = (
        _cost(table, part, type(part).__name__.lower(), origin)
        for part in space.fixed_parts
    )
    return array, sum(fixed)


def predict_ms(
    table: LatencyTable, architecture: Architecture, origin: str = "the latency table"
) -> float:
    """Predicted latency of a network: the sum over its parts.

    Raises `ValueError` naming the first part that the table lacks.
    """
    return sum(
        _cost(table, part, f"part {index} of {architecture.name!r}", origin)
        for index, part in enumerate(architecture.parts)
    )


def _is_free(part: Part) -> bool:
    return isinstance(part, Block) and part.op.kind in ("zero", "identity")


def _cost(table: LatencyTable, part: Part, where: str, origin: str) -> float:
    if _is_free(part):
        return 0.0
    if part.key not in table.entries:
        raise ValueError(
            f"{origin}: expected an entry {part.key!r} ({where}), got none among "
            f"{len(table.entries)} entries; {_MEASURE}"
        )
    return table.entries[part.key].mean_ms


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a key that occurs twice, of which JSON would silently keep the last."""
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"the key {key!r} twice")
        document[key] = value
    return document


def _check(document: Any, origin: str) -> None:
    """Raises `ValueError` unless `document` is a complete table."""
    found = document if isinstance(document, dict) else {}
    for key, expected in (("format", FORMAT), ("version", VERSION)):
        value = found.get(key)
        if type(value) is not type(expected) or value != expected:
            raise ValueError(
                f"{origin}: expected {key!r} to be {expected!r}, got {value!r}; give a "
                f"table of this version, or {_MEASURE}"
            )
    provenance = _value(found, "provenance", dict, origin)
    for key, kind in PROVENANCE.items():
        value = _value(provenance, key, kind, f"{origin}, provenance")
        if not value or (kind is int and value < 1):
            raise ValueError(
                f"{origin}, provenance: expected {key!r} to be "
                f"{'1 or more' if kind is int else 'a text'}, got {value!r}; {_REPAIR}"
            )
    entries = _value(found, "entries", dict, origin)
    for key in entries:
        entry, where = _value(entries, key, dict, origin), f"{origin}, entry {key!r}"
        names = [field.name for field in fields(Entry)]
        if unknown := sorted(set(entry) - set(names)):
            raise ValueError(
                f"{where}: expected only {', '.join(names)}, got {unknown[0]!r}; "
                f"{_REPAIR}"
            )
        for name in names:
            kind = int if name == "count" else float
            value = _value(entry, name, kind, where)
            if not 0 <= value <= sys.float_info.max or (kind is int and value < 1):
                raise ValueError(
                    f"{where}: expected {name!r} to be finite and "
                    f"{'1 or more' if kind is int else '0 or more'}, got {value!r}; "
                    f"{_REPAIR}"
                )


def _value(document: dict[str, Any], key: str, kind: type, where: str) -> Any:
    """The value at `key`, of a type; an integer is a number, a bool is neither."""
    if key not in document:
        raise ValueError(
            f"{where}: expected {key!r} ({_NAMES[kind]}), got none; {_REPAIR}"
        )
    value = document[key]
    kinds = (int, float) if kind is float else kind
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ValueError(
            f"{where}: expected {key!r} to be {_NAMES[kind]}, got {value!r}; {_REPAIR}"
        )
    return value
