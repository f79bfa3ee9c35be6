"""Figures of recorded runs, from the files of the package."""

import json
from typing import Any

import numpy as np

from nas_jax.config import shipped

Rows = list[tuple[str, ...]]


def every(pattern: str) -> list[dict[str, Any]]:
    """The records whose file names match, by name."""
    files = sorted(shipped.folder("records").glob(pattern))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def newest(pattern: str) -> dict[str, Any] | None:
    """The record whose file name matches, the last by name; None if there is none."""
    records = every(pattern)
    return records[-1] if records else None


def trade_off() -> tuple[Rows, str]:
    """Networks of recorded curves with mean ms and accuracy, and where from."""
    runs = every("trade-off-*.json")
    command = (
        "nas_jax search digits_cpu --targets 0.3,0.45,0.6,0.75,0.9 --search.trials 1 "
        "--seed K"
    )
    if not runs:
        return [], f"not yet run: {command}"
    rows: Rows = []
    for name in runs[0]["networks"]:
        networks = [run["networks"][name] for run in runs]
        ms = np.mean([network["measured_ms"]["median"] for network in networks])
        accuracy = np.mean([network["test_accuracy"] for network in networks])
        rows.append((name, f"{ms:.3f}", f"{accuracy:.2%}"))
    # each kind from the fastest on, the searched ones first
    rows.sort(key=lambda row: (not row[0].startswith("searched"), float(row[1])))
    commits = ", ".join(sorted({run["commit"] for run in runs}))
    return rows, (
        f"here: digits, {runs[0]['device']}, ONNX Runtime, mean of {len(runs)} seeds, "
        f"commit {commits}, {command}"
    )


def memory() -> tuple[str, str, str]:
    """Memory of one path and of all paths, over that of training one network."""
    record = newest("engine-memory-*.json")
    if record is None:
        return "not yet run", "not yet run", "not yet run: python -m benchmarks engine"
    one = record["weight_memory_over_plain_224"]
    every = record["weight_memory_over_plain"] * record["all_paths_memory_over_ours"]
    machine = record["machine"]
    return (
        f"{one:.2f} x",
        f"{every:.2f} x",
        "here: temporary memory of a step over that of training the largest plain "
        "network; one path at 224x224 with batch 32 (ours computes parts again instead "
        "of keeping them), all paths at 96x96 with batch 16; "
        f"{machine['device']}, commit {machine['commit']}, python -m benchmarks engine "
        "--parts memory",
    )


def latency_models() -> tuple[Rows, str]:
    """RMSE of the fitted model on each runtime, and how many networks fitted it."""
    rows: Rows = []
    commits = set()
    for pattern in ("latency-onnxruntime-*.json", "latency-litert-*.json"):
        record = newest(pattern)
        if record is not None:
            quality, about = record["models"]["networks"], record["provenance"]
            device = f"{about['device']}, {about['runtime']}"
            ms = (f"{quality['mean_ms']:.2f}", f"{quality['rmse_ms']:.3f}")
            networks = (f"{about['networks']}", f"{quality['networks']}")
            rows.append(("here", device, *ms, *networks))
            commits.add(record["commit"])
    command = "nas_jax measure imagenet_mobile --held-out 60 --networks"
    if not rows:
        return rows, f"not yet run: {command} 180"
    return rows, f"here: {command} N, commit {', '.join(sorted(commits))}"
