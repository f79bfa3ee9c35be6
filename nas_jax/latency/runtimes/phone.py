"""Latency on a phone: a folder of models and commands, and the table of their outputs.

`prepare` writes a folder with one `.tflite` model per part, `parts.json`, and
`measure.sh`, which runs LiteRT's `benchmark_model` on a phone at adb, round by round
over all models, one output file each, and skips those that exist. `read` makes the
table of them.
"""

import json
import os
import random
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax.config import files
from nas_jax.config.checks import LARGEST
from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency import tables
from nas_jax.latency.measurement import operations
from nas_jax.latency.measurement.timing import CALL, Device
from nas_jax.latency.runtimes.litert import Models
from nas_jax.spaces import keys
from nas_jax.spaces.parts import Part

PUSHED = "/data/local/tmp/nas_jax"
BINARY = "/data/local/tmp/benchmark_model"
RUNS = 50
WARM_UPS = 5
_CALL = "call"

_NUMBER = r"([0-9]+\.?[0-9]*(?:e[+-]?[0-9]+)?)"
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}(?![0-9.e])"
)


def average_ms(output: str, origin: str) -> float:
    """Mean inference time of one output of `benchmark_model`.

    The line read is, in microseconds, `Inference timings in us: Init: 5579, First
    inference: 18535, Warmup (avg): 1.4e+04, Inference (avg): 14575.2`.

    Raises `ValueError` if there is none or the time is 0, naming `origin`.
    """
    found = _SUMMARY.search(output)
    if not found or not 0 < float(found[4]) < 1e12:
        last = [line.strip() for line in output.splitlines() if line.strip()][-1:]
        raise ValueError(
            f"{origin}: expected the timings of benchmark_model, got "
            f"{last[0][:80] if last else 'nothing'}; remove the file and run "
            "measure.sh again"
        )
    return 1e-3 * float(found[4])


def prepare(
    folder: Path,
    parts: Sequence[Part],
    input_size: int,
    config: LatencyConfig,
    models: Models,
) -> None:
    """Writes models and commands into a new folder, complete or not at all."""
    building = folder.with_name(folder.name + ".part")
    (building / "models").mkdir(parents=True, exist_ok=True)
    (building / "results").mkdir(exist_ok=True)
    names = {f"{index:03}": part.key for index, part in enumerate(parts)}
    for name, part in zip(names, parts, strict=True):
        (building / "models" / f"{name}.tflite").write_bytes(models.part(part))
    (building / "models" / f"{_CALL}.tflite").write_bytes(models.call())
    facts = {
        "parts": names,
        "input_size": input_size,
        "threads": config.threads,
        "batch": config.batch,
        "repeats": config.repeats,
    }
    (building / "parts.json").write_text(json.dumps(facts, indent=1) + "\n")
    script = building / "measure.sh"
    script.write_text(_script([*names, _CALL], config))
    script.chmod(0o755)
    os.replace(building, folder)


def _script(names: Sequence[str], config: LatencyConfig) -> str:
    lines = [
        "#!/bin/sh",
        "# Measures on the phone at adb. benchmark_model is LiteRT's, from the site of",
        f"# its releases; push it first: adb push benchmark_model {BINARY}",
        "# Stopped half-way, run it again: it skips what exists.",
        "set -e",
        'cd "$(dirname "$0")"',
        f"adb shell mkdir -p {PUSHED}",
        f"adb push models/. {PUSHED}/",
        "adb shell getprop ro.product.model > results/device.txt",
        "one() {",
        '  [ -s "results/$1.$2.txt" ] && return',
        f"  adb shell {BINARY} --graph={PUSHED}/$1.tflite --use_xnnpack=true \\",
        f"    --num_threads={config.threads} --num_runs={RUNS} "
        f"--warmup_runs={WARM_UPS} \\",
        '    < /dev/null > "results/$1.$2.part" 2>&1',
        '  mv "results/$1.$2.part" "results/$1.$2.txt"',
        "}",
    ]
    order, shuffle = list(names), random.Random(0).shuffle
    for index in range(config.repeats):
        shuffle(order)
        lines.append(f"for model in {shlex.join(order)}; do one $model {index}; done")
    return "\n".join(lines) + "\n"


def read(folder: Path) -> tables.LatencyTable:
    """The table of a folder that `prepare` wrote and `measure.sh` filled.

    Raises `ValueError` for outputs that are missing, or say no times.
    """
    facts = _facts(folder / "parts.json")
    repeats, results = facts["repeats"], folder / "results"
    outputs = [results / "device.txt"]
    outputs += [
        results / f"{name}.{index}.txt"
        for name in (*facts["parts"], _CALL)
        for index in range(repeats)
    ]
    if lacking := [path for path in outputs if not path.is_file()]:
        raise ValueError(
            f"{folder}: expected {len(outputs)} outputs of the phone, {len(lacking)} "
            f"are missing, for example {lacking[0].name}; run {folder / 'measure.sh'}, "
            "which continues where it stopped, then this command again"
        )

    def rounds(name: str) -> np.ndarray:
        paths = [results / f"{name}.{index}.txt" for index in range(repeats)]
        return np.array([average_ms(files.read_text(p), str(p)) for p in paths])

    config = LatencyConfig(
        threads=facts["threads"], batch=facts["batch"], repeats=repeats
    )
    device = _device(files.read_text(results / "device.txt").strip(), config)
    times = {key: rounds(name) for name, key in facts["parts"].items()}
    call = times[device.copy_name(CALL)] = rounds(_CALL)
    entries = {
        key: operations.entry(device, keys.parse(key), times)
        for key in facts["parts"].values()
    }
    origin = operations.origin_of(device, facts["input_size"])
    origin |= {"warm_up_calls": WARM_UPS, "runs_per_round": RUNS}
    del origin["loop_ms"]
    return tables.LatencyTable(entries, origin, float(call.min()))


def _facts(file: Path) -> dict[str, Any]:
    """The content of parts.json, where names of parts are names of files."""
    found = files.read_object(file)
    parts = found.get("parts")
    names = ("input_size", "threads", "batch", "repeats")
    counts = [found.get(name) for name in names]
    if (
        not isinstance(parts, dict)
        or not all(re.fullmatch(r"[0-9]{3,6}", name) for name in parts)
        or not all(isinstance(key, str) for key in parts.values())
        or not all(type(count) is int and 1 <= count <= LARGEST for count in counts)
        or found["repeats"] > 10_000
    ):
        raise ValueError(
            f"{file}: expected parts by number, input_size, threads, batch, repeats as "
            f"'nas_jax measure --runtime phone' wrote them, got {found!r:.200}"
        )
    return found


def _device(name: str, config: LatencyConfig) -> Device:
    def never(*_: Any) -> Any:
        raise NotImplementedError("a phone is timed by measure.sh")

    return Device(
        name=name,
        runtime="phone",
        version="benchmark_model",
        config=config,
        part=never,
        network=never,
        copy=never,
        copies=False,
        clock="benchmark_model, Inference (avg)",
    )
