"""CIFAR-10 and CIFAR-100 from the original binary archive, without TensorFlow.

Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
cs.toronto.edu/~kriz/cifar.html describes the files. A record is one byte of label (two
in CIFAR-100: coarse, fine) and 3,072 of pixels: the red, green and blue plane of 32
rows each.
"""

import tarfile
from dataclasses import replace
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
    """Bytes of label before the pixels; the last is the label."""
    train_records: int
    """In each file of `train`."""
    test_records: int

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.train, *self.test, self.names)

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
    where = _place(name, layout, path)
    contents = (_read_folder if where.is_dir() else _read_archive)(where, layout)
    train = _arrays(where, layout, contents, layout.train, layout.train_records)
    test = _arrays(where, layout, contents, layout.test, layout.test_records)
    return DataSet(train, replace(test, part="test image"))


def _place(name: str, layout: Layout, path: str | None) -> Path:
    """The archive or the folder of the binary files."""
    advice = (
        f"download {layout.archive} from cs.toronto.edu/~kriz/cifar.html and set "
        f"data.path to it (or data.name to tfds:{name})"
    )
    if path is None:
        raise ValueError(f"{name}: expected data.path, got None; {advice}")
    given = Path(path).expanduser()
    for place in (given, given / layout.folder, given / layout.archive):
        if place.is_file() or (place / layout.names).is_file():
            return place
    raise ValueError(
        f"{name}: expected {layout.archive}, or {layout.folder} unpacked from it, at "
        f"{given}, got neither; {advice}"
    )


def _read_folder(folder: Path, layout: Layout) -> dict[str, bytes]:
    contents = {}
    for name in layout.files:
        file = folder / name
        size = file.stat().st_size if file.is_file() else None
        if size is None or size > layout.largest:
            raise ValueError(
                f"{folder}: expected {name} of at most {layout.largest:,} bytes, got "
                f"{'none' if size is None else f'{size:,}'}; unpack the archive again"
            )
        contents[name] = file.read_bytes()
    return contents


def _read_archive(archive: Path, layout: Layout) -> dict[str, bytes]:
    """All files in one pass, since gzip can only be read from its start."""
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.size > layout.largest:  # as of an archive made to burst
                    raise ValueError(f"{member.name!r:.80} of {member.size:,} bytes")
                file = Path(member.name).name
                if file in layout.files and (stream := tar.extractfile(member)):
                    contents[file] = stream.read()
    except Exception as error:  # a damaged archive raises many kinds
        raise ValueError(
            f"{archive}: expected the whole archive {layout.archive}, got one that "
            f"breaks off or is none ({error}); download it again"
        ) from error
    missing = sorted({*layout.files} - {*contents})
    if missing:
        raise ValueError(
            f"{archive}: expected {layout.archive}, got an archive without "
            f"{', '.join(missing)}; download the binary version"
        )
    return contents


def _arrays(
    where: Path,
    layout: Layout,
    contents: dict[str, bytes],
    files: tuple[str, ...],
    records: int,
) -> Arrays:
    bytes_each = layout.label_bytes + PIXELS
    for file in files:
        if len(contents[file]) != records * bytes_each:
            raise ValueError(
                f"{where}: {file}: expected {records:,} records of {bytes_each:,} "
                f"bytes, got {len(contents[file]):,} bytes; download it again"
            )
    whole = b"".join(contents[file] for file in files)
    table = np.frombuffer(whole, np.uint8).reshape(-1, bytes_each)
    names = tuple(contents[layout.names].decode("ascii", "replace").split())
    labels = table[:, layout.label_bytes - 1].astype(np.int32)
    if labels.max() >= len(names):
        raise ValueError(
            f"{where}: expected labels below {len(names)}, one for each name in "
            f"{layout.names}, got {labels.max()}; download it again"
        )
    planes = table[:, layout.label_bytes :].reshape(-1, CHANNELS, SIDE, SIDE)
    return Arrays(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels, names)
