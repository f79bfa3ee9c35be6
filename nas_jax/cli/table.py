"""The verbs `table show`, `import`, `export` and `validate`: a latency table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nas_jax.cli import terminal
from nas_jax.cli.terminal import Answer
from nas_jax.config import files, shipped
from nas_jax.config.naming import few


@dataclass(frozen=True)
class Origin:
    """The origin of an imported table, kept in its provenance."""

    device: str
    """what was measured on"""
    runtime: str
    """what ran the networks"""
    batch: int
    """images in a call"""
    dtype: str
    """of the numbers, as float32"""
    input_size: int
    """side of the network's images"""
    runtime_version: str | None = None
    """if the source says so, as all below"""
    threads: int | None = None
    date: str | None = None
    repeats: int | None = None
    warm_up_calls: int | None = None
    clock: str | None = None
    origin: str | None = None
    """where the source is from"""
    licence: str | None = None
    """under which it may be used"""


def show(file: str) -> Answer:
    """A table's provenance and entries.

    Args:
      file: a table, JSON
    """
    from nas_jax.latency import tables

    table = tables.load(file)
    lines = [
        f"{name}: {'not stated' if value is None else value}"
        for name, value in table.provenance.items()
    ]
    lines.append(f"fixed_ms: {table.fixed_ms:.6g}")
    lines.append(tables.reference_line(table))
    lines.append(tables.validation_line(table.validation))
    header = ("part", "mean ms", "sd", "median", "q25", "q75", "count")
    rows: list[tuple[str, ...]] = [header]
    for key, entry in table.entries.items():
        times = (entry.mean_ms, entry.std_ms, entry.median_ms, entry.q25_ms)
        cells = ["-" if ms is None else f"{ms:.4f}" for ms in (*times, entry.q75_ms)]
        rows.append((key, *cells, "-" if entry.count is None else str(entry.count)))
    answer = {
        "provenance": dict(table.provenance),
        "fixed_ms": table.fixed_ms,
        "reference": None if table.reference is None else vars(table.reference),
        "validation": table.validation,
        "entries": {key: vars(entry) for key, entry in table.entries.items()},
    }
    return Answer(answer, "\n".join([*lines, terminal.aligned(rows)]))


def import_(
    file: str,
    *,
    from_: Literal["reference", "ofa", "csv"],
    unit: Literal["s", "ms", "us"],
    out: Path,
    origin: Origin,
) -> Answer:
    """A table of another project, or a CSV file, as one of ours.

    Args:
      file: the source
      from_: whose format it has
      unit: of the source's times
      out: table to write, JSON
    """
    from nas_jax.latency import dialects, tables

    files.require_new("--out", out)
    provenance = dict.fromkeys(tables.PROVENANCE) | {
        name: value
        for name, value in vars(origin).items()
        if name in tables.PROVENANCE or value is not None
    }
    text = files.read_text(file)
    table, notes = dialects.read(text, from_, unit, provenance, file)
    tables.save(table, out)
    foreign = [key for key in table.entries if dialects.is_foreign(key)]
    lines = [f"{len(table.entries)} entries: {out}", *notes]
    if foreign:
        lines.append(
            f"{len(foreign)} of them have no counterpart here, keep their own names "
            f"and are never used: {few(foreign)}"
        )
    answer = {"file": str(out), "entries": len(table.entries), "foreign": foreign}
    answer |= {"notes": notes}
    return Answer(answer, "\n".join(lines))


def export(file: str, *, out: Path) -> Answer:
    """A table as CSV.

    Args:
      file: a table, JSON
      out: file to write, CSV
    """
    from nas_jax.latency import dialects, tables

    table = tables.load(file)
    files.require_new("--out", out)
    out.write_text(dialects.write_csv(table), encoding="utf-8")
    count = len(table.entries)
    return Answer({"file": str(out), "rows": count}, f"{count} rows: {out}")


def validate(file: str, experiment: str | None = None) -> Answer:
    """Whether a table is complete, and prices every network of an experiment.

    Args:
      file: a table, JSON
      experiment: whose space it has to price
    """
    from nas_jax.latency import tables
    from nas_jax.spaces import elastic

    table = tables.load(file)
    tables.require_plausible(table.entries, table.provenance, file)
    count, validation = len(table.entries), table.validation
    lines = [f"{count} entries, complete", tables.validation_line(validation)]
    if experiment is not None:
        searched = elastic.whole(shipped.load_experiment(experiment).space)
        tables.shape_costs(table, searched, file)
        lines.insert(0, f"prices every network of {experiment}")
    answer = {"entries": count, "validation": validation, "prices": experiment}
    return Answer(answer, "\n".join(lines))


VERBS = {"show": show, "import": import_, "export": export, "validate": validate}
