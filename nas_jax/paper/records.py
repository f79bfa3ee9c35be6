"""What recorded runs say, from the files that come with the package."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax.config import shipped

Rows = list[tuple[str, ...]]


def newest(pattern: str) -> dict[str, Any] | None:
    """The record whose file name matches, the last by name; None if there is none."""
    found = sorted(shipped.folder("records").glob(pattern))
    return _read(found[-1]) if found else None


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def trade_off() -> tuple[Rows, str]:
    """Networks of recorded curves with mean ms and accuracy, and where from."""
    files = sorted(shipped.folder("records").glob("trade-off-*.json"))
    command = (
        "nas_jax search digits_cpu --targets 0.3,0.45,0.6,0.75,0.9 --search.trials 1 "
        "--seed K"
    )
    if not files:
        return [], f"not yet run: {command}"
    runs = [_read(file) for file in files]
    rows: Rows = []
    for name in runs[0]["networks"]:
        found = [run["networks"][name] for run in runs]
        ms = np.mean([one["measured_ms"]["median"] for one in found])
        accuracy = np.mean([one["test_accuracy"] for one in found])
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
            found, about = record["models"]["networks"], record["provenance"]
            rows.append(
                (
                    "here",
                    f"{about['device']}, {about['runtime']}",
                    f"{found['mean_ms']:.2f}",
                    f"{found['rmse_ms']:.3f}",
                    f"{about['networks']}",
                    f"{found['networks']}",
                )
            )
            commits.add(record["commit"])
    command = "nas_jax measure imagenet_mobile --held-out 60 --networks"
    if not rows:
        return rows, f"not yet run: {command} 180"
    return rows, f"here: {command} N, commit {', '.join(sorted(commits))}"


def cross_hardware() -> list[dict[str, Any]]:
    """The recorded measurements of `cross_hardware`, one per runtime."""
    files = sorted(shipped.folder("records").glob("cross-hardware-*.json"))
    return [_read(file) for file in files]
