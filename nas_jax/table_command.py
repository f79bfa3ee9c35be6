"""The verb `table`: show, import, export, validate a latency table."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from nas_jax import files, shipped
from nas_jax.table_schema import PROVENANCE, STATED

_ORIGIN = ("origin", "licence")
"""What a source may say besides the fields that every table has."""
_NOT_ASKED = ("method", "commit")


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb is told."""
    actions = ", ".join(_ACTIONS)
    parser.add_argument("action", metavar="ACTION", choices=_ACTIONS, help=actions)
    parser.add_argument("file", metavar="FILE", help="a table; for import its source")
    parser.add_argument(
        "experiment",
        metavar="EXPERIMENT",
        nargs="?",
        help="validate: whose space the table has to price",
    )
    parser.add_argument("--out", type=Path, help="import, export: the file to write")
    source = parser.add_argument_group("import")
    source.add_argument("--from", dest="dialect", help="reference, ofa or csv")
    source.add_argument("--unit", help="of the source's times: s, ms or us")
    for name, kind in PROVENANCE.items():
        if name not in _NOT_ASKED:
            needed = "needed" if name in STATED else "if the source says so"
            source.add_argument(_flag(name), type=kind, help=needed)
    for name in _ORIGIN:
        source.add_argument(_flag(name), help="kept in the provenance")


def run(options: argparse.Namespace, rest: list[str], words: Sequence[str]) -> int:
    """Raises `ValueError` for a wrong flag, file or table."""
    _ACTIONS[options.action](options)
    return 0


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _needed(options: argparse.Namespace, *names: str) -> None:
    for name in names:
        if getattr(options, name) is None:
            flag = "--from" if name == "dialect" else _flag(name)
            raise ValueError(
                f"table {options.action}: expected {flag}, got none; see nas_jax table "
                "--help"
            )


def _show(options: argparse.Namespace) -> None:
    from nas_jax import tables, terminal

    table = tables.load(options.file)
    for name, value in table.provenance.items():
        print(f"{name}: {'not stated' if value is None else value}")
    print(f"fixed_ms: {table.fixed_ms:.6g}")
    print(tables.validation_line(table.validation))
    header = ("part", "mean ms", "sd", "median", "q25", "q75", "count")
    rows: list[tuple[str, ...]] = [header]
    for key, entry in table.entries.items():
        times = (entry.mean_ms, entry.std_ms, entry.median_ms, entry.q25_ms)
        cells = [_ms(time) for time in (*times, entry.q75_ms)]
        rows.append((key, *cells, "-" if entry.count is None else str(entry.count)))
    print(terminal.aligned(rows))


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _import(options: argparse.Namespace) -> None:
    from nas_jax import table_import, tables

    _needed(options, "dialect", "unit", "out")
    _needed(options, *(name for name in STATED if name not in _NOT_ASKED))
    for flag, value, known in (
        ("--from", options.dialect, table_import.DIALECTS),
        ("--unit", options.unit, table_import.UNITS_MS),
    ):
        if value not in known:
            raise ValueError(f"{flag}: expected one of {', '.join(known)}, got {value}")
    files.require_new("--out", options.out)
    provenance = {name: getattr(options, name, None) for name in PROVENANCE}
    given = {name: getattr(options, name) for name in _ORIGIN}
    provenance |= {name: value for name, value in given.items() if value is not None}
    text = files.read_text(options.file)
    table = table_import.read(
        text, options.dialect, options.unit, provenance, options.file
    )
    tables.save(table, options.out)
    foreign = [key for key in table.entries if table_import.is_foreign(key)]
    print(f"{len(table.entries)} entries: {options.out}")
    if foreign:
        print(
            f"{len(foreign)} of them have no counterpart here and keep their own "
            f"names, for example {foreign[0]}"
        )


def _export(options: argparse.Namespace) -> None:
    from nas_jax import table_csv, tables

    _needed(options, "out")
    table = tables.load(options.file)
    files.require_new("--out", options.out)
    options.out.write_text(table_csv.write(table), encoding="utf-8")
    print(f"{len(table.entries)} rows: {options.out}")


def _validate(options: argparse.Namespace) -> None:
    from nas_jax import space, table_units, tables

    table = tables.load(options.file)
    table_units.check(table.entries, table.provenance, options.file)
    if options.experiment is not None:
        searched = space.build(shipped.load_experiment(options.experiment).space)
        tables.costs(table, searched, options.file)
        print(f"prices every network of {options.experiment}")
    print(f"{len(table.entries)} entries, complete")
    print(tables.validation_line(table.validation))


_ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "show": _show,
    "import": _import,
    "export": _export,
    "validate": _validate,
}
