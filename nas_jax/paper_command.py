"""The verb `paper`: a table of the paper beside what was computed or measured here."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas_jax import files, process
from nas_jax.config import LatencyConfig

MEASURED = "cross-hardware"
"""The one table that is measured when it is printed."""
TABLES = (
    *("cifar10", "imagenet-mobile", "imagenet-gpu", MEASURED, "ablation", "trade-off"),
    *("cost", "latency-model"),
)
FORMATS = ("text", "markdown", "csv", "latex")
_CPU_RUNTIMES = ("onnxruntime", "litert")
_INPUT_SIZE, _REPEATS = 224, 20


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb is told."""
    add = parser.add_argument
    add("table", metavar="TABLE", choices=TABLES, help=", ".join(TABLES))
    add("--format", choices=FORMATS, default="text", help=", ".join(FORMATS))
    add("--json", type=Path, metavar="FILE", help="write the numbers")
    about = f"{MEASURED}: "
    add("--recorded", action="store_true", help=f"{about}print the stored runs")
    add("--input-size", type=int, help=f"{about}side of the images ({_INPUT_SIZE})")
    add("--repeats", type=int, help=f"{about}rounds ({_REPEATS})")
    add("--runtime", choices=_CPU_RUNTIMES, help=f"{about}of the CPU")
    add("--converter", metavar="PYTHON", help=f"{about}as for measure")


def run(options: argparse.Namespace, rest: list[str], words: Sequence[str]) -> int:
    """Prints the table; raises `ValueError` for flags that do not fit it."""
    files.require_new("--json", options.json)
    _require_fitting(options)
    process.prepare()
    from nas_jax import terminal
    from nas_jax.paper import formats, tables

    if options.table == MEASURED:
        found, record = _cross_hardware(options)
    else:
        found = [tables.TABLES[options.table]()]
        record = found[0]._asdict()
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    for table in found:
        if options.format == "text":
            print(table.title)
            print(terminal.aligned([table.header, *table.rows]))
            print("\n".join(table.notes))
        else:
            print(formats.FORMATS[options.format](table))
    return 0


def _require_fitting(options: argparse.Namespace) -> None:
    measuring = ("input_size", "repeats", "runtime", "converter")
    given = [name for name in measuring if getattr(options, name) is not None]
    if options.table != MEASURED:
        given += ["recorded"] if options.recorded else []
        where = f"{MEASURED} alone; {options.table} measures nothing"
    elif options.recorded:
        where = "a measurement; --recorded prints stored ones"
    else:
        return
    if given:
        flag = given[0].replace("_", "-")
        raise ValueError(f"--{flag}: expected only with {where}; leave it out")


def _cross_hardware(options: argparse.Namespace) -> tuple[list[Any], dict[str, Any]]:
    """The tables, one per stored measurement, and what is written of them."""
    from nas_jax import provenance
    from nas_jax.paper import cross_hardware, records

    if options.recorded:
        stored = records.cross_hardware()
        tables = [cross_hardware.table_of(one["here"], one["commit"]) for one in stored]
        return tables, {"records": stored}
    found = _measure(options)
    record = {
        "paper_ms": cross_hardware.PAPER_MS,
        "here": found,
        **provenance.record(),
    }
    return [cross_hardware.table_of(found, None)], record


def _measure(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """On this CPU and, where JAX has one, the GPU."""
    import jax

    from nas_jax import terminal
    from nas_jax.measure import runtimes
    from nas_jax.paper import cross_hardware

    watch = terminal.Terminal()
    input_size = options.input_size or _INPUT_SIZE
    kinds = {"cpu": options.runtime or "onnxruntime"}
    if jax.default_backend() == "gpu":
        kinds["gpu"] = "xla"
    found: dict[str, dict[str, Any]] = {}
    for kind, runtime in kinds.items():
        config = LatencyConfig(
            batch=cross_hardware.BATCH[kind], repeats=options.repeats or _REPEATS
        )
        converter = options.converter if kind == "cpu" else None
        device = runtimes.open_device(runtime, config, converter)
        watch.phase(f"{kind}: {device.name}, {runtime}, batch {config.batch}")
        found[kind] = {
            "device": device.name,
            "runtime": f"{device.runtime} {device.version}",
            "batch": config.batch,
            "threads": config.threads,
            "input_size": input_size,
            "ms": cross_hardware.measure(device, config, input_size, watch.steps),
        }
    return found
