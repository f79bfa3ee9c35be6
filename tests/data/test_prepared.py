"""Data sets of tensorflow-datasets in their true files, read without TensorFlow."""

import importlib.util
import io
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from nas_jax.config import shipped
from nas_jax.config.data import DataConfig
from nas_jax.data import batches, prepared, splits
from tests.data.picture_files import encoded, pixels

COUNTS = {"train": 24, "validation": 8}
SIZES = {"train_weights": 16, "train_alphas": 4, "valid": 4, "test": 8}


class Made(tfds.core.GeneratorBasedBuilder):
    """Two classes, pictures of various sizes, JPEG or PNG."""

    VERSION = tfds.core.Version("1.2.0")
    FIXED = None
    EXTRA = "text"

    def _info(self):
        fields = {
            "image": tfds.features.Image(shape=(*(self.FIXED or (None, None)), 3)),
            "label": tfds.features.ClassLabel(names=["cat", "dog"]),
            "file_name": tfds.features.Text(),
        }
        if self.EXTRA == "label":
            fields["colour"] = tfds.features.ClassLabel(names=["red", "blue"])
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(fields)
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in COUNTS}

    def _generate_examples(self, split):
        for number in range(COUNTS[split]):
            one = {
                "image": io.BytesIO(picture(split, number, self.FIXED)),
                "label": ["cat", "dog"][number % 2],
                "file_name": f"{split}_{number}.JPEG",
            }
            if self.EXTRA == "label":
                one["colour"] = "red"
            yield number, one


class Fixed(Made):
    """All images have 16 x 16 pixels."""

    FIXED = (16, 16)


class TwoLabels(Made):
    EXTRA = "label"


def picture(split, number, fixed=None):
    size = fixed or (20 + number, 30)
    image = pixels(*size, seed=number + 1000 * (split == "train"))
    return encoded(image, "PNG" if fixed else "JPEG")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorflow_datasets")
    for kind in (Made, Fixed, TwoLabels):
        builder = kind(data_dir=folder, file_format="array_record")
        builder.download_and_prepare()
    return folder


def config(folder, name="made", **changes):
    given = {"test_split": "validation"} | SIZES | changes
    return DataConfig(name=f"tfds:{name}", path=str(folder), **given)


def by_file(source):
    return {
        source[index].name.split()[-1]: source[index] for index in range(len(source))
    }


def test_records_are_the_encoded_files_with_their_labels_and_names(folder):
    data = prepared.load(config(folder), (16, 16, 3))
    for split, source in (("train", data.train), ("validation", data.test)):
        assert source.label_names == ("cat", "dog")
        found = by_file(source)
        assert len(found) == len(source) == COUNTS[split]
        for number in range(COUNTS[split]):
            item = found[f"({split}_{number}.JPEG)"]
            assert item.image == picture(split, number)
            assert item.label == number % 2
            assert item.name.startswith(f"made/{split} record ")
        labels = [source[index].label for index in range(len(source))]
        assert source.labels.tolist() == labels


def test_images_of_the_spaces_size_are_held_in_memory(folder):
    data = prepared.load(config(folder, "fixed"), (16, 16, 3))
    assert data.train.images.shape == (24, 16, 16, 3)
    stored = {pixels(16, 16, seed=number + 1000).tobytes() for number in range(24)}
    assert {image.tobytes() for image in data.train.images} == stored
    other = prepared.load(config(folder, "fixed"), (20, 20, 3))
    assert len(other.train) == 24
    assert not hasattr(other.train, "images")


@pytest.mark.parametrize("name", ["made", "fixed"])
def test_splits_of_a_prepared_set_train_and_test(folder, name):
    found, notes, _ = splits.load(config(folder, name), (16, 16, 3), 2, seed=0)
    # those of one size are all read, into memory
    assert [note[:34] for note in notes] == (
        ["copies of pictures were not looked"] if name == "made" else []
    )
    assert {key: len(split.labels) for key, split in found.items()} == SIZES
    for split in found.values():
        assert np.bincount(split.labels).tolist() == [len(split.labels) // 2] * 2
        one = next(batches.pieces(split, 4))
        assert one.images.shape == (4, 16, 16, 3)
    assert found["train_weights"].take(np.arange(2)).images.dtype == np.uint8
    assert found["test"].take(np.arange(2)).images.dtype == np.float32
    train = [found[key].indices for key in ("train_weights", "train_alphas", "valid")]
    assert sorted(np.concatenate(train)) == list(range(24))


def test_the_test_may_be_drawn_from_the_training_images(folder):
    one = config(folder, test_split="train", train_weights=8)
    found, _, _ = splits.load(one, (16, 16, 3), 2, seed=0)
    every = np.concatenate([split.indices for split in found.values()])
    assert sorted(every) == list(range(24))


def test_labels_of_a_large_set_are_kept_until_the_files_change(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    prepared.load(config(folder), (16, 16, 3))
    assert not list(tmp_path.rglob("*.npy"))
    monkeypatch.setattr(prepared, "CACHED_FROM", 10)
    first = prepared.load(config(folder), (16, 16, 3)).train.labels
    kept = list(tmp_path.rglob("*.npy"))
    assert len(kept) == 1  # of train; validation has fewer
    np.save(kept[0], 1 - first)
    again = prepared.load(config(folder), (16, 16, 3)).train.labels
    np.testing.assert_array_equal(again, 1 - first)
    (shard,) = (folder / "made" / "1.2.0").glob("*-train.array_record*")
    shard.touch()
    fresh = prepared.load(config(folder), (16, 16, 3)).train.labels
    np.testing.assert_array_equal(fresh, first)


def test_reading_imports_no_tensorflow(folder):
    code = (
        "import sys; from nas_jax.data import splits; from nas_jax.config.data import "
        "DataConfig\n"
        f"given = DataConfig(name='tfds:made', path={str(folder)!r}, "
        f"test_split='validation', **{SIZES!r})\n"
        "found, _, _ = splits.load(given, (16, 16, 3), 2, 0)\n"
        "found['valid'].take([0, 1])\n"
        "print('tensorflow' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"


# --- refusals ------------------------------------------------------------------------


def test_what_is_not_prepared_is_refused_with_the_command(tmp_path):
    with pytest.raises(ValueError) as error:
        prepared.load(config(tmp_path, "imagenet2012"), (224, 224, 3))
    line = str(error.value)
    assert line.startswith(f"tfds:imagenet2012: expected it prepared below {tmp_path}/")
    assert (
        "pip install 'nas_jax[prepare]' && nas_jax prepare imagenet2012 --data-path "
        f"{tmp_path}" in line
    )


def test_a_set_prepared_as_tfrecord_is_refused(folder, tmp_path):
    version = tmp_path / "made" / "1.2.0"
    version.mkdir(parents=True)
    stored = (folder / "made" / "1.2.0" / "dataset_info.json").read_text()
    wrong = stored.replace('"array_record"', '"tfrecord"')
    (version / "dataset_info.json").write_text(wrong)
    with pytest.raises(ValueError, match=r"format array_record, .* got tfrecord; move"):
        prepared.load(config(tmp_path), (16, 16, 3))


def test_the_newest_version_is_read(folder, tmp_path):
    for version in ("1.2.0", "0.9.0", "1.10.0", "1.2.0.incomplete"):
        (tmp_path / "made" / version).mkdir(parents=True)
        about = (folder / "made" / "1.2.0" / "dataset_info.json").read_text()
        (tmp_path / "made" / version / "dataset_info.json").write_text(about)
    assert prepared.newest("made", tmp_path).name == "1.10.0"


def test_a_split_that_is_not_there_is_refused(folder):
    with pytest.raises(ValueError, match=r"among train, validation, got 'test'"):
        prepared.load(config(folder, test_split="test"), (16, 16, 3))


def test_records_with_two_labels_are_refused(folder):
    with pytest.raises(ValueError, match=r"one label each, got (label, c|colour, l)"):
        prepared.load(config(folder, "two_labels"), (16, 16, 3))


class Spoilt(Made):
    """The first record of `train` is cut off."""

    def _generate_examples(self, split):
        for number, one in super()._generate_examples(split):
            if number == 0 and split == "train":
                one["image"] = io.BytesIO(picture(split, 0)[:-300])
            yield number, one


def test_a_broken_record_is_named_or_left_out(tmp_path):
    Spoilt(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    given = config(tmp_path, "spoilt")
    split = splits.load(given, (16, 16, 3), 2, 0)[0]
    every = split["train_weights"].joined(split["train_alphas"]).joined(split["valid"])
    with pytest.raises(ValueError, match=r"record \d+ \(train_0.JPEG\): expected"):
        every.take(np.arange(24))
    smaller = config(tmp_path, "spoilt", skip_corrupt=True, train_weights=15)
    data = prepared.load(smaller, (16, 16, 3))
    assert len(data.train) == 23
    (note,) = data.notes
    assert note.startswith("left out: spoilt/train: 1 of 24 pictures do not decode: ")
    assert "(train_0.JPEG)" not in by_file(data.train)


TRAIN = "made-train.array_record-00000-of-00001"
OWN = b"tensorflow_datasets.core.features."


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (TRAIN, lambda old: old[: len(old) // 2], r"1\.2\.0, train: expected it as"),
        (TRAIN, lambda old: old[:100] + b"?" + old[101:], r"read \(Corrupted Riegeli"),
        (TRAIN, lambda _: b"", r"read \(ArrayRecord file should be at least 64KB"),
        (TRAIN, None, r"read \(open\(\) failed: No such file"),
        (
            "dataset_info.json",
            lambda old: old.replace(b'"24"', b'"1000000000"'),
            r"train: expected 1000000000 records in made-train\.array_record-00000-of-"
            r"00001, as dataset_info\.json says, got 24; copy or prepare it again",
        ),
        (
            "dataset_info.json",
            lambda old: old.replace(b'"8"', b'"2"'),
            r"validation: expected 2 records in made-validation.*, got 8; copy",
        ),
        ("features.json", None, r"features\.json: cannot be read"),
        ("features.json", lambda old: b"[]", r"json: expected a JSON object, got \[\]"),
        (
            "features.json",
            lambda old: old.replace(OWN + b"image", b"evil"),
            r"features\.json: expected features of tensorflow-datasets' own classes, "
            r"got 'evil_feature\.Image', whose module would be run",
        ),
        (
            "features.json",
            lambda _: (
                b'{"pythonClassName": "' + OWN + b'sequence_feature.Sequence", '
                b'"jsonFeature": {"json": "{\\"feature\\": {\\"type\\": '
                b'\\"evil.Image\\", \\"content\\": {}}}"}}'
            ),
            r"own classes, got 'evil\.Image', whose module would be run",
        ),
        (
            "features.json",
            lambda old: b"{}",
            r"1\.2\.0: expected it as tensorflow-data",
        ),
        (
            "features.json",
            lambda _: (
                b'{"pythonClassName": "' + OWN + b'text_feature.Text", "text": {}}'
            ),
            "tfds:made: expected records of named fields, got Text",
        ),
    ],
)
def test_damaged_files_are_refused_in_one_line(folder, tmp_path, name, change, said):
    shutil.copytree(folder / "made", tmp_path / "made")
    file = tmp_path / "made" / "1.2.0" / name
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ValueError, match=said) as refused:
        prepared.load(config(tmp_path), (16, 16, 3))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("record", [b"no record", b""])
def test_a_record_that_is_none_is_named(record):
    labels = np.zeros(1, int)
    one = prepared.Records([record], "image", "set/part", ("a", "b"), labels, "1.0.0")
    with pytest.raises(ValueError, match="set/part record 0: expected it as tensorfl"):
        one[0]


class Unlabelled(Made):
    """The test has no labels, as tensorflow-datasets stores that: -1."""

    def _generate_examples(self, split):
        for number, one in super()._generate_examples(split):
            yield number, one | ({"label": -1} if split == "validation" else {})


def test_a_split_without_labels_is_refused(tmp_path):
    Unlabelled(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    with pytest.raises(
        ValueError, match=r"from 0 to 1, got -1 in record 0, 8 such of 8"
    ):
        prepared.load(config(tmp_path, "unlabelled"), (16, 16, 3))


# --- the true ImageNet builder -------------------------------------------------------


def imagenet_tars(folder, names):
    """Tars as image-net.org has them: one tar per class inside, JPEGs within."""

    def add(tar, name, content):
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))

    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for label, name in enumerate(names):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as inner:
                for number in range(3):
                    content = encoded(pixels(seed=10 * label + number))
                    add(inner, f"{name}_{number}.JPEG", content)
            add(outer, f"{name}.tar", stream.getvalue())
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as tar:
        for number in range(1, 6):
            content = encoded(pixels(seed=900 + number))
            add(tar, f"ILSVRC2012_val_{number:08d}.JPEG", content)


def run_verb(name, folder, *flags):
    """Exit code and error line of `nas_jax prepare`; what TensorFlow logs is left."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "nas_jax", "prepare", name),
            *("--data-path", str(folder), *map(str, flags)),
        ],
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("nas_jax: ")]
    return done.returncode, "\n".join(lines)


@pytest.fixture
def tensorflow():
    """Asked for in a child: importing it takes seconds and threads."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip(
            "SKIPPED, NOT TESTED: preparing ImageNet needs TensorFlow "
            "(pip install 'nas_jax[prepare]')"
        )


def test_without_tensorflow_its_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ValueError, match=r"pip install 'nas_jax\[prepare\]'"):
        prepared.prepare("imagenet2012", tmp_path, None)


@pytest.mark.slow
def test_archives_that_are_missing_or_cut_short_end_in_one_line(tensorflow, tmp_path):
    code, line = run_verb("imagenet2012", tmp_path, "--manual", tmp_path)
    assert code == 2 and "ILSVRC2012_img_val.tar; No such file" in line
    manual = tmp_path / "manual"
    manual.mkdir()
    names = tfds.builder("imagenet2012", data_dir=tmp_path).info.features["label"].names
    imagenet_tars(manual, names[:2])
    train = manual / "ILSVRC2012_img_train.tar"
    train.write_bytes(train.read_bytes()[:3000])
    code, line = run_verb("imagenet2012", tmp_path, "--manual", manual)
    assert code == 2 and line.startswith("nas_jax: prepare imagenet2012: expected a ")
    code, line = run_verb("no_such_set", tmp_path)
    assert code == 2 and "no_such_set" in line and line.count("\n") == 0


@pytest.mark.slow
def test_imagenet_prepared_by_its_own_builder_is_read(tensorflow, tmp_path):
    manual = tmp_path / "manual"
    manual.mkdir()
    known = tfds.builder("imagenet2012", data_dir=tmp_path).info.features["label"].names
    imagenet_tars(manual, known[:2])
    assert run_verb("imagenet2012", tmp_path, "--manual", manual) == (0, "")
    asked = shipped.load_experiment("imagenet_mobile").data
    given = DataConfig(name=asked.name, path=str(tmp_path), test_split=asked.test_split)
    data = prepared.load(given, (224, 224, 3))
    assert (len(data.train), len(data.test)) == (6, 5)
    assert data.train.label_names == tuple(known)
    found = by_file(data.train)
    for label, name in enumerate(known[:2]):
        for number in range(3):
            item = found[f"({name}_{number}.JPEG)"]
            assert item.label == label
            assert item.image == encoded(pixels(seed=10 * label + number))
