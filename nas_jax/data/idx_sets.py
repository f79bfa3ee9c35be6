"""A set of images in IDX files, as MNIST, Fashion-MNIST, KMNIST and EMNIST come.

    train-images-idx3-ubyte.gz   train-labels-idx1-ubyte.gz   two files for each split
    t10k-images.idx3-ubyte       t10k-labels.idx1-ubyte
    emnist-letters-train-images-idx3-ubyte.gz                 sets side by side
    labels.txt   emnist-letters-mapping.txt                   names of the labels

The words of a name say what a file holds and of which split; the others are the set's.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nas_jax.config.data import DataConfig
from nas_jax.config.naming import few
from nas_jax.data import balance, foreign, idx, idx_labels, pictures
from nas_jax.data.layouts import split_names, tree
from nas_jax.data.layouts.split_names import TEST, TRAIN, VALID
from nas_jax.data.source import Arrays, DataSet

IMAGES, LABELS = "images", "labels"
UNUSED = ""
"""The split of files in whose place the configuration names others."""
TRANSPOSED = "emnist"
"""First word of the sets whose images are stored with rows and columns exchanged."""
CHANNELS = (1, 3)
_LABELS = ("labels", "label", "y", "targets")
_IMAGES = ("images", "image", "imgs", "x", "data", "patterns")
_FORMAT = re.compile(r"idx\d?|ubyte|int|gz|xz|bin")
_TEST = re.compile(r"t(est)?\d+k")
_NAMED = "named as train-images-idx3-ubyte.gz"


class _File(NamedTuple):
    """A file of a set, by the words of its name."""

    path: Path
    set: tuple[Path, tuple[str, ...]]
    """Its folder and the words of its name, none as of MNIST."""
    split: str
    holds: str


def is_set(path: Path) -> bool:
    """Whether a file is of IDX by its name, or a folder is of such files.

    These lie in it, or below it where there are no pictures.
    """
    if not path.is_dir():
        return _is_idx(path.name)
    found = tree.walk(path)
    files = [one for one in map(Path, found.others) if _is_idx(one.name)]
    return any(one.parent == Path() for one in files) or (
        bool(files) and not found.pictures
    )


def load(config: DataConfig, names: Path | None = None) -> DataSet:
    """The images of `config.path`: a folder of IDX files, or one of them.

    Splits follow the names of the files; of one split alone, all four are drawn.

    Args:
      config: of which `path` and the names of splits count.
      names: the file of names of the labels; None for one that lies beside.

    Raises:
      ValueError: as `idx.read`; if there are no files of a set, or those of several; if
        images, labels and names do not fit each other.
    """
    files = _of_one_set(config)
    folder, words = files[0].set
    given = {split: one.lower() for split, one in split_names.named(config).items()}
    said = {word for one in files for word in idx_labels.words(one.path.name)}
    split_names.require(given, said, str(config.path))
    pairs = _pairs([one for one in files if one.split != UNUSED])
    if len(pairs) == 1:
        pairs = {TRAIN: next(iter(pairs.values()))}
    held, notes = split_names.settled(pairs, config)
    if unused := [one.path.name for one in files if one.split == UNUSED]:
        notes += (f"not used, as others are named: {few(unused)}",)
    is_transposed = words[:1] == (TRANSPOSED,)
    if is_transposed:
        name = "-".join(words)
        notes += (f"{name}: rows and columns are exchanged, as EMNIST stores them",)
    stored = {split: idx_labels.read(pair[LABELS]) for split, pair in held.items()}
    known = idx_labels.known(stored[TRAIN], names or idx_labels.beside(folder, words))
    sources = {}
    for split, pair in held.items():
        images = _upright(idx.read(pair[IMAGES]), pair[IMAGES], is_transposed)
        labels = known.numbered(stored[split], pair[LABELS])
        if len(images) != len(labels):
            raise ValueError(
                f"{folder}: expected as many labels as images, got {len(labels)} in "
                f"{pair[LABELS].name} and {len(images)} in {pair[IMAGES].name}; copy "
                "or download both again"
            )
        part = f"{split} image" if len(held) > 1 else "image"
        sources[split] = Arrays(images, labels, known.names, part)
    train = sources[TRAIN]
    notes = (balance.counted(sources), *notes)
    return DataSet(train, sources.get(TEST, train), notes, sources.get(VALID))


def _of_one_set(config: DataConfig) -> list[_File]:
    """The files of the set that the configuration names."""
    if config.path is None:
        raise ValueError(
            "idx: expected data.path, a folder of IDX files or one of them, got None"
        )
    path = Path(config.path).expanduser()
    if path.is_file():
        if not _is_idx(path.name):
            with path.open("rb") as file:
                got = foreign.kind_of(file.read(foreign.HEAD)) or "another file"
            raise ValueError(f"{path}: expected an IDX file, {_NAMED}, got {got}")
        named = _file(path, config).set
        root = named[0]
    elif path.is_dir():
        named, root = None, path
    else:
        raise ValueError(
            f"{config.name}: expected a folder of IDX files, or one of them, at "
            f"data.path, found none at {path.absolute()}"
        )
    found = tree.walk(root)
    every = sorted(root / one for one in (*found.pictures, *found.others))
    files = [_file(one, config) for one in every if _is_idx(one.name)]
    files = [one for one in files if named in (None, one.set)]
    # what lies deeper is another copy, or of another set
    files = [one for one in files if one.path.parent == root] or files
    sets = {one.set: one.path for one in files}
    if not sets:
        got = few(path.name for path in every) or "an empty folder"
        raise ValueError(f"{path}: expected IDX files, {_NAMED}, got {got}")
    if len(sets) > 1:
        raise ValueError(
            f"{path}: expected the files of one set, got those of {len(sets)} "
            f"({few(str(one.relative_to(root)) for one in sets.values())}); name a "
            "file of the one that you want in place of the folder"
        )
    return files


def _is_idx(name: str) -> bool:
    return any(re.fullmatch(r"idx\d?|ubyte", word) for word in idx_labels.words(name))


def _file(path: Path, config: DataConfig) -> _File:
    given = {name.lower(): split for split, name in split_names.named(config).items()}
    split, holds, left = TRAIN, IMAGES, []
    for word in idx_labels.words(path.name):
        usual = split_names.spelled(word)
        if word in given:
            split = given[word]
        elif _TEST.fullmatch(word):
            split = TEST
        elif usual and not usual[1]:
            split = UNUSED if usual[0] in given.values() else usual[0]
        elif word in _LABELS:
            holds = LABELS
        elif word not in _IMAGES and not _FORMAT.fullmatch(word):
            left.append(word)
    # an archive may hold every file in a folder of the same name
    folder = path.parents[_is_idx(path.parent.name)]
    return _File(path, (folder, tuple(left)), split, holds)


def _pairs(files: list[_File]) -> dict[str, dict[str, Path]]:
    """The file of images and that of labels of each split."""
    pairs: dict[str, dict[str, Path]] = {}
    for one in files:
        known = pairs.setdefault(one.split, {}).setdefault(one.holds, one.path)
        # unpacked files often lie beside the packed ones, and come first
        if one.path.name not in [known.name + end for end in ("", ".gz", ".xz")]:
            raise ValueError(
                f"{one.path.parent}: expected one file of {one.split} {one.holds}, got "
                f"{known.name} and {one.path.name}; move one of them away"
            )
    for split, pair in pairs.items():
        if len(pair) == 1:
            (there,) = pair.values()
            (lacking,) = {IMAGES, LABELS} - pair.keys()
            raise ValueError(
                f"{there}: expected a file of the {split} {lacking} beside it, found "
                "none; copy or download it"
            )
    return pairs


def _upright(values: np.ndarray, path: Path, is_transposed: bool) -> np.ndarray:
    """Images `[N H W C]` of the values of a file, its channels first or last.

    Raises `ValueError` for what are no images of bytes with one or three channels.
    """
    images = values[..., None] if values.ndim == 3 else values
    if images.ndim == 4 and images.shape[-1] not in CHANNELS:
        images = np.moveaxis(images, 1, -1)
    if values.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in CHANNELS:
        raise ValueError(
            f"{path}: expected images of bytes, N x H x W or with 1 or 3 channels last "
            f"or first, got {' x '.join(map(str, values.shape))} of {values.dtype}; "
            "write them as pictures into a folder per class"
        )
    height, width = images.shape[1:3]
    if max(height, width) > pictures.MOST_ASPECT * min(height, width):
        raise ValueError(
            f"{path}: expected pictures of which no side is {pictures.MOST_ASPECT} "
            f"times the other, got {width} x {height} pixels; is it another data set?"
        )
    return np.ascontiguousarray(images.swapaxes(1, 2) if is_transposed else images)
