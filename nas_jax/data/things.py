"""Pictures of one thing, whole in one split: copies, and what the user calls a group.

A group of the user's and the copies of one picture hang together where they share a
picture: then all of them show one thing.
"""

from collections import Counter

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nas_jax.config.naming import few
from nas_jax.data import copies
from nas_jax.data.copies import Distinct
from nas_jax.data.source import DataSet


def distinct(data: DataSet) -> Distinct:
    """The items of a data set without those that show what it is tested with.

    As `copies.distinct`; left out are also pictures of the training whose group is in
    a test or valid set of its own, and those of such a valid set whose group is in the
    test.
    """
    items = copies.distinct(data)
    if not data.groups:
        return items
    names = {name: source.names for name, source in items.sources.items()}
    pixels = [look.pixels for name in names for look in items.looks[name]]
    groups = [data.groups[item] for its in names.values() for item in its]
    ends = np.cumsum([len(its) for its in names.values()])
    things = dict(zip(names, np.split(_joined(pixels, groups), ends), strict=False))
    first: dict[int, str] = {}
    numbers, notes = {}, list(items.notes)
    for name, its in things.items():
        for thing in its:
            first.setdefault(int(thing), name)
        by_set: dict[str, list[int]] = {name: []}
        for number in items.numbers[name]:
            by_set.setdefault(first[int(its[number])], []).append(int(number))
        numbers[name] = np.array(by_set.pop(name), int)
        for other, left in by_set.items():
            groups = [data.groups[names[name][number]] for number in left]
            notes.append(_shared(groups, name, other, len(its)))
    whole = things["training"][numbers["training"]]
    return Distinct(items.sources, numbers, whole, items.looks, tuple(notes))


def _joined(one: list[bytes], other: list[str]) -> np.ndarray:
    """The parts of items that hang together by either of two keys, `[N]`."""
    keys = [np.unique(every, return_inverse=True)[1] for every in (one, other)]
    ends = keys[0], keys[0].max() + 1 + keys[1]
    size = int(ends[1].max()) + 1
    graph = coo_array((np.ones(len(one)), ends), (size, size))
    return connected_components(graph, directed=False)[1][keys[0]]


def _shared(groups: list[str], name: str, other: str, count: int) -> str:
    """A line on pictures that are left out, by their groups."""
    counts = few(f"{group} {n}" for group, n in Counter(groups).most_common())
    show = "picture shows" if len(groups) == 1 else "pictures show"
    return (
        f"{len(groups)} of {count} {name} {show} a group that {other} pictures show, "
        f"too ({counts}): left out of {name}"
    )
