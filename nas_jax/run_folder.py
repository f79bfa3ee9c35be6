"""A run is a folder, and anything printed can be rebuilt from it.

config.json · experiment.py · metrics.jsonl · latency_table.json · architecture.json ·
checkpoints/ · snapshots/ · export/ · result.json · report.html, and of runs that were
stopped resumed.jsonl. Files are written in one step (a reader never sees half a file)
and metrics line by line, so a run stopped at any moment is a valid folder.
"""

import dataclasses
import json
import os
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas_jax import architecture_json, shipped
from nas_jax.architecture import Architecture
from nas_jax.config import Experiment, SpaceConfig, TreeConfig
from nas_jax.parts import is_known


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
        operations that the run cannot be read without.

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
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    whole = text.splitlines(keepends=True)
    if whole and not whole[-1].endswith("\n"):
        whole.pop()
    left = "".join(line for line in whole if is_kept(json.loads(line)))
    if left != text:
        write_text(path, left)


def last_probabilities(folder: Path) -> list[list[float]]:
    """The newest path probabilities `[L K]` that a search wrote.

    Raises `ValueError` if the run has none yet.
    """
    path = folder / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in reversed(lines):
        try:
            document = json.loads(line)
        except json.JSONDecodeError:  # the last line of a stopped run may be cut
            continue
        if "search/probs" in document:
            return document["search/probs"]
    raise ValueError(
        f"{folder}: expected search/probs in metrics.jsonl, found none; the search has "
        "not finished an epoch yet"
    )


def record_resumption(folder: Path, line: dict[str, Any]) -> None:
    """Adds to `resumed.jsonl` that another process goes on with the run, and how."""
    with (folder / "resumed.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def resumptions(folder: Path) -> list[dict[str, Any]]:
    """What `record_resumption` wrote, oldest first."""
    path = folder / "resumed.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines()]


def read_architecture(path: Path) -> Architecture:
    """An architecture file; `ValueError` if there is none or it is not one."""
    if not path.is_file():
        raise ValueError(f"{path}: expected an architecture file, found none")
    return architecture_json.from_json(path.read_text(encoding="utf-8"))


def read_experiment(folder: Path) -> Experiment:
    """The configuration of a run; `ValueError` if the folder is not one.

    If it names an operation that is not known yet, the run's own `experiment.py` is
    loaded, which registers it.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(
            f"{folder}: expected a run folder with config.json; runs are made by "
            "'nas_jax search'"
        )
    try:
        experiment = from_document(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a configuration ({error})") from error
    _load_operations(folder, experiment.space)
    return experiment


def from_document(document: dict[str, Any]) -> Experiment:
    """An experiment from what `dataclasses.asdict` and JSON made of it.

    Raises `TypeError`, `AttributeError` or `ValueError` if it is not one.
    """
    return _from_json(Experiment, document)


def read_space(folder: Path, document: dict[str, Any]) -> SpaceConfig | TreeConfig:
    """The space part of a run's configuration, its own operations registered.

    Raises `ValueError` or `TypeError` if it is not one.
    """
    config = _from_json(SpaceConfig | TreeConfig, document)
    _load_operations(folder, config)
    return config


def _load_operations(folder: Path, config: SpaceConfig | TreeConfig) -> None:
    source = folder / "experiment.py"
    if source.is_file() and not all(map(is_known, config.candidates)):
        shipped.load_experiment(str(source))


def _from_json(kind: Any, document: Any) -> Any:
    """A config dataclass from what `dataclasses.asdict` made of it.

    Where the type is a choice of dataclasses, it is the one that knows all the keys.
    """
    if isinstance(document, dict) and typing.get_args(kind):
        choices = [
            one for one in typing.get_args(kind) if dataclasses.is_dataclass(one)
        ]
        fitting = [
            one
            for one in choices
            if set(document) <= {field.name for field in dataclasses.fields(one)}
        ]
        kind = (fitting or choices)[0]
    if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
        return tuple(document) if isinstance(document, list) else document
    types = typing.get_type_hints(kind)
    unknown = sorted(set(document) - set(types))
    if unknown:
        raise TypeError(f"unknown keys {unknown} of {kind.__name__}")
    values = {key: _from_json(types[key], found) for key, found in document.items()}
    return kind(**values)
