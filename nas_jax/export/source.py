"""The source of an export: a trained network, its labels and its images.

All of a run is read from its folder. The folder of a single network, as `import-torch`
writes it, does not describe images: `Given` does.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from nas_jax.config.experiment import LatencyConfig
from nas_jax.data import preprocessing
from nas_jax.data.batches import Batch, Split
from nas_jax.data.preprocessing import Preprocessing
from nas_jax.export import companions
from nas_jax.export.companions import Companions
from nas_jax.latency import tables
from nas_jax.latency.tables import LatencyTable
from nas_jax.networks import checkpoint
from nas_jax.networks.checkpoint import Model
from nas_jax.runs import run_folder
from nas_jax.runs.setup import load
from nas_jax.training.devices import PLAIN

COMPARED = 1000
"""Test images of a run on which logits are compared, at most."""
CALIBRATING = 256
"""Training images of a run that give an 8-bit file its ranges, at most."""


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


class Given(NamedTuple):
    """The description of a network that comes without a run.

    `preprocessing` is `imagenet` or a file; `labels` a file of one label a line, None
    for the numbers of the classes; `images` are files of pictures to compare logits on,
    none for drawn inputs; `table` a latency table that predicts it; `calibration` are
    files, or folders of them, that give an 8-bit file its ranges.
    """

    preprocessing: str | None = None
    labels: Path | None = None
    images: Sequence[Path] = ()
    table: Path | None = None
    calibration: Sequence[Path] = ()


def read(folder: Path, network: str | None, given: Given) -> Source:
    """The source of an export.

    Args:
      folder: a run folder, or a folder of one network.
      network: of a run: which trained network; None for the derived one.
      given: for a folder of one network.

    Raises:
      ValueError: for a run that was not trained, with the command that does; for what
        is missing, unknown, or does not fit.
    """
    if (folder / "config.json").is_file():
        return _of_run(folder, network, given)
    if network is not None:
        raise ValueError(
            f"--network {network}: expected a run folder, got {folder}, which is none"
        )
    return _of_network(folder, given)


def _of_run(folder: Path, network: str | None, given: Given) -> Source:
    if given != Given():
        raise ValueError(
            f"{folder} is a run folder and knows its data and table; leave out "
            "--preprocessing, --labels, --images, --table and --calibration"
        )
    experiment = run_folder.read_experiment(folder)
    if network is None:
        derived = folder / "architecture.json"
        if not derived.is_file():
            raise ValueError(
                f"{folder}: expected a finished run with architecture.json, found "
                f"none; go on with it: 'nas_jax search --resume {folder}'"
            )
        network = run_folder.read_architecture(derived).name
    trained = folder / "checkpoints"
    is_name = Path(network).name == network  # it names the files that are written
    if not (is_name and (trained / network / "architecture.json").is_file()):
        names = sorted(path.parent.name for path in trained.glob("[!.]*/digests.json"))
        raise ValueError(
            f"{folder}: expected a trained network {network!r} in checkpoints/, found "
            f"{', '.join(names) or 'none'}; train the derived one with 'nas_jax train "
            f"{folder}'"
        )
    stored = folder / "latency_table.json"
    data = load(experiment, PLAIN)
    proof = spread(data.splits["test"], COMPARED)
    training = data.splits["train_weights"]
    return Source(
        name=network,
        model=checkpoint.load_model(trained / network),
        companions=companions.of_data(experiment, data.label_names),
        images=np.asarray(proof.images),
        origin="test images",
        labels=np.asarray(proof.labels),
        calibration=lambda: np.asarray(spread(training, CALIBRATING).images),
        table=tables.load(stored) if stored.is_file() else None,
        config=experiment.latency,
    )


def spread(split: Split, most: int) -> Batch:
    """At most so many images as evaluated, evenly over a split that may be sorted."""
    size = len(split.labels)
    places = np.unique(np.linspace(0, size - 1, min(most, size)).round().astype(int))
    return split.evaluated().take(places)


def _of_network(folder: Path, given: Given) -> Source:
    model = checkpoint.load_model(folder)
    shape = model.architecture.input_shape
    travelling = Companions(
        _labels(given.labels, model.architecture.classifier.classes),
        _preprocessing(given.preprocessing, shape),
    )
    return Source(
        name=model.architecture.name,
        model=model,
        companions=travelling,
        images=preprocessing.read_images(given.images, travelling.preprocessing)
        if given.images
        else drawn(shape),
        origin="images" if given.images else "standard normal numbers",
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


def _preprocessing(source: str | None, shape: tuple[int, int, int]) -> Preprocessing:
    size, _, channels = shape
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
