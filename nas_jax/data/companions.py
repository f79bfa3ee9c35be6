"""Labels and preprocessing, which travel with an exported model.

    export/labels.txt          one label a line, in the order of the logits
    export/preprocessing.json  see `preprocessing`

They are files because ONNX alone of the three formats has a plain place for them. All
models of a folder share them.
"""

from pathlib import Path
from typing import NamedTuple

from nas_jax.config import files
from nas_jax.config.experiment import Experiment
from nas_jax.data import digits, preprocessing
from nas_jax.data.preprocessing import Preprocessing

LABELS, PREPROCESSING = "labels.txt", "preprocessing.json"


class Companions(NamedTuple):
    """Labels in the order of the logits, and how images are prepared."""

    labels: tuple[str, ...]
    preprocessing: Preprocessing


def of_data(experiment: Experiment, label_names: tuple[str, ...]) -> Companions:
    """Those of an experiment's data: what its evaluation does to a picture."""
    config, size = experiment.data, experiment.space.input_size
    if config.name == "digits":  # normalised by itself, never a file
        mean, std = digits.statistics(size)
        return Companions(label_names, Preprocessing(size, size, (mean,), (std,)))
    return Companions(label_names, preprocessing.of(config, size))


def write(folder: Path, companions: Companions) -> None:
    """Writes both files into a folder, replacing those that are there."""
    files.write(folder / LABELS, "".join(f"{one}\n" for one in companions.labels))
    described = preprocessing.to_json(companions.preprocessing)
    files.write(folder / PREPROCESSING, described)


def read(folder: Path) -> Companions:
    """The companions of the models of a folder; `ValueError` naming what is wrong."""
    path = folder / PREPROCESSING
    prepare = preprocessing.from_json(text(path), str(path))
    return Companions(read_labels(folder / LABELS), prepare)


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
