"""The verb `paper`: a table of the paper beside what was computed or measured here."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nas_jax.cli import terminal
from nas_jax.cli.terminal import Answer
from nas_jax.config.experiment import LatencyConfig
from nas_jax.training import host

MEASURED = "cross-hardware"
"""The one table that is measured when it is printed."""
Name = Literal[
    "cifar10",
    "imagenet-mobile",
    "imagenet-gpu",
    "cross-hardware",
    "ablation",
    "trade-off",
    "cost",
    "latency-model",
]


@dataclass(frozen=True)
class Measurement:
    """How cross-hardware is measured."""

    input_size: int | None = None
    """side of the images (default: 224)"""
    repeats: int | None = None
    """rounds (default: 20)"""
    runtime: Literal["onnxruntime", "litert"] | None = None
    """of the CPU (default: onnxruntime)"""
    converter: str | None = None
    """as for measure"""


UNSAID = Measurement()

_WIDTH = 100
_INDENT = 17
"""Columns of a line, and of the names and labels."""


def paper(
    table: Name | None = None,
    measurement: Measurement = UNSAID,
    *,
    format: Literal["text", "markdown", "csv", "latex"] = "text",
    recorded: bool = False,
    run: tuple[Path, ...] = (),
) -> Answer:
    """A table of the paper beside ours; without a name, what is here and missing.

    Args:
      table: cifar10, imagenet-mobile, imagenet-gpu, cross-hardware, ablation,
        trade-off, cost or latency-model
      format: how it is printed
      recorded: of cross-hardware the stored runs; measure nothing
      run: your own runs, whose networks become rows; of the same data as the table,
        but for trade-off, which takes any
    """
    given = [name for name, value in vars(measurement).items() if value is not None]
    where = "a measurement; --recorded prints stored ones"
    if table != MEASURED:
        given += ["recorded"] if recorded else []
        where = f"{MEASURED} alone; {table} measures nothing"
    if given and (recorded or table != MEASURED):
        flag = given[0].replace("_", "-")
        raise ValueError(f"--{flag}: expected only with {where}; leave it out")
    if run and table in (None, MEASURED):
        raise ValueError(
            "--run: expected with a table whose rows are networks; name it"
        )
    from nas_jax.paper import cross_hardware, formats, own_runs, records, tables

    if table is None:
        return _contents()
    host.prepare()
    if table != MEASURED:
        one = tables.TABLES[table]()
        for folder in run:
            one = own_runs.with_run(table, one, folder)
        shown, record = [one], one._asdict()
    elif recorded:
        runs = records.every("cross-hardware-*.json")
        shown = [cross_hardware.table_of(run["here"], run["commit"]) for run in runs]
        record = {"records": runs}
    else:
        shown, record = _measured(measurement)
    lines = []
    for one in shown:
        if format == "text":
            rows = terminal.aligned([one.header, *one.rows])
            lines += [one.title, rows, *one.notes]
        else:
            lines.append(formats.FORMATS[format](one))
    return Answer(record, "\n".join(lines))


def _contents() -> Answer:
    """A block for each table and figure; counts of ours stand in brackets."""
    from nas_jax.paper.contents import NUMBERS, contents

    items = contents()
    lines = ["nas_jax paper NAME shows a table; in brackets: how many numbers."]
    for item in items:
        lines += ["", f"{item.name or '-':{_INDENT}}{item.paper}: {item.title}"]
        for part in ("here", "missing", "takes"):
            text = getattr(item, part)
            wrapped = textwrap.wrap(text, _WIDTH - _INDENT)
            labels = [f"  {part}", *[""] * len(wrapped)]
            lines += [
                f"{label:{_INDENT}}{line}"
                for label, line in zip(labels, wrapped, strict=False)
            ]
    lines += ["", *textwrap.wrap(NUMBERS, _WIDTH)]
    return Answer({"contents": [item._asdict() for item in items]}, "\n".join(lines))


def _measured(given: Measurement) -> tuple[list[Any], dict[str, Any]]:
    """The table and record of this CPU and, where JAX has one, the GPU."""
    import jax

    from nas_jax.config import provenance
    from nas_jax.latency import runtimes
    from nas_jax.paper import cross_hardware

    watch = terminal.Terminal()
    size = given.input_size or 224
    kinds = {"cpu": str(given.runtime or "onnxruntime")}
    if jax.default_backend() == "gpu":
        kinds["gpu"] = "xla"
    here: dict[str, dict[str, Any]] = {}
    for kind, runtime in kinds.items():
        batch = cross_hardware.BATCH[kind]
        config = LatencyConfig(batch=batch, repeats=given.repeats or 20)
        converter = given.converter if kind == "cpu" else None
        device = runtimes.open_device(runtime, config, converter)
        watch.phase(f"{kind}: {device.name}, {runtime}, batch {config.batch}")
        here[kind] = {
            "device": device.name,
            "runtime": f"{device.runtime} {device.version}",
            "batch": config.batch,
            "threads": config.threads,
            "input_size": size,
            "ms": cross_hardware.measure(device, size, watch.steps),
        }
    record = {"paper_ms": cross_hardware.PAPER_MS, "here": here}
    return [cross_hardware.table_of(here, None)], record | provenance.record()
