"""Pictures that are in a data set twice: left out, kept together, or only told.

Copies show the same colours at the same size, however they are stored. Near copies are
resized, compressed again, brightened or cut a little. They are only told, since they
may be two pictures of one thing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nas_jax.data.source import DataSet, Source
from nas_jax.data.survey import SHOWN, Look, looks_at, more

MOST = 50_000
"""Pictures among which near copies are looked for; the time grows with the square."""


class Likeness(NamedTuple):
    """How near two thumbnails must be; what is no more than all of these is a copy."""

    levels: float
    """Mean difference, of 255."""
    distance: float
    """1 - their correlation."""
    share: float
    """Of the distance that is usual for the picture: in simple scenes many are near."""
    spread: float = 0.0
    """At least; the share of a thumbnail that its contrast is spread over."""


KINDS = {
    "resized or compressed": Likeness(2, 0.015, 0.1),
    "cut a little": Likeness(10, 0.06, 0.05, spread=0.25),
    "in another light": Likeness(255, 0.002, 0.05),
}
USUAL = 8
"""The neighbour whose distance is usual: nearer ones may be copies, too."""
_BLOCK = 512
"""Pictures that are compared with all others at once."""
_FLAT = 2.0
"""Levels of deviation; what has less shows nothing that could be compared."""


@dataclass(frozen=True, eq=False)
class Distinct:
    """The items that splits are drawn from: none of one source is a copy in another."""

    sources: Mapping[str, Source]
    """`test` and `valid` where they are apart, and `training`."""
    numbers: Mapping[str, np.ndarray]
    """Of the items in their source."""
    groups: np.ndarray
    """Of the items of `training`: copies of one picture have one number."""
    looks: Mapping[str, tuple[Look, ...]]
    """Of all items of each source; empty where nothing was looked at."""
    notes: tuple[str, ...]
    """What was found, a line each."""


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
                f"({_some(found)}): {end}"
            )
        numbers[name] = np.array(
            [n for n in numbers[name] if firsts[n][0] == name], int
        )
    groups = np.array([firsts[number][1] for number in numbers["training"]], int)
    return Distinct(sources, numbers, groups, looks, tuple(notes))


def _two_labels(
    sources: Mapping[str, Source], looks: Mapping[str, tuple[Look, ...]]
) -> Iterable[str]:
    """A line on the pictures that carry more than one label."""
    labels: dict[bytes, dict[int, str]] = {}
    for name, its in looks.items():
        source = sources[name]
        for look, label, item in zip(its, source.labels, source.names, strict=True):
            labels.setdefault(look.pixels, {}).setdefault(int(label), item)
    several = [" = ".join(its.values()) for its in labels.values() if len(its) > 1]
    if several:
        carry = "picture carries" if len(several) == 1 else "pictures carry"
        yield f"{len(several)} {carry} more than one label ({_some(several)})"


def near(items: Distinct, chosen: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Lines on pictures of one split that are nearly those of another.

    Args:
      items: what the splits were drawn from.
      chosen: of `training`, `valid` and `test`, numbers of the items in their source.
    """
    count = sum(map(len, chosen.values()))
    if not items.looks:
        return ()
    if count > MOST:
        return (f"near copies are not looked for among {count:,} > {MOST:,} pictures",)
    of = {name: name if name in items.sources else "training" for name in chosen}
    thumbnails = np.stack(
        [
            items.looks[of[name]][at].thumbnail
            for name, its in chosen.items()
            for at in its
        ]
    )
    names = [
        items.sources[of[name]].names[at] for name, its in chosen.items() for at in its
    ]
    parts = np.repeat(np.arange(len(chosen)), [len(its) for its in chosen.values()])
    pairs = near_pairs(thumbnails, parts)
    notes = []
    for part, (name, its) in enumerate(chosen.items()):
        found = [
            f"{names[one]} ~ {names[two]}" for one, two in pairs if parts[one] == part
        ]
        if found:
            are = "is a near copy" if len(found) == 1 else "are near copies"
            others = " or ".join(list(chosen)[:part])
            notes.append(
                f"{len(found)} of {len(its)} {name} pictures {are} of {others} "
                f"pictures ({_some(found)}): left where they are"
            )
    return tuple(notes)


def near_pairs(thumbnails: np.ndarray, parts: np.ndarray) -> list[tuple[int, int]]:
    """Pictures that are near copies of one of a part before theirs, and the nearest.

    Near are those that are like one another in one of `KINDS`. Flat pictures are none.

    Args:
      thumbnails: Uint8 `[N 8 8 3]`.
      parts: of the pictures, `[N]`.
    """
    levels = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    unit = levels - levels.mean(axis=1, keepdims=True)
    length = np.linalg.norm(unit, axis=1, keepdims=True)
    unit /= np.maximum(length, 1e-6)
    unit[length[:, 0] < _FLAT * np.sqrt(levels.shape[1])] = 0
    spread = 1 / np.maximum((unit**4).sum(axis=1) * levels.shape[1], 1)
    rows, found = np.flatnonzero(parts > parts.min()), []
    farthest = max(kind.distance for kind in KINDS.values())
    place = min(USUAL, len(parts) - 1) - 1
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        distances = 1 - unit[block] @ unit.T
        distances[np.arange(len(block)), block] = np.inf
        is_close = (distances <= farthest) & (parts < parts[block, None])
        for row in np.flatnonzero(is_close.any(axis=1)):
            one, others = block[row], np.flatnonzero(is_close[row])
            distance = distances[row, others]
            apart = np.abs(levels[others] - levels[one]).mean(axis=1)
            share = distance / np.partition(distances[row], place)[place]
            is_near = np.any(
                [
                    (apart <= kind.levels)
                    & (distance <= kind.distance)
                    & (share <= kind.share)
                    & (np.minimum(spread[others], spread[one]) >= kind.spread)
                    for kind in KINDS.values()
                ],
                axis=0,
            )
            if is_near.any():
                nearest = np.where(is_near, distance, np.inf).argmin()
                found.append((int(one), int(others[nearest])))
    return found


def _some(texts: list[str]) -> str:
    """The first of many, and how many more there are."""
    return ", ".join(texts[:SHOWN]) + more(len(texts))
