"""The files of a run, read: everything that the report says comes from them.

A file that is not there yet is listed in `RunFiles.missing`; a file that is there and
wrong is a `ValueError` that names the file, the place and what was expected. A run for
several targets holds a run for each, in `targets/`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from nas_jax.config import files, on_disk
from nas_jax.config.experiment import Experiment
from nas_jax.config.from_json import from_json
from nas_jax.data import record
from nas_jax.latency import risk, tables
from nas_jax.latency.risk import Prediction
from nas_jax.latency.tables import LatencyTable, Time
from nas_jax.report import finalists, metrics
from nas_jax.report.finalists import Finalist, Place
from nas_jax.report.target import Pace, Risk
from nas_jax.spaces import architecture as architectures
from nas_jax.spaces import architecture_json, elastic, own_code
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.builders import build
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.spaces.space import SearchSpace
from nas_jax.training.scores import Reported

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


_Count = Annotated[int, Ge(0)]


@dataclass(frozen=True)
class _Numbers(Reported):
    """Of a network; None where `result.json` says nothing."""

    params: _Count | None = None
    macs: _Count | None = None
    flash_bytes: _Count | None = None
    """Of the weights in float32, as they are exported; likewise the activations."""
    peak_memory_bytes: _Count | None = None
    predicted_ms: float | None = None
    measured_over_predicted: float | None = None
    """Of means over the fastest rounds, net of the call, as the table has them, and at
    the pace of the machine when the table was measured."""
    onnx_max_abs_difference: float | None = None
    risk: Risk | None = None
    """Of a network that was searched for."""
    keeps_limits: bool | None = None
    """The limits beside the target; None where there were none."""


@dataclass(frozen=True)
class NetworkResult(_Numbers):
    """What the files say about one network; None where they say nothing."""

    architecture: Architecture | None = None
    prediction: Prediction | None = None
    """What the table says of its error with this network."""
    measured_ms: float | None = None
    """Median of the measurement; its quartiles follow."""
    quartiles_ms: tuple[float, float] | None = None
    fastest_ms: float | None = None
    """The mean of its fastest rounds, as a table has them."""


@dataclass(frozen=True)
class _Network(_Numbers):
    """As `result.json` states it."""

    architecture: dict[str, Any] | None = None
    measured_ms: dict[str, float] | None = None
    """Among others `median`, `q25` and `q75`."""


@dataclass(frozen=True)
class Target:
    """What was asked for, and what it gave."""

    target: str
    target_ms: float | None = None
    speed_up: float | None = None


@dataclass(frozen=True)
class Result:
    """`result.json`, as far as the report needs it; null is the same as absent."""

    networks: dict[str, _Network] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    target_ms: float | None = None
    pace: Pace | None = None
    derivation: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    device: str | None = None
    commit: str | None = None
    versions: dict[str, Any] = field(default_factory=dict)
    seconds_per_phase: dict[str, Time] = field(default_factory=dict)
    command: str = ""


@dataclass(frozen=True)
class RunFiles:
    """The contents of a run folder."""

    name: str
    is_in_runs: bool = False
    """Whether its folder lies in `runs`, where a search puts it by default."""
    experiment: Experiment | None = None
    space: SearchSpace | None = None
    curves: metrics.Curves = field(default_factory=metrics.Curves)
    table: LatencyTable = field(default_factory=lambda: LatencyTable({}, {}))
    result: Result = field(default_factory=Result)
    networks: dict[str, NetworkResult] = field(default_factory=dict)
    architecture: Architecture | None = None
    finalists: tuple[Finalist, ...] = ()
    targets: dict[str, "RunFiles"] = field(default_factory=dict)
    """The run of every target, by the name of its network once that is known."""
    missing: tuple[str, ...] = ()
    images: dict[str, int] = field(default_factory=dict)
    """Of each split, as the run keeps them; empty in runs of older versions."""

    @property
    def typed(self) -> str:
        """The run as commands take it, from the folder around `runs` or around it."""
        return f"{on_disk.RUNS / self.name}" if self.is_in_runs else self.name

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
        target = self.result.target_ms
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

    @property
    def whole(self) -> SearchSpace | ElasticSpace | None:
        """The space with all its shapes."""
        return None if self.experiment is None else elastic.whole(self.experiment.space)

    @property
    def chosen_by_drawing(self) -> bool:
        """Whether its networks have several shapes, which no gates choose among."""
        return isinstance(self.whole, ElasticSpace)

    @property
    def reference(self) -> str:
        """What the network `baseline` is, as the experiment says."""
        return "hand-designed" if self.experiment is None else self.experiment.reference

    @property
    def taken(self) -> Place | None:
        """Shape and path of the network of `architecture.json`, if they are known."""
        if self.whole is None or self.architecture is None:
            return None
        try:
            place, path = elastic.place_of(self.whole, self.architecture)
        except ValueError:  # a network of another space
            return None
        return place, tuple(path.tolist())

    def result_of(self, name: str) -> NetworkResult:
        """What is known of a network; of an unknown one nothing."""
        return self.networks.get(name, NetworkResult())


def read(run_folder: Path, is_target: bool = False) -> RunFiles:
    """The files of a run, finished or not; that of a target has no targets itself."""
    if not run_folder.is_dir():
        raise on_disk.no_run(run_folder)
    there = {name: run_folder / name for name in FILES if (run_folder / name).exists()}
    experiment = space = None
    if "config.json" in there:
        document = files.read_object(there["config.json"])
        experiment = from_json(Experiment, document, "config.json: ")
        own_code.register(run_folder, experiment.space)
        space = build(experiment.space)
    table = LatencyTable({}, {})
    if "latency_table.json" in there:
        table = tables.load(there["latency_table.json"])
    document = {}
    if "result.json" in there:
        document = files.read_object(there["result.json"])
    document = {key: value for key, value in document.items() if value is not None}
    result = from_json(Result, document, "result.json: ", extra="ignore")
    networks = {
        name: _network(result.networks[name], f"result.json: networks.{name}", table)
        for name in sorted(result.networks, key=_place)
    }
    searched = networks.get("searched", NetworkResult()).architecture
    if "architecture.json" in there:
        document = files.read_object(there["architecture.json"])
        searched = _architecture(document, "architecture.json")
    shape = None if space is None else space.mask.shape
    contents = {name: path.read_bytes() for name, path in there.items()}
    targets = {} if is_target else _targets(run_folder, result)
    began = record.read(run_folder)
    expected = [name for name in FILES if not (targets and name in OF_A_TARGET)]
    return RunFiles(
        name=run_folder.resolve().name,
        is_in_runs=run_folder.resolve().parent.name == on_disk.RUNS.name,
        experiment=experiment,
        space=space,
        curves=metrics.parse(contents.get("metrics.jsonl", b""), shape),
        table=table,
        result=result,
        networks=networks,
        architecture=searched,
        finalists=finalists.parse(contents.get("finalists.json", b"[]"), shape),
        targets=targets,
        missing=tuple(name for name in expected if name not in there),
        images={} if began is None else began.images(),
    )


def _place(name: str) -> tuple[int, str]:
    """The known networks in the order of the tables, then any others by name."""
    known = name in NETWORKS
    return (NETWORKS.index(name), "") if known else (len(NETWORKS), name)


def _targets(run_folder: Path, result: Result) -> dict[str, RunFiles]:
    """The runs in `targets/`, by their networks or, before these are, by target."""
    named = {target.target: name for name, target in result.targets.items()}
    folders = sorted(path for path in run_folder.glob(f"{TARGETS}/*") if path.is_dir())
    runs = {
        named.get(path.name, f"target {path.name}"): read(path, True)
        for path in folders
    }
    order = [name for name in named.values() if name in runs]
    order += [name for name in runs if name not in order]
    return {name: runs[name] for name in order}


def _network(stated: _Network, where: str, table: LatencyTable) -> NetworkResult:
    document, measured = stated.architecture, stated.measured_ms or {}
    network = prediction = quartiles = None
    if document:
        network = _architecture(document, where)
        if not tables.missing(table, network.parts):
            prediction = risk.prediction(table, network)
    if "q25" in measured and "q75" in measured:
        quartiles = measured["q25"], measured["q75"]
    own = {"architecture": network, "measured_ms": measured.get("median")}
    return NetworkResult(
        **vars(stated) | own,
        prediction=prediction,
        quartiles_ms=quartiles,
        fastest_ms=measured.get("mean"),
    )


def _architecture(document: dict[str, Any], where: str) -> Architecture:
    try:
        return architecture_json.from_json(json.dumps(document))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
