"""Where the labels and the splits of a user's pictures stand, found and read.

    cat/…  dog/…                         a folder per class
    train/cat/…  val/cat/…  test/cat/…   in folders of splits, or cat/train/… cat/test/…
    labels.csv  images/…                 a file of labels, or one for each split
    cat.0.jpg  dog.0.jpg                 in the names, by data.label_pattern

Folders that only wrap others are entered. Folders say more than a file of labels beside
them, unless its columns are chosen or it is a metadata.csv.
"""

import posixpath
from pathlib import Path

from nas_jax.config import on_disk
from nas_jax.config.data import DataConfig
from nas_jax.config.naming import few
from nas_jax.data.layouts import (
    class_folders,
    label_files,
    labels_beside,
    name_patterns,
    other_sets,
    split_names,
    tree,
)
from nas_jax.data.layouts.class_folders import Found
from nas_jax.data.layouts.labels_beside import Beside
from nas_jax.data.layouts.listing import Listing, Row
from nas_jax.data.layouts.split_names import TRAIN
from nas_jax.data.layouts.tree import Tree


def find(config: DataConfig) -> Listing:
    """The pictures at `config.path` with their labels and splits.

    Raises:
      ValueError: if there are none, or no labels; if names of splits or columns are
        missing or not clear; if a file of labels is damaged.
    """
    if config.path is None:
        raise ValueError(
            "folder: expected data.path, a folder with one folder per class, got None"
        )
    path = Path(config.path).expanduser()
    if path.is_file():
        if path.suffix.lower() not in label_files.SUFFIXES:
            other_sets.refuse_file(path)
        if config.label_pattern is not None:
            raise ValueError(
                f"{path}: expected no data.label_pattern with a file of labels, got "
                f"{config.label_pattern!r}; set data.path to the folder to use it"
            )
        found = _named_file(path, config)
        return Listing(path.parent, found.rows, found.notes)
    if not path.is_dir():
        raise ValueError(
            f"data.path: expected a folder of pictures, found no folder {config.path}"
            f"{on_disk.meant_beside(path)}"
        )
    files = tree.walk(path)
    if not files.pictures:
        other_sets.refuse_without_pictures(files)
    by = _by_folders_or_file if config.label_pattern is None else _by_pattern
    found = by(files, config)
    others = [name for name in files.others if name not in found.files]
    notes = found.notes
    if kinds := tree.kinds(files._replace(others=others)):
        notes = (*notes, f"left out, no pictures: {kinds}")
    return Listing(path, found.rows, notes)


def _named_file(path: Path, config: DataConfig) -> Found:
    """What a file of labels says; what lies beside it is looked at if it has to be."""
    table = label_files.read(path)
    one = Beside(path.name, table, label_files.columns(table, config))
    label_files.require_groups(table, one.columns, config)
    label_files.require_labels(table, one.columns)
    folder = path.parent
    found = labels_beside.rows(one, folder, lambda: tree.walk(folder).pictures, config)
    return _by_split_folders(labels_beside.together([found]), config, folder)


def _by_folders_or_file(files: Tree, config: DataConfig) -> Found:
    where = class_folders.arranged(files.pictures, config, files.root)
    by_folders = class_folders.by_folders(files.pictures, where, files.root)
    _require_full(files, by_folders.rows)
    columns = config.file_column, config.label_column, config.split_column
    is_file_meant = columns != (None, None, None)
    is_chosen = is_file_meant or config.group_column is not None
    try:
        beside, why = labels_beside.chosen(files, where, config)
        for one in beside:
            label_files.require_groups(one.table, one.columns, config)
        by_files = _read(beside, files, config) if beside else Found([])
    except ValueError as error:  # it may be a file that only lies there
        if is_chosen or not by_folders.rows:
            raise
        line = f"{error}; the folders are used"
        return Found(by_folders.rows, (*by_folders.notes, line))
    if not beside and is_chosen:
        raise ValueError(
            why
            or f"{files.root}: expected a file of labels with the columns that are "
            "chosen, got none; set data.path to it"
        )
    if not beside and by_folders.rows:
        class_folders.require_named(where, config, files.root)
        return by_folders
    if not beside:
        prefix = where.splits.get(TRAIN, where.level.prefix)
        flat = [name for name in files.pictures if name.startswith(prefix)]
        other_sets.refuse_without_labels(files, flat, why)
    has_labels = all(one.columns.label != "" for one in beside)
    if not by_folders.rows:
        for one in beside:
            label_files.require_labels(one.table, one.columns)
    elif not has_labels or not (
        is_file_meant or all(one.is_metadata for one in beside)
    ):
        is_grouped = config.group_column is not None
        return _agreed(by_folders, by_files, files.root, is_grouped)
    named = {row.name for row in by_files.rows}
    left = [name for name in files.pictures if name not in named]
    line = f"{len(left)} pictures that no file of labels names, not used: {few(left)}"
    return by_files._replace(notes=(*by_files.notes, line)) if left else by_files


def _read(beside: list[Beside], files: Tree, config: DataConfig) -> Found:
    """What files of labels say."""
    said = [
        labels_beside.rows(one, files.root, lambda: files.pictures, config)
        for one in beside
    ]
    return _by_split_folders(labels_beside.together(said), config, files.root)


def _by_split_folders(by_files: Found, config: DataConfig, root: Path) -> Found:
    """What files say of labels, with the splits of the folders if they name none."""
    if any(row.split for row in by_files.rows):
        return by_files
    names = [row.name for row in by_files.rows]
    folders = class_folders.entered(names, "").folders
    if TRAIN not in split_names.spellings(folders) | split_names.named(config):
        return by_files
    where = class_folders.arranged(names, config, root)
    class_folders.require_named(where, config, root)
    if not where.splits:
        return by_files
    rows = [
        row._replace(split=split, folder=prefix)
        for row in by_files.rows
        for split, prefix in where.splits.items()
        if row.name.startswith(prefix)
    ]
    notes = (*by_files.notes, *class_folders.unused(names, where.splits))
    return Found(rows, notes, by_files.files)


def _agreed(by_folders: Found, by_files: Found, root: Path, is_grouped: bool) -> Found:
    """Labels by folders where files name them, too; refused if these say otherwise.

    The files' splits count if the folders have none, and so do their groups.
    """
    files, said = few(by_files.files), {row.name: row for row in by_files.rows}
    known = [row for row in by_folders.rows if row.name in said]
    if len(known) < len(by_folders.rows) and not is_grouped:
        line = f"{files} is not used, the folders are; set data.path to it to use it"
        return Found(by_folders.rows, (*by_folders.notes, line))
    labelled = [row for row in known if said[row.name].label]
    pairs = {(row.label, said[row.name].label) for row in labelled}
    labels = zip(*pairs, strict=True)
    if len(pairs) > min((len(set(one)) for one in labels), default=0):
        row = next(row for row in labelled if said[row.name].label != row.label)
        raise ValueError(
            f"{root}: expected the labels of {files} or those of the folders, got both "
            f"which differ ({row.name}: {said[row.name].label!r}, {row.label!r}); set "
            "data.path to the file, or move it away"
        )
    has_splits = any(row.split for row in by_folders.rows)
    if has_splits and not is_grouped:
        return by_folders
    rows = []
    for row in by_folders.rows:
        its = said.get(row.name, row)
        split = row.split if has_splits else its.split
        rows.append(row._replace(split=split, group=its.group))
    return Found(rows, (*by_folders.notes, *by_files.notes), by_files.files)


def _require_full(files: Tree, rows: list[Row]) -> None:
    """Raises `ValueError` for an empty folder beside those of the classes."""
    parts = [(row.name.split("/"), row.label) for row in rows]
    above = {"/".join(one[: one.index(label)]) for one, label in parts}
    full = {"/".join(one[: one.index(label) + 1]) for one, label in parts}
    for folder in files.empty:
        if folder not in full and posixpath.dirname(folder) in above:
            raise ValueError(
                f"{files.root / folder}: expected pictures of this class, got an empty "
                "folder; remove it"
            )


def _by_pattern(files: Tree, config: DataConfig) -> Found:
    pattern = name_patterns.compiled(config.label_pattern or "")
    where = class_folders.arranged(files.pictures, config, files.root)
    if "split" not in pattern.groupindex:
        class_folders.require_named(where, config, files.root)
    splits = where.splits
    prefixes: dict[str, str | None] = {one: split for split, one in splits.items()}
    prefixes = prefixes or {"": None}
    names = [name for name in files.pictures if name.startswith(tuple(prefixes))]
    rows: list[Row] = []
    wrong = []
    for name, found in zip(names, name_patterns.matched(pattern, names), strict=True):
        prefix = next(one for one in prefixes if name.startswith(one))
        split = prefixes[prefix]
        if found and "split" in pattern.groupindex:
            spelled = split_names.spelled(found["split"])
            split = spelled[0] if spelled else ""
        if not found or split == "":
            wrong.append(name)
        else:
            rows.append(Row(name, found["label"].strip(), split, prefix))
    if wrong:
        raise ValueError(
            f"{files.root}: expected names as data.label_pattern "
            f"{config.label_pattern!r} says, got {len(wrong)} of "
            f"{len(names)} others ({few(wrong)}); mend the pattern, which has "
            "to match whole names, or move these pictures away"
        )
    return Found(rows, class_folders.unused(files.pictures, splits) if splits else ())
