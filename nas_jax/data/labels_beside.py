"""Files of labels beside the pictures: which of them count, and what they say.

One in each folder of a split; or one for each split side by side, as train.csv and
test.csv; or a metadata.csv; or the only one with columns of files and labels.
"""

import os
import posixpath
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from nas_jax.config.data import DataConfig
from nas_jax.data import label_files, split_names
from nas_jax.data.class_folders import Arrangement, Found
from nas_jax.data.label_files import Columns, Table
from nas_jax.data.listing import Row, few, shown
from nas_jax.data.split_names import TRAIN
from nas_jax.data.tree import Tree

LARGEST = 1 << 26
"""Bytes of a file of labels that nobody named."""


class Beside(NamedTuple):
    """A file of labels, and of which split; None if it says that itself, or none."""

    name: str
    table: Table
    columns: Columns
    split: str | None = None

    @property
    def is_metadata(self) -> bool:
        """Whether it is called as the loaders of image folders expect."""
        return Path(self.name).stem.lower() == "metadata"


def chosen(
    files: Tree, where: Arrangement, config: DataConfig
) -> tuple[list[Beside], str]:
    """The files of labels that count, and what another one lacks.

    Raises `ValueError` if several may be meant.
    """
    usable, why = _usable(files, where, config)
    inside = [
        one._replace(split=split)
        for one in usable
        for split, prefix in where.splits.items()
        if one.name.startswith(prefix)
    ]
    if any(one.split == TRAIN for one in inside):
        return inside, why
    around = {Path(one.name).stem: one for one in usable if _is_around(one.name, where)}
    spelled = split_names.spellings(around)
    if TRAIN in spelled:
        return [
            around[stem]._replace(split=split)
            for split, stems in spelled.items()
            for stem in stems
        ], why
    left = list(around.values())
    left = [one for one in left if one.is_metadata] or left
    if len(left) > 1:
        raise ValueError(
            f"{files.root}: expected one file of labels, got "
            f"{few(one.name for one in left)}; set data.path to one of them"
        )
    return left, why


def rows(
    one: Beside, root: Path, pictures: Callable[[], Iterable[str]], config: DataConfig
) -> Found:
    """What a file of labels says, with the names of pictures in the data set.

    Args:
      one: the file.
      root: of the data set, in which its name lies.
      pictures: gives all of the data set, by which ids and ends of paths are
        completed; asked only if a name is no file.
      config: whose names of splits count.

    Raises:
      ValueError: as `label_files.labelled` and `label_files.resolved`.
    """
    asked, notes = label_files.labelled(one.table, one.columns, one.split, config)
    found = asked
    folder = posixpath.dirname(one.name)
    start = f"{folder}/" if folder else ""
    if not all(os.path.isfile(root / folder / row.name) for row in found):
        below = [name[len(start) :] for name in pictures() if name.startswith(start)]
        found = label_files.resolved(found, below)
    placed = [row._replace(name=_in(root, folder, row.name)) for row in found]
    line = f"{one.name}: {_what(one.columns)}"
    if found and found[0].name != asked[0].name:
        line += f" ({shown(asked[0].name)!r} is {shown(found[0].name)})"
    return Found(_single(placed, one.name), (*notes, line), (one.name,))


def _usable(
    files: Tree, where: Arrangement, config: DataConfig
) -> tuple[list[Beside], str]:
    """The files with columns of files and labels, and what the last other one lacks."""
    usable, why = [], ""
    for name in files.others:
        path = files.root / name
        is_near = _is_around(name, where) or name.startswith(
            tuple(where.splits.values())
        )
        if (
            not is_near
            or path.suffix.lower() not in label_files.FOUND
            or "submission" in path.stem.lower()  # what contests want back
            or path.stat().st_size > LARGEST
        ):
            continue
        try:
            table = label_files.read(path)
            usable.append(Beside(name, table, label_files.columns(table, config)))
        except ValueError as error:
            why = str(error)
    return usable, why


def _is_around(name: str, where: Arrangement) -> bool:
    folder = posixpath.dirname(name)
    return not folder or where.level.prefix.startswith(f"{folder}/")


def _in(root: Path, folder: str, name: str) -> str:
    """The name in the data set of a file that may also lie elsewhere."""
    path = posixpath.normpath(posixpath.join(folder, name))
    return path.removeprefix(f"{root.absolute().as_posix()}/")


def _what(columns: Columns) -> str:
    label = "columns of 0 and 1" if columns.label is None else repr(columns.label)
    split = "" if columns.split is None else f", splits in {columns.split!r}"
    return f"files in {columns.file!r}, labels in {label}{split}"


def _single(found: Sequence[Row], name: str) -> list[Row]:
    """The rows, of which several may have meant one picture."""
    by_name: dict[str, Row] = {}
    for row in found:
        if by_name.setdefault(row.name, row) != row:
            raise ValueError(
                f"{name}: expected one label and one split a picture, got two for "
                f"{few([row.name])}; remove one"
            )
    return list(by_name.values())
