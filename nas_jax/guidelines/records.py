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
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval

from nas_jax.config.from_json import Strict, from_json, require_types
from nas_jax.spaces import architecture_json
from nas_jax.spaces.architecture import Architecture

Record = dict[str, Any]

FORMAT = "nas_jax guideline"
VERSION = 1

_PATH = re.compile(r"(^|[\s\"'=:,(])(~[^\s/]*/|/[^\s/]|[A-Za-z]:[\\/]|\\\\)|\bfile:")
_Count = Annotated[int, Ge(0)]
_Amount = Annotated[float, Ge(0)]
_Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True)
class Descriptors(Strict):
    """A task in numbers; `balance` is the rarest class over the commonest.

    Raises `ValueError` naming the field that is out of range.
    """

    input_size: Annotated[int, Interval(ge=4, le=4096)]
    channels: Annotated[int, Interval(ge=1, le=1024)]
    classes: Annotated[int, Interval(ge=2, le=10**6)]
    images_per_class: Annotated[float, Interval(ge=1, le=1e9)]
    balance: Annotated[float, Interval(gt=0, le=1)]
    linear_accuracy: _Share | None
    tiny_accuracy: _Share | None

    def __post_init__(self) -> None:
        require_types(self)


@dataclass(frozen=True)
class _Task(Strict):
    name: str
    family: str
    descriptors: Descriptors


@dataclass(frozen=True)
class _Network(Strict):
    architecture: dict[str, Any]
    params: Annotated[int, Interval(ge=1, le=10**12)]
    macs: Annotated[int, Interval(ge=1, le=10**15)]


@dataclass(frozen=True)
class _Latency(Strict):
    device: str
    runtime: str | None
    batch: Annotated[int, Ge(1)]
    ms: Annotated[float, Gt(0)]
    source: str


@dataclass(frozen=True)
class _Result(Strict):
    accuracy: _Share
    test_images: Annotated[int, Interval(ge=1, le=10**9)]
    trainings: _Count | None


@dataclass(frozen=True)
class _Target(Strict):
    cost: Literal["params", "macs", "latency"]
    value: _Amount
    device: str | None


@dataclass(frozen=True)
class _Search(Strict):
    method: str
    networks: _Count | None
    seconds: _Amount | None


@dataclass(frozen=True)
class _Training(Strict):
    steps: _Count | None
    seconds: _Amount | None


@dataclass(frozen=True)
class _Origin(Strict):
    source: Literal["trained here", "reported by the paper"]
    seeds: list[Any]
    versions: dict[str, Any]
    device: str | None
    commit: str | None


@dataclass(frozen=True)
class _Record(Strict):
    format: str
    version: int
    task: _Task
    network: _Network
    latencies: list[_Latency]
    result: _Result
    target: _Target | None
    search: _Search | None
    training: _Training
    origin: _Origin
    digest: str


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
    stated = record if isinstance(record, dict) else {"format": record}
    for name, expected in (("format", FORMAT), ("version", VERSION)):
        value = stated.get(name)
        if type(value) is not type(expected) or value != expected:
            raise ValueError(
                f"{where}: expected a record of {name} {expected!r}, got "
                f"{value!r:.60}; import it with the nas_jax that wrote it"
            )
    task = from_json(_Record, record, f"{where}: ").task.descriptors
    for private in filter(_PATH.search, _texts(record)):
        raise ValueError(
            f"{where}: expected no paths of a machine, got {private!r:.60}; remove it"
        )
    built = architecture(record, where)
    if not built.blocks:
        raise ValueError(f"{where}: expected a network with blocks, got none")
    got = (*built.input_shape[1:], built.classifier.classes)
    if got != (task.input_size, task.channels, task.classes):
        raise ValueError(
            f"{where}: expected a network for the task's input size, channels and "
            f"classes {(task.input_size, task.channels, task.classes)}, got {got}"
        )
    try:
        digest_ = digest(record)
    except ValueError:
        raise ValueError(f"{where}: expected finite numbers, got NaN or inf") from None
    if record["digest"] != digest_:
        raise ValueError(
            f"{where}: expected digest {digest_[:12]}..., got "
            f"{record['digest']!r:.60}; the record was changed after it was written"
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
    from nas_jax.networks import counts

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
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
