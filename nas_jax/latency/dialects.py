"""Dialects of latency tables: files measured by others, and CSV for spreadsheets.

`reference` is the YAML of ProxylessNAS (`mobile_trim.yaml`: mean, var, count), `ofa`
that of Once-for-All (`note10/*_lookup_table.yaml`: mean, std, count), also flat
(`key: mean`) or in groups, and JSON, which is YAML. `csv` is `key,mean` without a
header, or columns named in ordinary words, with commas, semicolons, tabs or bars
between. Keys may be ours or the reference's:

    Conv-input:224x224x3-output:112x112x32            stem
    Conv_1-input:7x7x320-output:7x7x1280              head
    Logits-input:7x7x1280-output:1000                 classifier
    [expanded_conv-input:]112x112x16-[output:]56x56x24-expand:6-kernel:3-stride:2[-idskip:0]

Once-for-All counts `expand` in channels and adds `-se:0-hs:0`. What has no counterpart
here (squeeze-and-excitation, hard swish) stays in the table under its own name, which
no network here uses. A row of 0 ms is left out: what costs nothing needs none, and what
costs something is then missed where it is needed. Sources do not state their unit, so
the caller does.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, fields
from typing import Any, NamedTuple, NoReturn

import yaml

from nas_jax.config.checks import reason
from nas_jax.config.naming import few
from nas_jax.latency import tables
from nas_jax.latency.tables import LONGEST, PROVENANCE, SHORTEST, Entry, LatencyTable
from nas_jax.spaces import keys
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import Classifier, Head, Part, Stem

UNITS_MS = {"s": 1e3, "ms": 1.0, "us": 1e-3}
"""Milliseconds of each unit."""
FIXED = "fixed"
"""Key of `fixed_ms` in CSV files."""

Rows = Iterator[tuple[int, str, dict[str, str]]]
"""Line number, key, and the fields as they stand."""


class Source(NamedTuple):
    """A text to read: the unit of its times, its name in messages, and notes on it."""

    text: str
    unit: str
    origin: str
    notes: list[str]

    def refuse(self, line: int, message: str) -> NoReturn:
        raise ValueError(f"{self.origin}, line {line}: {message}")


class Read(NamedTuple):
    """A table, and lines on what was left out of it or understood in its source."""

    table: LatencyTable
    notes: list[str]


_SIZE = f"({keys.SIZE})"
_SHAPE = rf"{_SIZE}x{keys.SIZE}x{_SIZE}"
_BLOCK = re.compile(
    rf"(?:expanded_conv-input:)?{_SHAPE}-(?:output:)?{_SHAPE}-expand:{_SIZE}"
    rf"-kernel:{_SIZE}-stride:{_SIZE}(?:-idskip:([01]))?(-se:[01]-hs:[01])?"
)


def _stem(size: int, cin: int, out: int, cout: int) -> Stem | None:
    """The stem between these sides, if a stride leads from one to the other."""
    stem = Stem(cin, cout, max(size // out, 1), size)
    return stem if stem.output_size == out else None


_FIXED_PARTS: dict[re.Pattern[str], Callable[..., Part | None]] = {
    re.compile(rf"Conv-input:{_SHAPE}-output:{_SHAPE}"): lambda size, cin, out, cout: (
        _stem(size, cin, out, cout)
    ),
    re.compile(rf"Conv_1-input:{_SHAPE}-output:{_SHAPE}"): lambda size, cin, _, cout: (
        Head(cin, cout, size)
    ),
    re.compile(rf"Logits-input:{_SHAPE}-output:{_SIZE}"): lambda size, cin, classes: (
        Classifier(cin, classes, size)
    ),
}


def reference_part(name: str) -> Part | None:
    """The part that a key of the reference names; None if it names none of ours.

    >>> reference_part("Conv-input:224x224x3-output:112x112x32").key
    'stem 224x224x3->112x112x32 s2'
    """
    for form, make in _FIXED_PARTS.items():
        if match := form.fullmatch(name):
            return make(*map(int, match.groups()))
    if not (match := _BLOCK.fullmatch(name)):
        return None
    size, cin, _, cout, expand, kernel, stride = map(int, match.groups()[:7])
    idskip, extras = match.groups()[7:]
    if extras is not None:
        if extras != "-se:0-hs:0" or expand % cin:
            return None
        expand //= cin
    # the 2019 file leaves the shortcut out, which stands wherever it can
    shortcut = idskip == "1" if idskip else stride == 1 and cin == cout
    op = OpSpec("mbconv", kernel=kernel, expansion=expand)
    return Block(op, cin, cout, stride, size, shortcut)


def read(
    text: str, dialect: str, unit: str, provenance: Mapping[str, Any], origin: str
) -> Read:
    """The table in a text of one of `DIALECTS`, its times in `unit`.

    Missing keys of `provenance` become null; `origin` names the source in errors. A row
    that comes twice with equal numbers counts once.

    Raises:
      ValueError: for a line that is no entry, a key that comes twice with other
        numbers, a time that is no number of 0 or more, a unit that no hardware fits;
        with the number of the line.
    """
    source = Source(text.removeprefix("\ufeff"), unit, origin, [])
    entries: dict[str, Entry] = {}
    fixed_ms = 0.0
    free, again = [], []
    for line, name, row in DIALECTS[dialect](source):
        where = f"{origin}, line {line}"
        if not name:
            source.refuse(
                line, "expected the key of a part, got none; correct the line"
            )
        numbers = {column: _number(one, column, where) for column, one in row.items()}
        key = _key(name)
        if numbers.get("mean") == 0:
            if name != FIXED:
                free.append(key)
            continue
        entry = _entry(numbers, UNITS_MS[unit], where)
        if dialect == "csv" and name == FIXED:
            fixed_ms = entry.mean_ms
            continue
        if entries.setdefault(key, entry) is not entry:
            if entries[key] != entry:
                source.refuse(
                    line,
                    f"expected every part once, got {key!r} a second time with other "
                    "numbers; remove one of the two",
                )
            again.append(key)
    if not entries:
        raise ValueError(f"{origin}: expected entries, got none; see --from")
    if free:
        source.notes.append(f"rows of 0 {unit} left out: {len(free)} ({few(free)})")
    if again:
        source.notes.append(f"rows that repeat another: {len(again)} ({few(again)})")
    facts: dict[str, Any] = dict.fromkeys(PROVENANCE)
    facts |= {**provenance, "method": "imported"}
    tables.require_plausible(entries, facts, origin)
    return Read(LatencyTable(entries, facts, fixed_ms), source.notes)


def _key(name: str) -> str:
    """Our key of a part that has one; the name itself of another's."""
    part = reference_part(name)
    key = name if part is None else part.key
    return name if is_foreign(key) else keys.parse(key).key


def is_foreign(key: str) -> bool:
    """Whether an entry has the name of its source, so that no network here uses it."""
    try:
        keys.parse(key)
    except ValueError:
        return True
    return False


def _entry(numbers: dict[str, Any], scale: float, where: str) -> Entry:
    if numbers.get("mean") is None:
        raise ValueError(f"{where}: expected a mean, got none; correct the line")
    if (count := numbers.get("count")) is not None and count != int(count):
        raise ValueError(f"{where}: expected a whole count, got {count:g}")
    if (variance := numbers.get("var")) is not None:
        numbers["std"] = math.sqrt(variance)

    def ms(name: str) -> float | None:
        value = numbers.get(name)
        return None if value is None else scale * value

    return Entry(
        mean_ms=scale * numbers["mean"],
        std_ms=ms("std"),
        median_ms=ms("median"),
        q25_ms=ms("q25"),
        q75_ms=ms("q75"),
        count=None if count is None else int(count),
    )


def _number(text: str, name: str, where: str) -> Any:
    """A finite number of 0 or more; None for an empty field.

    Of a mean, 0 or from `SHORTEST`; a spread that could not be computed is none.
    """
    word = text.strip().lower()
    if word in _EMPTY or (name != "mean" and word in ("nan", ".nan")):
        return None
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    least = {"mean": SHORTEST, "count": 1}.get(name, 0)
    is_free = name == "mean" and value == 0
    if not (is_free or least <= value <= (LONGEST**2 if name == "var" else LONGEST)):
        raise ValueError(
            f"{where}: expected {name} to be a number above 0, got "
            f"{text.strip()!r:.60} (at most {LONGEST:g}); correct the line"
        )
    return value


_EMPTY = ("", "null", "none", "~")


# --- names of columns ----------------------------------------------------------------

_COLUMNS = {
    "mean": {"mean", "avg", "average"},
    "std": {"std", "stdev", "stddev", "sd", "standard", "dev", "deviation"},
    "var": {"var", "variance"},
    "median": {"median", "p50"},
    "q25": {"q25", "p25"},
    "q75": {"q75", "p75"},
    "count": {"count", "n", "samples", "runs", "repeats"},
}
_KEYS = {"key", "op", "ops", "operation", "operator", "name", "part", "layer", "block"}
_TIME = {"latency", "time", "runtime", "duration", "inference", "in", "measured"}
_UNIT_WORDS = {
    **{"s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s"},
    **{"ms": "ms", "msec": "ms", "millisecond": "ms", "milliseconds": "ms"},
    **{"us": "us", "\u00b5s": "us", "\u03bcs": "us", "usec": "us"},
    **{"microsecond": "us", "microseconds": "us"},
}


def _column(name: str, source: Source) -> str | None:
    """What a column holds: `key`, one of `_COLUMNS`, or None for anything else.

    Raises `ValueError` for times in another unit than the source is said to have.
    """
    words = set(re.findall(r"[^\W_]+", name.lower()))
    stated = {_UNIT_WORDS[word] for word in words if word in _UNIT_WORDS}
    if (words := words - {*_UNIT_WORDS}) and words <= _KEYS:
        return "key"
    rest = words - _TIME - _KEYS
    found = [column for column, names in _COLUMNS.items() if rest and rest <= names]
    if not rest and (words or stated):
        found = ["mean"]  # latency, time in ms, ms
    if found and stated - {source.unit}:
        raise ValueError(
            f"{source.origin}: expected column {name!r:.60} in {source.unit} as --unit "
            f"says, got {', '.join(sorted(stated))}"
        )
    return found[0] if found else None


# --- YAML ----------------------------------------------------------------------------


def _yaml(source: Source) -> Rows:
    """Keys with a mean or a mapping of columns to numbers each, maybe in groups."""
    lost: dict[str, None] = {}

    def refuse(line: int, got: str) -> NoReturn:
        names = ", ".join(_COLUMNS)
        expected = f"expected 'key:' or one each of {names} with a number"
        source.refuse(line + 1, f"{expected}, got {got!r:.60}; see --from")

    def pairs(node: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            refuse(node.start_mark.line, str(getattr(node, "value", "")))
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                refuse(name.start_mark.line, "another key")
            yield name, value

    def row(node: yaml.Node) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in pairs(node):
            column = _column(name.value, source)
            if column in (None, "key"):
                lost[name.value] = None
            elif column in found or not isinstance(value, yaml.ScalarNode):
                refuse(name.start_mark.line, name.value)
            else:
                found[column] = value.value
        return found

    try:
        # in Python: what is nested deeply overflows the stack of the parser in C
        root = yaml.compose(source.text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        refuse(mark.line if mark else 0, getattr(error, "problem", reason(error)))
    groups, seen = [root] if root else [], set()
    for group in groups:  # which grows
        for key, value in pairs(group):
            line = key.start_mark.line + 1
            if isinstance(value, yaml.ScalarNode):
                if _column(key.value, source) in _COLUMNS:
                    refuse(key.start_mark.line, key.value)
                yield line, key.value, {"mean": value.value}
            elif any(_column(one.value, source) in _COLUMNS for one, _ in pairs(value)):
                yield line, key.value, row(value)
            elif id(value) not in seen:  # an alias may stand in many places
                seen.add(id(value))
                groups.append(value)
    if lost:
        source.notes.append(f"fields left out: {few(lost)}")


# --- CSV -----------------------------------------------------------------------------


def _csv(source: Source) -> Rows:
    lines = [
        (number, line)
        for number, line in enumerate(source.text.splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    ]
    between = ","
    if lines and (hint := re.fullmatch(r"sep=(.)", lines[0][1])):  # for Excel
        between = hint[1]
        del lines[0]
    elif lines:
        bare = re.sub('"[^"]*"', "", lines[0][1])
        between = next((sign for sign in "\t;|" if sign in bare), ",")
    rows = [(number, _fields(number, line, between, source)) for number, line in lines]
    columns: list[str | None] = ["key", "mean"]
    if rows and _is_header(rows[0][1]):
        columns = _header(rows.pop(0)[1], source)
    comma = False
    signs: set[str] = set()
    for number, row in rows:
        while len(row) > len(columns) and not row[-1]:
            row.pop()  # as a spreadsheet leaves them
        if len(row) != len(columns):
            names = ",".join(name or "..." for name in columns)
            source.refuse(number, f"expected {names}, got {','.join(row)!r:.60}")
        found = {name: field for name, field in zip(columns, row, strict=True) if name}
        key = found.pop("key")
        if between != ",":
            signs |= {sign for one in found.values() for sign in ".," if sign in one}
            if len(signs) > 1:
                source.refuse(
                    number,
                    "expected decimal points or decimal commas, got both; write points",
                )
            comma = "," in signs
            found = {name: one.replace(",", ".") for name, one in found.items()}
        yield number, key, found
    if comma:
        source.notes.append("commas are decimal")


def _fields(number: int, line: str, between: str, source: Source) -> list[str]:
    try:  # one by one: no field continues in the next line
        (row,) = csv.reader(
            [line], strict=True, delimiter=between, skipinitialspace=True
        )
    except (csv.Error, ValueError, TypeError) as error:
        source.refuse(
            number,
            f"expected fields with commas between, got {line!r:.60} ({error})",
        )
    return [field.strip() for field in row]


def _is_header(row: list[str]) -> bool:
    """Whether a first row has names: nothing in it is a number or a part of ours."""

    def is_number(text: str) -> bool:
        try:
            float(text.replace(",", "."))
        except ValueError:
            return False
        return True

    return is_foreign(_key(row[0])) and not any(map(is_number, row)) and any(row[1:])


def _header(row: list[str], source: Source) -> list[str | None]:
    """The columns that a header names; what is none of ours is left out, and said."""
    columns = [_column(name, source) for name in row]
    if "key" not in columns and not row[0]:
        columns[0] = "key"  # as pandas writes an index
    known = [name for name in columns if name]
    if len(set(known)) != len(known) or not {"key", "mean"} <= set(known):
        raise ValueError(
            f"{source.origin}: expected one column each of key (or name, op), mean (or "
            f"latency, time) and, if there are any, {', '.join(list(_COLUMNS)[1:])}, "
            f"got {', '.join(map(repr, row))!s:.300}; rename them"
        )
    lost = [one for one, name in zip(row, columns, strict=True) if not name]
    if lost:
        source.notes.append(f"columns left out: {few(lost)}")
    return columns


def write_csv(table: LatencyTable) -> str:
    """A latency table as CSV, for spreadsheets; `read` takes it as dialect `csv`.

    A row per part, times in ms, empty where a source stated nothing; `fixed_ms` is the
    row "fixed". Provenance and validation are comments, which do not come back.
    """
    text = io.StringIO()
    facts = {**table.provenance, "validation": table.validation}
    for name, value in facts.items():
        text.write(f"# {name}: {json.dumps(value)}\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["key", *(field.name for field in fields(Entry))])
    if table.fixed_ms:
        rows.writerow([FIXED, table.fixed_ms, "", "", "", "", ""])
    rows.writerows([key, *astuple(entry)] for key, entry in table.entries.items())
    return text.getvalue()


DIALECTS: dict[str, Callable[[Source], Rows]] = {
    "reference": _yaml,
    "ofa": _yaml,
    "csv": _csv,
}
