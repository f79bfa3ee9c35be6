"""Which image belongs to which split: disjoint, by class, by seed alone."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from sklearn.model_selection import train_test_split

SPLITS = ("train_weights", "train_alphas", "valid", "test")
Sizes = Mapping[str, int | None]
"""Images of each split; None for what the others leave."""


def resolved(sizes: Sizes, images: int, what: str) -> dict[str, int]:
    """The sizes of splits of one set, with the number that None stands for.

    Raises:
      ValueError: if two splits are to take the rest, or none is left.
    """
    given = {split: size for split, size in sizes.items() if size is not None}
    open_ended = [split for split in sizes if split not in given]
    left = images - sum(given.values())
    if len(open_ended) > 1:
        raise ValueError(
            f"{what}: expected one split that takes the rest of {images} images, got "
            f"{' and '.join(f'data.{split} = None' for split in open_ended)}; give "
            "the others a number"
        )
    if open_ended and left < 1:
        raise ValueError(
            f"{what}: expected images for data.{open_ended[0]}, which takes the rest, "
            f"got none: the other splits ask for {sum(given.values())} of {images}; "
            "lower data.*"
        )
    return {split: given.get(split, left) for split in sizes}


def in_proportion(
    labels: np.ndarray, sizes: Sequence[int], seed: int, names: Sequence[str] = ()
) -> list[np.ndarray]:
    """Disjoint index sets of the given sizes, classes in proportion to the whole.

    Each has an image of every class. Scikit-learn draws them where it can: it wants
    that many images left over, too, and may leave a rare class out of a small set.

    Args:
      labels: of the images, `[N]`.
      sizes: at least an image per class each, at most N together.
      seed: of what is drawn.
      names: of the classes, for errors.

    Raises:
      ValueError: if a class has fewer images than there are sets.
    """
    with contextlib.suppress(ValueError):
        chosen = _stratified(labels, sizes, seed)
        if all(len(np.unique(labels[one])) == len(np.unique(labels)) for one in chosen):
            return chosen
    numbers = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    rarest = int(counts.argmin())
    if counts[rarest] < len(sizes):
        raise ValueError(
            f"{class_name(names, classes[rarest])}: expected at least {len(sizes)} "
            f"images, one for every split, got {counts[rarest]}; add images or leave "
            "the class out"
        )
    members = [numbers.permutation(np.flatnonzero(labels == one)) for one in classes]
    ends, chosen = np.zeros(len(classes), int), []
    for later, size in zip(reversed(range(len(sizes))), sizes, strict=True):
        starts, left = ends, counts - ends
        ends = starts + _shares(size, left, left - later)
        places = zip(members, starts, ends, strict=True)
        chosen.append(
            np.concatenate([every[start:end] for every, start, end in places])
        )
    return chosen


def _stratified(
    labels: np.ndarray, sizes: Sequence[int], seed: int
) -> list[np.ndarray]:
    rest, chosen = np.arange(len(labels)), []
    for size in sizes:
        if size == len(rest):
            taken, rest = rest, rest[:0]
        else:
            taken, rest = train_test_split(
                rest, train_size=size, stratify=labels[rest], random_state=seed
            )
        chosen.append(taken)
    return chosen


def _shares(size: int, counts: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Whole numbers from 1 to `most` that sum to `size`, in proportion to `counts`."""
    exact = size * counts / counts.sum()
    shares = np.clip(exact.astype(int), 1, most)
    while (missing := size - shares.sum()) != 0:
        step = np.sign(missing)
        is_free = shares < most if step > 0 else shares > 1
        shares[np.where(is_free, step * (exact - shares), -np.inf).argmax()] += step
    return shares


def class_name(names: Sequence[str], label: int) -> str:
    return f"class {names[label]!r}" if names else f"class {label}"


@contextlib.contextmanager
def _about(what: str) -> Iterator[None]:
    """Errors that begin with what they are about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def held_out(
    labels: np.ndarray, sizes: Sequence[int], seed: int, names: Sequence[str] = ()
) -> list[np.ndarray]:
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
                    f"{class_name(names, label)}: expected more than {end} images, "
                    f"of which {end} are held out for data.train_alphas and "
                    f"data.valid, got {len(every)}; lower these"
                )
            images.append(every[start:end])
        chosen.append(np.sort(np.concatenate(images)))
    return chosen


def four(
    labels: np.ndarray,
    sizes: Mapping[str, int],
    seed: int,
    what: str,
    names: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """The splits of one set, in proportion: all four, or but for those apart.

    Raises `ValueError` as `require` and `in_proportion`.
    """
    sizes = {split: sizes[split] for split in SPLITS if split in sizes}
    require(len(labels), len(np.unique(labels)), sizes, what)
    with _about(what):
        drawn = in_proportion(labels, list(sizes.values()), seed, names)
    return dict(zip(sizes, drawn, strict=True))


def three(
    labels: np.ndarray,
    sizes: Mapping[str, int],
    seed: int,
    what: str,
    names: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """The training splits as in the paper, where the test, or `valid`, is apart.

    Images for the alphas and `valid` are held out, equally many per class; the weights
    get the rest, or a part of it in proportion if their size is less.

    Raises:
      ValueError: as `require` and `held_out`.
    """
    sizes = {split: sizes[split] for split in SPLITS[:3] if split in sizes}
    require(len(labels), len(np.unique(labels)), sizes, what)
    weights, *held = sizes.values()
    with _about(what):
        out = held_out(labels, held, seed, names)
        rest = np.setdiff1d(np.arange(len(labels)), np.concatenate(out))
        (places,) = in_proportion(labels[rest], [weights], seed, names)
    return dict(zip(sizes, (np.sort(rest[places]), *out), strict=True))


def tested(
    labels: np.ndarray, size: int, seed: int, what: str, split: str = "test"
) -> np.ndarray:
    """The test split where it has images of its own, in proportion; or `valid`.

    Raises `ValueError` as `require`.
    """
    require(len(labels), len(np.unique(labels)), {split: size}, what)
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
