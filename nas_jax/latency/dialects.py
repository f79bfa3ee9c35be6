"""Dialects of latency tables: files measured by others, and CSV for spreadsheets.

`reference` is the YAML of ProxylessNAS (`mobile_trim.yaml`: mean, var, count), `ofa`
that of Once-for-All (`note10/*_lookup_table.yaml`: mean, std, count), `csv` is
`key,mean` without a header or what `write_csv` writes. Keys may be ours or the
reference's:

    Conv-input:224x224x3-output:112x112x32            stem
    Conv_1-input:7x7x320-output:7x7x1280              head
    Logits-input:7x7x1280-output:1000                 classifier
    [expanded_conv-input:]112x112x16-[output:]56x56x24-expand:6-kernel:3-stride:2[-idskip:0]

Once-for-All counts `expand` in channels and adds `-se:0-hs:0`. What has no counterpart
here (squeeze-and-excitation, hard swish) stays in the table under its own name.
Sources do not state their unit, so the caller does.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, fields
from typing import Any, NoReturn

import yaml

from nas_jax.config.checks import reason
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
) -> LatencyTable:
    """The table in a text of one of `DIALECTS`, its times in `unit`.

    Missing keys of `provenance` become null; `origin` names the source in errors.

    Raises:
      ValueError: for a line that is no entry, a key that comes twice, a time that is no
        positive number, a unit that no hardware fits; with the number of the line.
    """
    scale = UNITS_MS[unit]
    entries: dict[str, Entry] = {}
    fixed_ms = 0.0
    for line, name, row in DIALECTS[dialect](text, unit, origin):
        where = f"{origin}, line {line}"
        entry = _entry(row, scale, where)
        if dialect == "csv" and name == FIXED:
            fixed_ms = entry.mean_ms
            continue
        key = _key(name, dialect, where)
        if key in entries:
            raise ValueError(
                f"{where}: expected every part once, got {key!r} a second time; "
                "remove one of the two"
            )
        entries[key] = entry
    if not entries:
        raise ValueError(f"{origin}: expected entries, got none; see --from")
    facts: dict[str, Any] = dict.fromkeys(PROVENANCE)
    facts |= {**provenance, "method": "imported"}
    tables.require_plausible(entries, facts, origin)
    return LatencyTable(entries, facts, fixed_ms)


def _key(name: str, dialect: str, where: str) -> str:
    if (part := reference_part(name)) is not None:
        name = part.key
    elif dialect == "ofa":
        return name
    try:
        return keys.parse(name).key
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def is_foreign(key: str) -> bool:
    """Whether an entry has the name of its source, so that no network here uses it."""
    try:
        keys.parse(key)
    except ValueError:
        return True
    return False


def _entry(row: Mapping[str, str], scale: float, where: str) -> Entry:
    numbers = {name: _number(value, name, where) for name, value in row.items()}
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
    """A finite number, above 0 for a mean; None for an empty field."""
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    least = {"mean": SHORTEST, "count": 1}.get(name, 0)
    if not least <= value <= (LONGEST**2 if name == "var" else LONGEST):
        raise ValueError(
            f"{where}: expected {name} to be a number above 0, got "
            f"{text.strip()!r:.60} (at most {LONGEST:g}); correct the line"
        )
    return value


def _yaml(names: tuple[str, ...]) -> Callable[[str, str, str], Rows]:
    """A mapping of keys to mappings of fields to numbers, as YAML."""

    def rows(text: str, unit: str, origin: str) -> Rows:
        def refuse(line: int, got: str) -> NoReturn:
            raise ValueError(
                f"{origin}, line {line + 1}: expected 'key:' or one each of "
                f"{', '.join(names)} with a number, got {got!r:.60}; see --from"
            )

        def pairs(node: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
            if not isinstance(node, yaml.MappingNode):
                refuse(node.start_mark.line, str(getattr(node, "value", "")))
            for name, value in node.value:
                if not isinstance(name, yaml.ScalarNode):
                    refuse(name.start_mark.line, "another key")
                yield name, value

        try:
            # in Python: what is nested deeply overflows the stack of the parser in C
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            refuse(mark.line if mark else 0, getattr(error, "problem", reason(error)))
        for key, value in pairs(root) if root else ():
            row: dict[str, str] = {}
            for name, number in pairs(value):
                is_new = name.value in names and name.value not in row
                if not (is_new and isinstance(number, yaml.ScalarNode)):
                    refuse(name.start_mark.line, name.value)
                row[name.value] = number.value
            yield key.start_mark.line + 1, key.value, row

    return rows


_COLUMNS = ("mean", "std", "median", "q25", "q75", "count")


def _csv(text: str, unit: str, origin: str) -> Rows:
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    ]
    columns = ["mean"]
    for number, line in lines:
        try:  # one by one: no field continues in the next line
            (row,) = csv.reader([line], strict=True)
        except (csv.Error, ValueError) as error:
            raise ValueError(
                f"{origin}, line {number}: expected fields with commas between, got "
                f"{line!r:.60} ({error})"
            ) from error
        if row[0] == "key":
            columns = [_column(name, unit, origin) for name in row[1:]]
            continue
        if len(row) != 1 + len(columns):
            raise ValueError(
                f"{origin}, line {number}: expected key,{','.join(columns)}, got "
                f"{','.join(row)!r:.60}"
            )
        yield number, row[0], dict(zip(columns, row[1:], strict=True))


def _column(name: str, unit: str, origin: str) -> str:
    stem, _, stated = name.partition("_")
    if stem not in _COLUMNS or (stated and (stem == "count" or stated not in UNITS_MS)):
        raise ValueError(
            f"{origin}: expected columns key, {', '.join(_COLUMNS)} (times with _ms, "
            f"_us or _s behind), got {name!r}"
        )
    if stated and stated != unit:
        raise ValueError(
            f"{origin}: expected column {name!r} in {unit} as --unit says, got {stated}"
        )
    return stem


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


DIALECTS: dict[str, Callable[[str, str, str], Rows]] = {
    "reference": _yaml(("count", "mean", "var")),
    "ofa": _yaml(("count", "mean", "std")),
    "csv": _csv,
}
