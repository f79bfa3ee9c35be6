"""The data of a run, written once: its labels, and every item of its splits.

    data.json   names of the labels, in the order of the logits; where the data lay
    data.csv    file, label, split, bytes, digest: a line per item, those that no split
                takes as well

A digest is SHA-256, as `sha256sum` prints it. A run that goes on uses its own lists:
items that came later are left out, others than it began with refused.
"""

import csv
import functools
import io
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nas_jax.config import files, provenance
from nas_jax.config.from_json import from_json
from nas_jax.config.naming import few
from nas_jax.data.source import Arrays, Item, Source, digest

ABOUT, ITEMS = "data.json", "data.csv"
UNUSED = ""
"""Split of items that no split takes."""
OTHER = "no class of this run"
_COLUMNS = ("file", "label", "split", "bytes", "digest")


class Entry(NamedTuple):
    """One item: its name within the data set, its label, and what it holds."""

    file: str
    label: str
    size: int
    digest: str


@dataclass(frozen=True)
class Record:
    """The labels and the items of a run."""

    label_names: tuple[str, ...]
    path: str | None
    """Where the data lay when the run began."""
    splits: Mapping[str, tuple[Entry, ...]]
    """By split, in the order of the split; those of `UNUSED` as well."""

    def images(self) -> dict[str, int]:
        """How many each split has."""
        return {name: len(its) for name, its in self.splits.items() if name != UNUSED}


@dataclass(frozen=True)
class _About:
    label_names: tuple[str, ...]
    path: str | None
    digest: str
    """Of the labels and of `data.csv`, each of which is nothing without the other."""


def write(folder: Path, record: Record) -> None:
    """Writes both files into a run folder."""
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for split, entries in record.splits.items():
        rows.writerows((one.file, one.label, split, *one[2:]) for one in entries)
    text = stream.getvalue()
    files.write(folder / ITEMS, text)
    mark = _digest(record.label_names, text)
    about = _About(record.label_names, record.path, mark)
    files.write_json(folder / ABOUT, asdict(about))


def is_in(folder: Path) -> bool:
    """Whether a run folder has a record, or one file of it."""
    return (folder / ABOUT).exists() or (folder / ITEMS).exists()


def read(folder: Path) -> Record | None:
    """What `write` wrote; None if a run has none, as of an older version.

    Raises `ValueError` for files that are damaged, or one without the other.
    """
    if not is_in(folder):
        return None
    file, items = folder / ABOUT, folder / ITEMS
    for one in (file, items):
        if not one.is_file():
            raise ValueError(
                f"{one}: expected this file beside the other that says what data the "
                "run has, found none; copy the run again"
            )
    about = from_json(_About, files.read_object(file), f"{file}: ")
    text = files.read_text(items)
    if _digest(about.label_names, text) != about.digest:
        raise ValueError(
            f"{items}: expected the items and labels that {ABOUT} was written with, "
            "got others; one of the two is damaged or cut, copy the run again"
        )
    splits: dict[str, list[Entry]] = {}
    for name, label, split, size, mark in list(csv.reader(io.StringIO(text)))[1:]:
        splits.setdefault(split, []).append(Entry(name, label, int(size), mark))
    return Record(
        about.label_names,
        about.path,
        {split: tuple(entries) for split, entries in splits.items()},
    )


def _digest(label_names: tuple[str, ...], text: str) -> str:
    return digest("\n".join([*label_names, text]).encode())


def of(
    splits: Mapping[str, Any], label_names: tuple[str, ...], path: str | None = None
) -> Record:
    """The record of a run that begins with these splits."""
    found = {name: _of_split(split, label_names) for name, split in splits.items()}
    taken: dict[int, tuple[Source, list[np.ndarray]]] = {}
    for split in splits.values():
        if hasattr(split, "source"):
            every = taken.setdefault(id(split.source), (split.source, []))
            every[1].append(split.indices)
    unused: tuple[Entry, ...] = ()
    for source, numbers in taken.values():
        rest = np.setdiff1d(np.arange(len(source)), np.concatenate(numbers))
        unused += entries(source, rest)
    if unused:
        found[UNUSED] = unused
    return Record(label_names, path, found)


def _of_split(split: Any, label_names: tuple[str, ...]) -> tuple[Entry, ...]:
    if hasattr(split, "source"):
        return entries(split.source, split.indices)
    contents = [np.asarray(image).tobytes() for image in split.images]
    return tuple(
        Entry(f"image {number}", label_names[label], len(content), digest(content))
        for number, (content, label) in enumerate(
            zip(contents, split.labels, strict=True)
        )
    )


def entries(source: Source, numbers: Sequence[int] | np.ndarray) -> tuple[Entry, ...]:
    """The entries of some items of a source."""

    def entry(number: int) -> Entry:
        size, mark = source.stamp(number)
        place = source.labels[number]
        label = source.label_names[place] if place >= 0 else OTHER
        return Entry(source.names[number], label, size, mark)

    with ThreadPoolExecutor(provenance.cores()) as pool:
        return tuple(pool.map(entry, map(int, numbers)))


@dataclass(frozen=True, eq=False)
class Relabelled:
    """A source with the labels of a run; items of other classes have label -1."""

    source: Source
    label_names: tuple[str, ...]

    @functools.cached_property
    def labels(self) -> np.ndarray:
        places = {name: place for place, name in enumerate(self.label_names)}
        ours = [places.get(name, -1) for name in self.source.label_names]
        return np.array(ours, np.int32)[self.source.labels]

    @property
    def names(self) -> Sequence[str]:
        return self.source.names

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Item:
        return self.source[index]._replace(label=int(self.labels[index]))

    def stamp(self, index: int) -> tuple[int, str]:
        return self.source.stamp(index)


def relabelled(source: Source, record: Record) -> Source:
    """A source with the labels of a run."""
    if source.label_names == record.label_names:
        return source
    ours = Relabelled(source, record.label_names)
    if isinstance(source, Arrays):  # as which it is held in memory
        return replace(source, labels=ours.labels, label_names=ours.label_names)
    return ours


class Recalled(NamedTuple):
    """Where the items of a run lie now."""

    numbers: dict[str, np.ndarray]
    """Of the items of each split, in their order, within its source."""
    notes: tuple[str, ...]


def recall(
    record: Record, sources: Mapping[str, Source], needed: Collection[str], where: str
) -> Recalled:
    """The items of a run, found again and compared with what it began with.

    Args:
      record: of the run.
      sources: of each split, as they are read now.
      needed: splits that have to be as they were.
      where: the data are, for messages.

    Raises:
      ValueError: if items of a needed split are missing, hold other bytes or carry
        another label, with counts, names and what to do.
    """
    numbers, wrong = {}, _Differences()
    for split in needed:
        source = sources[split]
        places = {name: place for place, name in enumerate(source.names)}
        began = record.splits.get(split, ())
        there = [one for one in began if one.file in places]
        wrong.missing += [one for one in began if one.file not in places]
        found = [places[one.file] for one in there]
        for one, now in zip(there, entries(source, found), strict=True):
            if one[2:] != now[2:]:
                wrong.changed.append(one)
            elif one.label != now.label:
                wrong.moved.append((one, now))
        numbers[split] = np.array(found, np.int64)
    known = {one.file for every in record.splits.values() for one in every}
    new: list[str] = []
    contents: dict[tuple[int, str], str] = {}
    for source in {id(source): source for source in sources.values()}.values():
        others = [n for n, name in enumerate(source.names) if name not in known]
        new += [source.names[number] for number in others]
        if wrong.missing:  # they may have been renamed
            contents |= {one[2:]: one.file for one in entries(source, others)}
    total = sum(len(record.splits.get(split, ())) for split in needed)
    wrong.require_none(total, contents, where)
    if not new:
        return Recalled(numbers, ())
    line = (
        f"{len(new)} items at {where} are not of this run ({few(new)}): left out; "
        "a new run would use them"
    )
    return Recalled(numbers, (line,))


def require_same(record: Record, now: Record, where: str) -> None:
    """Raises `ValueError` unless a built-in data set is what a run began with."""
    if (now.label_names, now.splits) != (record.label_names, record.splits):
        raise ValueError(
            f"{where}: expected the images that this run began with, got others; the "
            "package that brings them is another version, start a new run"
        )


class _Differences:
    """What is no longer as it was."""

    def __init__(self) -> None:
        self.missing: list[Entry] = []
        self.changed: list[Entry] = []
        self.moved: list[tuple[Entry, Entry]] = []

    def require_none(
        self, total: int, new: Mapping[tuple[int, str], str], where: str
    ) -> None:
        """Raises `ValueError` for any; `new` are later items by what they hold."""
        renamed = [
            f"{one.file} is now {new[one[2:]]}"
            for one in self.missing
            if one[2:] in new
        ]
        missing = [one.file for one in self.missing if one[2:] not in new]
        relabelled = [
            f"{before.file}: {before.label}, now {now.label}"
            for before, now in self.moved
        ]
        kinds = {
            "missing": missing,
            "under other names": renamed,
            "with other bytes": [one.file for one in self.changed],
            "with another label": relabelled,
        }
        said = [
            f"{len(found)} {kind} ({few(found, 3)})"
            for kind, found in kinds.items()
            if found
        ]
        if not said:
            return
        cure = "put them back as they were"
        if len(missing) == total:
            cure = "if they lie elsewhere now, name the place with --data.path"
        raise ValueError(
            f"{where}: expected the {total} items that this run began with, got "
            f"{', '.join(said)}; {cure}, or start a new run"
        )
