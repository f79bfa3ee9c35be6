"""`benchmarks guidelines`: how long a recommendation takes with many records."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.guidelines import filing, ladder
from nas_jax.config import provenance
from nas_jax.guidelines import records, store
from nas_jax.guidelines.records import Record

RECORDS = 10_000
REPEATS = 5
HOW_TO_READ = (
    "seconds: a fresh process each, `nas_jax recommend` with a stated task, start of "
    "Python included; 2 s are asked for. The records are generated."
)
_FAMILIES = 12


def generated(records_: int, seed: int = 0) -> list[Record]:
    """Made-up records: tasks in families, the ladder of networks on each.

    Accuracies rise with size towards a ceiling that falls with the classes.
    """
    rng = np.random.default_rng(seed)
    networks: dict[Any, Any] = {}
    found = []
    for number in range(records_):
        place, rung = divmod(number, len(ladder.RUNGS))
        draw = np.random.default_rng([seed, place])
        side = int(draw.choice([8, 16, 32]))
        classes = int(draw.choice([2, 5, 10, 20]))
        key = (rung, side, classes)
        if key not in networks:
            built = ladder.network(ladder.RUNGS[rung], side, 1, classes, f"rung_{rung}")
            networks[key] = filing.network(built)
        ceiling = 0.99 - 0.01 * classes
        rise = ceiling - (ceiling - 1 / classes) * np.exp(-1 - rung / 2)
        found.append(
            records.sealed(
                {
                    "task": {
                        "name": f"generated_{place}",
                        "family": f"family_{place % _FAMILIES}",
                        "descriptors": {
                            "input_size": side,
                            "channels": 1,
                            "classes": classes,
                            "images_per_class": float(draw.choice([20, 100, 500])),
                            "balance": 1.0,
                            "linear_accuracy": round(0.7 * ceiling, 4),
                            "tiny_accuracy": round(0.9 * ceiling, 4),
                        },
                    },
                    "network": networks[key],
                    "latencies": [],
                    "result": {
                        "accuracy": round(float(rise + rng.normal(0, 0.002)), 6),
                        "test_images": 4000,
                        "trainings": 1,
                    },
                    "target": None,
                    "search": None,
                    "training": {"steps": 300, "seconds": 1.0},
                    "origin": {
                        "source": "trained here",
                        "seeds": [seed],
                        "versions": {},
                        "device": None,
                        "commit": None,
                    },
                }
            )
        )
    return found


def run() -> dict[str, Any]:
    """Seconds of each repetition, and their median."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "generated.sqlite"
        store.add(file, generated(RECORDS))
        task = {"input-size": 16, "channels": 1, "classes": 10, "images-per-class": 100}
        flags = [part for name, value in task.items() for part in (name, str(value))]
        flags = [f"--{one}" if one in task else one for one in flags]
        command = [sys.executable, "-m", "nas_jax", "recommend", *flags, "--json"]
        seconds, kinds = [], 0
        for _ in range(REPEATS):
            start = time.perf_counter()
            answer = subprocess.run(
                [*command, "--db", str(file)], capture_output=True, check=True
            )
            seconds.append(time.perf_counter() - start)
            kinds = json.loads(answer.stdout)["evidence"]["kinds"]
    return {
        "name": "guidelines",
        "records": RECORDS,
        "kinds_near": kinds,
        "seconds": seconds,
        "median_seconds": statistics.median(seconds),
        **provenance.record(),
    }


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and the one row."""
    return [
        ("records", "tasks near", "seconds, median", "slowest"),
        (
            f"{result['records']:,}",
            str(result["kinds_near"]),
            f"{result['median_seconds']:.2f}",
            f"{max(result['seconds']):.2f}",
        ),
    ]
