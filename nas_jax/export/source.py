"""The source of an export: a trained network, its labels and its images.

All of a run is read from its folder. The folder of a single network, as `import`
writes it, describes its images; `Given` says what it does not.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from nas_jax.config import on_disk
from nas_jax.config.experiment import Experiment, LatencyConfig
from nas_jax.config.naming import meant
from nas_jax.data import batches, companions, pictures, preprocessing, record
from nas_jax.data.batches import Split
from nas_jax.data.companions import Companions
from nas_jax.data.in_memory import InMemorySplit
from nas_jax.data.preprocessing import Preprocessing
from nas_jax.data.source import Item
from nas_jax.data.streamed import StreamedSplit
from nas_jax.latency import tables
from nas_jax.latency.tables import LatencyTable
from nas_jax.networks import checkpoint
from nas_jax.networks.checkpoint import Model
from nas_jax.runs import eight_bits, run_folder, unfinished
from nas_jax.runs.setup import of_run
from nas_jax.training.devices import PLAIN

COMPARED = 1000
"""Test images of a run on which logits are compared, at most."""
DRAWN = "standard normal numbers"


class Source(NamedTuple):
    """A network called `name`, its companions, and inputs to prove its export with."""

    name: str
    model: Model
    companions: Companions
    images: Float[np.ndarray, "N H W C"]
    origin: str
    """What the images are, in words."""
    labels: Int[np.ndarray, "N"] | None
    """Of the images, if they are known."""
    calibration: Callable[[], Float[np.ndarray, "N H W C"] | None]
    """Images for the ranges of an 8-bit file, none of those above; None without."""
    table: LatencyTable | None
    config: LatencyConfig
    notes: tuple[str, ...] = ()
    """Remarks for the user, one line each."""
    companions_of: str | None = None
    """The one network that the companions are for, of a folder where images of
    networks differ in side; None for all."""


class Given(NamedTuple):
    """The description of a network that comes without a run, or where a run's data lie.

    `preprocessing` is `imagenet` or a file; `labels` a file of one label a line, None
    for the numbers of the classes; `images` are files of pictures to compare logits on,
    none for drawn inputs; `table` a latency table that predicts it; `calibration` are
    files, or folders of them, that give an 8-bit file its ranges. `data_path` is for a
    run whose data were moved.
    """

    preprocessing: str | None = None
    labels: Path | None = None
    images: Sequence[Path] = ()
    table: Path | None = None
    calibration: Sequence[Path] = ()
    data_path: Path | None = None


def read(folder: Path, network: str | None, given: Given) -> Source:
    """The source of an export.

    Args:
      folder: a run folder, or a folder of one network.
      network: of a run: which trained network; None for the derived one.
      given: for a folder of one network; of a run, `data_path` alone.

    Raises:
      ValueError: for a run that was not trained, with the command that does; for what
        is missing, unknown, or does not fit.
    """
    if on_disk.is_run(folder):
        return _of_run(folder, network, given)
    if network is not None:
        raise ValueError(
            f"--network {network}: expected a run folder, got {folder}, which is none"
        )
    if not (folder / "architecture.json").is_file():
        raise on_disk.no_run(folder, "a run, or the folder of a network")
    return _of_network(folder, given)


def _of_run(folder: Path, network: str | None, given: Given) -> Source:
    if given._replace(data_path=None) != Given():
        raise ValueError(
            f"{folder} is a run folder and knows its data and table; leave out "
            "--preprocessing, --labels, --images, --table and --calibration"
        )
    experiment = run_folder.read_experiment(folder, given.data_path)
    if network is None:
        derived = folder / "architecture.json"
        if not derived.is_file():
            raise ValueError(f"{folder}: {unfinished.told(folder)}")
        network = run_folder.read_architecture(derived).name
    trained = folder / "checkpoints"
    is_name = Path(network).name == network  # it names the files that are written
    if not (is_name and (trained / network / "architecture.json").is_file()):
        names = sorted(path.parent.name for path in trained.glob("[!.]*/digests.json"))
        if not names:
            raise ValueError(f"{folder}: {unfinished.told(folder)}")
        raise ValueError(
            f"{folder}: expected a trained network {network!r} in checkpoints/, found "
            f"{', '.join(names)}{meant(network, names)}; train the derived one: "
            f"nas_jax train {folder}"
        )
    stored = folder / "latency_table.json"
    model = checkpoint.load_model(trained / network)
    proof, label_names = _proof(folder, experiment, model)
    side = model.architecture.stem.input_size

    def calibration() -> np.ndarray:
        training = of_run(experiment, folder, PLAIN, ("train_weights",))
        return eight_bits.calibration(training.at(side))

    return Source(
        name=network,
        model=model,
        companions=companions.of_data(experiment, label_names, side),
        images=proof.images,
        origin=proof.origin,
        labels=proof.labels,
        calibration=calibration,
        table=tables.load(stored) if stored.is_file() else None,
        config=experiment.latency,
        notes=proof.notes,
        companions_of=companions.owner(experiment, network),
    )


class _Proof(NamedTuple):
    """Inputs on which an export is compared with JAX."""

    images: np.ndarray
    origin: str
    labels: np.ndarray | None
    notes: tuple[str, ...]


def _proof(
    folder: Path, experiment: Experiment, model: Model
) -> tuple[_Proof, tuple[str, ...]]:
    """Test images of a run as its files give them, or drawn numbers without these.

    Also the run's label names. An export needs no pictures where the run has kept its
    labels; it then says what was compared instead.
    """
    try:
        data = of_run(experiment, folder, PLAIN, ("test",)).of(model.architecture)
    except ValueError as error:
        began = record.read(folder)
        if began is None:
            raise
        numbers = drawn(model.architecture.input_shape)
        line = f"compared on drawn numbers, without the test images: {error}"
        return _Proof(numbers, DRAWN, None, (line,)), began.label_names
    test = data.splits["test"]
    proof = batches.spread(test, COMPARED)
    images, labels = np.asarray(proof.images), np.asarray(proof.labels)
    side = model.architecture.stem.input_size
    shipped = companions.of_data(experiment, data.label_names, side).preprocessing
    files = _from_files(test, shipped)
    if files is None:
        return _Proof(images, "test images", labels, data.notes), data.label_names
    if not np.array_equal(files, images):
        raise ValueError(
            f"{folder}: expected the test's files to give what evaluation had of them, "
            "got other pixels; nothing is written, please report it"
        )
    return _Proof(files, "test files", labels, data.notes), data.label_names


def _from_files(split: Split, shipped: Preprocessing) -> np.ndarray | None:
    """What an application makes of the same items, from the bytes of their files.

    Images that are held in memory are written as PNG first; None for those that are no
    bytes.
    """
    if not isinstance(split, InMemorySplit | StreamedSplit):
        return None
    prepare = preprocessing.from_json(preprocessing.to_json(shipped), "as shipped")
    places = batches.spread_places(len(split.labels), COMPARED)
    items = (split.source[int(n)] for n in split.indices[places])
    return np.stack([prepare(_encoded(item)) for item in items])


def _encoded(item: Item) -> Item:
    if isinstance(item.image, bytes):
        return item
    stream = io.BytesIO()
    pictures.opened(item.image).save(stream, "PNG")
    return item._replace(image=stream.getvalue())


def _of_network(folder: Path, given: Given) -> Source:
    model = checkpoint.load_model(folder)
    shape = model.architecture.input_shape
    travelling = Companions(
        _labels(given.labels, model.architecture.classifier.classes),
        _preprocessing(folder, given.preprocessing, shape),
    )
    return Source(
        name=model.architecture.name,
        model=model,
        companions=travelling,
        images=preprocessing.read_images(given.images, travelling.preprocessing)
        if given.images
        else drawn(shape),
        origin="images" if given.images else DRAWN,
        labels=None,
        calibration=lambda: _calibration(given.calibration, travelling.preprocessing),
        table=None if given.table is None else tables.load(given.table),
        config=LatencyConfig(batch=1),
    )


def drawn(shape: tuple[int, int, int]) -> Float[np.ndarray, "N H W C"]:
    """Standard normal inputs, always the same, where there are no images."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((32, *shape), dtype=np.float32)


def _calibration(
    paths: Sequence[Path], prepare: Preprocessing
) -> Float[np.ndarray, "N H W C"] | None:
    files: list[Path] = []
    for path in paths:
        inside = path.rglob("[!.]*") if path.is_dir() else [path]
        files += sorted(file for file in inside if not file.is_dir())
    if paths and not files:
        raise ValueError(f"--calibration {paths[0]}: expected pictures, found none")
    return preprocessing.read_images(files, prepare) if files else None


def _labels(path: Path | None, classes: int) -> tuple[str, ...]:
    if path is None:
        return tuple(map(str, range(classes)))
    labels = companions.read_labels(path)
    if len(labels) != classes:
        raise ValueError(
            f"--labels {path}: expected {classes} lines, one per class, got "
            f"{len(labels)}"
        )
    return labels


def _preprocessing(
    folder: Path, source: str | None, shape: tuple[int, int, int]
) -> Preprocessing:
    size, _, channels = shape
    beside = folder / companions.PREPROCESSING
    if source is None and beside.is_file():
        source = str(beside)
    if source is None:
        raise ValueError(
            "--preprocessing: expected how images are prepared, as this folder is no "
            "run that says it, got none; give 'imagenet' (weights of the reference) or "
            "a preprocessing.json"
        )
    flag, path = f"--preprocessing {source}", Path(source)
    if source == "imagenet":
        prepare = preprocessing.imagenet(size)
    elif path.is_file():
        text = path.read_text(encoding="utf-8", errors="replace")
        prepare = preprocessing.from_json(text, flag)
    else:
        raise ValueError(f"{flag}: expected 'imagenet' or a file, found none")
    if (prepare.size, len(prepare.mean)) != (size, channels):
        raise ValueError(
            f"{flag}: expected images of side {size} with {channels} channels, as the "
            f"network takes, got side {prepare.size} with {len(prepare.mean)}"
        )
    return prepare
