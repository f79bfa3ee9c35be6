"""A table of the page: rows of cells under their columns; a phone shows cards."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """Text, with its interval in small letters beside it."""

    text: str
    small: str = ""
    title: object = None
    """The exact value, as a tooltip."""
    shares: Mapping[int, float] = field(default_factory=dict)
    """Share of each kernel size, drawn as a bar before the text."""


@dataclass(frozen=True)
class Row:
    """What a row is about, and its cells."""

    head: str
    cells: tuple[Cell | str, ...]
    is_first: bool = False
    """Whether it stands out."""
    mark: str = ""
    """The network whose mark stands before the head."""


@dataclass(frozen=True)
class Table:
    """Rows under their columns, the head's first; `words` is a column of words."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    words: str = ""
