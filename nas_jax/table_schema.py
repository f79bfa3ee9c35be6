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

from dataclasses import dataclass, fields
from typing import Any

FORMAT = "nas_jax latency table"
VERSION = 2

MEASURE = "measure it with `nas_jax measure EXPERIMENT --out TABLE.json`"
_REPAIR = f"correct the table, or {MEASURE}"
_NAMES = {dict: "an object", str: "a text", int: "an integer", float: "a number"}

SHORTEST, LONGEST = 1e-12, 1e12
"""Of a time in ms above 0: sums, products and ratios of such stay finite."""
METHODS = ("operations", "networks", "imported")
"""Every part measured alone; fitted from whole networks; measured elsewhere."""


@dataclass(frozen=True)
class Entry:
    """Time of one part: mean, spread, quartiles over `count` measurements.

    None is for what the source of an imported table does not state.
    """

    mean_ms: float
    std_ms: float | None
    median_ms: float | None
    q25_ms: float | None
    q75_ms: float | None
    count: int | None


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

VALIDATION: dict[str, type] = {
    "networks": int,
    "kendall_tau": float,
    "within_5_percent": float,
    "within_10_percent": float,
    "rmse_ms": float,
    "mape": float,
    "bias_ms": float,
}
"""How predictions met whole networks that the table has not seen (`measure.quality`).
Shares and `mape` are fractions; it may say more."""


def check(document: Any, origin: str) -> None:
    """Raises `ValueError` unless `document` is a complete table; `origin` names it."""
    found = document if isinstance(document, dict) else {}
    for key, expected in (("format", FORMAT), ("version", VERSION)):
        value = found.get(key)
        if type(value) is not type(expected) or value != expected:
            raise ValueError(
                f"{origin}: expected {key!r} to be {expected!r}, got {value!r:.60}; "
                f"give a table of this version, or {MEASURE}"
            )
    imported = _check_provenance(found, origin)
    fixed_ms = _value(found, "fixed_ms", float, origin)
    if not 0 <= fixed_ms <= LONGEST:
        raise ValueError(
            f"{origin}: expected 'fixed_ms' to be finite and 0 or more, got "
            f"{fixed_ms!r} (at most {LONGEST:g}); {_REPAIR}"
        )
    entries = _value(found, "entries", dict, origin)
    for key in entries:
        entry = _value(entries, key, dict, origin)
        _check_entry(entry, imported, f"{origin}, entry {key!r}")
    _check_validation(found, origin)


def _check_provenance(document: dict[str, Any], origin: str) -> bool:
    """Whether the table was imported."""
    provenance = _value(document, "provenance", dict, origin)
    where = f"{origin}, provenance"
    method = _value(provenance, "method", str, where)
    if method not in METHODS:
        raise ValueError(
            f"{where}: expected 'method' to be one of {', '.join(METHODS)}, got "
            f"{method!r}; {_REPAIR}"
        )
    imported = method == "imported"
    for key, kind in PROVENANCE.items():
        if imported and key not in STATED and provenance.get(key, "") is None:
            continue
        value = _value(provenance, key, kind, where)
        if not value or (kind is int and value < 1):
            raise ValueError(
                f"{where}: expected {key!r} to be "
                f"{'1 or more' if kind is int else 'a text'}, got {value!r}; {_REPAIR}"
            )
    return imported


def _check_entry(entry: dict[str, Any], imported: bool, where: str) -> None:
    names = [field.name for field in fields(Entry)]
    if unknown := sorted(set(entry) - set(names)):
        raise ValueError(
            f"{where}: expected only {', '.join(names)}, got {unknown[0]!r}; {_REPAIR}"
        )
    for name in names:
        if imported and name != "mean_ms" and entry.get(name, "") is None:
            continue
        kind = int if name == "count" else float
        value = _value(entry, name, kind, where)
        least = {"mean_ms": SHORTEST, "count": 1}.get(name, 0)
        if not least <= value <= LONGEST:
            raise ValueError(
                f"{where}: expected {name!r} to be finite and "
                f"{_bound(name)}, got {value!r} ({least:g} to {LONGEST:g}); {_REPAIR}"
            )
    quartiles = [entry[name] for name in ("q25_ms", "median_ms", "q75_ms")]
    if None not in quartiles and quartiles != sorted(quartiles):
        raise ValueError(
            f"{where}: expected q25_ms <= median_ms <= q75_ms, got {quartiles}; "
            f"{_REPAIR}"
        )


def _bound(name: str) -> str:
    if name == "mean_ms":
        return "above 0"
    return "1 or more" if name == "count" else "0 or more"


def _check_validation(document: dict[str, Any], origin: str) -> None:
    if document.get("validation", "") is None:
        return
    validation = _value(document, "validation", dict, origin)
    where = f"{origin}, validation"
    for key, kind in VALIDATION.items():
        value = _value(validation, key, kind, where)
        if not abs(value) <= LONGEST:
            raise ValueError(
                f"{where}: expected {key!r} to be finite, got {value!r} (at most "
                f"{LONGEST:g}); {_REPAIR}"
            )
    mean = _value(validation, "mean_ms", float, where) if "mean_ms" in validation else 1
    if not SHORTEST <= mean <= LONGEST:
        raise ValueError(
            f"{where}: expected 'mean_ms' to be from {SHORTEST:g} to {LONGEST:g}, got "
            f"{mean!r}; {_REPAIR}"
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
            f"{where}: expected {key!r} to be {_NAMES[kind]}, got {value!r:.60}; "
            f"{_REPAIR}"
        )
    return value
