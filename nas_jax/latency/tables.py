"""Latency tables: what every part of a space costs on one device, as a JSON file.

    {"format": "nas_jax latency table", "version": 2,
     "provenance": {"device": ..., "runtime": ..., "method": "operations", ...},
     "fixed_ms": 0.004,
     "entries": {"mb6_k3 16x16x16->16x16x16 s1 skip": {"mean_ms": ..., ...}, ...},
     "reference": {"architecture": {...}, "measured_ms": 0.93},
     "validation": {"networks": 60, "kendall_tau": 0.98, ...}}

Keys are `part.key` of `nas_jax.spaces.parts`; times are milliseconds per inference of a
whole batch. Every field is there. What the source of an imported table does not state
is null; a table measured by this package has no nulls but `validation`, which is null
until the table is compared with whole networks, and `reference`, which is null where no
network could be timed with the parts (a phone) and absent in older tables. A `zero`
block is the identity, has no entry and costs 0. Anything else that is missing is an
error, never a default. A network's latency is predicted by the plain sum over its parts
(ProxylessNAS, section 3.3 and appendix B) and `fixed_ms`, what the runtime costs once
per network.
"""

import json
import os
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
from annotated_types import Interval, MinLen
from typing_extensions import TypedDict

from nas_jax.config import files, on_disk, shipped
from nas_jax.config.experiment import LatencyConfig
from nas_jax.config.from_json import Strict, fields, from_json
from nas_jax.config.naming import meant
from nas_jax.spaces import architecture_json, keys
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.spaces.operations import Block
from nas_jax.spaces.parts import Part
from nas_jax.spaces.space import SearchSpace

FORMAT = "nas_jax latency table"
VERSION = 2

SLOWEST = 0.01
FASTEST_PER_THREAD = 500.0
FASTEST_ACCELERATOR = 1e6
ACCELERATORS = ("xla",)
"""Runtimes whose `threads` say nothing about the speed."""

MEASURE = "measure it with `nas_jax measure EXPERIMENT --out TABLE.json`"
MEASURE_NETWORK = (
    "measure them with `nas_jax measure EXPERIMENT --also NETWORK --out TABLE.json`"
)

SHORTEST, LONGEST = 1e-12, 1e12
"""Of a time in ms above 0: sums, products and ratios of such stay finite."""
Positive = Annotated[float, Interval(ge=SHORTEST, le=LONGEST)]
Time = Annotated[float, Interval(ge=0, le=LONGEST)]
Number = Annotated[float, Interval(ge=-LONGEST, le=LONGEST)]
Count = Annotated[int, Interval(ge=1, le=LONGEST)]
Text = Annotated[str, MinLen(1)]
Method = Literal["operations", "networks", "imported"]
"""Every part measured alone; fitted to whole networks; measured elsewhere."""


@dataclass(frozen=True)
class Entry(Strict):
    """Time of one part: mean, spread, quartiles over `count` measurements.

    None is for what the source of an imported table does not state.
    """

    mean_ms: Positive
    std_ms: Time | None
    median_ms: Time | None
    q25_ms: Time | None
    q75_ms: Time | None
    count: Count | None


PROVENANCE: dict[str, type] = {
    "device": str,
    "runtime": str,
    "runtime_version": str,
    "threads": int,
    "batch": int,
    "dtype": str,
    "input_size": int,
    "date": str,
    "commit": str,
    "method": str,
    "repeats": int,
    "warm_up_calls": int,
    "clock": str,
}
"""Required keys of `provenance`, others may follow. `input_size` is the side of the
network's images, `commit` that of this package."""
STATED = ("device", "runtime", "batch", "dtype", "input_size", "method")
"""Those that are required of an imported table."""


class Validation(TypedDict):
    """Quality of the predictions for whole networks that the table has not seen.

    See `measurement.whole_networks`. Shares and `mape` are fractions; more keys may
    follow.
    """

    networks: Count
    kendall_tau: Number
    within_5_percent: Number
    within_10_percent: Number
    rmse_ms: Number
    mape: Number
    bias_ms: Number
    mean_ms: NotRequired[Positive]
    log_ratio: NotRequired[Number]
    log_ratio_sd: NotRequired[Time]
    common_sd: NotRequired[Annotated[float, Interval(ge=0, le=100)]]


@dataclass(frozen=True)
class Reference(Strict):
    """A network that was timed with the parts: what the machine was like then."""

    architecture: dict[str, Any]
    measured_ms: Positive
    """A call, as deployed: the mean over the fastest quarter of its rounds."""

    @property
    def network(self) -> Architecture:
        """Raises `ValueError` for what is no network, or has unknown operations."""
        return architecture_json.from_json(json.dumps(self.architecture))


@dataclass(frozen=True)
class _Table(Strict):
    provenance: dict[str, Any]
    fixed_ms: Time
    entries: dict[str, Entry]
    validation: dict[str, Any] | None
    reference: Reference | None = None


_BOUNDED = {int: Count, str: Text}
_MEASURED: dict[str, Any] = {name: _BOUNDED[kind] for name, kind in PROVENANCE.items()}
_MEASURED["method"] = Method
_STATED = {
    name: kind if name in STATED else kind | None for name, kind in _MEASURED.items()
}
_Measured, _Stated = fields("provenance", _MEASURED), fields("provenance", _STATED)


@dataclass(frozen=True)
class LatencyTable:
    """Entries by `part.key`, their provenance, validation and reference if any."""

    entries: dict[str, Entry]
    provenance: dict[str, Any]
    fixed_ms: float = 0.0
    validation: dict[str, Any] | None = None
    reference: Reference | None = None


def save(table: LatencyTable, path: str | os.PathLike[str]) -> None:
    """Writes a table to a new file, all of it or nothing.

    Raises `ValueError` if the file exists, or if `load` would refuse the table.
    """
    path = Path(path)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "provenance": table.provenance,
        "fixed_ms": table.fixed_ms,
        "entries": {key: asdict(entry) for key, entry in table.entries.items()},
        "reference": None if table.reference is None else asdict(table.reference),
        "validation": table.validation,
    }
    check(document, f"latency table for {str(path)!r}")
    if path.exists():
        raise ValueError(
            f"latency table {str(path)!r}: expected a new file, got one that exists; "
            "choose another name or remove it"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def load(path: str | os.PathLike[str]) -> LatencyTable:
    """A table, by the path of its file or the name of a shipped one.

    Raises `ValueError` if there is none, or naming file, key and what is wrong.
    """
    origin = f"latency table {os.fspath(path)!r}"
    try:
        text = shipped.table_file(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        known = shipped.names("latency_tables", "*.json")
        like = on_disk.meant_beside(Path(path), on_disk.A_JSON_FILE) or meant(
            Path(path).stem, known
        )
        raise ValueError(
            f"{origin}: expected a file, or the name of a shipped table, found none"
            f"{like or '; nas_jax list names them'}; or {MEASURE}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{origin}: expected a readable file, got: {error}") from error
    document = files.parse(text, origin, f"; restore the file, or {MEASURE}")
    return check(document, origin)


def check(document: Any, origin: str) -> LatencyTable:
    """A complete table from its file's content; `origin` names it.

    Raises `ValueError` naming the first field that is missing, unknown or wrong.
    """
    rest = dict(document) if isinstance(document, dict) else {}
    for key, expected in (("format", FORMAT), ("version", VERSION)):
        value = rest.pop(key, None)
        if type(value) is not type(expected) or value != expected:
            raise ValueError(
                f"{origin}: expected {key!r} to be {expected!r}, got {value!r:.60}; "
                f"give a table of this version, or {MEASURE}"
            )
    try:
        return _table(rest, f"{origin}: ")
    except ValueError as error:
        raise ValueError(f"{error}; correct the table, or {MEASURE}") from error


def _table(document: dict[str, Any], prefix: str) -> LatencyTable:
    table = from_json(_Table, document, prefix)
    is_imported = table.provenance.get("method") == "imported"
    kind, where = _Stated if is_imported else _Measured, f"{prefix}provenance."
    from_json(kind, table.provenance, where, extra="ignore")
    if table.validation is not None:
        where = f"{prefix}validation."
        from_json(Validation, table.validation, where, extra="ignore")
    for key, entry in table.entries.items():
        where, numbers = f"{prefix}entries.{key}", vars(entry)
        lacking = [name for name, value in numbers.items() if value is None]
        if lacking and not is_imported:
            raise ValueError(f"{where}.{lacking[0]}: expected a number, got None")
        quartiles = [numbers[name] for name in ("q25_ms", "median_ms", "q75_ms")]
        if None not in quartiles and quartiles != sorted(quartiles):
            raise ValueError(
                f"{where}: expected q25_ms <= median_ms <= q75_ms, got {quartiles}"
            )
    return LatencyTable(**vars(table))


def required_parts(space: SearchSpace | ElasticSpace) -> list[Part]:
    """The parts a table of `space` needs, in order, none twice and no free ones."""
    parts: dict[str, Part] = {}
    for shape in space.shapes:
        candidates = (
            layer.block(op) for layer in shape.layers for op in layer.candidates
        )
        for part in (*shape.fixed_parts, *candidates):
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
    ((array, fixed),) = shape_costs(table, space, origin, z=z)
    return array, fixed


def shape_costs(
    table: LatencyTable,
    space: SearchSpace | ElasticSpace,
    origin: str = "the latency table",
    *,
    z: float = 0.0,
) -> list[tuple[np.ndarray, float]]:
    """As `costs`, of every shape of a space in their order. Raises as it does."""
    shapes = space.shapes
    required = [part.key for part in required_parts(space)]
    if table.entries and not any(key in table.entries for key in required):
        sides = table.provenance["input_size"], shapes[0].stem.input_size
        images = f", images of side {sides[0]} instead of {sides[1]}"
        raise ValueError(
            f"{origin} was made for another space"
            f"{images if sides[0] != sides[1] else ''}: it has no part of space "
            f"{space.name!r}, which needs for example {required[0]!r}, and it has for "
            f"example {next(iter(table.entries))!r}; {MEASURE}"
        )
    require_plausible(table.entries, table.provenance, origin)
    return [_shape_costs(table, shape, origin, z) for shape in shapes]


def _shape_costs(
    table: LatencyTable, space: SearchSpace, origin: str, z: float
) -> tuple[np.ndarray, float]:
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


def is_int8(table: LatencyTable) -> bool:
    """Whether a table is of networks in 8-bit integers, by its `dtype`."""
    return str(table.provenance["dtype"]).endswith("int8")


def require_bits(
    table: LatencyTable, config: LatencyConfig, origin: str = "the latency table"
) -> None:
    """Raises `ValueError` for a float table in a search in 8 bits, or the reverse.

    The search would then choose by times that the networks it tests do not take.
    """
    if is_int8(table) == config.is_int8:
        return
    runtime = "onnxruntime" if config.is_int8 else "onnxruntime-int8"
    raise ValueError(
        f"{origin}: expected times in {'int8' if config.is_int8 else 'float32'}, as "
        f"latency.runtime is {config.runtime}, got a table in "
        f"{table.provenance['dtype']}; set --latency.runtime {runtime}, or measure one "
        f"with `nas_jax measure EXPERIMENT --runtime {config.runtime} --out TABLE.json`"
    )


def median_rate(
    entries: Mapping[str, Entry], provenance: Mapping[str, Any]
) -> float | None:
    """10^9 multiply-adds per second, the median over the entries; None without any.

    Entries whose key says no arithmetic (another table's names) are left out.
    """
    # it counts with JAX, which other readers of a table (the report) do without
    from nas_jax.networks import counts

    rates = []
    for key, entry in entries.items():
        try:
            macs = counts.macs(keys.parse(key))
        except ValueError:
            continue
        if macs:
            rates.append(1e-6 * provenance["batch"] * macs / entry.mean_ms)
    return statistics.median(rates) if rates else None


def require_plausible(
    entries: Mapping[str, Entry], provenance: Mapping[str, Any], origin: str
) -> None:
    """Raises `ValueError` for times in a wrong unit: no hardware has such a speed.

    A table in seconds that is read as milliseconds claims a thousandfold speed, one in
    microseconds a thousandth. The bounds, in 10^9 multiply-adds per second, hold per
    thread on a CPU or phone: at most 500 (a core with two 512-bit units at 4 GHz
    reaches 128 in float32, matrix units a few times that), at least 0.01 (a
    microcontroller). A GPU or TPU: at most 10^6, more than any of 2026.
    """
    rate = median_rate(entries, provenance)
    fastest = FASTEST_ACCELERATOR
    if provenance["runtime"] not in ACCELERATORS:
        fastest = FASTEST_PER_THREAD * (provenance["threads"] or 1)
    if rate is None or SLOWEST <= rate <= fastest:
        return
    likely = "seconds" if rate > fastest else "microseconds"
    raise ValueError(
        f"{origin}: expected times in ms that mean {SLOWEST:g} to {fastest:g} x 10^9 "
        f"multiply-adds per second, got {rate:.3g}; are they in {likely}? Import the "
        "source again with `nas_jax table import ... --unit`"
    )


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
    required = dict.fromkeys(part.key for part in parts if not is_free(part))
    return [key for key in required if key not in table.entries]


def validation_line(validation: dict[str, Any] | None) -> str:
    """The validation of a table as a line, or the command that makes one."""
    if validation is None:
        return (
            "held-out check: not done; how near the sums of this table come to whole "
            "networks, `nas_jax measure EXPERIMENT --held-out 60` finds out"
        )
    tau = validation["kendall_tau"]  # the pairs in order, less those that are not
    order = "" if tau is None else f"{(1 + tau) / 2:.1%} of their pairs in order, "
    return (
        f"held-out check: on {validation['networks']} networks that the table had not "
        f"seen it is off by {validation['mape']:.1%} on average "
        f"({validation['within_5_percent']:.0%} of them within 5 %, "
        f"{validation['within_10_percent']:.0%} within 10 %; {order}"
        f"RMSE {validation['rmse_ms']:.4g} ms, bias {validation['bias_ms']:+.4g} ms)"
    )


def reference_line(table: LatencyTable) -> str:
    """The reference network of a table as a line, or what is not known without one."""
    if table.reference is None:
        return (
            "reference network: none, so how fast a machine is against this table's is "
            f"not known later; {MEASURE}"
        )
    took = table.reference.measured_ms
    return f"reference network: {took:.4g} ms; timed again, it tells the pace"


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
