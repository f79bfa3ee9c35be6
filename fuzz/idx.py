"""IDX files: images, labels, packed ones, and the names of the labels beside them."""

import gzip
from typing import Any

from fuzz.case import reader
from nas_jax.config.data import DataConfig
from nas_jax.data import idx_sets
from tests.data import idx_files

_IMAGES, _LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def _load(where):
    train: Any = idx_sets.load(DataConfig(name="idx", path=str(where))).train
    assert 0 < len(train) == len(train.labels) == len(train.images)
    assert train.labels.min() >= 0
    assert train.labels.max() < len(train.label_names)


def _set(where, file):
    """The contents of a file of a small set, the rest of which lies there."""
    names = {"train": "train-{}-idx{}-ubyte"}
    idx_files.write_set(where, names, counts=(12,), shape=(4, 3))
    return (where / file).read_bytes()


for _file in (_IMAGES, _LABELS):
    reader(f"IDX, {_file}", _file, "bytes", lambda where, f=_file: [_set(where, f)])(
        _load
    )


def _packed(where):
    content = _set(where, _IMAGES)
    (where / _IMAGES).unlink()
    return [gzip.compress(content, mtime=0), idx_files.PACKS[".xz"](content), content]


reader("IDX, packed", f"{_IMAGES}.gz", "bytes", _packed)(_load)

_NAMES = {
    "labels.txt": "cat\ndog\nemu\nfox\n",
    "mapping.txt": "0 48\n1 65 97\n2 98\n3 255\n",
    "x_classmap.csv": "index,codepoint,char\n0,U+304A,お\n1,U+304D,き\n2,50\n3,51\n",
}


def _names(name):
    def make(where):
        _set(where, _LABELS)
        return [_NAMES[name].encode()]

    return make


for _file in _NAMES:
    reader(f"IDX, {_file}", _file, "fields", _names(_file))(_load)
