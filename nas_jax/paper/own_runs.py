"""Your own runs as rows of a table of the paper, marked as yours.

A run is on some data, and so is a table. Where the two differ the run is refused: a
number of the digits says nothing beside one of ImageNet. Accuracy against latency is a
picture of any data, so that table takes every run, and names its data.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Interval

from nas_jax.config import files, on_disk
from nas_jax.config.data import TFDS
from nas_jax.config.from_json import from_json
from nas_jax.paper.tables import ABSENT, Table, millions

DATA: dict[str, tuple[str, ...]] = {
    "cifar10": ("cifar10",),
    "imagenet-mobile": ("imagenet2012",),
    "imagenet-gpu": ("imagenet2012",),
    "ablation": ("imagenet2012",),
    "trade-off": (),
}
"""The tables that take runs, and the data that each is of; none for any data."""

_Count = Annotated[int, Ge(0)]


@dataclass(frozen=True)
class _Time:
    median: Annotated[float, Ge(0)]


@dataclass(frozen=True)
class _Network:
    """As `result.json` states it."""

    test_accuracy: Annotated[float, Interval(ge=0, le=1)]
    test_images: _Count
    params: _Count
    macs: _Count
    measured_ms: _Time


@dataclass(frozen=True)
class _Result:
    networks: dict[str, _Network]
    seed: int
    device: str
    commit: str


@dataclass(frozen=True)
class _Data:
    name: str


@dataclass(frozen=True)
class _Latency:
    batch: int
    threads: int


@dataclass(frozen=True)
class _Search:
    objective: str


@dataclass(frozen=True)
class _Config:
    data: _Data
    latency: _Latency
    search: _Search


def with_run(name: str, table: Table, run: Path) -> Table:
    """The table with a row for every tested network of a finished run, and its origin.

    Raises `ValueError` for a table without such rows, for a run on other data, and for
    files of the run that cannot be understood.
    """
    if name not in DATA:
        raise ValueError(
            f"--run: expected with one of {', '.join(DATA)}, got {name}, which has no "
            "row for a run"
        )
    on_disk.require_run(run)
    file = run / "result.json"
    if not file.is_file():
        raise ValueError(
            f"--run {run}: expected a finished run, found no result.json; go on with "
            f"it: nas_jax search --resume {run}"
        )
    where = f"{run / 'config.json'}: "
    document = files.read_object(run / "config.json")
    config: _Config = from_json(_Config, document, where, extra="ignore")
    document = files.read_object(file)
    result: _Result = from_json(_Result, document, f"{file}: ", extra="ignore")
    data, wanted = config.data.name, DATA[name]
    if wanted and data.removeprefix(TFDS) not in wanted:
        raise ValueError(
            f"--run {run}: expected a run on {' or '.join(wanted)}, got one on {data}; "
            "nas_jax paper trade-off takes any"
        )
    label = f"yours, {run.resolve().name}"
    rows = []
    for network, one in result.networks.items():
        cells = _cells(one)
        shown = (cells.get(column, ABSENT) for column in table.header[1:])
        rows.append((f"{label}: {network}", *shown))
    images = {one.test_images for one in result.networks.values()}
    origin = (
        f"{label}: {data}, {' or '.join(map(str, sorted(images)))} test images, "
        f"objective {config.search.objective}, seed {result.seed}; ms in ONNX Runtime "
        f"on {result.device}, batch {config.latency.batch}, "
        f"{config.latency.threads} thread(s), commit {result.commit}"
    )
    return table._replace(rows=[*table.rows, *rows], notes=(*table.notes, origin))


def _cells(network: _Network) -> dict[str, str]:
    """The cells of a network under the headers of all tables."""
    accuracy = network.test_accuracy
    return {
        "here params": millions(network.params),
        "here MACs": millions(network.macs),
        "here ms": f"{network.measured_ms.median:.3f}",
        "here top-1": f"{100 * accuracy:.1f}",
        "here error %": f"{100 * (1 - accuracy):.2f}",
        "here test accuracy": f"{accuracy:.2%}",
    }
