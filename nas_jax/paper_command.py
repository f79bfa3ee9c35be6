"""The verb `paper`: a table of the paper beside what is measured here."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas_jax import new_file, process
from nas_jax.config import LatencyConfig

TABLES = ("cross-hardware",)
_CPU_RUNTIMES = ("onnxruntime", "litert")
_HOW_TO_READ = (
    "paper: V100 batch 8, two Xeon E5-2640 v4 batch 1, Pixel 1 batch 1, as published; "
    "here: the devices below. Ratios are to mobilenet_v2."
)


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb is told."""
    parser.add_argument(
        "table", metavar="TABLE", choices=TABLES, help=", ".join(TABLES)
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument(
        "--input-size", type=int, default=224, help="side of the images"
    )
    parser.add_argument("--repeats", type=int, default=20, help="rounds")
    parser.add_argument("--runtime", choices=_CPU_RUNTIMES, help="of the CPU")
    parser.add_argument("--converter", metavar="PYTHON", help="as for measure")


def run(options: argparse.Namespace, rest: list[str], words: Sequence[str]) -> int:
    """Measures on this CPU and, where JAX has one, the GPU; prints the table.

    Raises `ValueError` for flags that do not fit.
    """
    new_file.require("--json", options.json)
    process.prepare()
    import jax

    from nas_jax import cross_hardware, provenance, terminal
    from nas_jax.measure import runtimes

    watch = terminal.Terminal()
    kinds = {"cpu": options.runtime or "onnxruntime"}
    if jax.default_backend() == "gpu":
        kinds["gpu"] = "xla"
    found: dict[str, dict[str, Any]] = {}
    for kind, runtime in kinds.items():
        config = LatencyConfig(
            batch=cross_hardware.BATCH[kind], repeats=options.repeats
        )
        converter = options.converter if kind == "cpu" else None
        device = runtimes.open_device(runtime, config, converter)
        watch.phase(f"{kind}: {device.name}, {runtime}, batch {config.batch}")
        found[kind] = {
            "device": device.name,
            "runtime": f"{device.runtime} {device.version}",
            "batch": config.batch,
            "threads": config.threads,
            "input_size": options.input_size,
            "ms": cross_hardware.measure(
                device, config, options.input_size, watch.steps
            ),
        }
    if options.json is not None:
        record = {
            "paper_ms": cross_hardware.PAPER_MS,
            "here": found,
            **provenance.record(),
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    print(terminal.aligned(cross_hardware.table_of(found)))
    print(_HOW_TO_READ)
    for kind, one in found.items():
        print(
            f"{kind} here: {one['device']}, {one['runtime']}, batch {one['batch']}, "
            f"{one['threads']} thread(s), images of {one['input_size']}"
        )
    for kind in sorted({"cpu", "gpu", "mobile"} - found.keys()):
        print(f"{kind} here: not yet run")
    return 0
