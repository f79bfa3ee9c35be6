"""What came out of a sweep: a row per run, and means over the seeds."""

import csv
import io
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from nas_jax import files
from nas_jax.derivation import SEARCHED
from nas_jax.search_config import TARGETS
from nas_jax.sweep import runs
from nas_jax.sweep.runs import Run

Row = dict[str, Any]
BASELINE = "baseline"


def gathered(listed: Sequence[Run]) -> list[Row]:
    """A row per run: accuracies as fractions, times in ms; None where there is none.

    Raises `ValueError` for a result that cannot be read.
    """
    return [_row(run) for run in listed]


def _row(run: Run) -> Row:
    row: Row = {
        "experiment": run.experiment,
        "target": run.target,
        "seed": run.seed,
        "state": "not begun",
        "folder": str(run.folder),
    }
    if not runs.is_finished(run):
        row["state"] = "stopped" if run.folder.exists() else "not begun"
        return row
    file = run.folder / "result.json"
    try:
        result = files.read_object(file)
        networks = result["networks"]
        found, other = networks[SEARCHED], networks.get(BASELINE)
        derived = result["derivation"]
        return row | {
            "state": "finished",
            "test_accuracy": float(found["test_accuracy"]),
            "measured_ms": float(found["measured_ms"]["median"]),
            "params": found["params"],
            "macs": found["macs"],
            **{name: result[name] for name in TARGETS.values() if name in result},
            "slack": next(map(float, derived.get("slack", {}).values()), None),
            "baseline_test_accuracy": other and float(other["test_accuracy"]),
            "baseline_measured_ms": other and float(other["measured_ms"]["median"]),
            "seconds": sum(result["seconds_per_phase"].values()),
            "commit": result["commit"],
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file}: expected the result of a run, got {type(error).__name__}: {error}"
        ) from error


def as_csv(rows: Sequence[Row]) -> str:
    """All columns of all rows; empty where a run has none."""
    columns = dict.fromkeys(name for row in rows for name in row)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def summary(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Header and a row per experiment and target: mean and sd over the seeds."""
    found: list[tuple[str, ...]] = [
        (
            *("experiment", "target", "runs", "test acc.", "measured ms"),
            *("least unspent", "most unspent", "to the baseline: points", "latency"),
        )
    ]
    for (experiment, target), group in groupby(
        rows, lambda row: (row["experiment"], row["target"])
    ):
        every = list(group)
        done = [row for row in every if row["state"] == "finished"]
        against = [row for row in done if row["baseline_measured_ms"] is not None]
        slack = [row["slack"] for row in done if row["slack"] is not None]
        points = [
            100 * (row["test_accuracy"] - row["baseline_test_accuracy"])
            for row in against
        ]
        shares = [row["measured_ms"] / row["baseline_measured_ms"] for row in against]
        found.append(
            (
                *(experiment, target or "-", f"{len(done)} of {len(every)}"),
                _mean([100 * row["test_accuracy"] for row in done], "{:.2f} %"),
                _mean([row["measured_ms"] for row in done], "{:.4g}"),
                f"{min(slack):.2%}" if slack else "-",
                f"{max(slack):.2%}" if slack else "-",
                _mean(points, "{:+.2f}"),
                _mean(shares, "{:.2f}"),
            )
        )
    return found


def _mean(values: Sequence[float], form: str) -> str:
    if not values:
        return "-"
    text = form.format(np.mean(values))
    return text if len(values) < 2 else f"{text} ± {np.std(values, ddof=1):.2g}"
