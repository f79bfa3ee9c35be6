"""What a layout finds: which files, with which label, in which split of the user's."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

SHOWN = 5
"""Things that a line names; all are counted."""
LONGEST = 100
"""Characters of a name in a line."""


class Row(NamedTuple):
    """One picture."""

    name: str
    """Of the file, relative to the data set, with / between folders."""
    label: str
    split: str | None = None
    """`train`, `valid` or `test`; None where the user has no splits."""


class Listing(NamedTuple):
    """The pictures of a data set, whether or not they can be read."""

    root: Path
    rows: list[Row]
    notes: tuple[str, ...] = ()
    """For the user, one line each."""


def few(things: Iterable[str]) -> str:
    """The first of some things, and how many more there are.

    >>> few("abcdefgh")
    'a, b, c, d, e and 3 more'
    """
    every = list(things)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(shown(one, 3 * LONGEST) for one in every[:SHOWN]) + more


def shown(name: str, longest: int = LONGEST) -> str:
    """A name as it can stand in a line: printable, and not too long.

    >>> shown("a\\nb.jpg")
    'a\\\\nb.jpg'
    """
    safe = name if name.isprintable() else ascii(name)[1:-1]
    half = longest // 2 - 2
    return safe if len(safe) <= longest else f"{safe[:half]}...{safe[-half:]}"


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels in the order in which they are numbered: numbers by value, or by name.

    >>> ordered(["10", "9"]), ordered(["b", "10", "9"])
    (('9', '10'), ('10', '9', 'b'))
    """
    names = sorted(set(labels))
    if all(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", name) for name in names):
        names.sort(key=float)
    return tuple(names)
