"""A record: one network on one task, what it reached, and what that cost.

    {"format": "nas_jax guideline", "version": 1,
     "task": {"name": "classes_20", "family": "classes", "descriptors": {...}},
     "network": {"architecture": {...}, "params": 9226, "macs": 250240},
     "latencies": [{"device": "Pixel 1", "runtime": ..., "batch": 1, "ms": 78.0,
                    "source": "reported by the paper"}],
     "result": {"accuracy": 0.93, "test_images": 4000, "trainings": 2},
     "target": {"cost": "params", "value": 16258, "device": null},
     "search": {"method": ..., "networks": 6, "seconds": 12.5},
     "training": {"steps": 300, "seconds": 1.5},
     "origin": {"source": "trained here", "seeds": [0], "versions": {...},
                "device": ..., "commit": ...},
     "digest": "..."}

Every field is there; null is what a source does not state. The digest is the SHA-256 of
all others. Records travel: what looks like a path of somebody's machine is refused.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from typing import Any

from nas_jax import architecture_json
from nas_jax.architecture import Architecture
from nas_jax.guidelines.descriptors import Descriptors

Record = dict[str, Any]

FORMAT = "nas_jax guideline"
VERSION = 1
SOURCES = ("trained here", "reported by the paper")
COSTS = ("params", "macs", "latency")

_PATH = re.compile(r"(^|[\s\"'=:,(])(~[^\s/]*/|/[^\s/]|[A-Za-z]:[\\/]|\\\\)|\bfile:")
_NUMBER = (int, float)
_TEXT, _MAYBE_TEXT = (str,), (str, type(None))
_COUNT, _MAYBE_COUNT, _MAYBE_NUMBER = (int,), (int, type(None)), (*_NUMBER, type(None))

_FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "task": {"name": _TEXT, "family": _TEXT, "descriptors": (dict,)},
    "network": {"architecture": (dict,), "params": _COUNT, "macs": _COUNT},
    "result": {"accuracy": _NUMBER, "test_images": _COUNT, "trainings": _MAYBE_COUNT},
    "target": {"cost": _TEXT, "value": _NUMBER, "device": _MAYBE_TEXT},
    "search": {"method": _TEXT, "networks": _MAYBE_COUNT, "seconds": _MAYBE_NUMBER},
    "training": {"steps": _MAYBE_COUNT, "seconds": _MAYBE_NUMBER},
    "origin": {
        "source": _TEXT,
        "seeds": (list,),
        "versions": (dict,),
        "device": _MAYBE_TEXT,
        "commit": _MAYBE_TEXT,
    },
}
_LATENCY: dict[str, tuple[type, ...]] = {
    "device": _TEXT,
    "runtime": _MAYBE_TEXT,
    "batch": _COUNT,
    "ms": _NUMBER,
    "source": _TEXT,
}
_NULLABLE = ("target", "search")
_KEYS = ("format", "version", *_FIELDS, "latencies", "digest")


def digest(record: Record) -> str:
    """SHA-256 over the canonical JSON of everything but the digest."""
    rest = {key: value for key, value in record.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(fields: Record) -> Record:
    """A record of these fields, with format, version and digest.

    Raises:
      ValueError: if they are not a record.
    """
    record = {"format": FORMAT, "version": VERSION, **fields}
    record["digest"] = digest(record)
    check(record, "record")
    return record


def check(record: Any, where: str) -> None:
    """Raises `ValueError` in one line unless this is a record; `where` names it."""
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(
            f"{where}: expected a record of format {FORMAT!r}, got "
            f"{_short(record.get('format') if isinstance(record, dict) else record)}"
        )
    if record.get("version") != VERSION or isinstance(record["version"], bool):
        raise ValueError(
            f"{where}: expected version {VERSION}, got {_short(record.get('version'))};"
            " import it with the nas_jax that wrote it"
        )
    _check_keys(record, _KEYS, where)
    for private in filter(_PATH.search, _texts(record)):
        raise ValueError(
            f"{where}: expected no paths of a machine, got {_short(private)}; remove it"
        )
    for name, fields in _FIELDS.items():
        if record[name] is None and name in _NULLABLE:
            continue
        _check_fields(record[name], fields, f"{where}, {name}")
    _check_ranges(record, where)
    try:
        expected = digest(record)
    except ValueError:
        raise ValueError(f"{where}: expected finite numbers, got NaN or inf") from None
    if record["digest"] != expected:
        raise ValueError(
            f"{where}: expected digest {expected[:12]}..., got "
            f"{_short(record['digest'])}; the record was changed after it was written"
        )


def _check_keys(found: dict, expected: Any, where: str) -> None:
    missing = [key for key in expected if key not in found]
    unknown = sorted(set(found) - set(expected))
    if missing or unknown:
        problem = f"no {missing[0]!r}" if missing else f"the unknown {unknown[0]!r}"
        raise ValueError(f"{where}: expected {', '.join(expected)}; got {problem}")


def _check_fields(found: Any, fields: dict[str, tuple[type, ...]], where: str) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"{where}: expected an object, got {_short(found)}")
    _check_keys(found, fields, where)
    for name, kinds in fields.items():
        value = found[name]
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        if isinstance(value, _NUMBER) and not (math.isfinite(value) and value >= 0):
            fits = False
        if not fits:
            names = " or ".join(
                "null" if kind is type(None) else kind.__name__ for kind in kinds
            )
            raise ValueError(
                f"{where}: expected {name!r} to be {names}, 0 or more; got "
                f"{_short(value)}"
            )


def _check_ranges(record: Record, where: str) -> None:
    given = record["task"]["descriptors"]
    try:
        known = Descriptors(**given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}, descriptors: {error}") from error
    network, result = record["network"], record["result"]
    for name, value, low, high in (
        ("params", network["params"], 1, 10**12),
        ("macs", network["macs"], 1, 10**15),
        ("accuracy", result["accuracy"], 0, 1),
        ("test_images", result["test_images"], 1, 10**9),
    ):
        if not low <= value <= high:
            raise ValueError(
                f"{where}: expected {name!r} from {low} to {high}, got {value}"
            )
    built = architecture(record, where)
    if not built.blocks:
        raise ValueError(f"{where}: expected a network with blocks, got none")
    got = (*built.input_shape[1:], built.classifier.classes)
    if got != (known.input_size, known.channels, known.classes):
        raise ValueError(
            f"{where}: expected a network for the task's input size, channels and "
            f"classes {(known.input_size, known.channels, known.classes)}, got {got}"
        )
    if not isinstance(record["latencies"], list):
        raise ValueError(f"{where}, latencies: expected a list")
    for number, latency in enumerate(record["latencies"]):
        _check_fields(latency, _LATENCY, f"{where}, latency {number}")
        if latency["ms"] == 0 or latency["batch"] == 0:
            raise ValueError(f"{where}, latency {number}: expected ms, batch above 0")
    target = record["target"]
    if target is not None and target["cost"] not in COSTS:
        raise ValueError(
            f"{where}, target: expected a cost among {', '.join(COSTS)}, got "
            f"{target['cost']!r}"
        )
    if record["origin"]["source"] not in SOURCES:
        raise ValueError(
            f"{where}, origin: expected a source among {', '.join(SOURCES)}, got "
            f"{record['origin']['source']!r}"
        )


def architecture(record: Record, where: str = "record") -> Architecture:
    """The network of a record; `ValueError` if it cannot be built."""
    try:
        return architecture_json.from_json(
            json.dumps(record["network"]["architecture"])
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def check_counts(record: Record, where: str) -> None:
    """Raises `ValueError` unless params and MACs are those of the record's network."""
    # counting knows the operations, and those know JAX: not for reading records
    from nas_jax import counts

    size = counts.describe(architecture(record, where))
    for name in ("params", "macs"):
        if record["network"][name] != size[name]:
            raise ValueError(
                f"{where}: expected {name} = {size[name]} of its architecture, got "
                f"{record['network'][name]}"
            )


def depth(record: Record) -> int:
    """Blocks that do something."""
    return sum(block["op"] != "zero" for block in blocks(record))


def width(record: Record) -> int:
    """Channels of the widest block."""
    return max(block["out"] for block in blocks(record))


def blocks(record: Record) -> list[dict[str, Any]]:
    """Operations and widths in order; the cells of a tree count as blocks."""
    written = record["network"]["architecture"]
    if "blocks" in written:
        return written["blocks"]
    return [
        {"op": op, "out": cell["out"], "stride": 1}
        for cell in written["cells"]
        for op in cell["ops"]
    ]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *_texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
