"""Which image belongs to which split: disjoint, by class, a function of the seed."""

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
    used = np.zeros(len(classes), int)
    chosen = []
    for size in sizes:
        share = np.full(len(classes), size // len(classes))
        share[numbers.permutation(len(classes))[: size % len(classes)]] += 1
        ends = used + share
        for one, end, images in zip(classes, ends, members, strict=True):
            if end >= len(images):
                raise ValueError(
                    f"class {one}: expected more than {end} images, of which {end} are "
                    f"held out for data.train_alphas and data.valid, got {len(images)};"
                    " lower these"
                )
        pieces = zip(members, used, ends, strict=True)
        chosen.append(
            np.sort(np.concatenate([of[start:end] for of, start, end in pieces]))
        )
        used = ends
    return chosen


def four(labels: np.ndarray, sizes: Mapping[str, int], seed: int, what: str) -> dict:
    """All four splits from one set, in proportion. Raises `ValueError` as `require`."""
    require(len(labels), len(np.unique(labels)), sizes, what)
    drawn = in_proportion(labels, [sizes[split] for split in SPLITS], seed)
    return dict(zip(SPLITS, drawn, strict=True))


def three(labels: np.ndarray, sizes: Mapping[str, int], seed: int, what: str) -> dict:
    """The training splits where the test has images of its own.

    The alphas' and the watched images are held out, equally many per class; the weights
    get the rest, or if they want less a part of it in proportion.

    Raises:
      ValueError: as `require` and `held_out`.
    """
    wanted = {split: sizes[split] for split in SPLITS[:3]}
    require(len(labels), len(np.unique(labels)), wanted, what)
    try:
        alphas, valid = held_out(
            labels, [wanted["train_alphas"], wanted["valid"]], seed
        )
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    rest = np.setdiff1d(np.arange(len(labels)), np.concatenate([alphas, valid]))
    (places,) = in_proportion(labels[rest], [wanted["train_weights"]], seed)
    return dict(zip(SPLITS, (np.sort(rest[places]), alphas, valid), strict=False))


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
    wanted = sum(sizes.values())
    if wanted > images:
        raise ValueError(
            f"{what}: the splits ask for {wanted} images "
            f"({' + '.join(map(str, sizes.values()))}), the set has {images}; lower "
            "data.*"
        )
    for split, size in sizes.items():
        if size < classes:
            raise ValueError(
                f"{what}: data.{split} = {size} is fewer than one image per class "
                f"({classes})"
            )
