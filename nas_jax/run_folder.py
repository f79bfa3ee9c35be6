"""A run is a folder, and anything printed can be rebuilt from it.

config.json · experiment.py · metrics.jsonl · latency_table.json · architecture.json ·
checkpoints/ · snapshots/ · export/ · result.json · report.html, and of runs that were
stopped resumed.jsonl. Files are written in one step (a reader never sees half a file)
and metrics line by line, so a run stopped at any moment is a valid folder.
"""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax import architecture_json, config_json, json_text, shipped, text_file
from nas_jax.architecture import Architecture
from nas_jax.config import Experiment, SpaceConfig, TreeConfig
from nas_jax.parts import is_known
from nas_jax.search_config import ESTIMATOR_ALIASES, ESTIMATORS


def create(
    experiment: Experiment, out: Path | None, root: Path, source: Path | None = None
) -> Path:
    """Makes the folder of a new run and writes its configuration.

    Args:
      experiment: what is going to run.
      out: an explicit folder, which must not exist; None for the next free
        `<experiment>-seed<k>-<NNN>` below `root`.
      root: where unnamed runs go.
      source: the experiment's file, kept beside the configuration: it may define
        operations or an estimator that the run cannot be read without.

    Raises:
      ValueError: if `out` exists.
    """
    if out is not None:
        try:
            out.mkdir(parents=True)
        except FileExistsError:
            raise ValueError(
                f"--out {out}: expected a folder that does not exist yet, this one "
                "does; choose another name"
            ) from None
        folder = out
    else:
        folder = _next_free(root, f"{experiment.name}-seed{experiment.seed}")
    write_experiment(folder, experiment)
    if source is not None:
        write_text(folder / "experiment.py", source.read_text(encoding="utf-8"))
    return folder


def write_experiment(folder: Path, experiment: Experiment) -> None:
    """Writes `config.json`."""
    config = dataclasses.asdict(experiment)
    write_text(folder / "config.json", json.dumps(config, indent=1) + "\n")


def _next_free(root: Path, name: str) -> Path:
    number = 0
    while True:
        folder = root / f"{name}-{number:03d}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def write_text(path: Path, text: str) -> None:
    """Writes a file in one step."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file in one step."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def append_metrics(folder: Path, line: dict[str, Any]) -> None:
    """Adds one line to `metrics.jsonl`."""
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def sync_metrics(folder: Path) -> None:
    """Returns when the disk has the lines that were added, if there are any."""
    path = folder / "metrics.jsonl"
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def cut_metrics(folder: Path, is_kept: Callable[[dict[str, Any]], bool]) -> None:
    """Removes lines of `metrics.jsonl`, and one that a stop cut off."""
    path = folder / "metrics.jsonl"
    text = text_file.read(path) if path.is_file() else ""
    *whole, _ = text.split("\n")
    left = "".join(
        f"{line}\n"
        for place, line in enumerate(whole, start=1)
        if is_kept(_metrics(line, f"{path}, line {place}"))
    )
    if left != text:
        write_text(path, left)


def _metrics(line: str, where: str) -> dict[str, Any]:
    """A whole line, with what every line has: phase and step."""
    found = json_text.parse_object(line, where)
    for name, kind in (("phase", str), ("step", int)):
        if type(found.get(name)) is not kind:
            raise ValueError(
                f"{where}: expected {name!r} of type {kind.__name__}, got "
                f"{found.get(name)!r:.60}; remove the line"
            )
    return found


def last_probabilities(folder: Path) -> list[list[float]]:
    """The newest path probabilities `[L K]` that a search wrote.

    Raises `ValueError` if the run has none yet, or others.
    """
    path = folder / "metrics.jsonl"
    lines = text_file.read(path).splitlines() if path.is_file() else []
    for line in reversed(lines):
        try:
            document = json_text.parse(line, str(path))
        except ValueError:  # the last line of a stopped run may be cut
            continue
        if isinstance(document, dict) and "search/probs" in document:
            return _probabilities(document["search/probs"], path)
    raise ValueError(
        f"{folder}: expected search/probs in metrics.jsonl, found none; the search has "
        "not finished an epoch yet"
    )


def _probabilities(found: Any, path: Path) -> list[list[float]]:
    try:
        probs = np.array(found, float)
    except (TypeError, ValueError):
        probs = np.zeros(())
    if probs.ndim != 2 or not ((probs >= 0) & (probs <= 1 + 1e-5)).all():
        raise ValueError(
            f"{path}: expected search/probs as rows of numbers from 0 to 1, got "
            f"{found!r:.60}"
        )
    return found


def record_resumption(folder: Path, line: dict[str, Any]) -> None:
    """Adds to `resumed.jsonl` that another process goes on with the run, and how."""
    with (folder / "resumed.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def resumptions(folder: Path) -> list[dict[str, Any]]:
    """What `record_resumption` wrote, oldest first."""
    path = folder / "resumed.jsonl"
    text = text_file.read(path) if path.is_file() else ""
    *whole, _ = text.split("\n")  # a last line may be cut
    return [
        json_text.parse_object(line, f"{path}, line {place}")
        for place, line in enumerate(whole, start=1)
    ]


def read_architecture(path: Path) -> Architecture:
    """An architecture file; `ValueError` if there is none or it is not one."""
    if not path.is_file():
        raise ValueError(f"{path}: expected an architecture file, found none")
    try:
        return architecture_json.from_json(text_file.read(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_experiment(folder: Path) -> Experiment:
    """The configuration of a run; `ValueError` if the folder is not one.

    If it names an operation or an estimator that is not known yet, the run's own
    `experiment.py` is loaded, which registers it.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(
            f"{folder}: expected a run folder with config.json; runs are made by "
            "'nas_jax search'"
        )
    try:
        experiment = config_json.experiment(json_text.parse(text_file.read(path), ""))
    except ValueError as error:
        raise ValueError(f"{path}: not a configuration ({error})") from error
    _load_own(folder, experiment.space, experiment.search.estimator)
    return experiment


def read_space(folder: Path, document: dict[str, Any]) -> SpaceConfig | TreeConfig:
    """The space part of a run's configuration, its own operations registered.

    Raises `ValueError` if it is not one.
    """
    config = config_json.space(document)
    _load_own(folder, config)
    return config


def _load_own(
    folder: Path, config: SpaceConfig | TreeConfig, estimator: str = "two_path"
) -> None:
    """Loads the run's `experiment.py` if it has to register what is not known yet."""
    source = folder / "experiment.py"
    estimators = {*ESTIMATOR_ALIASES.values(), *ESTIMATORS}
    is_known_here = all(map(is_known, config.candidates)) and estimator in estimators
    if source.is_file() and not is_known_here:
        shipped.load_experiment(str(source))
