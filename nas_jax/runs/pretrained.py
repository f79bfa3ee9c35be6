"""Weights from elsewhere as the start of a run: read, checked, cut to its networks.

Images are normalised as the weights were trained with, whatever the data would have.
"""

import functools
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from nas_jax import supernet
from nas_jax.base import PRNGKey, PyTree
from nas_jax.config import files, on_disk
from nas_jax.config.experiment import Experiment
from nas_jax.data import companions, preprocessing
from nas_jax.data.batches import Split
from nas_jax.networks import checkpoint, inherit
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.pretrained import unfold
from nas_jax.spaces import architecture, around
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.space import LayerSpec, SearchSpace
from nas_jax.training.progress import Progress

UNFOLDED = 256
"""Images whose statistics a folded batch normalisation gets."""


def read(folder: Path, flag: str = "--train.start") -> Model:
    """The network in a folder, read once; `ValueError` if there is none.

    `flag` is what names the folder in errors.
    """
    on_disk.require_network(flag, folder)
    return _read(folder.expanduser().absolute())


@functools.lru_cache(maxsize=2)  # the weights to start from, and a teacher
def _read(folder: Path) -> Model:
    return checkpoint.load_model(folder)


def weights(
    folder: Path,
    network: Architecture,
    key: PRNGKey,
    data: Split,
    progress: Progress,
) -> tuple[PyTree, PyTree]:
    """Parameters and batch statistics of a network, cut from those in a folder.

    What is new is drawn from the key. Where batch normalisation was folded it is taken
    apart again, with statistics of some images. Raises `ValueError` as `inherit`.
    """
    source = read(folder)
    found = inherit.inherit(source, network, key)
    for note in found.notes:
        progress.line(f"{network.name}: {note}")
    if not unfold.is_folded(source):
        return found.params, found.batch_stats
    some = np.arange(min(UNFOLDED, len(data.labels)))
    images = data.evaluated().take(some).images
    model = unfold.unfold(Model(network, found.params, found.batch_stats), images)
    return model.params, model.batch_stats


def teacher(folder: Path, space: SearchSpace) -> Model:
    """The network in a folder, whose answers a training joins with the labels.

    Raises `ValueError` for one of other images or classes than the space.
    """
    found = read(folder, "--train.teacher")
    one = found.architecture
    got = one.stem.in_channels, one.classifier.classes
    expected = space.stem.in_channels, space.classifier.classes
    if got != expected:
        raise ValueError(
            f"train.teacher {folder}: expected a network of {expected[0]} channels and "
            f"{expected[1]} classes, trained on the same data, got {got[0]} and "
            f"{got[1]}"
        )
    return found


def supernet_weights(
    folder: Path, space: SearchSpace, weights: tuple[PyTree, PyTree], key: PRNGKey
) -> tuple[PyTree, PyTree]:
    """Parameters and batch statistics of a supernet, every candidate's cut.

    `weights` are those drawn at random, in whose place they come. Raises `ValueError`
    as `inherit`.
    """
    trees: list[PyTree] = list(weights)
    first = 0 if space.first_block is None else 1
    for place, op in enumerate(space.candidates):
        if op.is_zero:
            continue
        ops = [op if op in one.candidates else _first(one) for one in space.layers]
        network = architecture.from_ops(space, ops, op.name)
        found = inherit.inherit(read(folder), network, jax.random.fold_in(key, place))
        for kind, own in enumerate(found[:2]):
            for layer, one in enumerate(space.layers):
                if op in one.candidates:
                    values = own["blocks"][first + layer]
                    trees[kind] = supernet.insert(
                        space, trees[kind], layer, op, values, batch_stats=bool(kind)
                    )
            for name in space.fixed:
                values = own["blocks"][0] if name == "first_block" else own[name]
                trees[kind] = {**trees[kind], name: values}
    return trees[0], trees[1]


def fitted(
    folder: Path,
    shape: tuple[int, int, int],
    classes: int | None,
    key: PRNGKey,
    data: Split,
    progress: Progress,
) -> Model:
    """The network in a folder for images H W C and classes, None for its own.

    Arguments and errors as of `weights`.
    """
    own = read(folder).architecture
    classes = own.classifier.classes if classes is None else classes
    network = around.resized(own, shape[0], shape[2], classes)
    return Model(network, *weights(folder, network, key, data, progress))


def shared_weights(
    folder: Path,
    widest: Architecture,
    key: PRNGKey,
    data: Split,
    progress: Progress,
) -> tuple[PyTree, PyTree]:
    """Parameters and batch statistics of a supernet whose candidates share weights.

    The channels that matter most come first, so that every network in it begins as one
    cut from those in the folder. Arguments and errors as of `weights`.
    """
    shape, classes = widest.input_shape, widest.classifier.classes
    given = fitted(folder, shape, classes, key, data, progress)
    found = inherit.inherit(given, widest, key, in_order=True)
    return found.params, found.batch_stats


def _first(layer: LayerSpec) -> OpSpec:
    """An operation that a layer offers, not `zero`."""
    return next(op for op in layer.candidates if not op.is_zero)


def statistics(
    folder: Path, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and deviation of the images of weights; None where their folder has none.

    For another number of channels the mean of the channels stands for each.
    """
    path = folder.expanduser() / companions.PREPROCESSING
    if not path.is_file():
        return None
    found = preprocessing.from_json(files.read_text(path), str(path))
    if len(found.mean) == channels:
        return found.mean, found.std
    mean, std = (sum(each) / len(each) for each in (found.mean, found.std))
    return (mean,) * channels, (std,) * channels


def adopted(experiment: Experiment) -> tuple[Experiment, str | None]:
    """The experiment with images normalised for its weights; a line if they change."""
    folder = experiment.weights
    if folder is None:
        return experiment, None
    found = statistics(folder, experiment.space.input_channels)
    data = experiment.data
    if found is None or found == (data.mean, data.std):
        return experiment, None
    mean, std = found
    line = (
        "images are normalised as for the weights: mean "
        f"{preprocessing.numbers(mean)}, deviation {preprocessing.numbers(std)}"
    )
    return replace(experiment, data=replace(data, mean=mean, std=std)), line


def check(folder: Path, network: Architecture) -> None:
    """Raises `ValueError` if the weights in a folder are of another skeleton."""
    inherit.require_alike(read(folder).architecture, network)
