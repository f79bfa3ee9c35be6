"""Any image-classification data set that tensorflow-datasets has prepared, by name.

Read from ArrayRecord files, which needs no TensorFlow; preparing most of them does
(docs/data.md). Images stay as encoded as they were stored.
"""

import contextlib
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax.config import files, provenance
from nas_jax.config.checks import is_exhausted, reason
from nas_jax.config.data import TFDS, DataConfig
from nas_jax.data import pictures
from nas_jax.data.source import Arrays, DataSet, Item, Numbered, Source
from nas_jax.data.survey import sound

VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
"""Name of the folder of a prepared version."""
FILE = "file_name"
"""Field of several data sets, ImageNet among them, with the name of the image."""
CACHED_FROM = 100_000
"""Records from which on their labels are cached: reading them again takes a minute."""


@dataclass(frozen=True, eq=False)
class Records:
    """A source of the records of one split, each a serialized `tf.train.Example`."""

    records: Sequence[bytes]
    image_key: str
    what: str
    label_names: tuple[str, ...]
    labels: np.ndarray
    version: str

    @property
    def names(self) -> Numbered:
        return Numbered(f"{self.what} record", len(self))

    def stamp(self, index: int) -> tuple[int, str]:
        """None of its own: the version stands for what all records hold."""
        return 0, self.version

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Item:
        with _readable(f"{self.what} record {index}"):
            feature = features(self.records[index])
            image = feature[self.image_key].bytes_list.value[0]
            stored = feature[FILE].bytes_list.value if FILE in feature else ()
            names = "".join(f" ({file.decode()})" for file in stored)
        name = f"{self.what} record {index}{names}"
        return Item(image, int(self.labels[index]), name)


@contextlib.contextmanager
def _readable(what: str) -> Iterator[None]:
    """One `ValueError` about `what` in place of whatever the readers raise.

    A file cut short or with flipped bits is a RuntimeError of array_record's, a record
    that is none a DecodeError, a field that is missing an IndexError.
    """
    try:
        yield
    except Exception as error:
        if is_exhausted(error):
            raise
        raise ValueError(
            f"{what}: expected it as tensorflow-datasets prepared it, got something "
            f"that cannot be read ({reason(error)}); copy or prepare it again "
            "(docs/data.md)"
        ) from error


def features(record: bytes) -> Any:
    """The fields of a record. TFDS's own way takes ten times as long."""
    from tensorflow_datasets.proto import tf_example_pb2

    return tf_example_pb2.Example.FromString(record).features.feature


def command(name: str, folder: Path) -> str:
    """The command that prepares a data set."""
    return (
        f"pip install 'nas_jax[prepare]' && nas_jax prepare {name} --data-path "
        f"{folder} (docs/data.md; imagenet2012 wants --manual as well)"
    )


def load(config: DataConfig, image_shape: tuple[int, ...]) -> DataSet:
    """The two splits that the configuration names.

    If all images have the shape of the space, they are decoded into memory.

    Raises:
      ValueError: if the data set is not prepared, or not as ArrayRecord; if it has no
        such split; if its records are not one image and one label each.
    """
    import tensorflow_datasets as tfds

    name = config.name.removeprefix(TFDS)
    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    folder = Path(config.path or default).expanduser()
    version = newest(name, folder)
    _require_known_classes(version / "features.json")
    # it prints that TensorFlow should be installed, for a damaged file
    with _readable(str(version)), contextlib.redirect_stdout(io.StringIO()):
        builder = tfds.builder_from_directory(version)
    image_key, label_key = _keys(name, builder.info.features)
    names = tuple(builder.info.features[label_key].names)

    def read(split: str) -> tuple[Source, tuple[str, ...]]:
        if split not in builder.info.splits:
            raise ValueError(
                f"{config.name}: expected data.train_split and data.test_split among "
                f"{', '.join(builder.info.splits)}, got {split!r}"
            )
        what = f"{name}/{split}"
        _require_whole(builder.info.splits[split], f"{version}, {split}")
        with _readable(f"{version}, {split}"):
            records = builder.as_data_source(split).data_source
            labels = _labels(records, label_key, version, split)
        _require_known(labels, len(names), what)
        source = Records(records, image_key, what, names, labels, version.name)
        items, notes = (
            sound(source, what, True) if config.skip_corrupt else (source, ())
        )
        if builder.info.features[image_key].shape != image_shape:
            return items, notes
        whole = [
            pictures.cut(item, image_shape, lambda width, height: (0, 0, width, height))
            for item in map(items.__getitem__, range(len(items)))
        ]
        return Arrays(np.stack(whole), items.labels, names, f"{what} record"), notes

    train, notes = read(config.train_split)
    if config.test_split == config.train_split:
        return DataSet(train, train, notes)
    test, more = read(config.test_split)
    valid, rest = (None, ()) if config.valid_split is None else read(config.valid_split)
    return DataSet(train, test, notes + more + rest, valid)


def _require_whole(split: Any, where: str) -> None:
    """Raises `ValueError` unless every file has its stated number of records."""
    from array_record.python.array_record_module import ArrayRecordReader

    with _readable(where):
        shards = list(zip(split.filepaths, split.shard_lengths, strict=True))
    for file, stated in shards:
        with (
            _readable(where),
            contextlib.closing(ArrayRecordReader(str(file))) as reader,
        ):
            count = int(reader.num_records())
        if count != stated:
            raise ValueError(
                f"{where}: expected {stated} records in {file.name}, as "
                f"dataset_info.json says, got {count}; copy or prepare it again "
                "(docs/data.md)"
            )


def _labels(
    records: Sequence[bytes], key: str, version: Path, split: str
) -> np.ndarray:
    """The labels of all records, which takes one pass over the files.

    Those of a large split lie in the user's cache, under a name that changes with the
    files.
    """
    shards = sorted(version.glob(f"*-{split}.array_record-*"))
    stats = [
        (str(file.resolve()), about.st_size, about.st_mtime_ns)
        for file, about in ((file, file.stat()) for file in shards)
    ]
    digest = hashlib.sha256(json.dumps([key, stats]).encode()).hexdigest()[:16]
    stored = provenance.user_cache() / "nas_jax" / "labels" / f"{digest}.npy"
    if stored.is_file():
        return np.load(stored)
    labels = np.fromiter(
        (features(record)[key].int64_list.value[0] for record in records),
        np.int32,
        len(records),
    )
    if len(records) >= CACHED_FROM:
        # where nothing can be written they are read again the next time
        with contextlib.suppress(OSError):
            stored.parent.mkdir(parents=True, exist_ok=True)
            content = io.BytesIO()
            np.save(content, labels)
            files.write(stored, content.getvalue())
    return labels


def _require_known(labels: np.ndarray, classes: int, what: str) -> None:
    """Raises `ValueError` for a label without a class; -1 is tfds' for an unknown."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise ValueError(
            f"{TFDS}{what}: expected labels from 0 to {classes - 1}, got "
            f"{labels[wrong[0]]} in record {wrong[0]}, {len(wrong)} such of "
            f"{len(labels)}; name a split that has labels"
        )


def newest(name: str, folder: Path) -> Path:
    """The folder of the highest version that is prepared as ArrayRecord."""
    versions = [
        path
        for path in (folder / name).glob("*")
        if VERSION.fullmatch(path.name) and (path / "dataset_info.json").is_file()
    ]
    if not versions:
        raise ValueError(
            f"{TFDS}{name}: expected it prepared below {folder / name}, found none; "
            f"prepare it: {command(name, folder)}"
        )
    newest = max(versions, key=lambda path: tuple(map(int, path.name.split("."))))
    about = files.read_object(newest / "dataset_info.json")
    stored = about.get("fileFormat", "tfrecord")
    if stored != "array_record":
        raise ValueError(
            f"{newest}: expected files of format array_record, which are read without "
            f"TensorFlow, got {stored}; move it away and prepare it again: "
            f"{command(name, folder)}"
        )
    return newest


def _require_known_classes(file: Path) -> None:
    """Raises `ValueError` if the file names a Python class of another package.

    tensorflow-datasets imports the module of every class it reads a name of, and with
    it runs whatever stands there.
    """
    for name in _class_names(files.read_object(file), str(file)):
        if not name.startswith("tensorflow_datasets."):
            raise ValueError(
                f"{file}: expected features of tensorflow-datasets' own classes, got "
                f"{name!r}, whose module would be run; prepare the data set with a "
                "class of tensorflow_datasets.core.features"
            )


def _class_names(value: Any, where: str) -> Iterator[str]:
    """What stands under the names that tensorflow-datasets takes a class from."""
    if isinstance(value, list):
        for inner in value:
            yield from _class_names(inner, where)
    for key, inner in value.items() if isinstance(value, dict) else ():
        if not isinstance(inner, str):
            yield from _class_names(inner, where)
        elif key in ("pythonClassName", "python_class_name", "type"):
            yield inner
        elif key == "json":  # features of features, as text
            yield from _class_names(files.parse(inner, where), where)


def _keys(name: str, fields: Any) -> tuple[str, str]:
    """The names of the one image and the one label of a record."""
    import tensorflow_datasets as tfds

    if not isinstance(fields, tfds.features.FeaturesDict):
        kind = type(fields).__name__
        raise ValueError(f"{TFDS}{name}: expected records of named fields, got {kind}")

    def key_of(what: str, kind: type) -> str:
        keys = [key for key, field in fields.items() if isinstance(field, kind)]
        if len(keys) != 1:
            raise ValueError(
                f"{TFDS}{name}: expected records with one {what} each, got "
                f"{', '.join(keys) or 'none'} among {', '.join(fields)}; only image "
                "classification is read"
            )
        return keys[0]

    image = key_of("image", tfds.features.Image)
    return image, key_of("label", tfds.features.ClassLabel)


def prepare(name: str, folder: Path, manual: Path | None) -> Path:
    """Prepares a data set, downloading what may be downloaded; returns its folder.

    The only part that needs TensorFlow. `tfds build` would do the same, but the command
    line of tensorflow-datasets 4.9.10 imports apache-beam, which it does not bring.

    Args:
      name: of tensorflow-datasets, as `imagenet2012`.
      folder: where prepared data sets lie.
      manual: folder with the archives that their owners let nobody fetch for others.

    Raises:
      ValueError: without TensorFlow, for an unknown name, and if archives are missing
        or cannot be read.
    """
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        raise ValueError(
            "prepare: expected TensorFlow, which is not installed; pip install "
            "'nas_jax[prepare]', in an environment of its own if you like"
        ) from None
    import tensorflow_datasets as tfds

    name = name.removeprefix(TFDS)
    options: dict[str, Any] = {} if manual is None else {"manual_dir": manual}
    try:
        builder = tfds.builder(name, data_dir=folder, file_format="array_record")
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(**options)
        )
    except Exception as error:  # every builder raises its own kinds
        message = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"prepare {name}: expected a data set of tensorflow-datasets and its "
            f"archives, got {type(error).__name__}: {message}"
        ) from error
    return Path(builder.data_dir)
