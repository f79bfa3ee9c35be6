"""Which image belongs to which split: disjoint, by class, by seed alone."""

from collections.abc import Mapping

import numpy as np
from sklearn.model_selection import train_test_split

SPLITS = ("train_weights", "train_alphas", "valid", "test")


def in_proportion(labels: np.ndarray, sizes: list[int], seed: int) -> list[np.ndarray]:
    """Disjoint index sets of the given sizes, classes in proportion to the whole."""
    rest, chosen = np.arange(len(labels)), []
    for size in sizes:
        if size == len(rest):
            taken, rest = rest, rest[:0]
        else:
            try:
                taken, rest = train_test_split(
                    rest, train_size=size, stratify=labels[rest], random_state=seed
                )
            except ValueError as error:  # a class with hardly an image
                raise ValueError(
                    f"expected images of every class for every split, got too few "
                    f"({error}); add images or leave the class out"
                ) from error
        chosen.append(taken)
    return chosen


def held_out(labels: np.ndarray, sizes: list[int], seed: int) -> list[np.ndarray]:
    """Disjoint index sets with equally many images of every class.

    As the reference holds out 50 images of each class of ImageNet. What a size leaves
    over after division goes to classes drawn at random, one each.

    Raises:
      ValueError: if a class has fewer images than are to be held out.
    """
    numbers = np.random.default_rng(seed)
    classes = np.unique(labels)
    members = [numbers.permutation(np.flatnonzero(labels == one)) for one in classes]
    ends = np.zeros(len(classes), int)
    chosen = []
    for size in sizes:
        starts, ends = ends, ends + size // len(classes)
        ends[numbers.permutation(len(classes))[: size % len(classes)]] += 1
        images = []
        for label, every, start, end in zip(
            classes, members, starts, ends, strict=True
        ):
            if end >= len(every):
                raise ValueError(
                    f"class {label}: expected more than {end} images, of which {end} "
                    "are held out for data.train_alphas and data.valid, got "
                    f"{len(every)}; lower these"
                )
            images.append(every[start:end])
        chosen.append(np.sort(np.concatenate(images)))
    return chosen


def four(labels: np.ndarray, sizes: Mapping[str, int], seed: int, what: str) -> dict:
    """All four splits from one set, in proportion. Raises `ValueError` as `require`."""
    require(len(labels), len(np.unique(labels)), sizes, what)
    drawn = in_proportion(labels, [sizes[split] for split in SPLITS], seed)
    return dict(zip(SPLITS, drawn, strict=True))


def three(labels: np.ndarray, sizes: Mapping[str, int], seed: int, what: str) -> dict:
    """The training splits where the test has images of its own.

    Images for the alphas and `valid` are held out, equally many per class; the weights
    get the rest, or a part of it in proportion if their size is less.

    Raises:
      ValueError: as `require` and `held_out`.
    """
    sizes = {split: sizes[split] for split in SPLITS[:3]}
    require(len(labels), len(np.unique(labels)), sizes, what)
    weights, *held = sizes.values()
    try:
        alphas, valid = held_out(labels, held, seed)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    rest = np.setdiff1d(np.arange(len(labels)), np.concatenate([alphas, valid]))
    (places,) = in_proportion(labels[rest], [weights], seed)
    return dict(zip(sizes, (np.sort(rest[places]), alphas, valid), strict=True))


def tested(labels: np.ndarray, size: int, seed: int, what: str) -> np.ndarray:
    """The test split where it has images of its own, in proportion.

    Raises `ValueError` as `require`.
    """
    require(len(labels), len(np.unique(labels)), {"test": size}, what)
    (chosen,) = in_proportion(labels, [size], seed)
    return np.sort(chosen)


def require(images: int, classes: int, sizes: Mapping[str, int], what: str) -> None:
    """Raises `ValueError` for splits that ask for too many images, or too few.

    `classes` are those that have images.
    """
    if classes < 2:
        raise ValueError(
            f"{what}: expected images of at least 2 classes, got those of {classes}"
        )
    if sum(sizes.values()) > images:
        raise ValueError(
            f"{what}: the splits ask for {sum(sizes.values())} images "
            f"({' + '.join(map(str, sizes.values()))}), the set has {images}; lower "
            "data.*"
        )
    for split, size in sizes.items():
        if size < classes:
            raise ValueError(
                f"{what}: data.{split} = {size} is fewer than one image per class "
                f"({classes})"
            )
