"""What becomes a record: the evidence made here, a finished run, published networks."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ledger
from benchmarks.guidelines import evidence, ladder, tasks
from benchmarks.guidelines.ladder import Rung
from nas_jax.guidelines import records
from nas_jax.guidelines.records import Descriptors, Record
from nas_jax.networks import counts
from nas_jax.spaces import architecture_json, published
from nas_jax.spaces.architecture import Architecture

IMAGENET = Descriptors(
    input_size=224,
    channels=3,
    classes=1000,
    # 1,281,167 training images, 732 to 1,300 a class (Russakovsky et al. 2015)
    images_per_class=1281.17,
    balance=0.5631,
    linear_accuracy=None,
    tiny_accuracy=None,
)
_IMAGENET_TEST = 50_000
_PAPER = "reported by the paper"
PIXEL, V100, XEON = "Pixel 1", "V100", "Xeon E5-2640 v4"
_BATCH = {PIXEL: 1, V100: 8, XEON: 1}
REPORTED: dict[str, tuple[float, str | None, dict[str, float]]] = {
    "mobilenet_v2": (0.720, None, {PIXEL: 75.0, V100: 6.1}),
    "mobilenet_v2_14": (0.747, None, {PIXEL: 143.0}),
    "proxyless_gpu": (0.751, V100, {PIXEL: 124.0, V100: 5.1, XEON: 204.9}),
    "proxyless_cpu": (0.753, XEON, {PIXEL: 116.0, V100: 7.4, XEON: 138.7}),
    "proxyless_mobile": (0.746, PIXEL, {PIXEL: 78.0, V100: 7.2, XEON: 164.1}),
    "proxyless_mobile_14": (0.767, None, {PIXEL: 147.0}),
}
"""Top-1, the device specialised for, milliseconds: ProxylessNAS, tables 2 to 4 and the
authors' page (CPU 75.3 %; the 1.4-fold networks on a Pixel 1)."""


def imagenet() -> list[Record]:
    """The published networks on ImageNet, as their paper reports them."""
    found = []
    for name, (accuracy, device, reported_ms) in REPORTED.items():
        latencies = [
            {
                "device": on,
                "runtime": None,
                "batch": _BATCH[on],
                "ms": ms,
                "source": _PAPER,
            }
            for on, ms in reported_ms.items()
        ]
        target = None
        if device is not None:
            ms = reported_ms[device]
            target = {"cost": "latency", "value": ms, "device": device}
        searched = {
            "method": "ProxylessNAS, by the authors",
            "networks": None,
            "seconds": None,
        }
        fields: dict[str, Any] = {
            "task": {
                "name": "imagenet",
                "family": "imagenet",
                "descriptors": asdict(IMAGENET),
            },
            "network": network(published.get(name)),
            "latencies": latencies,
            "result": {
                "accuracy": accuracy,
                "test_images": _IMAGENET_TEST,
                "trainings": None,
            },
            "target": target,
            "search": searched if name.startswith("proxyless") else None,
            "training": {"steps": None, "seconds": None},
            "origin": {
                "source": _PAPER,
                "seeds": [],
                "versions": {},
                "device": None,
                "commit": None,
            },
        }
        found.append(records.sealed(fields))
    return found


def network(built: Architecture) -> dict[str, Any]:
    """The part `network` of a record."""
    size = counts.describe(built)
    written = json.loads(architecture_json.to_json(built))
    return {"architecture": written, "params": size["params"], "macs": size["macs"]}


def made(file: Path) -> list[Record]:
    """Records of what `evidence.make` wrote: every network, and those chosen.

    Within each budget of parameters the network with the best validation accuracy is
    the one found. Accuracies are means over the trainings that are there. The cost is
    told in steps: seconds on a machine that others use as well would mislead.
    """
    found = ledger.read(file)
    described: dict[str, dict[str, Any]] = {}
    runs: dict[tuple[str, Rung], list[dict[str, Any]]] = {}
    for row in found.rows:
        if "descriptors" in row:
            described[row["task"]] = row
        else:
            rung = Rung(row["width"], tuple(row["path"]))
            runs.setdefault((row["task"], rung), []).append(row)
    by_name = {task.name: task for task in tasks.TASKS}
    origin = {
        "source": "trained here",
        "versions": found.provenance["versions"],
        "device": found.provenance["device"],
        "commit": found.provenance["commit"],
    }
    filed = []
    for name, given in described.items():
        own = {rung: rows for (task, rung), rows in runs.items() if task == name}
        for rung, target, search in _choices(own, given["descriptors"]):
            filed.append(
                _made(by_name[name], given, rung, own[rung], target, search, origin)
            )
    return filed


def _choices(
    own: dict[Rung, list[dict[str, Any]]], given: dict[str, Any]
) -> Iterator[tuple[Rung, Any, Any]]:
    """Every network as it is, then the one found in each budget."""
    for rung in own:
        yield rung, None, None
    sizes = {
        rung: counts.describe(_architecture(rung, given))["params"] for rung in own
    }
    for budget in ladder.BUDGETS:
        tried = [rung for rung, params in sizes.items() if params <= budget]
        if not tried:
            continue
        valid = {rung: np.mean([row["valid"] for row in own[rung]]) for rung in tried}
        search = {
            "method": "all trained from scratch, best by validation",
            "networks": len(tried),
            "seconds": None,
        }
        target = {"cost": "params", "value": budget, "device": None}
        yield max(tried, key=valid.__getitem__), target, search


def _architecture(rung: Rung, given: dict[str, Any]) -> Architecture:
    name = f"w{rung.width}_{''.join(map(str, rung.path))}"
    return ladder.network(
        rung, given["input_size"], given["channels"], given["classes"], name
    )


def _made(
    task: tasks.Task,
    given: dict[str, Any],
    rung: Rung,
    rows: list[dict[str, Any]],
    target: Any,
    search: Any,
    origin: dict[str, Any],
) -> Record:
    descriptors = given["descriptors"]
    return records.sealed(
        {
            "task": {
                "name": task.name,
                "family": task.source,
                "descriptors": descriptors,
            },
            "network": network(_architecture(rung, descriptors)),
            "latencies": [],
            "result": {
                "accuracy": round(float(np.mean([row["test"] for row in rows])), 6),
                "test_images": given["test_images"],
                "trainings": len(rows),
            },
            "target": target,
            "search": search,
            "training": {"steps": evidence.STEPS, "seconds": None},
            "origin": {**origin, "seeds": sorted(row["seed"] for row in rows)},
        }
    )


def collections(file: Path) -> dict[str, list[Record]]:
    """The shipped records by name of file: those made in `file`, and the published."""
    return {"six_sources.json": made(file), "imagenet.json": imagenet()}
