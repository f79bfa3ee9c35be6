"""A run folder, read: everything the report may say comes from these files.

A file that is not there yet is listed in `Run.missing`; a file that is there and wrong
is a `ValueError` that names the file, the place and what was expected.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax import architecture as architectures
from nas_jax import architecture_json
from nas_jax.architecture import Architecture
from nas_jax.report import metrics
from nas_jax.report.metrics import number, require
from nas_jax.run_folder import read_space
from nas_jax.space import SearchSpace, build

NETWORKS = ("searched", "baseline", "cheapest", "random")
FILES = {
    "config.json": "the settings of the experiment",
    "metrics.jsonl": "the curves of search and retraining",
    "latency_table.json": "the predicted time of every layer",
    "architecture.json": "the network that was found",
    "result.json": "accuracies and measured latencies of the retrained networks",
}


@dataclass(frozen=True)
class NetworkResult:
    """What `result.json` says about one network; None where it says nothing."""

    architecture: Architecture | None = None
    test_accuracy: float | None = None
    test_images: int | None = None
    params: int | None = None
    macs: int | None = None
    predicted_ms: float | None = None
    measured_ms: float | None = None
    """Median of the measurement; its quartiles follow."""
    quartiles_ms: tuple[float, float] | None = None
    onnx_max_abs_difference: float | None = None


@dataclass(frozen=True)
class Run:
    """The contents of a run folder."""

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    space: SearchSpace | None = None
    curves: metrics.Curves = field(default_factory=metrics.Curves)
    part_ms: dict[str, float] = field(default_factory=dict)
    """Predicted time by `part.key`."""
    table: dict[str, Any] = field(default_factory=dict)
    """Provenance of the latency table."""
    result: dict[str, Any] = field(default_factory=dict)
    networks: dict[str, NetworkResult] = field(default_factory=dict)
    architecture: Architecture | None = None
    missing: tuple[str, ...] = ()

    @property
    def target_ms(self) -> float | None:
        """Of the result, or of the search while there is no result."""
        target = number(self.result, "target_ms", "result.json")
        if target is None and self.curves.search and "targets" not in self.result:
            target = self.curves.search[-1].get("search/target_ms")
        return target


def read(run_folder: Path) -> Run:
    """Reads a run folder, finished or not."""
    if not run_folder.is_dir():
        raise ValueError(
            f"run folder: expected an existing folder, got {str(run_folder)!r}; a run "
            "is made by 'nas_jax search'"
        )
    config = _document(run_folder, "config.json")
    table = _document(run_folder, "latency_table.json")
    result = _document(run_folder, "result.json")
    space = _space(config, run_folder) if config else None
    networks = _networks(result)
    searched = networks.get("searched", NetworkResult()).architecture
    if (run_folder / "architecture.json").exists():
        searched = _architecture(_document(run_folder, "architecture.json"))
    curves = metrics.Curves()
    if (run_folder / "metrics.jsonl").exists():
        content = (run_folder / "metrics.jsonl").read_bytes()
        curves = metrics.parse(content, None if space is None else space.mask.shape)
    entries = _object(table, "entries", "latency_table.json")
    part_ms = {
        key: number(entry, "mean_ms", f"latency_table.json: {key!r}")
        for key, entry in entries.items()
    }
    return Run(
        name=run_folder.resolve().name,
        config=config,
        space=space,
        curves=curves,
        part_ms={key: value for key, value in part_ms.items() if value is not None},
        table=_object(table, "provenance", "latency_table.json"),
        result=result,
        networks=networks,
        architecture=searched,
        missing=tuple(name for name in FILES if not (run_folder / name).exists()),
    )


def chosen_ops(run: Run) -> list[str] | None:
    """Names of the operations the derived network has in the searchable layers."""
    if run.space is None or run.architecture is None:
        return None
    try:
        path = architectures.path_of(run.space, run.architecture)
    except ValueError:  # a network of another space: nothing to mark
        return None
    return [run.space.candidates[k].name for k in path]


def _document(run_folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file; empty if there is no such file."""
    path = run_folder / name
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{name}: expected JSON, got {error}") from error
    require(isinstance(document, dict), name, "a JSON object", document)
    return document


def _object(document: Any, key: str, where: str) -> dict[str, Any]:
    require(isinstance(document, dict), where, "a JSON object", document)
    value = document.get(key)
    value = {} if value is None else value
    require(isinstance(value, dict), f"{where}: {key}", "a JSON object", value)
    return value


def _space(config: dict[str, Any], run_folder: Path) -> SearchSpace:
    """The space of the experiment, whatever else its configuration says."""
    try:
        return build(read_space(run_folder, _object(config, "space", "config.json")))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"config.json: space: expected the fields of SpaceConfig, got {error}"
        ) from error


def _architecture(document: dict[str, Any]) -> Architecture:
    return architecture_json.from_json(json.dumps(document))


def _networks(result: dict[str, Any]) -> dict[str, NetworkResult]:
    """The known networks in the order of the tables, then any others by name."""
    found = _object(result, "networks", "result.json")
    order = [name for name in NETWORKS if name in found]
    order += sorted(set(found) - set(NETWORKS))
    return {name: _network(found[name], f"result.json: {name}") for name in order}


def _network(entry: Any, where: str) -> NetworkResult:
    document = _object(entry, "architecture", where)
    measured = _object(entry, "measured_ms", where)
    quartiles = [number(measured, key, where) for key in ("q25", "q75")]
    accuracy = number(entry, "test_accuracy", where)
    require(
        accuracy is None or 0 <= accuracy <= 1,
        f"{where}: test_accuracy",
        "a share from 0 to 1",
        accuracy,
    )
    whole = {
        key: None if value is None or not np.isfinite(value) else int(value)
        for key in ("test_images", "params", "macs")
        for value in (number(entry, key, where),)
    }
    return NetworkResult(
        architecture=_architecture(document) if document else None,
        test_accuracy=accuracy,
        predicted_ms=number(entry, "predicted_ms", where),
        measured_ms=number(measured, "median", where),
        quartiles_ms=None if None in quartiles else tuple(quartiles),  # type: ignore
        onnx_max_abs_difference=number(entry, "onnx_max_abs_difference", where),
        **whole,
    )
