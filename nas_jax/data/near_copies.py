"""Pictures of two splits that are nearly the same: counted and named, never moved.

They are resized, compressed again, brightened or cut a little; or they are two pictures
of one thing. Thumbnails are compared, which tells more about rich pictures than about
simple scenes: there, many are near one another.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nas_jax.config.naming import few
from nas_jax.data.copies import Distinct

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


def notes_on(items: Distinct, chosen: Mapping[str, np.ndarray]) -> tuple[str, ...]:
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
                f"pictures ({few(found)}): left where they are"
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
            usual = np.partition(distances[row], place)[place]
            share = distance / max(usual, np.finfo(np.float32).eps)
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
