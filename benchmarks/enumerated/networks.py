"""The truth: accuracy, latency and multiply-adds of every network of a task's space.

`networks-TASK.jsonl` holds what `python -m benchmarks enumeration --task TASK` wrote.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from benchmarks import ledger
from benchmarks.enumerated import task
from benchmarks.estimator_gradients import all_paths
from nas_jax.config.experiment import TrainConfig
from nas_jax.config.space import SpaceConfig
from nas_jax.search import cost


class Networks(NamedTuple):
    """All N networks in the order of `all_paths`, trained with S seeds each."""

    paths: Int[np.ndarray, "N L"]
    valid: Float[np.ndarray, "N S"]
    test: Float[np.ndarray, "N S"]
    latency_ms: Float[np.ndarray, "N"]
    target_ms: float

    @property
    def truth(self) -> Float[np.ndarray, "N"]:
        """Mean test accuracy over the seeds."""
        return self.test.mean(axis=1)

    @property
    def allowed(self) -> Bool[np.ndarray, "N"]:
        """Which networks do not exceed the target."""
        return self.latency_ms <= self.target_ms


def stored(asked: task.Task) -> Path:
    """The file that ships."""
    return Path(__file__).with_name(f"networks-{asked.name}.jsonl")


def settings(asked: task.Task, seeds: tuple[int, ...]) -> dict[str, Any]:
    """What the accuracies depend on, ready for JSON."""
    return {
        "space": dataclasses.asdict(asked.space),
        **asked.origin,
        "images": asked.images,
        "train": dataclasses.asdict(asked.train),
        "evaluation_batch": task.EVALUATION_BATCH,
        "seeds": list(seeds),
    }


def completed(found: dict[str, Any]) -> dict[str, Any]:
    """Settings with the fields that spaces and recipes have only since, at defaults."""
    defaults = {
        name: {
            field.name: default
            for field in dataclasses.fields(now)
            if (default := _default(field)) is not dataclasses.MISSING
        }
        for name, now in (("space", SpaceConfig), ("train", TrainConfig))
    }
    return found | {
        name: ledger.as_json(known) | found.get(name, {})
        for name, known in defaults.items()
    }


def _default(field: Any) -> Any:
    """That of a field; `MISSING` for none. One that is a record itself, as a dict."""
    if field.default_factory is dataclasses.MISSING:
        return field.default
    return dataclasses.asdict(field.default_factory())


def rows(given: task.Given) -> list[dict[str, Any]]:
    """Path, multiply-adds and latency by table of every network, in order."""
    paths = all_paths(given.space)
    macs = task.path_macs(given.space, paths)
    latency_ms = cost.of_paths(given.model, paths)
    return [
        {"path": path.tolist(), "macs": int(count), "latency_ms": round(float(ms), 6)}
        for path, count, ms in zip(paths, macs, latency_ms, strict=True)
    ]


def load(given: task.Given, file: Path | None = None) -> Networks:
    """The table that ships, or another; its latencies have to be those of the task's
    cost model.

    Raises:
      ValueError: if the table is of other settings, lacks a network or has other costs.
    """
    asked = given.task
    file = file or stored(asked)
    anew = f"`python -m benchmarks enumeration --task {asked.name}`"
    found = ledger.read(file)
    expected = ledger.as_json(settings(asked, found.settings.get("seeds", ())))
    if completed(found.settings) != expected:
        raise ValueError(
            f"{file}: expected networks of settings {expected}, got {found.settings}; "
            f"train them anew with {anew}"
        )
    by_path = {tuple(row["path"]): row for row in found.rows}
    wanted = rows(given)
    missing = [row["path"] for row in wanted if tuple(row["path"]) not in by_path]
    if missing:
        raise ValueError(
            f"{file}: expected all {len(wanted)} networks, {len(missing)} are missing, "
            f"among them {missing[0]}; continue with {anew}"
        )
    known = [by_path[tuple(row["path"])] for row in wanted]
    for now, then in zip(wanted, known, strict=True):
        if {name: then[name] for name in now} != now:
            raise ValueError(
                f"{file}: expected costs as the latency table {asked.table} has them, "
                f"{now}, got {then}; write them anew"
            )
    latency_ms = np.array([row["latency_ms"] for row in known])
    return Networks(
        paths=np.array([row["path"] for row in known], np.int32),
        valid=np.array([row["valid"] for row in known]),
        test=np.array([row["test"] for row in known]),
        latency_ms=latency_ms,
        target_ms=task.target_ms(latency_ms),
    )


def todo(
    wanted: list[dict[str, Any]], done: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The wanted rows whose path is not among those done."""
    paths = {tuple(row["path"]) for row in done}
    return [row for row in wanted if tuple(row["path"]) not in paths]
