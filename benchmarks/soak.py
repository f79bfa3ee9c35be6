"""`benchmarks soak`: a long search in one process, and what it comes to hold.

A search of the digits in a space as small as can be, with everything a search does:
steps of both kinds, validation, metrics line by line, checkpoints. After every epoch
the resident memory and the open files of the process are counted.
"""

import dataclasses
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import goals
from benchmarks.settings import SOAK_EPOCH, SoakConfig
from nas_jax.config import provenance
from nas_jax.config.data import DataConfig
from nas_jax.config.experiment import Experiment
from nas_jax.config.search import SearchConfig
from nas_jax.config.space import SpaceConfig
from nas_jax.runs import search, snapshots, targets
from nas_jax.runs.session import Run, Session
from nas_jax.runs.setup import load
from nas_jax.training.devices import PLAIN
from nas_jax.training.progress import Progress

GOALS = {"resident_growth": 0.01, "open_files_growth": 0.0}
"""The most that each should be."""
HOW_TO_READ = (
    "One sample after every epoch; of those in the second and in the last quarter, the "
    "median memory and the fewest open files. A save has some open for a moment, what "
    "leaks stays open; in the first quarter the allocator and the caches of the "
    "libraries fill."
)
_BATCH = 20


class _Sampler(Progress):
    """Counts after every epoch of a search, in bytes and files."""

    def __init__(self, watch: Progress) -> None:
        self.samples: list[tuple[int, int]] = []
        self._watch = watch

    def steps(self, iterable: Any, *, total: int, desc: str) -> Iterator[Any]:
        for one in self._watch.steps(iterable, total=total, desc=desc):
            yield one
            self.samples.append((resident_bytes(), open_files()))


def resident_bytes() -> int:
    """Main memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """File handles of this process."""
    return len(os.listdir("/proc/self/fd"))


def experiment(config: SoakConfig) -> Experiment:
    """The search: two layers of 8 channels, epochs of `SOAK_EPOCH` steps."""
    epochs = math.ceil(config.steps / SOAK_EPOCH)
    warmup = epochs // 4
    return Experiment(
        name="soak",
        seed=config.seed,
        checkpoint_every_s=config.checkpoint_every_s,
        space=SpaceConfig(
            name="soak",
            input_size=8,
            input_channels=1,
            classes=10,
            stem_channels=8,
            stem_stride=1,
            first_block_channels=None,
            stage_widths=(8,),
            cells=(2,),
            strides=(1,),
            candidates=("mb3_k3", "mb6_k3", "zero"),
            head_channels=16,
        ),
        data=DataConfig(
            train_weights=SOAK_EPOCH * _BATCH, train_alphas=100, valid=50, test=50
        ),
        search=SearchConfig(
            warmup_epochs=warmup,
            joint_epochs=epochs - warmup,
            arch_start_epoch=0,
            batch=_BATCH,
            arch_batch=_BATCH,
            cost="macs",
            target_ratio=0.7,
        ),
    )


def run(config: SoakConfig, watch: Progress) -> dict[str, Any]:
    """Searches and counts, ready for JSON.

    Raises:
      ValueError: where the system does not tell what a process holds.
    """
    if not Path("/proc/self/statm").is_file():
        raise ValueError("bench soak: expected /proc, which Linux has, found none")
    one = experiment(config)
    setup = load(one, PLAIN)
    aim = targets.resolve(one.search, setup.space)
    sampler = _Sampler(watch)
    watch.phase(f"a search of {config.steps} steps")
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        start = time.perf_counter()
        work = Run(setup, folder, Session(folder, sampler))
        last = search.run(work, aim)
        seconds = time.perf_counter() - start
        kept = len(snapshots.steps(search.snapshots_in(folder)))
    resident, files = np.array(sampler.samples, float).T
    return {
        "name": "soak",
        "steps": int(last.state.step),
        "seconds": seconds,
        "checkpoints_left": kept,
        "resident": _quarters(resident, np.median),
        "open_files": _quarters(files, np.min),
        "resident_bytes": [int(one) for one in resident],
        "open_files_each": [int(one) for one in files],
        "config": dataclasses.asdict(config),
        **provenance.record(),
    }


def _quarters(samples: np.ndarray, of: Callable[..., Any]) -> dict[str, float]:
    """One number of the second and of the last quarter, and the growth as a share."""
    length = len(samples) // 4
    second = float(of(samples[length : 2 * length]))
    last = float(of(samples[-length:]))
    return {"second": second, "last": last, "growth": last / second - 1}


def table(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Header, and a row for memory and files."""
    rows = [("held", "second quarter", "last quarter", "growth", "goal", "")]
    for name, unit in (("resident", 2**20), ("open_files", 1)):
        found, goal = result[name], GOALS[f"{name}_growth"]
        rows.append(
            (
                "resident memory, MiB" if name == "resident" else "open files",
                f"{found['second'] / unit:.2f}",
                f"{found['last'] / unit:.2f}",
                f"{found['growth']:+.2%}",
                f"<= {goal:.0%}",
                goals.verdict(found["growth"], goal),
            )
        )
    took = f"{result['steps']:,} steps in {result['seconds']:.0f} s"
    return [*rows, (took, "", "", "", "", "")]
