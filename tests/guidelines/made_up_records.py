"""Made-up records that hang together, for tests of their readers."""

import json

import numpy as np

from benchmarks.guidelines import ladder
from nas_jax.guidelines import records
from nas_jax.spaces import architecture_json

# parameters and multiply-adds of the ladder at 16 pixels, grey, 10 classes
PER_CLASS = (33, 33, 33, 33, 65, 65, 97)
PARAMS = (2626, 5530, 8434, 15730, 27482, 51674, 107842)


def record(task="t", family="f", rung=0, accuracy=0.9, params=None, **changes):
    """A sealed record of a rung of the ladder; `changes` are descriptors."""
    given = {
        "input_size": 16,
        "channels": 1,
        "classes": 10,
        "images_per_class": 100.0,
        "balance": 1.0,
        "linear_accuracy": 0.6,
        "tiny_accuracy": 0.8,
    } | changes
    built = ladder.network(
        ladder.RUNGS[rung],
        given["input_size"],
        given["channels"],
        given["classes"],
        f"rung_{rung}",
    )
    return records.sealed(
        {
            "task": {"name": task, "family": family, "descriptors": given},
            "network": {
                "architecture": json.loads(architecture_json.to_json(built)),
                "params": params or PARAMS[rung],
                "macs": 1000 * (rung + 1),
            },
            "latencies": [],
            "result": {"accuracy": accuracy, "test_images": 4000, "trainings": 1},
            "target": None,
            "search": None,
            "training": {"steps": 300, "seconds": 1.0},
            "origin": {
                "source": "trained here",
                "seeds": [0],
                "versions": {},
                "device": None,
                "commit": None,
            },
        }
    )


def law(families=4, tasks=4, noise=0.0, seed=0):
    """Records of tasks whose networks saturate at a rung that follows the classes.

    2, 4, 8, 16 classes need rung 1, 2, 3, 4; the accuracy there is 0.98 - 0.01 rung.
    """
    rng = np.random.default_rng(seed)
    found = []
    for family in range(families):
        for task in range(tasks):
            need, classes = 1 + task % 4, 2 ** (1 + task % 4)
            best = 0.98 - 0.01 * need
            for rung in range(7):
                accuracy = best - 0.05 * max(need - rung, 0) + noise * rng.normal()
                found.append(
                    record(
                        f"t{family}_{task}",
                        f"f{family}",
                        rung,
                        round(min(accuracy, 1.0), 6),
                        classes=classes,
                        images_per_class=100.0 + family,
                        tiny_accuracy=round(best - 0.1, 4),
                        params=PARAMS[rung] + PER_CLASS[rung] * (classes - 10),
                    )
                )
    return found
