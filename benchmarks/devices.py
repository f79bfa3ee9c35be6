"""The same search on one device, on several, and on several in two processes.

What is sampled must be equal, and what is computed equal up to rounding. On a CPU the
devices are simulated, so this tells whether results agree, not how fast devices are.
Every search has fresh processes of its own.
"""

import dataclasses
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks import fresh_process, machine
from benchmarks.devices_search import Place, follow
from benchmarks.devices_settings import DevicesBenchConfig
from nas_jax.training.progress import Progress
from tests.clean_python import free_port


def search(
    config: DevicesBenchConfig, number: str, processes: int, devices: int
) -> dict[str, Any]:
    """What `follow` says of a search in so many processes with so many devices each.

    Raises:
      ValueError: if one of the processes fails, or if they do not say the same.
    """
    given = os.environ.get("XLA_FLAGS", "").split()
    kept = [flag for flag in given if "host_platform_device_count" not in flag]
    environment = {
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": str(number == "float64"),
        "XLA_FLAGS": " ".join(
            [*kept, f"--xla_force_host_platform_device_count={devices}"]
        ),
    }
    coordinator = f"127.0.0.1:{free_port()}" if processes > 1 else None

    def one(process: int) -> dict[str, Any]:
        place = Place(processes, process, coordinator)
        return fresh_process.call(
            follow, config, number, place, environment=environment
        )

    with ThreadPoolExecutor(processes) as pool:
        first, *others = pool.map(one, range(processes))
    if any(other != first for other in others):
        raise ValueError(
            f"{processes} processes of {devices} devices, {number}: expected the same "
            "numbers from every process, got different ones"
        )
    return first


ONE_STEP = ("first losses", "weight gradients", "alpha gradients")
ALL_STEPS = ("losses", "weights", "statistics", "alphas")


def run(config: DevicesBenchConfig, watch: Progress) -> dict[str, Any]:
    """Runs all searches and compares them with that on one device."""
    layouts = {
        "1 device": (1, 1),
        f"{config.devices} devices": (1, config.devices),
        f"{config.processes} processes of {config.devices // config.processes}": (
            config.processes,
            config.devices // config.processes,
        ),
    }
    rows = []
    for number in ("float32", "float64"):
        alone: dict[str, Any] = {}
        for name, (processes, devices) in layouts.items():
            watch.phase(f"{config.steps} steps in {number}: {name}")
            found = search(config, number, processes, devices)
            alone = alone or found
            rows.append({"number": number, "layout": name, **compared(found, alone)})
    return {"config": dataclasses.asdict(config), "rows": rows, **machine.record(False)}


def compared(found: Mapping[str, Any], alone: Mapping[str, Any]) -> dict[str, Any]:
    """Differences of a search from the one on a single device, relative to it.

    `|a - b| / |b|`, in the Euclidean norm over all numbers of a kind.
    """
    return {
        "devices": found["devices"],
        "collectives": found["collectives"],
        **{
            name: relative(found[name], alone[name]) for name in (*ONE_STEP, *ALL_STEPS)
        },
        "same_samples": found["sampled"] == alone["sampled"],
        "same_network": found["derived"] == alone["derived"],
    }


def relative(found: Any, expected: Any) -> float:
    """
    >>> relative([3.0, 4.5], [3.0, 4.0])
    0.1
    """
    a, b = np.asarray(found), np.asarray(expected)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def table(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The differences, for the terminal."""
    header = ("search", *ONE_STEP, *ALL_STEPS, "samples", "network")
    rows: list[tuple[str, ...]] = [header]
    for row in result["rows"]:
        numbers = [f"{row[name]:.1e}" for name in (*ONE_STEP, *ALL_STEPS)]
        same = [
            "same" if row[name] else "other"
            for name in ("same_samples", "same_network")
        ]
        rows.append((f"{row['number']}, {row['layout']}", *numbers, *same))
    return rows


HOW_TO_READ = (
    "Relative differences from the search on one device: losses and gradients of the\n"
    "first weight and architecture step; losses, weights, batch statistics and alphas\n"
    "of all steps; whether all sampled paths and the derived network are the same."
)
