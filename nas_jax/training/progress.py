"""Progress of a run, as its stages report it."""

from collections.abc import Iterator
from typing import Any


class Progress:
    """The base of whatever shows progress; this one is silent."""

    def phase(self, title: str) -> None:
        """The beginning of a stage."""

    def line(self, text: str) -> None:
        """An event worth a line."""

    def steps(self, iterable: Any, *, total: int, desc: str) -> Iterator[Any]:
        """A loop of `total` steps, passed through."""
        yield from iterable

    def note(self, **values: str) -> None:
        """The newest numbers of the running loop."""
