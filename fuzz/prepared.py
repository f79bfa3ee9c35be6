"""What tensorflow-datasets has prepared: its files, and single records of them."""

import contextlib
import io
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from fuzz.case import reader
from nas_jax.data import pictures, prepared
from tests.data.test_prepared import COUNTS, Fixed, config

_FOLDER = "fixed/1.2.0"


def _files(name):
    """What makes a data set of one picture size, and gives one of its files."""

    def make(where):
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):  # "Downloading", it says
            Fixed(data_dir=where, file_format="array_record").download_and_prepare()
        return [(where / _FOLDER / name).read_bytes()]

    return make


def _load(where):
    found = prepared.load(config(where, "fixed"), (16, 16, 3))
    assert found.test.labels.shape == (COUNTS["validation"],)
    assert set(found.test.labels) <= {0, 1}


for _name, _form in (
    ("fixed-validation.array_record-00000-of-00001", "bytes"),
    ("features.json", "json"),
    ("dataset_info.json", "json"),
):
    reader(
        f"tfds, {_name.partition('-')[2].partition('-')[0] or _name}",
        f"{_FOLDER}/{_name}",
        _form,
        _files(_name),
    )(_load)


def _record(where):
    _files("features.json")(where)
    kept: Any = prepared.load(config(where, "fixed"), (20, 20, 3)).test  # encoded
    return [kept.records[0]]


@reader("tfds, a record", "record", "bytes", _record)
def _(where):
    content = (where / "record").read_bytes()
    labels = np.zeros(1, int)
    one = prepared.Records([content], "image", "set/x", ("a", "b"), labels, "1.0.0")
    pictures.cut(one[0], (16, 16, 3), lambda width, height: (0, 0, width, height))
