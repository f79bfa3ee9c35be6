"""Latency tables: what every part of a space costs on one device, as a JSON file.

Format: `schema`. Keys are `part.key` of `nas_jax.spaces.parts`; times are milliseconds
per inference of a whole batch. A `zero` block is the identity, has no entry and costs
0. Anything else that is missing is an error, never a default. A network's latency is
predicted by the plain sum over its parts (ProxylessNAS, section 3.3 and appendix B) and
`fixed_ms`, what the runtime costs once per network beside its parts.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax.config import files
from nas_jax.latency import schema
from nas_jax.latency.schema import MEASURE, Entry
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import Block
from nas_jax.spaces.parts import Part
from nas_jax.spaces.space import SearchSpace

MEASURE_NETWORK = (
    "measure them with `nas_jax measure EXPERIMENT --also NETWORK --out TABLE.json`"
)


@dataclass(frozen=True)
class LatencyTable:
    """Entries by `part.key`, where they come from, how they met whole networks."""

    entries: dict[str, Entry]
    provenance: dict[str, Any]
    fixed_ms: float = 0.0
    validation: dict[str, Any] | None = None


def save(table: LatencyTable, path: str | os.PathLike[str]) -> None:
    """Writes a table to a new file, all of it or nothing.

    Raises `ValueError` if the file exists, or if `load` would refuse the table.
    """
    path = Path(path)
    document = {
        "format": schema.FORMAT,
        "version": schema.VERSION,
        "provenance": table.provenance,
        "fixed_ms": table.fixed_ms,
        "entries": {key: asdict(entry) for key, entry in table.entries.items()},
        "validation": table.validation,
    }
    schema.check(document, f"latency table for {str(path)!r}")
    if path.exists():
        raise ValueError(
            f"latency table {str(path)!r}: expected a new file, got one that exists; "
            "choose another name or remove it"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def load(path: str | os.PathLike[str]) -> LatencyTable:
    """Reads what `save` wrote; `ValueError` names file, key and what is wrong."""
    origin = f"latency table {str(path)!r}"
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(
            f"{origin}: expected a file, got none; give the path of a table, or "
            f"{MEASURE}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{origin}: expected a readable file, got: {error}") from error
    document = files.parse(text, origin, f"; restore the file, or {MEASURE}")
    entries = schema.check(document, origin)
    return LatencyTable(
        entries, document["provenance"], document["fixed_ms"], document["validation"]
    )


def required_parts(space: SearchSpace) -> list[Part]:
    """The parts a table of `space` needs, in order, none twice and no free ones."""
    candidates = [layer.block(op) for layer in space.layers for op in layer.candidates]
    parts: dict[str, Part] = {}
    for part in (*space.fixed_parts, *candidates):
        if not is_free(part):
            parts.setdefault(part.key, part)
    return list(parts.values())


def costs(
    table: LatencyTable,
    space: SearchSpace,
    origin: str = "the latency table",
    *,
    z: float = 0.0,
) -> tuple[np.ndarray, float]:
    """Times of the candidates, Float `[L K]`, and of all that is fixed, ms.

    Costs are mean + z sd, so a search with z > 0 prefers what is reliably fast; 0 where
    the mask is False and for `zero` and `identity`. Fixed are the parts that every
    network has, and `fixed_ms`. `origin` names the table in errors.

    Raises:
      ValueError: naming the first part that the table lacks; for a table of another
        space or input size, or in another unit; with z, for an entry without a
        standard deviation.
    """
    # it counts with JAX, which the readers of a table (the report) can do without
    from nas_jax.latency import units

    required = [part.key for part in required_parts(space)]
    if table.entries and not any(key in table.entries for key in required):
        sides = table.provenance["input_size"], space.stem.input_size
        images = f", images of side {sides[0]} instead of {sides[1]}"
        raise ValueError(
            f"{origin} was made for another space"
            f"{images if sides[0] != sides[1] else ''}: it has no part of space "
            f"{space.name!r}, which needs for example {required[0]!r}, and it has for "
            f"example {next(iter(table.entries))!r}; {MEASURE}"
        )
    units.check(table.entries, table.provenance, origin)
    array = np.zeros(space.mask.shape)
    for row, column in np.argwhere(space.mask):
        op = space.candidates[column]
        where = f"layer {row}, op {op.name}"
        array[row, column] = _cost(table, space.layers[row].block(op), where, origin, z)
    fixed = (
        _cost(table, part, type(part).__name__.lower(), origin, z)
        for part in space.fixed_parts
    )
    return array, table.fixed_ms + sum(fixed)


def predict_ms(
    table: LatencyTable, architecture: Architecture, origin: str = "the latency table"
) -> float:
    """Predicted latency of a network: `fixed_ms` and the sum over its parts.

    Raises `ValueError` naming all parts that the table lacks.
    """
    if lacking := missing(table, architecture.parts):
        raise ValueError(
            f"{origin}: expected an entry for every part of {architecture.name!r}, got "
            f"none for {len(lacking)} of them among {len(table.entries)} entries: "
            f"{', '.join(map(repr, lacking))}; {MEASURE_NETWORK}"
        )
    return table.fixed_ms + sum(
        table.entries[part.key].mean_ms
        for part in architecture.parts
        if not is_free(part)
    )


def missing(table: LatencyTable, parts: Iterable[Part]) -> list[str]:
    """Keys of the parts that cost something and that the table lacks, none twice."""
    keys = [part.key for part in parts if not is_free(part)]
    return [key for key in dict.fromkeys(keys) if key not in table.entries]


def validation_line(validation: dict[str, Any] | None) -> str:
    """How far a table can be trusted, or that nobody knows."""
    if validation is None:
        return (
            "validation: not done; how near the sums of this table come to whole "
            "networks, `nas_jax measure EXPERIMENT --held-out 60` finds out"
        )
    return (
        f"validation: {validation['networks']} held-out networks, Kendall tau "
        f"{validation['kendall_tau']:.3f}, {validation['within_5_percent']:.0%} within "
        f"5 %, {validation['within_10_percent']:.0%} within 10 %, RMSE "
        f"{validation['rmse_ms']:.4g} ms, MAPE {validation['mape']:.1%}, bias "
        f"{validation['bias_ms']:+.4g} ms"
    )


def is_free(part: Part) -> bool:
    """Whether a part does nothing, so that it has no entry and costs 0."""
    return isinstance(part, Block) and part.op.operation.is_free


def _cost(
    table: LatencyTable, part: Part, where: str, origin: str, z: float = 0.0
) -> float:
    if is_free(part):
        return 0.0
    if part.key not in table.entries:
        raise ValueError(
            f"{origin}: expected an entry {part.key!r} ({where}), got none among "
            f"{len(table.entries)} entries; {MEASURE}"
        )
    entry = table.entries[part.key]
    if z == 0:
        return entry.mean_ms
    if entry.std_ms is None:
        raise ValueError(
            f"{origin}: expected a standard deviation of {part.key!r} for latency.z = "
            f"{z:g}, its source states none; set latency.z to 0, or {MEASURE}"
        )
    return entry.mean_ms + z * entry.std_ms
