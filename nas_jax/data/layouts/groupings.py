"""What each picture shows, by a rule of the user's: one patient, one burst, one thing.

    data.group_column    a column of the file of labels
    data.group_pattern   {group}_{number}.jpg, or a regular expression
    data.group_folder    1 for the folders in those of the classes, 2 for those in these

One name is one group, whatever the class and the split: ill/7 and well/7 are patient 7.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nas_jax.config.data import GROUPS, DataConfig
from nas_jax.config.naming import few, shown
from nas_jax.data.layouts import name_patterns
from nas_jax.data.layouts.class_folders import entered
from nas_jax.data.layouts.listing import Row


class Groups(NamedTuple):
    """The group of every picture, by its name; none where the user has no rule."""

    of: dict[str, str]
    notes: tuple[str, ...] = ()
    """For the user, one line each."""


def found(rows: Sequence[Row], config: DataConfig, root: Path) -> Groups:
    """The groups of pictures.

    Args:
      rows: the pictures.
      config: whose rule counts, the one of `GROUPS` that is given.
      root: of the data set, for errors.

    Raises:
      ValueError: if a picture has no group, or all have one; for a pattern that is
        none.
    """
    given = {name: getattr(config, name) for name in GROUPS}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return Groups({})
    ((name, value),) = given.items()
    rule = f"data.{name} {value!r:.200}"
    said, cure = _RULES[name](rows, config)
    of = {
        row.name: group.strip()
        for row, group in zip(rows, said, strict=True)
        if group and group.strip()
    }
    if lacking := [shown(row.name) for row in rows if row.name not in of]:
        raise ValueError(
            f"{root}: expected a group for every picture by {rule}, got none for "
            f"{len(lacking)} of {len(rows)} ({few(lacking)}); {cure}"
        )
    sizes = Counter(of.values())
    if len(sizes) == 1:
        raise ValueError(
            f"{root}: expected several groups by {rule}, got one of all {len(of)} "
            f"pictures ({few(sizes)}), which no splits divide; {cure}"
        )
    if len(sizes) == len(of):
        line = f"{rule} makes every picture a group of its own: it keeps none together"
        return Groups(of, (line,))
    largest = few(f"{group} {count}" for group, count in sizes.most_common())
    line = f"{len(sizes)} groups by {rule}: {largest}; each is kept in one split"
    return Groups(of, (line,))


def hint(names: Sequence[str], labels: np.ndarray) -> tuple[str, ...]:
    """A line where names look like groups that the user may not have thought of.

    Every name ends in a short counter after something else with a number, every class
    has several such groups, and these have two pictures of it or more on average. Days,
    as cameras write them, are no groups.

    Args:
      names: of the pictures.
      labels: `[N]`.
    """
    groups = _said(_COUNTED, names)
    if not all(group and not _DAY.search(group) for group in groups):
        return ()
    of_class = Counter(label for _, label in set(zip(groups, labels, strict=True)))
    if min(of_class.values()) < _SEVERAL or 2 * of_class.total() > len(names):
        return ()
    sizes = Counter(map(str, groups))
    template = next(
        (one for one in _USUAL if _same(_said(one, names), groups)), _COUNTED
    )
    largest = few(f"{group} {count}" for group, count in sizes.most_common())
    return (
        f"names look like {len(sizes)} groups ({largest}): if each shows one thing, "
        f"keep it in one split by --group-pattern '{template}'",
    )


def _said(pattern: str, names: Sequence[str]) -> list[str | None]:
    """The groups that names say by a pattern."""
    found = name_patterns.matched(name_patterns.compiled(pattern, "group"), names)
    return [one and one["group"] for one in found]


def _same(one: Sequence[str | None], other: Sequence[str | None]) -> bool:
    """Whether pictures are of one group by the one where they are by the other."""
    pairs = set(zip(one, other, strict=True))
    return None not in one and len(pairs) == len(set(one)) == len(set(other))


def _by_column(rows: Sequence[Row], config: DataConfig) -> tuple[list[str | None], str]:
    cure = (
        "fill the column, with a name of its own for what stands alone, or name another"
    )
    return [row.group for row in rows], cure


def _by_pattern(
    rows: Sequence[Row], config: DataConfig
) -> tuple[list[str | None], str]:
    said = _said(config.group_pattern or "", [row.name for row in rows])
    return said, "mend the pattern, which has to match whole names"


def _by_folder(rows: Sequence[Row], config: DataConfig) -> tuple[list[str | None], str]:
    """Folders below those of the class and the split, or below the one they share."""
    level = config.group_folder or 1
    shared = entered([row.name for row in rows if not row.folder], "").prefix
    inside = [
        row.name.removeprefix(row.folder or shared).split("/")[:-1] for row in rows
    ]
    cure = "move each picture into a folder of what it shows, or choose another level"
    return [
        "/".join(folders[:level]) if len(folders) >= level else None
        for folders in inside
    ], cure


_COUNTED = "(?P<group>.*[0-9])[^0-9]+[0-9]{1,5}"
"""A number, and a short counter behind it."""
_USUAL = ("{group}_{number}", "{group}-{number}", "{group}.{number}")
"""Templates that may say the same."""
_DAY = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}[-_.]?[01][0-9][-_.]?[0-3][0-9]$")
_SEVERAL = 4
"""Groups of every class, at least: as many as there are splits."""
_RULES = {
    "group_column": _by_column,
    "group_pattern": _by_pattern,
    "group_folder": _by_folder,
}
