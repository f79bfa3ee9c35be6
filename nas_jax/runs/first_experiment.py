"""The first experiment on a folder of pictures, as a file to read and change."""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nas_jax.config import recipes
from nas_jax.config.data import DataConfig
from nas_jax.config.experiment import Experiment, LatencyConfig, TrainConfig
from nas_jax.config.search import SearchConfig
from nas_jax.config.space import SpaceConfig
from nas_jax.data import balance, copies, folder, pictures, preprocessing, splits
from nas_jax.data.source import Item, Source
from nas_jax.training import optim

SIDES = (32, 64)
"""Of the network's images; the largest that half of the pictures fill."""
SHARES = {"train_alphas": 0.25, "valid": 0.1, "test": 0.2}
"""Of the pictures of every class; the weights get the rest."""
LEAST = 20
"""Pictures of every class, so that each of the four splits has some."""
STEPS = 800
"""Weight steps of the warm-up, at least, and of the joint phase: minutes on a CPU."""
BATCH = 32
GREY = ("1", "L", "LA", "I", "F")
"""Pillow's modes of pictures without colour; 16 bits begin with I."""
LOOKED_AT = 500
"""Pictures from which mean and deviation are taken."""
_IDEA = '''"""An experiment on pictures, made to be changed.

`nas_jax search FILE --help` lists every field; there they can be set, too. Flips are
wrong for letters; a larger space.input_size and more epochs cost time.
"""'''


class FirstExperiment(NamedTuple):
    """An experiment, and what was seen of its pictures."""

    experiment: Experiment
    pictures: dict[str, int]
    """How many each split has now."""
    notes: tuple[str, ...]
    """Remarks on the data for the user, one line each."""


def of_pictures(path: Path, **reading: Any) -> FirstExperiment:
    """An experiment on pictures, for this CPU, of some minutes.

    Classes and splits are counted, side and channels of the images follow the pictures,
    mean and deviation are theirs, epochs follow from the steps that a search needs. The
    weights take the rest of the pictures, so that one more or less does no harm.

    Args:
      path: their folder, or a file of their labels.
      reading: fields of `DataConfig` that say how they are read.

    Raises:
      ValueError: as `data.folder.load`, and for too few classes or pictures of one.
    """
    if not path.expanduser().exists():
        raise ValueError(f"start {path}: expected a folder of pictures, found none")
    place = str(path.expanduser().absolute())  # the file may be used from anywhere
    given = DataConfig(name="folder", path=place, **reading)
    data = folder.load(given)
    fixed: dict[str, Any] = _sizes(copies.distinct(data))
    drawn = splits.draw(dataclasses.replace(given, **fixed), data, Experiment.seed)
    sizes = {split: len(numbers) for split, numbers in drawn.numbers.items()}
    items = _looked_at(data.train)
    side, channels = _shape(items)
    mean, std = _moments(items, (side, side, channels))
    augmented: dict[str, Any] = {"shift_pixels": 0, "flip": True, "crop_area": 0.35}
    augmented |= {"brightness": 0.125, "mean": mean, "std": std}
    augmented |= {"geometry": "square"}
    batch = min(BATCH, *(sizes[f"train_{name}"] for name in ("weights", "alphas")))
    epochs = math.ceil(STEPS / optim.steps_per_epoch(sizes["train_weights"], batch))
    trained = optim.steps_per_epoch(
        sizes["train_weights"] + sizes["train_alphas"], batch
    )
    name = "".join(c if c.isalnum() else "_" for c in path.resolve().stem)
    experiment = Experiment(
        name=name,
        space=SpaceConfig(
            name=name,
            input_size=side,
            input_channels=channels,
            classes=len(data.train.label_names),
            stem_channels=16,
            stem_stride=side // 32,
            first_block_channels=None,
            stage_widths=(16, 24, 48),
            cells=(2, 2, 2),
            strides=(2, 2, 2),
            head_channels=128,
        ),
        data=dataclasses.replace(given, **fixed, **augmented),
        latency=LatencyConfig(batch=16),
        search=SearchConfig(
            warmup_epochs=epochs,
            joint_epochs=epochs,
            batch=batch,
            arch_batch=batch,
            arch_every=1,
            arch_lr=0.05,
            watch_every_epochs=max(1, epochs // 20),
            target_ratio=0.5,
        ),
        train=recipes.small_data(math.ceil(2 * STEPS / trained), batch),
    )
    uneven = balance.notes(data.train.labels, data.train.label_names)
    return FirstExperiment(experiment, sizes, data.notes + drawn.notes + tuple(uneven))


def text(experiment: Experiment, command: str) -> str:
    """The file: what differs from the defaults, a field a line."""
    kinds = (
        DataConfig,
        Experiment,
        LatencyConfig,
        SearchConfig,
        SpaceConfig,
        TrainConfig,
    )
    names = "".join(f"    {kind.__name__},\n" for kind in kinds)
    return (
        f"{_IDEA}\n\n# made by: {' '.join(command.splitlines())}\n"
        f"from nas_jax.config.experiment import (\n{names})\n\n\n"
        f"def get_config():\n    return {_source(experiment, '    ')}\n"
    )


def _source(config: Any, indent: str) -> str:
    """The call that makes a configuration."""
    lines = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if value == default:
            continue
        is_config = dataclasses.is_dataclass(value)
        shown = _source(value, indent + "    ") if is_config else repr(value)
        lines.append(f"{indent}    {field.name}={shown},")
    return "\n".join([f"{type(config).__name__}(", *lines, f"{indent})"])


def _sizes(items: copies.Distinct) -> dict[str, int | None]:
    """Sizes of the splits, None for the rest or for all of a set of its own."""
    training = items.sources["training"]
    labels = training.labels[items.numbers["training"]]
    counts = np.bincount(labels, minlength=len(training.label_names))
    rarest = int(counts.argmin())
    if counts[rarest] < LEAST or len(counts) < 2:
        raise ValueError(
            f"start: expected at least 2 classes of {LEAST} pictures or more, got "
            f"{len(counts)}, and of class {training.label_names[rarest]!r} "
            f"{counts[rarest]} pictures; add pictures{items.loss('training')}"
        )
    if "test" in items.sources:  # equally many of every class are held out
        sizes = {
            split: len(counts) * max(1, int(share * counts[rarest]))
            for split, share in SHARES.items()
        }
    else:
        sizes = {split: int(share * counts.sum()) for split, share in SHARES.items()}
    return {"train_weights": None} | {
        split: None if split in items.sources else size for split, size in sizes.items()
    }


def _looked_at(source: Source) -> list[Item]:
    """Items from all over the source."""
    places = np.linspace(0, len(source) - 1, min(len(source), LOOKED_AT))
    return [source[int(place)] for place in places]


def _shape(items: list[Item]) -> tuple[int, int]:
    """Side and channels of the network's images: one channel if all are grey."""
    files = [item.image for item in items]
    opened = [pictures.opened(file) for file in files if isinstance(file, bytes)]
    median = np.median([min(picture.size) for picture in opened])
    side = max((side for side in SIDES if side <= median), default=SIDES[0])
    return side, 1 if all(
        picture.mode.partition(";")[0] in GREY for picture in opened
    ) else 3


def _moments(
    items: list[Item], shape: tuple[int, int, int]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, of values from 0 to 1."""
    side, _, channels = shape
    unit = (0.0,) * channels, (1.0,) * channels
    square = preprocessing.Preprocessing(side, side, *unit)
    images = np.stack([square.pixels(item) for item in items])
    values = images.reshape(-1, channels) / 255
    mean, std = values.mean(axis=0), np.maximum(values.std(axis=0), 0.01)
    return tuple(mean.round(3).tolist()), tuple(std.round(3).tolist())
