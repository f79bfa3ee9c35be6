"""What a layout finds: which files, with which label, in which split of the user's."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """One picture."""

    name: str
    """Of the file, relative to the data set, with / between folders."""
    label: str
    split: str | None = None
    """`train`, `valid` or `test`; None where the user has no splits."""
    folder: str = ""
    """The prefix of its name, with the last /, that says its label or split."""
    group: str | None = None
    """What it shows, where a column says that."""


class Listing(NamedTuple):
    """The pictures of a data set, whether or not they can be read."""

    root: Path
    rows: list[Row]
    notes: tuple[str, ...] = ()
    """For the user, one line each."""


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels in the order in which they are numbered: numbers by value, or by name.

    >>> ordered(["10", "9"]), ordered(["b", "10", "9"])
    (('9', '10'), ('10', '9', 'b'))
    """
    names = sorted(set(labels))
    if all(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", name) for name in names):
        names.sort(key=float)
    return tuple(names)
