"""The first experiment on a folder of pictures, as a file to read and change."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax.config.data import WATCHED, DataConfig
from nas_jax.config.experiment import Experiment, LatencyConfig, TrainConfig
from nas_jax.config.search import SearchConfig
from nas_jax.config.space import SpaceConfig
from nas_jax.data import balance, folder, partition, pictures
from nas_jax.data.source import DataSet, Item, Source
from nas_jax.training import optim
from nas_jax.training.progress import Progress

SIDES = (32, 64)
"""Of the network's images; the largest that half of the pictures fill."""
SHARES = {"train_alphas": 0.25, "valid": 0.1, "test": 0.2}
"""Of the pictures of every class; the weights get the rest."""
LEAST = 20
"""Pictures of every class, so that each of the four splits has some."""
STEPS = 800
"""Weight steps of the warm-up, at least, and of the joint phase: minutes on a CPU."""
BATCH = 32
GREY = ("1", "L", "LA")
"""Pillow's modes of pictures without colour."""
LOOKED_AT = 500
"""Pictures from which mean and deviation are taken."""
SILENT = Progress()
_IDEA = '''"""An experiment on pictures, made to be changed.

`nas_jax search FILE --help` lists every field; there they can be set, too. Flips are
wrong for letters; a larger space.input_size and more epochs cost time.
"""'''


def of_pictures(
    path: Path, skip_corrupt: bool = False, progress: Progress = SILENT
) -> Experiment:
    """An experiment on a folder of pictures, for this CPU, of some minutes.

    Classes and splits are counted, side and channels of the images follow the pictures,
    mean and deviation are theirs, epochs follow from the steps that a search needs.
    `progress` hears of classes of very different sizes.

    Raises:
      ValueError: as `data.folder.load`, and for too few classes or pictures of one.
    """
    if not path.expanduser().is_dir():
        raise ValueError(f"start {path}: expected a folder of pictures, found none")
    place = str(path.expanduser().absolute())  # the file may be used from anywhere
    given = DataConfig(name="folder", path=place, skip_corrupt=skip_corrupt)
    data = folder.load(given)
    sizes: dict[str, Any] = _sizes(data)
    for note in balance.notes(data.train.labels, data.train.label_names):
        progress.line(note)
    items = _looked_at(data.train)
    side, channels = _shape(items)
    mean, std = _moments(items, (side, side, channels))
    augmented: dict[str, Any] = {"shift_pixels": 0, "flip": True, "crop_area": 0.35}
    augmented |= {"brightness": 0.125, "mean": mean, "std": std}
    batch = min(BATCH, *(sizes[f"train_{name}"] for name in ("weights", "alphas")))
    epochs = math.ceil(STEPS / optim.steps_per_epoch(sizes["train_weights"], batch))
    trained = optim.steps_per_epoch(
        sizes["train_weights"] + sizes["train_alphas"], batch
    )
    name = "".join(c if c.isalnum() else "_" for c in path.resolve().name)
    return Experiment(
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
        data=dataclasses.replace(given, **sizes, **augmented),
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
        train=TrainConfig(epochs=math.ceil(2 * STEPS / trained), batch=batch),
    )


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


def _sizes(data: DataSet) -> dict[str, int]:
    """Pictures of each split."""
    counts = np.bincount(data.train.labels, minlength=len(data.train.label_names))
    rarest = int(counts.argmin())
    if counts[rarest] < LEAST or len(counts) < 2:
        raise ValueError(
            f"start: expected at least 2 classes of {LEAST} pictures or more, got "
            f"{len(counts)}, and of class {data.train.label_names[rarest]!r} "
            f"{counts[rarest]} pictures"
        )
    if data.train is data.test:
        sizes = {name: int(share * counts.sum()) for name, share in SHARES.items()}
    else:  # equally many of every class are held out
        held = {name: SHARES[name] for name in ("train_alphas", "valid")}
        sizes = {
            name: len(counts) * max(1, int(share * counts[rarest]))
            for name, share in held.items()
        }
        sizes["test"] = len(data.test.labels)
    if sizes["valid"] > WATCHED:  # they are looked at in batches of so many
        sizes["valid"] -= sizes["valid"] % WATCHED
    taken = sum(
        sizes[name] for name in sizes if name != "test" or data.train is data.test
    )
    return {"train_weights": int(counts.sum()) - taken} | {
        name: sizes[name] for name in (*partition.SPLITS[1:3], "test")
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
    return side, 1 if all(picture.mode in GREY for picture in opened) else 3


def _moments(
    items: list[Item], shape: tuple[int, int, int]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, of values from 0 to 1."""
    images = [pictures.cut(item, shape, pictures.centre_box) for item in items]
    values = np.stack(images).reshape(-1, shape[-1]) / 255
    mean, std = values.mean(axis=0), np.maximum(values.std(axis=0), 0.01)
    return tuple(mean.round(3).tolist()), tuple(std.round(3).tolist())
