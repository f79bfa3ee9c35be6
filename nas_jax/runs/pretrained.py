"""Weights from elsewhere as the start of a run: read, checked, cut to its networks.

Images are normalised as the weights were trained with, whatever the data would have.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nas_jax.base import Images, PRNGKey, PyTree
from nas_jax.config import files
from nas_jax.config.experiment import Experiment
from nas_jax.data import companions, preprocessing
from nas_jax.networks import checkpoint, inherit
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.pretrained import unfold
from nas_jax.spaces.architecture import Architecture
from nas_jax.training.progress import Progress


def read(folder: Path) -> Model:
    """The network in a folder, read once; `ValueError` if there is none."""
    return _read(folder.expanduser().absolute())


@functools.lru_cache(maxsize=1)
def _read(folder: Path) -> Model:
    return checkpoint.load_model(folder)


def weights(
    folder: Path,
    network: Architecture,
    key: PRNGKey,
    images: Callable[[], Images],
    progress: Progress,
) -> tuple[PyTree, PyTree]:
    """Parameters and batch statistics of a network, cut from those in a folder.

    What is new is drawn from the key. Where batch normalisation was folded it is taken
    apart again, with statistics of `images`. Raises `ValueError` as `inherit`.
    """
    source = read(folder)
    found = inherit.inherit(source, network, key)
    for note in found.notes:
        progress.line(f"{network.name}: {note}")
    if not unfold.is_folded(source):
        return found.params, found.batch_stats
    model = unfold.unfold(Model(network, found.params, found.batch_stats), images())
    return model.params, model.batch_stats


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
    folder = experiment.train.weights
    if folder is None:
        return experiment, None
    found = statistics(folder, experiment.space.input_channels)
    data = experiment.data
    if found is None or found == (data.mean, data.std):
        return experiment, None
    mean, std = found
    line = (
        f"images are normalised as for the weights: mean {_numbers(mean)}, deviation "
        f"{_numbers(std)}"
    )
    return replace(experiment, data=replace(data, mean=mean, std=std)), line


def check(folder: Path, network: Architecture) -> None:
    """Raises `ValueError` if the weights in a folder are of another skeleton."""
    inherit.require_alike(read(folder).architecture, network)


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)
