"""The truth: accuracy, latency and multiply-adds of every network of the space.

`networks.jsonl` holds what `nas_jax bench enumeration` wrote.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from nas_jax.bench.enumerated import ledger, task
from nas_jax.bench.estimators import all_paths
from nas_jax.space import SearchSpace

STORED = Path(__file__).with_name("networks.jsonl")


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


def settings(seeds: tuple[int, ...]) -> dict[str, Any]:
    """What the accuracies depend on, ready for JSON."""
    return {
        "space": dataclasses.asdict(task.SPACE),
        "distortion": task.DISTORTION._asdict(),
        "images": task.IMAGES,
        "train": dataclasses.asdict(task.TRAIN),
        "evaluation_batch": task.EVALUATION_BATCH,
        "seeds": list(seeds),
    }


def load(given: task.Task, file: Path = STORED) -> Networks:
    """Reads the table and adds the latencies of the task's cost model.

    Raises:
      ValueError: if the table is of other settings, or lacks a network.
    """
    found = ledger.read(file)
    expected = ledger.as_json(settings(found.settings.get("seeds", ())))
    if found.settings != expected:
        raise ValueError(
            f"{file}: expected networks of settings {expected}, got {found.settings}; "
            "train them anew with `nas_jax bench enumeration`"
        )
    paths = all_paths(given.space)
    by_path = {tuple(row["path"]): row for row in found.rows}
    missing = [path.tolist() for path in paths if tuple(path.tolist()) not in by_path]
    if missing:
        raise ValueError(
            f"{file}: expected all {len(paths)} networks, {len(missing)} are missing, "
            f"among them {missing[0]}; continue with `nas_jax bench enumeration`"
        )
    rows = [by_path[tuple(path.tolist())] for path in paths]
    latency_ms = task.path_costs(given.model, paths)
    return Networks(
        paths=paths,
        valid=np.array([row["valid"] for row in rows]),
        test=np.array([row["test"] for row in rows]),
        latency_ms=latency_ms,
        target_ms=task.target_ms(latency_ms),
    )


def todo(searched: SearchSpace, rows: list[dict[str, Any]]) -> list[int]:
    """Indices of the networks that have no row yet."""
    done = {tuple(row["path"]) for row in rows}
    paths = all_paths(searched)
    return [n for n, path in enumerate(paths) if tuple(path.tolist()) not in done]
