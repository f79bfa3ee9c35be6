"""The files of a run, read: everything that the report says comes from them.

A file that is not there yet is listed in `RunFiles.missing`; a file that is there and
wrong is a `ValueError` that names the file, the place and what was expected. A run for
several targets holds a run for each, in `targets/`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax.config import files
from nas_jax.latency import risk, tables
from nas_jax.latency.risk import Prediction
from nas_jax.latency.tables import LONGEST, SHORTEST, Entry, LatencyTable
from nas_jax.report import finalists, metrics
from nas_jax.report.finalists import Finalist
from nas_jax.report.metrics import number, require
from nas_jax.spaces import architecture as architectures
from nas_jax.spaces import architecture_json
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.builders import build
from nas_jax.spaces.own_code import read_space
from nas_jax.spaces.space import SearchSpace

NETWORKS = ("searched", "baseline", "cheapest", "random")
FILES = {
    "config.json": "the settings of the experiment",
    "metrics.jsonl": "the curves of search and retraining",
    "latency_table.json": "the predicted time of every layer",
    "finalists.json": "the networks that were compared at the end of the search",
    "architecture.json": "the network that was found",
    "result.json": "accuracies and measured latencies of the retrained networks",
}
OF_A_TARGET = ("finalists.json", "architecture.json")
"""Files that lie with every target where there are several."""
TARGETS = "targets"
"""Folder of the runs for several targets."""


@dataclass(frozen=True)
class NetworkResult:
    """What `result.json` says about one network; None where it says nothing."""

    architecture: Architecture | None = None
    test_accuracy: float | None = None
    test_images: int | None = None
    params: int | None = None
    macs: int | None = None
    predicted_ms: float | None = None
    prediction: Prediction | None = None
    """What the table says of its error with this network, if it says anything."""
    measured_ms: float | None = None
    """Median of the measurement; its quartiles follow."""
    quartiles_ms: tuple[float, float] | None = None
    measured_over_predicted: float | None = None
    """Of means over the fastest rounds, net of the call, as the table has them."""
    onnx_max_abs_difference: float | None = None


@dataclass(frozen=True)
class RunFiles:
    """The contents of a run folder."""

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    space: SearchSpace | None = None
    curves: metrics.Curves = field(default_factory=metrics.Curves)
    table: LatencyTable = field(default_factory=lambda: LatencyTable({}, {}))
    result: dict[str, Any] = field(default_factory=dict)
    networks: dict[str, NetworkResult] = field(default_factory=dict)
    architecture: Architecture | None = None
    finalists: tuple[Finalist, ...] = ()
    targets: dict[str, "RunFiles"] = field(default_factory=dict)
    """The run of every target, by the name of its network once that is known."""
    missing: tuple[str, ...] = ()

    @property
    def part_ms(self) -> dict[str, float]:
        """Predicted time by `part.key`."""
        return {key: entry.mean_ms for key, entry in self.table.entries.items()}

    @property
    def searched(self) -> dict[str, Architecture]:
        """The networks that were found, one for every target."""
        if self.targets:
            return {
                name: one.architecture
                for name, one in self.targets.items()
                if one.architecture is not None
            }
        return {} if self.architecture is None else {"searched": self.architecture}

    @property
    def target_ms(self) -> float | None:
        """Of the result, or of the search while there is no result."""
        target = number(self.result, "target_ms", "result.json")
        if target is None and self.curves.search and not self.targets:
            target = self.curves.search[-1].get("search/target_ms")
        return target

    @property
    def chosen(self) -> tuple[int, ...] | None:
        """The path `[L]` of the network of `architecture.json`, if it is known."""
        return self.path_of(self.architecture)

    def path_of(self, network: Architecture | None) -> tuple[int, ...] | None:
        """The path `[L]` of a network, None if it is not one of the run's space."""
        if self.space is None or network is None:
            return None
        try:
            return tuple(architectures.path_of(self.space, network).tolist())
        except ValueError:  # a network of another space
            return None

    def result_of(self, name: str) -> NetworkResult:
        """What is known of a network; of an unknown one nothing."""
        return self.networks.get(name, NetworkResult())


def read(run_folder: Path, is_target: bool = False) -> RunFiles:
    """Reads a run folder, finished or not; that of a target has no targets itself."""
    if not run_folder.is_dir():
        raise ValueError(
            f"run folder: expected an existing folder, got {str(run_folder)!r}; a run "
            "is made by 'nas_jax search'"
        )
    config = _document(run_folder, "config.json")
    table = _table(_document(run_folder, "latency_table.json"))
    result = _document(run_folder, "result.json")
    space = _space(config, run_folder) if config else None
    networks = _networks(result, table)
    targets = {} if is_target else _targets(run_folder, result)
    searched = networks.get("searched", NetworkResult()).architecture
    if (run_folder / "architecture.json").exists():
        searched = _architecture(_document(run_folder, "architecture.json"))
    shape = None if space is None else space.mask.shape
    content = {
        name: path.read_bytes()
        for name in ("metrics.jsonl", "finalists.json")
        if (path := run_folder / name).exists()
    }
    expected = [name for name in FILES if not (targets and name in OF_A_TARGET)]
    return RunFiles(
        name=run_folder.resolve().name,
        config=config,
        space=space,
        curves=metrics.parse(content.get("metrics.jsonl", b""), shape),
        table=table,
        result=result,
        networks=networks,
        architecture=searched,
        finalists=finalists.parse(content.get("finalists.json", b"[]"), shape),
        targets=targets,
        missing=tuple(name for name in expected if not (run_folder / name).exists()),
    )


def _document(run_folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file; empty if there is no such file."""
    path = run_folder / name
    if not path.exists():
        return {}
    return files.parse_object(path.read_bytes(), name)


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
    except ValueError as error:
        raise ValueError(
            f"config.json: space: expected the fields of SpaceConfig, got {error}"
        ) from error


def _architecture(document: dict[str, Any]) -> Architecture:
    return architecture_json.from_json(json.dumps(document))


def _table(document: dict[str, Any]) -> LatencyTable:
    """The latency table as far as it is stated; empty if there is none."""
    where = "latency_table.json"
    entries = {}
    for key, entry in _object(document, "entries", where).items():
        mean, std = (
            number(entry, name, f"{where}: {key!r}") for name in ("mean_ms", "std_ms")
        )
        if mean is not None:
            entries[key] = Entry(mean, std, None, None, None, None)
    validation = _object(document, "validation", where)
    for name in ("networks", "mean_ms", "rmse_ms", "bias_ms", "mape"):
        value = number(validation, name, f"{where}: validation")
        # of these the error of a prediction is made
        if "mean_ms" in validation and name in ("mean_ms", "rmse_ms", "bias_ms"):
            least = SHORTEST if name == "mean_ms" else -LONGEST
            fits = value is not None and least <= value <= LONGEST
            require(fits, f"{where}: validation: {name}", "a number of ms", value)
    return LatencyTable(
        entries,
        _object(document, "provenance", where),
        number(document, "fixed_ms", where) or 0.0,
        validation or None,
    )


def _targets(run_folder: Path, result: dict[str, Any]) -> dict[str, RunFiles]:
    """The runs in `targets/`, by their networks or, before these are, by target."""
    named = {
        str(entry.get("target")): name
        for name, entry in _object(result, "targets", "result.json").items()
        if isinstance(entry, dict)
    }
    found = sorted(path for path in run_folder.glob(f"{TARGETS}/*") if path.is_dir())
    runs = {
        named.get(path.name, f"target {path.name}"): read(path, True) for path in found
    }
    order = [name for name in named.values() if name in runs]
    order += [name for name in runs if name not in order]
    return {name: runs[name] for name in order}


def _networks(result: dict[str, Any], table: LatencyTable) -> dict[str, NetworkResult]:
    """The known networks in the order of the tables, then any others by name."""
    found = _object(result, "networks", "result.json")
    order = [name for name in NETWORKS if name in found]
    order += sorted(set(found) - set(NETWORKS))
    return {
        name: _network(found[name], f"result.json: {name}", table) for name in order
    }


def _network(entry: Any, where: str, table: LatencyTable) -> NetworkResult:
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
    network = _architecture(document) if document else None
    prediction = None
    if network is not None and not tables.missing(table, network.parts):
        prediction = risk.prediction(table, network)
    return NetworkResult(
        architecture=network,
        prediction=prediction,
        test_accuracy=accuracy,
        predicted_ms=number(entry, "predicted_ms", where),
        measured_ms=number(measured, "median", where),
        quartiles_ms=None if None in quartiles else tuple(quartiles),  # type: ignore
        measured_over_predicted=number(entry, "measured_over_predicted", where),
        onnx_max_abs_difference=number(entry, "onnx_max_abs_difference", where),
        **whole,
    )
