"""The interface of a data set: a length, items, names of the labels.

A source does not shuffle, split or crop. These are decided by seed elsewhere, so that
every reader gives the same batches.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np


class Item(NamedTuple):
    """One image: bytes of an encoded file, or Uint8 `[H W C]`."""

    image: bytes | np.ndarray
    label: int
    name: str
    """By which an error or a warning calls it."""


def digest(content: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


class Source(Protocol):
    """A data set. Items are numbered from 0 and may be read from several threads."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """What the labels stand for."""

    @property
    def labels(self) -> np.ndarray:
        """Of all items, Int32 `[N]`, known without decoding an image."""

    @property
    def names(self) -> Sequence[str]:
        """Of all items: what each is called in its data set, wherever that lies."""

    def stamp(self, index: int) -> tuple[int, str]:
        """Bytes and `digest` of an item, by which it is known again."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Item: ...


@dataclass(frozen=True)
class Numbered(Sequence[str]):
    """Names of items that have none: what they are, and their number."""

    part: str
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> Any:
        return f"{self.part} {range(self.length)[index]}"


@dataclass(frozen=True, eq=False)
class Arrays:
    """A source of images of one size, in memory."""

    images: np.ndarray
    """Uint8 `[N H W C]`."""
    labels: np.ndarray
    """Int32 `[N]`."""
    label_names: tuple[str, ...]

    part: str = "image"
    """What an image is called, before its number."""

    @property
    def names(self) -> Numbered:
        return Numbered(self.part, len(self))

    def stamp(self, index: int) -> tuple[int, str]:
        content = self.images[index].tobytes()
        return len(content), digest(content)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Item:
        return Item(self.images[index], int(self.labels[index]), self.names[index])


class DataSet(NamedTuple):
    """What a reader returns: where the training splits come from, and the test.

    If both are one source, all four splits are drawn from it. `valid` is drawn from
    `train` unless it has a source of its own.
    """

    train: Source
    test: Source
    notes: tuple[str, ...] = ()
    """Warnings for the user, one line each."""
    valid: Source | None = None
    groups: Mapping[str, str] = {}
    """What an item shows, by its name; those of one group are kept in one split."""


def require_classes(what: str, names: tuple[str, ...], classes: int) -> None:
    """Raises `ValueError` unless a data set has the classes of the space."""
    if len(names) < 2:
        raise ValueError(
            f"{what}: expected at least 2 classes, got {len(names)} "
            f"({', '.join(names) or 'none'})"
        )
    if len(names) != classes:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise ValueError(
            f"{what}: expected the {classes} classes of the space, got {len(names)} "
            f"({shown}); set space.classes to {len(names)}"
        )
