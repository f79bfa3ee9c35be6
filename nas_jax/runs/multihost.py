"""A run of several processes, each with its share of the images.

The first writes the run folder; the others write to a temporary one.
"""

import dataclasses
import hashlib
import shutil
import tempfile
from pathlib import Path

import jax

from nas_jax.config import provenance, shipped
from nas_jax.config.experiment import Experiment
from nas_jax.runs import pipeline, run_folder
from nas_jax.training import distributed
from nas_jax.training.progress import Progress


def writes() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def require_agreement(experiment: Experiment, targets: list[str]) -> None:
    """Refuses settings that differ between processes, or that several cannot run."""
    if jax.process_count() == 1:
        return
    if targets:
        raise ValueError(
            f"--targets: expected one target with several processes, got {targets}; "
            "start a search for each"
        )
    table = experiment.latency.table
    if table is None:
        raise ValueError(
            "latency.table: expected a stored table with several processes, got None; "
            "measure it once on the machine that the network is for, with 'nas_jax "
            "measure EXPERIMENT --out TABLE.json'"
        )
    file = shipped.table_file(table)
    digest = hashlib.sha256(file.read_bytes()) if file.is_file() else None
    distributed.require_same(
        dataclasses.asdict(experiment)
        | {
            f"digest of {file.name}": digest and digest.hexdigest()[:16],
            "versions": provenance.versions(),
            "commit": provenance.commit(),
        }
    )


def meet() -> None:
    """Waits for all processes."""
    if jax.process_count() > 1:
        distributed.require_same({"here": True})


def follow(
    experiment: Experiment, source: Path | None, resumed: Path | None, command: str
) -> int:
    """The run in a process that does not write; returns the exit code.

    A resumed run starts from a copy of its folder `resumed`, which all processes see.
    """
    with distributed.leaving(), tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        if resumed is None:
            run_folder.create(experiment, folder, Path(), source)
        else:
            ignored = shutil.ignore_patterns("lock")
            shutil.copytree(resumed, folder, ignore=ignored)
            meet()
        pipeline.run(experiment, folder, command=command, progress=Progress())
    return 0
