"""Which data set, its splits and its augmentation, as a frozen dataclass. No JAX."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from nas_jax.config.checks import Count, Natural, Positive, require
from nas_jax.config.from_json import require_types

NAMES = ("digits", "fashion_mnist", "cifar10", "cifar100", "idx", "folder")
"""Data sets that the package reads itself."""
_OF_PICTURES = ("file_column", "label_column", "split_column", "label_pattern")
TFDS = "tfds:"
"""Before the name of a data set that tensorflow-datasets has prepared."""
GROUPS = ("group_column", "group_pattern", "group_folder")
"""Fields that say which pictures show one thing."""
WATCHED = 1000
"""Images in a batch of `valid`, at most, as in the reference."""

Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True)
class DataConfig:
    """Which data set, how many images each split takes, how they are augmented.

    For the digits only sizes and `shift_pixels` count. Pixels of all others are bytes,
    normalised as (value / 255 - mean) / std.
    """

    name: str = "digits"
    """digits, fashion_mnist, cifar10, cifar100, idx or folder; or tfds, a colon and the
    name of any image-classification data set of tensorflow-datasets."""
    path: str | None = None
    """The archive or extracted folder of CIFAR; the folder of IDX files or one of them,
    None for the part of Fashion-MNIST that comes with the package; the folder of
    pictures, or a file of their labels; the data folder of tensorflow-datasets, None
    for its own default."""
    train_split: str = "train"
    """tensorflow-datasets' name of the images to train on; of pictures, that of their
    folder or in the column of splits, unless it is spelled in a usual way."""
    test_split: str = "test"
    """Its name of the images to test on; drawn from `train_split` if the same."""
    valid_split: str | None = None
    """Of pictures, its name of those to watch; None for a usual one if there is."""
    file_column: str | None = None
    """Of a file of labels, the column of files; None for one of a usual name."""
    label_column: str | None = None
    """Its column of labels."""
    split_column: str | None = None
    """Its column of splits."""
    label_pattern: str | None = None
    """Where the names of files say the label: {label}_{number}.jpg, or a regular
    expression with a group named label."""
    group_column: str | None = None
    """Of a file of labels, the column of what a picture shows: one patient, one burst.
    Pictures of one group lie in one split."""
    group_pattern: str | None = None
    """Where the names of files say the group: {group}_{number}.jpg, or a regular
    expression with a group named group."""
    group_folder: Count | None = None
    """The folders that are groups: 1 for those in the folders of the classes, 2 for
    those in these."""
    train_weights: Count | None = 300
    """Images that train the weights of the supernet; of these four, None is whatever
    the others leave of the same set, or all of it."""
    train_alphas: Count | None = 300
    """Images that train the architecture parameters."""
    valid: Count | None = 197
    """Images for looking at progress and for choosing among the finalists."""
    test: Count | None = 1000
    """Images used once, at the end, on every network."""
    skip_corrupt: bool = False
    """Leave pictures out that do not decode, and say which; False stops at them."""
    geometry: Literal["centre", "square", "whole"] = "centre"
    """The part of a picture that is evaluated and predicted: in its middle the square
    of 7/8 of the shorter side, as in the reference; the largest square; or all of it,
    stretched. A picture of the network's size is taken as it is."""
    shift_pixels: Natural = 2
    """Augmentation: random translation by up to this many pixels; 0 for none."""
    flip: bool = False
    """Augmentation: half of the images are mirrored, left to right."""
    cutout_pixels: Natural = 0
    """Augmentation: side of a square that is blanked out; 0 for none."""
    crop_area: Annotated[float, Interval(gt=0, le=1)] = 0.08
    """Augmentation of pictures that are cut to size: the smallest share of the picture
    that a random crop may take; 1 for the whole of it."""
    brightness: Share = 0.0
    """Augmentation: brightness is multiplied by 1 - this to 1 + this."""
    saturation: Share = 0.0
    """Augmentation: so is the distance of the colours from grey."""
    contrast: Share = 0.0
    """Augmentation: and that from the mean grey of the image."""
    hue: Annotated[float, Interval(ge=0, le=0.5)] = 0.0
    """Augmentation: hues are turned by up to this share of the circle, either way."""
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Subtracted from each channel of values from 0 to 1; those of ImageNet."""
    std: tuple[Positive, ...] = (0.229, 0.224, 0.225)
    """By which each channel is divided afterwards."""

    def __post_init__(self) -> None:
        require_types(self, "data.")
        require(
            self.name in NAMES
            or (self.name.startswith(TFDS) and len(self.name) > len(TFDS)),
            "data.name",
            f"{', '.join(NAMES)}, or {TFDS}NAME as in {TFDS}imagenet2012",
            self.name,
        )
        self._require_one_rule_of_groups()
        require(
            len(self.mean) == len(self.std) > 0,
            "data.mean, data.std",
            "one value per channel in each",
            (self.mean, self.std),
        )
        if self.name != "folder":
            for name in _OF_PICTURES:
                value = getattr(self, name)
                require(value is None, f"data.{name}", "None but with a folder", value)
        if self.name == "digits":
            colours = "brightness", "saturation", "contrast", "hue"
            for name in ("flip", "cutout_pixels", *colours):
                value = getattr(self, name)
                require(not value, f"data.{name}", "0 or False with the digits", value)

    def _require_one_rule_of_groups(self) -> None:
        given = {
            f"data.{name}": value
            for name in GROUPS
            if (value := getattr(self, name)) is not None
        }
        require(len(given) < 2, ", ".join(given), "one of them at most", given)
        for name, value in given.items():
            require(
                self.name == "folder", name, "None unless data.name is folder", value
            )
        require(
            self.group_column is None or self.label_pattern is None,
            "data.group_column",
            "None with data.label_pattern, which reads no file of labels",
            self.group_column,
        )
