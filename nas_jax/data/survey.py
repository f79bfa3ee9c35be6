"""One look at every picture before a run starts: those that do not decode are named."""

import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from nas_jax.config import provenance
from nas_jax.data.pictures import failure
from nas_jax.data.source import Item, Source

SHOWN = 5
"""Pictures that are named; all are counted."""


@dataclass(frozen=True, eq=False)
class Subset:
    """Some items of a source."""

    source: Source
    numbers: np.ndarray
    """Numbers of these items in the source."""

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.source.label_names

    @property
    def labels(self) -> np.ndarray:
        return self.source.labels[self.numbers]

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.source.names[number] for number in self.numbers)

    def stamp(self, index: int) -> tuple[int, str]:
        return self.source.stamp(int(self.numbers[index]))

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Item:
        return self.source[int(self.numbers[index])]


def sound(
    source: Source, what: str, skip_corrupt: bool
) -> tuple[Source, tuple[str, ...]]:
    """The items that decode, and a line that counts and names the others.

    Decodes everything once. Which of the rest falls into which split is then as if the
    others had never been there.

    Raises:
      ValueError: with that line, unless they may be left out; or if a class has no
        item that decodes.
    """
    with ThreadPoolExecutor(provenance.cores()) as pool:
        numbers = range(len(source))
        failures = pool.map(lambda number: failure(source[number]), numbers)
        broken = {n: why for n, why in enumerate(failures) if why is not None}
    if not broken:
        return source, ()
    named = [f"{source[n].name} ({why})" for n, why in list(broken.items())[:SHOWN]]
    more = f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
    line = (
        f"{what}: {len(broken)} of {len(source)} pictures do not decode: "
        f"{', '.join(named)}{more}"
    )
    if not skip_corrupt:
        raise ValueError(
            f"{line}; remove them, or leave them out with --data.skip-corrupt"
        )
    left = Subset(source, np.setdiff1d(np.arange(len(source)), list(broken)))
    for label, name in enumerate(source.label_names):
        if label not in left.labels:
            raise ValueError(f"{line}; nothing is left of class {name!r}")
    return left, (f"left out: {line}",)
