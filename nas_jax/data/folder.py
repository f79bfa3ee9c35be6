"""Your own pictures: any sizes and formats that Pillow reads, in one of many layouts.

`data.layouts` finds which files there are and what their labels and splits are; here
they become sources.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas_jax.config.data import DataConfig
from nas_jax.config.naming import few, shown
from nas_jax.data import balance, layouts
from nas_jax.data.layouts import groupings, split_names, tree
from nas_jax.data.layouts.listing import Listing, Row, ordered
from nas_jax.data.layouts.split_names import TEST, TRAIN, VALID
from nas_jax.data.record import Record
from nas_jax.data.source import DataSet, Item, Source, digest
from nas_jax.data.survey import sound


@dataclass(frozen=True, eq=False)
class Files:
    """A source of encoded files."""

    root: Path
    names: tuple[str, ...]
    """Of the files, relative to `root`, with / between folders."""
    labels: np.ndarray
    label_names: tuple[str, ...]

    def stamp(self, index: int) -> tuple[int, str]:
        content = self[index].image
        return len(content), digest(bytes(content))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Item:
        file = self.root / self.names[index]
        name = shown(str(file))
        try:
            return Item(file.read_bytes(), int(self.labels[index]), name)
        except OSError as error:
            raise ValueError(
                f"{name}: expected a picture, cannot be read ({error.strerror})"
            ) from error


def load(config: DataConfig) -> DataSet:
    """The pictures of `config.path`, all of them decoded once to see that they can be.

    Without pictures to test on, those of a validation are the test; without these, too,
    the test is drawn from those to train on.

    Raises:
      ValueError: as `data.layouts.find` and `groupings.found`; if labels to train on
        and to test on differ, or a picture cannot be read or decoded and
        `skip_corrupt` is not set.
    """
    found = layouts.find(config)
    _require_lines({row.label for row in found.rows}, found.root)
    rows, notes = _usable(found, config.skip_corrupt)
    every: dict[str, list[Row]] = {}
    for row in rows:
        every.setdefault(row.split or TRAIN, []).append(row)
    by_split, more = split_names.settled(every, config)
    used = [row for members in by_split.values() for row in members]
    groups = groupings.found(used, config, found.root)
    label_names = ordered(row.label for row in by_split[TRAIN])
    sources: dict[str, Source] = {}
    for split, members in by_split.items():
        _require_known(members, label_names, f"{found.root}, {split}")
        names = tuple(row.name for row in members)
        number = {name: label for label, name in enumerate(label_names)}
        labels = np.array([number[row.label] for row in members], np.int32)
        what = str(found.root) if len(by_split) == 1 else f"{found.root}, {split}"
        files = Files(found.root, names, labels, label_names)
        sources[split], corrupt = sound(files, what, config.skip_corrupt)
        notes += corrupt
    train = sources[TRAIN]
    test, valid = sources.get(TEST, train), sources.get(VALID)
    notes = (balance.counted(sources), *found.notes, *more, *groups.notes, *notes)
    return DataSet(train, test, notes, valid, groups.of)


def of_run(path: str, began: Record) -> Files:
    """The files of a run that are still there, and those that came later.

    Found by their names: neither the layout nor whether others decode matters to a run
    that has its lists. Those that came later have the first label.
    """
    place = Path(path).expanduser()
    root = place if place.is_dir() else place.parent
    number = {name: label for label, name in enumerate(began.label_names)}
    labels = {
        one.file: number[one.label]
        for entries in began.splits.values()
        for one in entries
        if (root / one.file).is_file()
    }
    if place.is_dir():
        labels |= {name: 0 for name in tree.walk(root).pictures if name not in labels}
    values = np.array(list(labels.values()), np.int32)
    return Files(root, tuple(labels), values, began.label_names)


def _usable(found: Listing, skip_corrupt: bool) -> tuple[list[Row], tuple[str, ...]]:
    """The rows whose files are there and of a format that is read, and a line."""
    faults = {
        row.name: why
        for row in found.rows
        if (why := tree.fault(os.path.join(found.root, row.name))) is not None
    }
    if not faults:
        return found.rows, ()
    line = (
        f"{found.root}: {len(faults)} of {len(found.rows)} pictures cannot be used: "
        f"{few(f'{shown(name)} ({why})' for name, why in faults.items())}"
    )
    if len(faults) == len(found.rows):  # with --data.skip-corrupt none would be left
        raise ValueError(f"{line}; mend them, or name their files from this folder")
    if not skip_corrupt:
        raise ValueError(
            f"{line}; mend or remove them, or leave them out with --data.skip-corrupt"
        )
    return [row for row in found.rows if row.name not in faults], (f"left out: {line}",)


def _require_lines(labels: Iterable[str], root: Path) -> None:
    """Raises `ValueError` for a label that cannot be a line of labels.txt."""
    for label in labels:
        try:
            is_line = label.encode().decode().splitlines() == [label]
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{root}: expected folders with names in UTF-8, got {label!r}; "
                "rename it"
            ) from error
        if not is_line or label != label.strip():
            raise ValueError(
                f"{root}: expected names of classes of one line, got {label!r}; rename "
                "it"
            )


def _require_known(rows: Sequence[Row], labels: Sequence[str], what: str) -> None:
    """Raises `ValueError` for classes that are not trained on."""
    unknown = Counter(row.label for row in rows if row.label not in set(labels))
    if unknown:
        counts = few(f"{label!r} {count}" for label, count in sorted(unknown.items()))
        raise ValueError(
            f"{what}: expected the classes of the training pictures ({few(labels)}), "
            f"got pictures of others: {counts}; rename or remove them"
        )
