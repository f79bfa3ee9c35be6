"""What a latency table has to say: its fields, their types, and what is refused.

    {"format": "nas_jax latency table", "version": 2,
     "provenance": {"device": ..., "runtime": ..., "method": "operations", ...},
     "fixed_ms": 0.004,
     "entries": {"mb6_k3 16x16x16->16x16x16 s1 skip": {"mean_ms": ..., ...}, ...},
     "validation": {"networks": 60, "kendall_tau": 0.98, ...}}

Times are milliseconds per inference of a whole batch. Every field is there. What a
source of an imported table does not state is null; a table measured by this package has
no nulls but its `validation`, which is null until it was held against whole networks.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Interval, MinLen
from typing_extensions import TypedDict

from nas_jax.config.from_json import Strict, fields, from_json

FORMAT = "nas_jax latency table"
VERSION = 2

MEASURE = "measure it with `nas_jax measure EXPERIMENT --out TABLE.json`"
_REPAIR = f"correct the table, or {MEASURE}"

SHORTEST, LONGEST = 1e-12, 1e12
"""Of a time in ms above 0: sums, products and ratios of such stay finite."""
Positive = Annotated[float, Interval(ge=SHORTEST, le=LONGEST)]
Time = Annotated[float, Interval(ge=0, le=LONGEST)]
Number = Annotated[float, Interval(ge=-LONGEST, le=LONGEST)]
Count = Annotated[int, Interval(ge=1, le=LONGEST)]
Text = Annotated[str, MinLen(1)]
Method = Literal["operations", "networks", "imported"]
"""Every part measured alone; fitted from whole networks; measured elsewhere."""


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
"""What every table must say about its origin; it may say more. `input_size` is the
side of the network's images, `commit` that of this package."""
STATED = ("device", "runtime", "batch", "dtype", "input_size", "method")
"""What an imported table must say as well."""


class Validation(TypedDict):
    """How predictions met whole networks that the table has not seen.

    See `measure.quality`. Shares and `mape` are fractions; it may say more.
    """

    networks: Count
    kendall_tau: Number
    within_5_percent: Number
    within_10_percent: Number
    rmse_ms: Number
    mape: Number
    bias_ms: Number
    mean_ms: NotRequired[Positive]


@dataclass(frozen=True)
class _Table(Strict):
    provenance: dict[str, Any]
    fixed_ms: Time
    entries: dict[str, Entry]
    validation: dict[str, Any] | None


_BOUNDED = {int: Count, str: Text}
_MEASURED: dict[str, Any] = {name: _BOUNDED[kind] for name, kind in PROVENANCE.items()}
_MEASURED["method"] = Method
_STATED = {
    name: kind if name in STATED else kind | None for name, kind in _MEASURED.items()
}
_Measured, _Stated = fields("provenance", _MEASURED), fields("provenance", _STATED)


def check(document: Any, origin: str) -> dict[str, Entry]:
    """The entries of a complete table; `origin` names it.

    Raises `ValueError` naming the first field that is missing, unknown or wrong.
    """
    found = dict(document) if isinstance(document, dict) else {}
    for key, expected in (("format", FORMAT), ("version", VERSION)):
        value = found.pop(key, None)
        if type(value) is not type(expected) or value != expected:
            raise ValueError(
                f"{origin}: expected {key!r} to be {expected!r}, got {value!r:.60}; "
                f"give a table of this version, or {MEASURE}"
            )
    try:
        return _entries(found, f"{origin}: ")
    except ValueError as error:
        raise ValueError(f"{error}; {_REPAIR}") from error


def _entries(document: dict[str, Any], prefix: str) -> dict[str, Entry]:
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
    return table.entries
