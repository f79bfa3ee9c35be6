"""Labels and preprocessing, which travel with an exported model.

    export/labels.txt          one label a line, in the order of the logits
    export/preprocessing.json  see `preprocessing`

They are files because ONNX alone of the three formats has a plain place for them. All
models of a folder share them, unless their images have different sides: the
preprocessing of a network NAME is then NAME.preprocessing.json.
"""

from pathlib import Path
from typing import NamedTuple

from nas_jax.config import files
from nas_jax.config.experiment import Experiment
from nas_jax.config.space import ElasticConfig
from nas_jax.data import digits, preprocessing
from nas_jax.data.preprocessing import Preprocessing

LABELS, PREPROCESSING = "labels.txt", "preprocessing.json"


class Companions(NamedTuple):
    """Labels in the order of the logits, and how images are prepared."""

    labels: tuple[str, ...]
    preprocessing: Preprocessing


def of_data(
    experiment: Experiment, label_names: tuple[str, ...], size: int
) -> Companions:
    """Those of an experiment's data: what its evaluation does to a picture.

    `size` is the side of the network's images.
    """
    config = experiment.data
    if config.name == "digits":  # normalised by itself, never a file
        mean, std = digits.statistics(size)
        return Companions(label_names, Preprocessing(size, size, (mean,), (std,)))
    return Companions(label_names, preprocessing.of(config, size))


def owner(experiment: Experiment, network: str) -> str | None:
    """The network that has companions of its own; None where all share them."""
    return network if isinstance(experiment.space, ElasticConfig) else None


def write(folder: Path, companions: Companions, network: str | None = None) -> None:
    """Writes both files into a folder, replacing those that are there.

    For all models of the folder, or for a `network` alone.
    """
    files.write(folder / LABELS, "".join(f"{one}\n" for one in companions.labels))
    described = preprocessing.to_json(companions.preprocessing)
    files.write(folder / _preprocessing(network), described)


def read(folder: Path, network: str | None = None) -> Companions:
    """The companions of a network, of any of a folder by default.

    Raises `ValueError` naming what is wrong.
    """
    path = folder / _preprocessing(network)
    if not path.is_file():
        path = folder / PREPROCESSING
    prepare = preprocessing.from_json(text(path), str(path))
    return Companions(read_labels(folder / LABELS), prepare)


def _preprocessing(network: str | None) -> str:
    return PREPROCESSING if network is None else f"{network}.{PREPROCESSING}"


def read_labels(path: Path) -> tuple[str, ...]:
    """A file of one label a line; `ValueError` if there are none or an empty one."""
    labels = tuple(text(path).removesuffix("\n").split("\n"))
    if not labels or not all(map(str.strip, labels)):
        raise ValueError(f"{path}: expected one label a line, none of them empty")
    return labels


def text(path: Path) -> str:
    """A file beside a model; `ValueError` if there is none."""
    if not path.is_file():
        raise ValueError(
            f"{path}: expected this file beside the model, found none; 'nas_jax "
            "export' writes it, copy it along with the model"
        )
    return files.read_text(path)
