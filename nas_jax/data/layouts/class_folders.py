"""Labels and splits that folders say, from the names of the pictures alone.

A folder per class, within folders of splits or around them. Folders that only wrap
others are entered.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from nas_jax.config.data import DataConfig
from nas_jax.config.naming import few
from nas_jax.data.layouts import split_names
from nas_jax.data.layouts.listing import Row
from nas_jax.data.layouts.split_names import TEST, TRAIN, VALID


class Found(NamedTuple):
    """Labelled pictures, and what the user should hear about the others."""

    rows: list[Row]
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Names of the files that say it, if any."""


class Level(NamedTuple):
    """A folder: the pictures below each of its folders, and those directly in it."""

    prefix: str
    """Of all names, with the last /; "" for the data set itself."""
    folders: dict[str, list[str]]
    direct: list[str]


class Arrangement(NamedTuple):
    """The folder of the classes or of the splits, and the splits' own folders."""

    level: Level
    splits: dict[str, str]
    """The prefix of the names in each split, with the last /."""


def _below(names: Iterable[str], prefix: str) -> Level:
    folders: dict[str, list[str]] = {}
    direct: list[str] = []
    for name in names:
        folder, slash, _ = name[len(prefix) :].partition("/")
        (folders.setdefault(folder, []) if slash else direct).append(name)
    return Level(prefix, folders, direct)


def entered(names: Sequence[str], prefix: str, known: Collection[str] = ()) -> Level:
    """A folder, or the one inside that it only wraps, unless that one is known."""
    level = _below(names, prefix)
    if level.direct or len(level.folders) != 1 or level.folders.keys() & set(known):
        return level
    return entered(names, f"{prefix}{next(iter(level.folders))}/", known)


def arranged(names: Sequence[str], config: DataConfig, root: Path) -> Arrangement:
    """Where the splits lie, or else the classes.

    Raises `ValueError` if several folders stand for one split, or if there is none to
    train on.
    """
    named = split_names.named(config)
    level = entered(names, "", named.values())
    paths = level.folders.keys() | {
        one for one in named.values() if any(n.startswith(f"{one}/") for n in names)
    }
    found = split_names.assigned(paths, config, str(root / level.prefix))
    if not found.keys() & named.keys() and not _are_splits(level, found):
        if found and found.keys() != {TRAIN}:
            raise ValueError(
                f"{root / level.prefix}: expected the folder of a split beside "
                f"{few(found.values())}, got {few(sorted(level.folders))}; move the "
                "classes into a folder train, or name a folder by --data.train-split"
            )
        found = {}
    if found and TRAIN not in found.keys() | named.keys():
        raise ValueError(
            f"{root / level.prefix}: expected a folder of pictures to train on beside "
            f"{few(found.values())}, got {few(sorted(level.folders))}; call it train, "
            "or name it by --data.train-split"
        )
    prefixes = {
        split: f"{level.prefix if one in level.folders else ''}{one}/"
        for split, one in found.items()
    }
    return Arrangement(level, prefixes)


def require_named(where: Arrangement, config: DataConfig, root: Path) -> None:
    """Raises `ValueError` if there is no folder of a split that is named."""
    named, folders = split_names.named(config), where.level.folders.keys()
    there = {named[split] for split in where.splits.keys() & named.keys()}
    split_names.require(named, folders | there, str(root / where.level.prefix))


def _are_splits(level: Level, found: dict[str, str]) -> bool:
    """Whether folders with names of splits are these, and not classes of such names.

    One class may be called train: then its pictures lie side by side in it, and what
    lies beside it is no split.
    """
    if TRAIN not in found:
        return bool(found) and set(found.values()) == level.folders.keys()
    train = found[TRAIN]
    inside = entered(level.folders[train], f"{level.prefix}{train}/")
    return len(found) > 1 or bool(inside.folders)


def by_folders(names: Sequence[str], where: Arrangement, root: Path) -> Found:
    """Labels from class folders; no rows if pictures to train on lie side by side.

    Raises `ValueError` if only some classes have folders of splits in them.
    """
    level, splits = where
    if not splits:
        rows, direct = _classes(level, None)
        inner = _inner_splits(level, root)
        told = (*_loose(direct), *_alike(level)) if rows and not inner else ()
        return Found(inner or rows, told)
    rows, notes = [], list(unused(names, splits))
    known: set[str] = set()
    for split in (TRAIN, VALID, TEST):
        if split not in splits:
            continue
        prefix = splits[split]
        within = [name for name in names if name.startswith(prefix)]
        more, direct = _classes(entered(within, prefix, known), split)
        if not more and split == TRAIN:
            return Found([])
        if not more:
            notes.append(f"{prefix}: pictures without labels, {len(direct)}, not used")
            continue
        known |= {row.label for row in more}
        rows += more
        notes += _loose(direct)
    return Found(rows, tuple(notes))


def _classes(level: Level, split: str | None) -> tuple[list[Row], list[str]]:
    """The pictures in the folders of a level, and those beside them."""
    if level.direct and len(level.folders) < 2:
        return [], level.direct + [n for names in level.folders.values() for n in names]
    rows = [
        Row(name, label, split, f"{level.prefix}{label}/")
        for label, names in level.folders.items()
        for name in names
    ]
    return rows, level.direct


def _inner_splits(level: Level, root: Path) -> list[Row]:
    """The rows of class folders with folders of splits in them, as cat/train/."""
    inside = {
        label: _below(names, f"{level.prefix}{label}/")
        for label, names in level.folders.items()
    }
    found = {
        label: {
            folder: split
            for split, folders in split_names.spellings(one.folders).items()
            for folder in folders
        }
        for label, one in inside.items()
    }
    if not any(TRAIN in one.values() and len(one) > 1 for one in found.values()):
        return []
    for label, one in inside.items():
        if one.direct or one.folders.keys() != found[label].keys():
            raise ValueError(
                f"{root / level.prefix / label}: expected folders of splits, as other "
                f"classes have, got {few(sorted(one.folders)) or 'pictures'}; move all "
                "pictures into train, valid or test"
            )
    return [
        Row(name, label, found[label][folder], f"{one.prefix}{folder}/")
        for label, one in inside.items()
        for folder, names in one.folders.items()
        for name in names
    ]


def _alike(level: Level) -> tuple[str, ...]:
    """A line if the classes may be variants or parts of a set, not classes.

    As original/cat, augmented/cat: several of them have the same folders in them, or
    one of them has the others in it again.
    """
    inside = {
        label: _below(names, f"{level.prefix}{label}/").folders.keys()
        for label, names in level.folders.items()
    }
    counts = Counter(folder for folders in inside.values() for folder in folders)
    shared = sorted(folder for folder, count in counts.items() if count > 1)
    again = sorted({*counts} & inside.keys())
    if max(len(shared), len(again)) < 2:
        return ()
    classes = again if len(again) > 1 else shared
    return (
        f"are {few(sorted(inside))} the classes? There are folders {few(classes)} in "
        "them: if these are, name the folder that holds them, or list the labels in a "
        "file",
    )


def _loose(direct: list[str]) -> tuple[str, ...]:
    line = f"{len(direct)} pictures beside the class folders are not used: "
    return (f"{line}{few(direct)}",) if direct else ()


def unused(names: Sequence[str], splits: dict[str, str]) -> tuple[str, ...]:
    """A line about the pictures in no split."""
    prefixes = tuple(splits.values())
    left = [name for name in names if not name.startswith(prefixes)]
    line = f"{len(left)} pictures in no folder of a split are not used: {few(left)}"
    return (line,) if left else ()
