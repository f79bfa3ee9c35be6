"""Who hears what a run is doing."""

from collections.abc import Iterator
from typing import Any


class Watch:
    """Hears what a run is doing; this one says nothing.

    `phase` begins a stage, `line` says what happened in it, `steps` wraps a loop,
    `note` reports its newest numbers.
    """

    def phase(self, title: str) -> None:
        """A stage begins."""

    def line(self, text: str) -> None:
        """Something happened that is worth a line."""

    def steps(self, iterable: Any, *, total: int, desc: str) -> Iterator[Any]:
        """A loop of `total` steps, passed through."""
        yield from iterable

    def note(self, **values: str) -> None:
        """The newest numbers of the running loop."""
