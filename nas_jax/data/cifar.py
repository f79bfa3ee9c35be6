"""CIFAR-10 and CIFAR-100 from the original binary archive, without TensorFlow.

Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
cs.toronto.edu/~kriz/cifar.html describes the files. A record is one byte of label (two
in CIFAR-100: coarse, fine) and 3,072 of pixels: the red, green and blue plane of 32
rows each.
"""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nas_jax.data.source import Arrays, DataSet

SIDE, CHANNELS = 32, 3
PIXELS = SIDE * SIDE * CHANNELS


class Layout(NamedTuple):
    """The files of one archive."""

    archive: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    label_bytes: int
    """Of which the last is the label."""
    train_records: int
    """In every file of these."""
    test_records: int

    @property
    def largest(self) -> int:
        """Bytes of the largest file; nothing in the archive is larger."""
        records = max(self.train_records, self.test_records)
        return max(records * (self.label_bytes + PIXELS), 1 << 20)


LAYOUTS = {
    "cifar10": Layout(
        "cifar-10-binary.tar.gz",
        "cifar-10-batches-bin",
        tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        ("test_batch.bin",),
        "batches.meta.txt",
        1,
        10_000,
        10_000,
    ),
    "cifar100": Layout(
        "cifar-100-binary.tar.gz",
        "cifar-100-binary",
        ("train.bin",),
        ("test.bin",),
        "fine_label_names.txt",
        2,
        50_000,
        10_000,
    ),
}
Read = Callable[[str], bytes]


def load(name: str, path: str | None) -> DataSet:
    """Both parts, as arrays of bytes.

    Args:
      name: of `LAYOUTS`.
      path: the archive as downloaded, or the folder that it unpacks to, or the folder
        where either lies.

    Raises:
      ValueError: if there is no such file, or it is cut off or another.
    """
    layout = LAYOUTS[name]
    where = _found(name, layout, path)
    read = (
        _from_folder(where, layout) if where.is_dir() else _from_archive(where, layout)
    )
    names = tuple(read(layout.names).decode("ascii", "replace").split())
    return DataSet(
        _arrays(where, read, layout.train, layout, layout.train_records, names),
        _arrays(where, read, layout.test, layout, layout.test_records, names),
    )


def _found(name: str, layout: Layout, path: str | None) -> Path:
    """The archive or the folder of the binary files."""
    advice = (
        f"download {layout.archive} from cs.toronto.edu/~kriz/cifar.html and set "
        f"data.path to it (or data.name to tfds:{name})"
    )
    if path is None:
        raise ValueError(f"{name}: expected data.path, got None; {advice}")
    given = Path(path).expanduser()
    if given.is_file():
        return given
    for folder in (given / layout.folder, given):
        if (folder / layout.names).is_file():
            return folder
    if (given / layout.archive).is_file():
        return given / layout.archive
    raise ValueError(
        f"{name}: expected {layout.archive}, or {layout.folder} unpacked from it, at "
        f"{given}, got neither; {advice}"
    )


def _from_folder(folder: Path, layout: Layout) -> Read:
    def read(file: str) -> bytes:
        if not (folder / file).is_file():
            raise ValueError(
                f"{folder}: expected {file}, found none; unpack the archive again"
            )
        size = (folder / file).stat().st_size
        if size > layout.largest:
            raise ValueError(
                f"{folder}: {file}: expected at most {layout.largest:,} bytes, got "
                f"{size:,}; unpack the archive again"
            )
        return (folder / file).read_bytes()

    return read


def _from_archive(archive: Path, layout: Layout) -> Read:
    """Reads the whole archive once, since gzip can only be read from its start."""
    wanted = {*layout.train, *layout.test, layout.names}
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.size > layout.largest:  # as of an archive made to burst
                    raise ValueError(f"{member.name!r:.80} of {member.size:,} bytes")
                file = Path(member.name).name
                if file in wanted and (stream := tar.extractfile(member)):
                    contents[file] = stream.read()
    except Exception as error:  # a damaged archive raises many kinds
        raise ValueError(
            f"{archive}: expected the whole archive {layout.archive}, got one that "
            f"breaks off or is none ({error}); download it again"
        ) from error
    missing = sorted(wanted - set(contents))
    if missing:
        raise ValueError(
            f"{archive}: expected {layout.archive}, got an archive without "
            f"{', '.join(missing)}; download the binary version"
        )
    return contents.__getitem__


def _arrays(
    where: Path,
    read: Read,
    files: tuple[str, ...],
    layout: Layout,
    records: int,
    names: tuple[str, ...],
) -> Arrays:
    bytes_each = layout.label_bytes + PIXELS
    tables = []
    for file in files:
        content = read(file)
        if len(content) != records * bytes_each:
            raise ValueError(
                f"{where}: {file}: expected {records:,} records of {bytes_each:,} "
                f"bytes, got {len(content):,} bytes; download it again"
            )
        tables.append(np.frombuffer(content, np.uint8).reshape(records, bytes_each))
    table = np.concatenate(tables)
    labels = table[:, layout.label_bytes - 1].astype(np.int32)
    if labels.max() >= len(names):
        raise ValueError(
            f"{where}: expected labels below {len(names)}, one for each name in "
            f"{layout.names}, got {labels.max()}; download it again"
        )
    planes = table[:, layout.label_bytes :].reshape(-1, CHANNELS, SIDE, SIDE)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return Arrays(images, labels, names)
