"""Files of labels: CSV, TSV, JSON lines or JSON that name pictures and their labels.

Columns are found by the names that people give them, or chosen in the configuration.
Without a label column, columns of 0 and 1 with one 1 a row name the classes.
"""

import csv
import io
import itertools
import os
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nas_jax.config import files
from nas_jax.config.data import DataConfig
from nas_jax.config.naming import few
from nas_jax.data.layouts import split_names
from nas_jax.data.layouts.listing import Row
from nas_jax.data.layouts.tree import picture_suffixes

FOUND = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
"""Suffixes of files of labels that are looked for beside pictures."""
SUFFIXES = (*FOUND, ".txt")
"""Of those that may be named."""
FILE_COLUMNS = (
    *("filename", "filepath", "filepaths", "file", "files", "imagepath", "imagefile"),
    *("imagefilename", "imagename", "imgpath", "imgname", "imgfile", "fname", "path"),
    *("paths", "image", "images", "img", "picture", "photo", "imageid", "imgid"),
    *("imageindex", "pictureid", "photoid", "name", "basename", "id", "uid", "uuid"),
)
"""Usual names of the column of files, without spaces and the like; first come first."""
LABEL_COLUMNS = (
    *("labelname", "classname", "categoryname", "label", "labels", "class", "classes"),
    *("category", "categories", "target", "targets", "y", "species", "breed"),
    *("diagnosis", "dx", "tag", "groundtruth", "gt", "annotation", "labelid"),
    *("classid", "categoryid", "classindex", "classidx", "labelidx", "labelindex"),
)
SPLIT_COLUMNS = (
    *("split", "splits", "set", "subset", "dataset", "datasplit", "partition"),
    *("phase", "usage", "mode"),
)
_DELIMITERS = ",;\t|"


class Table(NamedTuple):
    """The rows of a file, all of them texts."""

    path: Path
    columns: tuple[str, ...]
    rows: list[dict[str, str]]


class Columns(NamedTuple):
    """Which column says what."""

    file: str
    label: str | None
    """None for columns of 0 and 1; "" for none, where the folders have to say it."""
    split: str | None
    group: str | None = None


def read(path: Path) -> Table:
    """The rows of a file. Raises `ValueError` for one that is damaged or has none."""
    suffix, content = path.suffix.lower(), _text(path)
    if suffix in (".jsonl", ".ndjson"):
        lines = enumerate(content.splitlines(), start=1)
        rows = [
            files.parse_object(line, f"{path}, line {place}")
            for place, line in lines
            if line.strip()
        ]
    elif suffix == ".json":
        rows = _objects(files.parse(content, str(path)), path)
    else:
        rows = _separated(content, path)
    names = tuple(dict.fromkeys(key for row in rows for key in row))
    if not names:
        raise ValueError(
            f"{path}: expected a row per picture, its file and its label, got none; "
            "write a first row of names, as file,label, and a row for each"
        )
    return Table(
        path, names, [{key: _cell(row.get(key), path) for key in names} for row in rows]
    )


def columns(table: Table, config: DataConfig) -> Columns:
    """The columns of files, labels, splits and groups.

    A file that says the groups needs no labels. One that has labels may lack the chosen
    column of groups, which `require_groups` tells.

    Raises `ValueError`, listing the columns, if another one that is chosen is missing,
    or if none has a usual name.
    """
    file = _column(table, config.file_column, FILE_COLUMNS, "file")
    label = _column(table, config.label_column, LABEL_COLUMNS, "label")
    split = _column(table, config.split_column, SPLIT_COLUMNS, "split")
    group = config.group_column if config.group_column in table.columns else None
    rest = [one for one in table.columns if one not in (file, split, group)]
    if file is None:
        raise ValueError(_unnamed(table, "file", "filename"))
    if label is None and not _is_one_hot(table, rest):
        label = ""
    found = Columns(file, label, split, group)
    if group is None:
        require_labels(table, found)
    return found


def require_groups(table: Table, columns: Columns, config: DataConfig) -> None:
    """Raises `ValueError`, listing the columns, if that of the groups is missing."""
    if columns.group is None and config.group_column is not None:
        _column(table, config.group_column, (), "group")


def require_labels(table: Table, columns: Columns) -> None:
    """Raises `ValueError`, listing the columns, if none says the labels."""
    if columns.label == "":
        raise ValueError(_unnamed(table, "label", "label"))


def labelled(
    table: Table, chosen: Columns, split: str | None, config: DataConfig
) -> tuple[list[Row], tuple[str, ...]]:
    """The rows, with files as the table names them, and a line about those left out.

    Args:
      table: the file's rows.
      chosen: its columns.
      split: of all its rows where they do not say it.
      config: whose names of splits count; where it gives any, other rows are left out.

    Raises:
      ValueError: for rows without file, label or split, or with several labels; for a
        split that is none.
    """
    others = (chosen.file, chosen.split, chosen.group)
    rest = [one for one in table.columns if one not in others]
    splits = _splits(table, chosen.split, config) if chosen.split else {}
    rows: dict[str, Row] = {}
    wrong: dict[str, list[str]] = {}
    unused: Counter[str] = Counter()
    for place, cells in enumerate(table.rows, start=1):
        here = splits.get(cells[chosen.split], "") if chosen.split else split
        if here == "":
            unused[cells[chosen.split or ""]] += 1
            continue
        name = cells[chosen.file].strip().replace("\\", "/")
        if chosen.label is None:
            ones = [one for one in rest if float(cells[one]) == 1]
            label = ones[0] if len(ones) == 1 else ""
        else:
            label = cells[chosen.label].strip() if chosen.label else ""
        group = cells[chosen.group] if chosen.group else None
        row = Row(name, label, here, group=group)
        if not name or not (label or chosen.label == ""):
            wrong.setdefault("without a file or one label", []).append(f"row {place}")
        elif rows.setdefault(name, row) != row:
            wrong.setdefault("with two labels, splits or groups", []).append(name)
    for what, names in wrong.items():
        raise ValueError(
            f"{table.path}: expected a file, one label and one split a row, got "
            f"{len(names)} of {len(table.rows)} rows {what} ({few(names)}); remove or "
            "mend these rows"
        )
    left = few(f"{value!r} {count}" for value, count in unused.items())
    note = f"{table.path.name}: rows of other splits are not used: {left}"
    return list(rows.values()), (note,) if unused else ()


def resolved(rows: Sequence[Row], pictures: Iterable[str]) -> list[Row]:
    """The rows with the pictures that they name, as far as these are there.

    A name is the end of one picture's path, or that without its suffix. Leading folders
    are left out where that makes all names fit: the file may come from elsewhere. Among
    several pictures, the one in a folder of the row's split is meant.

    Args:
      rows: of a file of labels.
      pictures: below its folder, relative to it.

    Raises:
      ValueError: for a name that several pictures have.
    """
    ends: dict[str, list[str]] = {}
    for picture in pictures:
        parts = picture.split("/")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            for one in {end, os.path.splitext(end)[0]}:
                ends.setdefault(one, []).append(picture)
    split_up = [posixpath.normpath(row.name).split("/") for row in rows]
    shortest = min(map(len, split_up), default=0)
    names = ["/".join(parts) for parts in split_up]
    for dropped in range(shortest):
        fewer = ["/".join(parts[dropped:]) for parts in split_up]
        if all(name in ends for name in fewer):
            names = fewer
            break
    found, several = [], []
    for row, name in zip(rows, names, strict=True):
        fitting = ends.get(name, [name])
        if name in fitting:
            fitting = [name]
        elif row.split and len(fitting) > 1:
            fitting = [one for one in fitting if _lies_in(one, row.split)] or fitting
        if len(fitting) > 1:
            several.append(f"{row.name}: {few(fitting)}")
        found.append(row._replace(name=fitting[0]))
    if several:
        raise ValueError(
            f"{several[0]}: expected one picture for this name of the file of labels, "
            f"got several, and so for {len(several)} names; write whole paths"
        )
    return found


# --- reading -------------------------------------------------------------------------


def _text(path: Path) -> str:
    """The text, without the mark at its beginning; Excel also writes UTF-16."""
    try:
        content = path.read_bytes()
        wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected text in UTF-8, got {error}; save it as CSV UTF-8"
        ) from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error


def _separated(content: str, path: Path) -> list[dict[str, Any]]:
    """The rows of a text with columns; without a header these are called 1, 2, 3."""
    first = next((line for line in content.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    if delimiter not in first and path.suffix.lower() == ".txt":
        delimiter = " "
    try:
        read = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
        lines = [(read.line_num, cells) for cells in read if any(map(str.strip, cells))]
    except csv.Error as error:
        raise ValueError(f"{path}: expected columns of text, got {error}") from error
    if not lines:
        return []
    header = [cell.strip() for cell in lines[0][1]]
    suffixes = picture_suffixes()
    if any(os.path.splitext(cell)[1].lower() in suffixes for cell in header):
        header = [str(place) for place in range(1, len(header) + 1)]
    else:
        del lines[0]
    if len(set(header)) < len(header):
        raise ValueError(
            f"{path}: expected columns of different names, got {few(header)}"
        )
    for number, cells in lines:
        if len(cells) > len(header) and any(cells[len(header) :]):
            raise ValueError(
                f"{path}, line {number}: expected {len(header)} columns as in the "
                f"first line, got {len(cells)}; put quotes around text with "
                f"{delimiter!r}"
            )
    return [
        dict(itertools.zip_longest(header, cells[: len(header)], fillvalue=""))
        for _, cells in lines
    ]


def _objects(document: Any, path: Path) -> list[dict[str, Any]]:
    """A list of objects, or an object of labels by file."""
    if isinstance(document, dict) and all(
        isinstance(value, str | int) for value in document.values()
    ):
        return [{"file": file, "label": label} for file, label in document.items()]
    if isinstance(document, list) and all(isinstance(one, dict) for one in document):
        return document
    raise ValueError(
        f"{path}: expected a list of objects with file and label, or an object of "
        "labels by file, got another document"
    )


def _cell(value: Any, path: Path) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(
        f"{path}: expected a text or a number for each file, got {value!r:.80}; one "
        "label a picture"
    )


# --- columns -------------------------------------------------------------------------


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _column(
    table: Table, chosen: str | None, usual: Sequence[str], what: str
) -> str | None:
    if chosen is not None:
        if chosen not in table.columns:
            raise ValueError(
                f"{table.path}: expected the column {chosen!r}, which "
                f"data.{what}_column names, got {', '.join(table.columns)}"
            )
        return chosen
    first, suffixes = table.rows[0], picture_suffixes()
    pictures = [
        one
        for one in table.columns
        if os.path.splitext(first[one])[1].lower() in suffixes
    ]
    if table.columns[0] == "1" and pictures:
        return _placed(table, pictures[0], what)
    by_name = {_plain(name): name for name in reversed(table.columns)}
    found = next((by_name[name] for name in usual if name in by_name), None)
    # a column may be called "set" and say something else
    is_other = what == "split" and not any(
        split_names.spelled(row[found]) for row in table.rows if found
    )
    return None if is_other else found


def _placed(table: Table, file: str, what: str) -> str | None:
    """The column of a file without a header: that of pictures, and the one left."""
    rest = [one for one in table.columns if one != file]
    splits = [
        one for one in rest if all(split_names.spelled(row[one]) for row in table.rows)
    ]
    if len(rest) > 1 and len(splits) == 1:
        rest.remove(splits[0])
    else:
        splits = []
    label = rest[0] if len(rest) == 1 else None
    return {"file": file, "label": label, "split": next(iter(splits), None)}[what]


def _is_one_hot(table: Table, columns: Collection[str]) -> bool:
    def is_binary(cell: str) -> bool:
        return re.fullmatch(r"\s*[01](\.0*)?\s*", cell) is not None

    return len(columns) > 1 and all(
        is_binary(row[one]) for row in table.rows for one in columns
    )


def _unnamed(table: Table, what: str, usual: str) -> str:
    return (
        f"{table.path}: expected a column {usual!r} or of another usual name, got the "
        f"columns {', '.join(table.columns)}; choose one by --data.{what}-column"
    )


def _splits(table: Table, column: str, config: DataConfig) -> dict[str, str]:
    """The split that each value of a column means, "" for one that is not used."""
    values, named = {row[column] for row in table.rows}, split_names.named(config)
    where = f"{table.path}, column {column!r}"
    means = {}
    for value in sorted(values):
        spelled = split_names.spelled(value)
        if spelled and spelled[0] not in named:
            means[value] = spelled[0]
        elif named:
            means[value] = ""
        else:
            raise ValueError(
                f"{where}: expected train, valid or test, got {value!r}; name what is "
                "which by --data.train-split, --data.valid-split, --data.test-split"
            )
    split_names.require(named, values, where)
    return means | {name: split for split, name in named.items()}


def _lies_in(name: str, split: str) -> bool:
    folders = map(split_names.spelled, name.split("/")[:-1])
    return any(one and one[0] == split for one in folders)
