"""The first experiment on a folder of pictures, as a file to read and change."""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nas_jax.config import families, on_disk, recipes
from nas_jax.config.data import DataConfig
from nas_jax.config.experiment import Experiment, LatencyConfig, TrainConfig
from nas_jax.config.search import SearchConfig
from nas_jax.config.space import ElasticConfig, EndsConfig
from nas_jax.data import (
    balance,
    copies,
    folder,
    idx_sets,
    pictures,
    preprocessing,
    splits,
    things,
)
from nas_jax.data.layouts import groupings
from nas_jax.data.source import DataSet, Item, Source
from nas_jax.runs import budget, pretrained, probe
from nas_jax.spaces import around
from nas_jax.training import optim
from nas_jax.training.progress import Progress

SIDES = (28, 32, 48, 64, 96, 128, 160, 192, 224)
"""Of the network's images, the largest that half of the pictures fill. Those of IDX
files mostly have 28."""
LARGEST = 64
"""Without a number of hours: larger images take hours on a CPU."""
CHOICES = {
    **{28: (20, 28, 40), 32: (24, 32, 48), 48: (32, 48, 64), 64: (48, 64)},
    **{96: (64, 96), 128: (96, 128), 160: (128, 160), 192: (160, 192), 224: (192, 224)},
}
"""Sides to choose among, by that of the pictures. Small ones may be enlarged: the stem
halves them, and the side decides more than any other choice (docs/widths.md)."""
STAGES = ((8, 16, 24), (16, 24, 32), (32, 48, 64), (64, 96, 128), (96, 128, 192))
"""Widths to choose among, stage by stage."""
LEAST_STAGES = 3
"""However small the images are."""
CELLS = (1, 2, 3, 3, 2)
"""Layers of each stage, at most."""
SHARES = {"train_alphas": 0.25, "test": 0.2}
"""Of the pictures; the weights get what these and `valid` leave."""
VALID = (0.1, 0.25)
"""Of the pictures, those of `valid` at least and at most."""
SPREAD = 0.01
"""Between accuracies of networks that `valid` should tell apart."""
LEAST = 20
"""Pictures of every class, so that each of the four splits has some."""
STEPS = 1600
"""Of a training in full without a number of hours, at least: minutes on a CPU."""
FIRST_LOOK = "a first look: small images, few and short trainings"
QUICK_STEPS, QUICK_SIDE, QUICK_TRIALS = 400, 32, 2
"""Of a first look: of a training, of its images at most, and networks compared."""
ENOUGH = 16
"""Epochs of a training before larger images are worth their time."""
WEIGHED_SIDES = (64, 96, 128)
"""Of images for networks that start from weights; larger ones take hours on a CPU."""
FINE_STEPS, FINE_EPOCHS = 600, (5, 30)
"""Of a training that starts from weights, and its epochs at least and at most."""
TRIALS, FINE_TRIALS = 16, 4
"""Networks that are compared by trainings in rungs; from weights all in full, as they
are ranked by what they keep of these."""
BATCH = 32
NO_COPIES = "no picture is a copy of another"
GREY = ("1", "L", "LA", "I", "F")
"""Pillow's modes of pictures without colour; 16 bits begin with I."""
LOOKED_AT = 500
"""Pictures from which mean and deviation are taken."""
_IDEA = '''"""An experiment on pictures, made to be changed.

`nas_jax search FILE --help-all` says what every field means; there they can be set,
too. Flips are wrong for letters. Larger sides of the images (input_sizes) and more
epochs take longer.
"""'''


class FirstExperiment(NamedTuple):
    """An experiment, and what was seen of its pictures."""

    experiment: Experiment
    pictures: dict[str, int]
    """How many each split has now."""
    notes: tuple[str, ...]
    """Remarks on the data for the user, one line each."""


def of_pictures(
    path: Path,
    largest: int = LARGEST,
    blocks: str = "mobilenet_v2",
    **reading: Any,
) -> FirstExperiment:
    """An experiment on pictures or IDX files, for this CPU, of some minutes.

    Classes and splits are counted, sides and channels of the images follow the
    pictures, mean and deviation are theirs, epochs follow from the steps that a
    training needs. The weights take the rest of the pictures, so that one more or less
    does no harm.

    Args:
      path: their folder, or a file of their labels; or one of several IDX files.
      largest: side that the network's images may have.
      blocks: whose networks are made of, a name in `families.BLOCKS`.
      reading: fields of `DataConfig` that say how they are read.

    Raises:
      ValueError: as `data.folder.load` and `data.idx_sets.load`, and for too few
        classes or pictures of one.
    """
    if not path.expanduser().exists():
        raise ValueError(
            f"start {path}: expected a folder of pictures, found none"
            f"{on_disk.meant_beside(path)}"
        )
    place = path.expanduser().absolute()  # the file may be used from anywhere
    is_idx = idx_sets.is_set(place)
    name = "idx" if is_idx else "folder"
    given = DataConfig(name=name, path=str(place), **reading)
    data = idx_sets.load(given) if is_idx else folder.load(given)
    fixed: dict[str, Any] = _sizes(things.distinct(data))
    drawn = splits.draw(dataclasses.replace(given, **fixed), data, Experiment.seed)
    sizes = {split: len(numbers) for split, numbers in drawn.numbers.items()}
    items = _looked_at(data.train)
    side, channels = _shape(items, largest)
    mean, std = _moments(items, (side, side, channels))
    augmented: dict[str, Any] = {"shift_pixels": 0, "flip": True, "crop_area": 0.35}
    augmented |= {"brightness": 0.125}
    if is_idx:  # mostly characters, which fill their image
        augmented = {"shift_pixels": 2}
    augmented |= {"mean": mean, "std": std, "geometry": "square"}
    training = sizes["train_weights"] + sizes["train_alphas"]
    batch = min(BATCH, training)
    epochs = math.ceil(STEPS / optim.steps_per_epoch(training, batch))
    name = _name_of(path.resolve())
    experiment = Experiment(
        name=name,
        space=_space(name, side, channels, len(data.train.label_names), blocks),
        data=dataclasses.replace(given, **fixed, **augmented),
        latency=LatencyConfig(batch=16, repeats=10),
        search=SearchConfig(
            warmup_epochs=0,
            joint_epochs=0,
            batch=batch,
            finalists=2 * TRIALS,
            trials=TRIALS,
            target_ratio=0.5,
        ),
        train=recipes.small_data(epochs, batch),
        scaled_networks=2,
    )
    notes = (
        *data.notes,
        *(drawn.notes or (NO_COPIES,)),
        *(() if data.groups else groupings.hint(data.train.names, data.train.labels)),
        *_resolution(data, drawn.numbers["valid"]),
        *balance.notes(data.train.labels, data.train.label_names),
    )
    return FirstExperiment(experiment, sizes, notes)


def named(experiment: Experiment, file: Path) -> Experiment:
    """The experiment by the name of its file, so that its runs are found by it."""
    name = _name_of(file)
    space = dataclasses.replace(experiment.space, name=name)
    return dataclasses.replace(experiment, name=name, space=space)


def _name_of(path: Path) -> str:
    return "".join(c if c.isalnum() else "_" for c in path.stem)


def quick(path: Path, **reading: Any) -> FirstExperiment:
    """As `of_pictures`, for a first look: one small side, few and short trainings.

    It shows the way from pictures to a label, and no more: two networks are compared,
    and one drawn at random and the hand-designed one stand beside the one chosen.
    """
    made = of_pictures(path, QUICK_SIDE, **reading)
    given = made.experiment
    assert isinstance(given.space, ElasticConfig)
    epochs = math.ceil(QUICK_STEPS / STEPS * given.train.epochs)
    experiment = dataclasses.replace(
        given,
        space=dataclasses.replace(given.space, input_sizes=(given.space.input_size,)),
        latency=dataclasses.replace(given.latency, repeats=5),
        search=dataclasses.replace(
            given.search, finalists=2 * QUICK_TRIALS, trials=QUICK_TRIALS
        ),
        train=given.train.lasting(epochs),
        random_networks=1,
        scaled_networks=0,
        about=FIRST_LOOK,
    )
    return made._replace(experiment=experiment, notes=(*made.notes, FIRST_LOOK))


def from_weights(
    path: Path, weights: Path, side: int | None = None, **reading: Any
) -> FirstExperiment:
    """An experiment that starts from the weights in a folder.

    Its space is that around their network (`spaces.around`); images are normalised as
    theirs were, and trainings are short. `side` is that of the images, by default the
    largest of `WEIGHED_SIDES` of which the pictures fill half.

    Raises `ValueError` as `of_pictures`, and for a folder without a network, or with
    one that has no such space.
    """
    network = pretrained.read(weights, "--weights").architecture
    made = of_pictures(path, SIDES[-1], **reading)
    given = made.experiment
    channels, classes = given.space.input_channels, given.space.classes
    if side is None:
        fit = [one for one in WEIGHED_SIDES if one <= 2 * given.space.input_size]
        side = max(fit, default=WEIGHED_SIDES[0])
    space = around.space(network, (side,), channels, classes)
    training = made.pictures["train_weights"] + made.pictures["train_alphas"]
    per_epoch = optim.steps_per_epoch(training, given.train.batch)
    epochs = min(max(math.ceil(FINE_STEPS / per_epoch), FINE_EPOCHS[0]), FINE_EPOCHS[1])
    experiment = dataclasses.replace(
        given,
        space=dataclasses.replace(space, name=given.space.name),
        search=dataclasses.replace(
            given.search, finalists=2 * FINE_TRIALS, trials=FINE_TRIALS
        ),
        train=dataclasses.replace(
            recipes.fine_tuning(epochs, given.train.batch), start=str(weights)
        ),
    )
    experiment, line = pretrained.adopted(experiment)
    notes = made.notes if line is None else (*made.notes, line)
    return made._replace(experiment=experiment.located(), notes=notes)


def in_hours(
    path: Path, hours: float, progress: Progress, **reading: Any
) -> FirstExperiment:
    """As `of_pictures`, with sides and epochs that use so many hours here.

    Images are as large as the pictures and `ENOUGH` epochs of every training allow; the
    time of a step is taken to grow with their pixels. A short trial decides whether
    mirrored and cropped pictures help (`probe`).

    Raises `ValueError` as `of_pictures` and `budget.fitted`.
    """
    budget.require_hours(hours)
    progress.line("times trainings, then tries in short ones what helps: 1 to 5 min")
    made = of_pictures(path, **reading)
    pace, side = (
        budget.pace(made.experiment, progress),
        made.experiment.space.input_size,
    )
    most = of_pictures(path, SIDES[-1], **reading).experiment.space.input_size
    at_one_pixel = (hours - pace.fixed) / pace.per_epoch * side**2
    fit = [one for one in SIDES if one <= most and at_one_pixel / one**2 >= ENOUGH]
    wanted = max(fit, default=SIDES[0])
    if wanted != side:
        made = of_pictures(path, wanted, **reading)
        pace = budget.pace(made.experiment, progress)
    found = budget.fitted(made.experiment, hours, pace)
    probed = probe.augmentation(found.experiment, progress)
    experiment = dataclasses.replace(found.experiment, data=probed.data)
    notes = (*made.notes, *probed.notes, found.note)
    return made._replace(experiment=experiment, notes=notes)


def _space(
    name: str, side: int, channels: int, classes: int, blocks: str = "mobilenet_v2"
) -> ElasticConfig:
    """Sides and widths to choose among, with stages down to some 4 to 7 pixels."""
    stages, left = 1, side // 2  # the stem halves once
    while (left > 7 or stages < LEAST_STAGES) and stages < len(STAGES):
        stages, left = stages + 1, -(-left // 2)
    return ElasticConfig(
        name=name,
        input_sizes=CHOICES[side],
        input_channels=channels,
        classes=classes,
        stem_widths=(8, 16),
        stem_stride=2,
        stage_choices=STAGES[:stages],
        candidates=families.BLOCKS[blocks].candidates,
        ends=families.BLOCKS[blocks].ends,
        cells=CELLS[:stages],
        strides=(1, *(2,) * (stages - 1)),
        head_channels=128,
    )


def text(experiment: Experiment, command: str) -> str:
    """The file: what differs from the defaults, a field a line."""
    source = _source(experiment, "    ")
    kinds = (
        DataConfig,
        Experiment,
        ElasticConfig,
        LatencyConfig,
        SearchConfig,
        TrainConfig,
        # of other blocks than MobileNetV2's
        *([EndsConfig] if "ends=" in source else []),
    )
    names = "".join(f"    {kind.__name__},\n" for kind in kinds)
    return (
        f"{_IDEA}\n\n# made by: {' '.join(command.splitlines())}\n"
        f"from nas_jax.config import (\n{names})\n\n\n"
        f"def get_config():\n    return {source}\n"
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
    sizes = {split: int(share * counts.sum()) for split, share in SHARES.items()}
    sizes["valid"] = valid_size(int(counts.sum()))
    return {"train_weights": None} | {
        split: None if split in items.sources else size for split, size in sizes.items()
    }


def valid_size(pictures: int) -> int:
    """How many of so many pictures `valid` takes.

    So many that the standard error of an accuracy, sqrt(p (1 - p) / n), is no more than
    `SPREAD` at p = 50 %, where it is largest; within the shares of `VALID`.

    >>> valid_size(1000), valid_size(20_000), valid_size(50_000)
    (250, 2500, 5000)
    """
    least, most = (int(share * pictures) for share in VALID)
    return min(max(math.ceil((0.5 / SPREAD) ** 2), least), most)


def _resolution(data: DataSet, valid: np.ndarray) -> tuple[str, ...]:
    """A line where `valid` is too small for networks that differ by `SPREAD`."""
    names = (data.train if data.valid is None else data.valid).names
    groups = {data.groups.get(name, name) for name in (names[n] for n in valid)}
    error, of_groups = (0.5 / math.sqrt(len(one)) for one in (valid, groups))
    if of_groups <= SPREAD:
        return ()
    line = (
        f"{len(valid):,} validation pictures cannot tell networks apart that differ "
        f"by less than {100 * error:.1f} points"
    )
    if len(groups) < len(valid):
        line += (
            f" ({100 * of_groups:.1f} if each of their {len(groups):,} groups is right "
            "or wrong as a whole)"
        )
    return (f"{line}; take less for no difference, or add pictures",)


def _looked_at(source: Source) -> list[Item]:
    """Items from all over the source."""
    places = np.linspace(0, len(source) - 1, min(len(source), LOOKED_AT))
    return [source[int(place)] for place in places]


def _shape(items: list[Item], largest: int) -> tuple[int, int]:
    """Side and channels of the network's images: one channel if all are grey."""
    opened = [pictures.opened(item.image) for item in items]
    median = np.median([min(picture.size) for picture in opened])
    most = min(median, largest)
    side = max((side for side in SIDES if side <= most), default=SIDES[0])
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
