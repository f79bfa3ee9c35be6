"""A run is a folder, and anything printed can be rebuilt from it.

config.json · experiment.py · metrics.jsonl · latency_table.json · architecture.json ·
checkpoints/ · snapshots/ · export/ · result.json · report.html, and of runs that were
stopped resumed.jsonl. Files are written in one step (a reader never sees half a file)
and metrics line by line, so a run stopped at any moment is a valid folder.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax.config import files, on_disk
from nas_jax.config.experiment import Experiment
from nas_jax.config.from_json import from_json
from nas_jax.config.search import ESTIMATOR_ALIASES, ESTIMATORS
from nas_jax.spaces import architecture_json, own_code
from nas_jax.spaces.architecture import Architecture

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"
"""File of a run that the process working on it has locked."""


def create(
    experiment: Experiment,
    out: Path | None,
    root: Path,
    source: Path | None = None,
    network: Architecture | None = None,
) -> Path:
    """Makes the folder of a new run and writes its configuration.

    The path of the data is written in full, so that the run goes on from anywhere.

    Args:
      experiment: what is going to run.
      out: an explicit folder, which must not exist; None for the next free
        `<experiment>-seed<k>-<NNN>` below `root`.
      root: where unnamed runs go.
      source: the experiment's file, kept beside the configuration: it may define
        operations or an estimator that the run cannot be read without.
      network: that trains there, without a search; written beside the configuration.

    Raises:
      ValueError: if `out` exists.
    """
    name = f"{experiment.name}-seed{experiment.seed}"
    unnamed = (root / f"{name}-{number:03d}" for number in count())
    for folder in (out,) if out is not None else unnamed:
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    else:
        raise ValueError(
            f"--out {out}: expected a folder that does not exist yet, this one "
            "does; choose another name"
        )
    write_experiment(folder, experiment.located())
    if source is not None:
        files.write(folder / "experiment.py", source.read_text(encoding="utf-8"))
    if network is not None:
        text = architecture_json.to_json(network)
        files.write(folder / "architecture.json", text)
    return folder


def write_experiment(folder: Path, experiment: Experiment) -> None:
    """Writes `config.json`."""
    files.write_json(folder / "config.json", dataclasses.asdict(experiment))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, a file; the system takes it back when a process dies.

    Where there is no `fcntl` (Windows) nothing is locked. Raises `ValueError` if
    another process holds it, with its number.
    """
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise ValueError(
                    f"{folder}: expected a run folder that nobody works on, process "
                    f"{file.read().strip()} does; wait for it, or stop it"
                ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def is_held(folder: Path) -> bool:
    """Whether a process works on a run, as far as the system tells."""
    path = folder / LOCK
    if fcntl is None or not path.is_file():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def append_metrics(folder: Path, line: dict[str, Any]) -> None:
    """Adds one line to `metrics.jsonl`."""
    files.append_line(folder / "metrics.jsonl", line)


def cut_metrics(folder: Path, is_kept: Callable[[dict[str, Any]], bool]) -> None:
    """Removes lines of `metrics.jsonl`, and one that a stop cut off."""
    path = folder / "metrics.jsonl"
    rows = files.read_lines(path)
    for place, row in enumerate(rows, start=1):
        from_json(_Line, row, f"{path}, line {place}, ", extra="ignore")
    if rows:
        files.write_lines(path, filter(is_kept, rows))


def metrics_of(folder: Path, network: str) -> list[dict[str, Any]]:
    """The lines that a network's training wrote."""
    lines = files.read_lines(folder / "metrics.jsonl")
    return [line for line in lines if line.get("network") == network]


@dataclasses.dataclass(frozen=True)
class _Line:
    """What every line of `metrics.jsonl` has."""

    phase: str
    step: int


def epochs(folder: Path) -> list[dict[str, Any]]:
    """The lines that a search by gradients wrote, one an epoch; [] without any."""
    lines = files.read_lines(folder / "metrics.jsonl")
    return [line for line in lines if "search/probs" in line]


def last_probabilities(folder: Path) -> list[list[float]]:
    """The newest path probabilities `[L K]` that a search wrote.

    Raises `ValueError` if the run has none yet, or others.
    """
    path, rows = folder / "metrics.jsonl", epochs(folder)
    if not rows:
        raise ValueError(
            f"{folder}: expected search/probs in metrics.jsonl, found none; the search "
            "has not finished an epoch yet"
        )
    probs: list[list[float]] = rows[-1]["search/probs"]
    try:
        values = np.array(probs, float)
    except (TypeError, ValueError):
        values = np.zeros(())
    if values.ndim != 2 or not ((values >= 0) & (values <= 1 + 1e-5)).all():
        raise ValueError(
            f"{path}: expected search/probs as rows of numbers from 0 to 1, got "
            f"{probs!r:.60}"
        )
    return probs


def record_resumption(folder: Path, line: dict[str, Any]) -> None:
    """Adds to `resumed.jsonl` that another process goes on with the run, and how."""
    files.append_line(folder / "resumed.jsonl", line)


def resumptions(folder: Path) -> list[dict[str, Any]]:
    """What `record_resumption` wrote, oldest first."""
    return files.read_lines(folder / "resumed.jsonl")


def read_architecture(path: Path) -> Architecture:
    """An architecture file; `ValueError` if there is none or it is not one."""
    if not path.is_file():
        raise ValueError(
            f"{path}: expected an architecture file, {on_disk.found_at(path)}"
            f"{on_disk.meant_beside(path)}"
        )
    try:
        return architecture_json.from_json(files.read_text(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_experiment(folder: Path, data_path: Path | None = None) -> Experiment:
    """The configuration of a run; `ValueError` if the folder is not one.

    `data_path` is where its data lie, if they were moved.

    If it names an operation, a space or an estimator that is not known yet, the run's
    own `experiment.py` is loaded, which registers it.
    """
    on_disk.require_run(folder)
    path = folder / "config.json"
    try:
        experiment = from_json(Experiment, files.read_json(path))
    except ValueError as error:
        raise ValueError(f"{path}: not a configuration ({error})") from error
    estimators = {*ESTIMATOR_ALIASES.values(), *ESTIMATORS}
    if experiment.search.estimator in estimators:
        own_code.register(folder, experiment.space)
    else:
        own_code.load(folder)
    if data_path is None:
        return experiment
    data = dataclasses.replace(experiment.data, path=str(data_path))
    return dataclasses.replace(experiment, data=data).located()
