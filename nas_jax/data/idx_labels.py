"""The labels of a set of IDX files: their numbers, and the names that these stand for.

    labels.txt     a name a line, of the labels from 0, or from 1 if there is no 0
    mapping.txt    EMNIST's: a label and the code points of its characters a line
    classmap.csv   KMNIST's: the same with commas, below a head

The name of the set may come before each of these. Without names, labels are called by
their numbers.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nas_jax.config import files
from nas_jax.config.naming import few
from nas_jax.data import idx

LIST, MAPPING, CLASS_MAP = ("labels", "txt"), ("mapping", "txt"), ("classmap", "csv")
_QMNIST = (8, np.dtype(">i4"))
"""Columns and type of its labels: the class, then who wrote the digit, and where."""


class Known(NamedTuple):
    """The labels that images may have."""

    values: np.ndarray
    """Integers `[classes]` as in the files, rising."""
    names: tuple[str, ...]
    """Of each."""
    origin: str
    """Where they stand, for errors."""

    def numbered(self, labels: np.ndarray, path: Path) -> np.ndarray:
        """Int32 `[N]`: the place among the names of each of the labels of a file.

        Raises `ValueError` for a label that has none.
        """
        places = np.searchsorted(self.values, labels)
        places = np.minimum(places, len(self.values) - 1)
        wrong = np.flatnonzero(self.values[places] != labels)
        if len(wrong):
            raise ValueError(
                f"{path}: expected the labels {few(map(str, self.values))} of "
                f"{self.origin}, got {labels[wrong[0]]} of image {wrong[0]}, "
                f"{len(wrong)} such of {len(labels)}; copy or download both again"
            )
        return places.astype(np.int32)


def read(path: Path) -> np.ndarray:
    """The labels of a file, Int64 `[N]`.

    Raises `ValueError` as `idx.read`, and for what are no integers, one an image.
    """
    values = idx.read(path)
    if (values.shape[1:], values.dtype) == (_QMNIST[:1], _QMNIST[1]):
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise ValueError(
            f"{path}: expected labels, an integer for every image, got "
            f"{' x '.join(map(str, values.shape))} of {values.dtype}; write the number "
            "of the class alone"
        )
    return values.astype(np.int64)


def words(name: str) -> tuple[str, ...]:
    """The words of a file's name.

    >>> words("emnist-letters-Train_images.idx3-ubyte")
    ('emnist', 'letters', 'train', 'images', 'idx3', 'ubyte')
    """
    return tuple(re.split(r"[-_. ]+", name.lower()))


def beside(folder: Path, name: tuple[str, ...]) -> Path | None:
    """The file of names in the folder of a set whose name has these words.

    Raises `ValueError` if there are several.
    """
    found = [
        path
        for path in sorted(folder.iterdir())
        if (said := words(path.name))[-2:] in (LIST, MAPPING, CLASS_MAP)
        # KMNIST's is named after the set, its images are not
        and (said[:-2] in ((), name) or (said[-2:] == CLASS_MAP and said[0]))
    ]
    if len(found) > 1:
        raise ValueError(
            f"{folder}: expected one file of the names of the labels, got "
            f"{few(one.name for one in found)}; move the others away"
        )
    return found[0] if found else None


def known(labels: np.ndarray, path: Path | None) -> Known:
    """The labels that a set may have: those of a file of names, or of its training.

    Args:
      labels: Int64 `[N]`, of the images to train on.
      path: of the names; None for the numbers of the labels that there are.

    Raises:
      ValueError: if the file cannot be read, or names a label twice or not at all.
    """
    if path is None:
        values = np.unique(labels)
        return Known(values, tuple(map(str, values)), "the training images")
    lines = files.read_text(path).removeprefix("\ufeff").rstrip().split("\n")
    kind = words(path.name)[-2:]
    if kind == LIST:
        is_from_one = labels.min() > 0 and labels.max() == len(lines)
        names = {n + is_from_one: line.strip() for n, line in enumerate(lines)}
    else:
        names = _mapped(lines, path, has_head=kind == CLASS_MAP)
    every = Counter(names.values())
    wrong = [one for one in every if not one or not one.isprintable() or every[one] > 1]
    if wrong or not names:
        raise ValueError(
            f"{path}: expected a name for every label, none of them twice, got "
            f"{few(map(repr, wrong)) or 'none'}; mend it, or remove it to call labels "
            "by their numbers"
        )
    values = np.array(sorted(names))
    return Known(values, tuple(map(names.__getitem__, sorted(names))), path.name)


def _mapped(lines: list[str], path: Path, has_head: bool) -> dict[int, str]:
    """The characters of each label, a line each."""
    names: dict[int, str] = {}
    for place, line in enumerate(lines[has_head:], 1 + has_head):
        label, name = _characters(line.strip(), f"{path}, line {place}")
        if label in names:
            raise ValueError(
                f"{path}, line {place}: expected another label, got {label} again"
            )
        names[label] = name
    return names


def _characters(line: str, where: str) -> tuple[int, str]:
    """A label and its characters, as of "1 65 97" or "0,U+304A,お"."""
    fields = re.split(r"[\s,]+", line)
    points = [
        re.fullmatch(r"(?:U\+([0-9A-F]{4,5})|([0-9]{1,6}))", one) for one in fields
    ]
    codes = [int(one[1] or one[2], 16 if one[1] else 10) for one in points if one]
    if len(codes) < 2 or points[0] is None or points[0][1]:
        raise ValueError(
            f"{where}: expected a label and the code points of its characters, as in "
            f"'1 65 97', got {line!r:.100}"
        )
    return codes[0], "".join(map(chr, codes[1:]))
