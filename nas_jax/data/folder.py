"""Your own pictures: a folder per class, any sizes and formats that Pillow reads.

pictures/cat/*.jpg    pictures/dog/*.png             all four splits drawn from it
pictures/train/cat/…  pictures/test/cat/…            the test apart
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas_jax.config.data import DataConfig
from nas_jax.data.source import DataSet, Item, digest
from nas_jax.data.survey import SHOWN, sound


@dataclass(frozen=True, eq=False)
class Files:
    """A source of encoded files."""

    root: Path
    names: tuple[str, ...]
    """Of the files, relative to `root`, with / between folders."""
    labels: np.ndarray
    label_names: tuple[str, ...]

    def stamp(self, index: int) -> tuple[int, str]:
        content = (self.root / self.names[index]).read_bytes()
        return len(content), digest(content)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Item:
        file = self.root / self.names[index]
        return Item(file.read_bytes(), int(self.labels[index]), str(file))


def load(config: DataConfig) -> DataSet:
    """The pictures of `config.path`, all of them decoded once to see that they can be.

    Every file below a class's folder counts as a picture, except hidden ones.

    Raises:
      ValueError: if there are no class folders, one is empty, those to train and to
        test on differ, or a picture does not decode and `skip_corrupt` is not set.
    """
    if config.path is None:
        raise ValueError(
            "folder: expected data.path, a folder with one folder per class, got None"
        )
    root = Path(config.path).expanduser()
    if not root.is_dir():
        raise ValueError(
            f"folder: expected a folder at data.path, found none at {root.absolute()}"
        )
    train_root = root / config.train_split
    if not train_root.is_dir():
        source, notes = sound(_files(root), str(root), config.skip_corrupt)
        return DataSet(source, source, notes)
    train, notes = sound(_files(train_root), str(train_root), config.skip_corrupt)
    if config.test_split == config.train_split:
        return DataSet(train, train, notes)
    test_root = root / config.test_split
    test, more = sound(_files(test_root), str(test_root), config.skip_corrupt)
    if test.label_names != train.label_names:
        only = sorted(set(test.label_names) ^ set(train.label_names))
        raise ValueError(
            f"{test_root}: expected the class folders of {train_root}, got a "
            f"difference in {', '.join(only[:SHOWN])}"
        )
    return DataSet(train, test, notes + more)


def _visible(folder: Path, pattern: str) -> list[Path]:
    return sorted(
        path
        for path in folder.glob(pattern)
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _files(root: Path) -> Files:
    """The files below the class folders, in the order of their names."""
    folders = [path for path in _visible(root, "*") if path.is_dir()]
    if not folders:
        raise ValueError(
            f"{root}: expected one folder per class with pictures in it, as in "
            f"{root / 'cat' / 'one.jpg'}, got none"
        )
    pictures, labels = [], []
    for label, folder in enumerate(folders):
        try:
            folder.name.encode()
        except UnicodeEncodeError as error:  # it will be a line of labels.txt
            raise ValueError(
                f"{root}: expected folders with names in UTF-8, got {folder.name!r}; "
                "rename it"
            ) from error
        files = [path for path in _visible(folder, "**/*") if path.is_file()]
        if not files:
            raise ValueError(
                f"{folder}: expected pictures of this class, got an empty folder; "
                "remove it"
            )
        pictures += files
        labels += [label] * len(files)
    names = tuple(folder.name for folder in folders)
    inside = tuple(path.relative_to(root).as_posix() for path in pictures)
    return Files(root, inside, np.array(labels, np.int32), names)
