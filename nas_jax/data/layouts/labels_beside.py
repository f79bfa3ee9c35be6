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
from nas_jax.config.naming import few, shown
from nas_jax.data.layouts import label_files, split_names
from nas_jax.data.layouts.class_folders import Arrangement, Found
from nas_jax.data.layouts.label_files import Columns, Table
from nas_jax.data.layouts.listing import Row
from nas_jax.data.layouts.split_names import TRAIN
from nas_jax.data.layouts.tree import Tree

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
    near = [one for one in usable if _is_around(one.name, where)]
    spelled = split_names.spellings({Path(one.name).stem for one in near})
    if TRAIN in spelled:
        return [
            one._replace(split=split)
            for one in near
            for split, stems in spelled.items()
            if Path(one.name).stem in stems
        ], why
    near = [one for one in near if one.columns.group is not None] or near
    left = [one for one in near if one.is_metadata] or near
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
    return Found(placed, (*notes, line), (one.name,))


def together(said: Sequence[Found]) -> Found:
    """What several files say, a picture once.

    Raises `ValueError` if they give one picture two labels, splits or groups.
    """
    files = tuple(name for one in said for name in one.files)
    by_name: dict[str, Row] = {}
    for row in (row for one in said for row in one.rows):
        if by_name.setdefault(row.name, row) != row:
            raise ValueError(
                f"{few(files)}: expected one label, split and group a picture, got two "
                f"for {shown(row.name)}; remove one"
            )
    notes = tuple(note for one in said for note in one.notes)
    return Found(list(by_name.values()), notes, files)


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
            not (is_near and path.is_file())
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
    said = {"files": repr(columns.file), "labels": label if columns.label != "" else ""}
    said["splits"] = "" if columns.split is None else repr(columns.split)
    said["groups"] = "" if columns.group is None else repr(columns.group)
    return ", ".join(f"{what} in {where}" for what, where in said.items() if where)
