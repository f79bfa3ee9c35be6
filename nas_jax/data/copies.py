"""Pictures that are in a data set twice: left out, or kept together in one split.

Copies show the same colours at the same size, however they are stored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nas_jax.config.naming import few
from nas_jax.data.source import DataSet, Source
from nas_jax.data.survey import Look, looks_at


@dataclass(frozen=True, eq=False)
class Distinct:
    """The items that splits are drawn from: none of one source is a copy in another."""

    sources: Mapping[str, Source]
    """`test` and `valid` where they are apart, and `training`."""
    numbers: Mapping[str, np.ndarray]
    """Of the items in their source."""
    groups: np.ndarray
    """Of the items of `training`: those that show one thing have one number."""
    looks: Mapping[str, tuple[Look, ...]]
    """Of all items of each source; empty where nothing was looked at."""
    notes: tuple[str, ...]
    """What was found, a line each."""

    def loss(self, part: str) -> str:
        """The end of an error about too few items, where copies were left out."""
        if len(self.numbers[part]) == len(self.sources[part]):
            return ""
        return f" ({'; '.join(self.notes)}); keep each picture in one of the sets"


def distinct(data: DataSet) -> Distinct:
    """The items of a data set without copies of what it is tested or watched with.

    Left out are pictures of the training that are in a test or valid set of its own as
    well, and those of such a valid set that are in the test.
    """
    sources: dict[str, Source] = {} if data.test is data.train else {"test": data.test}
    sources |= {} if data.valid is None else {"valid": data.valid}
    sources |= {"training": data.train}
    seen = {name: looks_at(source) for name, source in sources.items()}
    looks = {name: its for name, its in seen.items() if its is not None}
    numbers = {name: np.arange(len(source)) for name, source in sources.items()}
    if len(looks) < len(sources):
        note = (
            "copies of pictures were not looked for, since these are only read when "
            "they are needed; --data.skip-corrupt reads all of them"
        )
        return Distinct(sources, numbers, numbers["training"], {}, (note,))
    notes = list(_two_labels(sources, looks))
    first: dict[bytes, tuple[str, int]] = {}
    for name, its in looks.items():
        firsts = [
            first.setdefault(look.pixels, (name, n)) for n, look in enumerate(its)
        ]
        pairs: dict[str, list[str]] = {}
        for number, (other, twin) in enumerate(firsts):
            if (other, twin) != (name, number):
                same = sources[name].names[number], sources[other].names[twin]
                pairs.setdefault(other, []).append(" = ".join(same))
        for other, found in pairs.items():
            end = f"left out of {name}"
            if other == name:
                end = "kept in one split" if name == "training" else "all count"
            these = f"{name} pictures" if len(sources) > 1 else "pictures"
            those = "others" if other == name else f"{other} pictures"
            are = "is a copy" if len(found) == 1 else "are copies"
            notes.append(
                f"{len(found)} of {len(its)} {these} {are} of {those} "
                f"({few(found)}): {end}"
            )
        numbers[name] = np.array(
            [n for n in numbers[name] if firsts[n][0] == name], int
        )
    groups = np.array([firsts[number][1] for number in numbers["training"]], int)
    return Distinct(sources, numbers, groups, looks, tuple(notes))


def _two_labels(
    sources: Mapping[str, Source], looks: Mapping[str, tuple[Look, ...]]
) -> Iterator[str]:
    """A line on the pictures that carry more than one label."""
    labels: dict[bytes, dict[int, str]] = {}
    for name, its in looks.items():
        source = sources[name]
        for look, label, item in zip(its, source.labels, source.names, strict=True):
            labels.setdefault(look.pixels, {}).setdefault(int(label), item)
    several = [" = ".join(its.values()) for its in labels.values() if len(its) > 1]
    if several:
        carry = "picture carries" if len(several) == 1 else "pictures carry"
        yield f"{len(several)} {carry} more than one label ({few(several)})"
