"""Sets of IDX files, by the names under which they are distributed and unpacked."""

import shutil

import numpy as np
import pytest

from nas_jax.config.data import DataConfig
from nas_jax.data import idx, idx_sets
from tests.data import idx_files

PUBLISHED = {
    "mnist": idx_files.MNIST,
    "unpacked": {"train": "train-{}-idx{}-ubyte", "test": "t10k-{}-idx{}-ubyte"},
    "dotted": {"train": "train-{}.idx{}-ubyte", "test": "t10k-{}.idx{}-ubyte"},
    "letters": {
        split: f"emnist-letters-{split}-{{}}-idx{{}}-ubyte.gz"
        for split in ("train", "test")
    },
    "qmnist": {
        split: f"qmnist-{split}-{{}}-idx{{}}-ubyte.gz" for split in ("train", "test")
    },
    "underscores": {"train": "Train_{}.idx{}_ubyte", "test": "Test_{}.idx{}_ubyte"},
    "own folders": {
        "train": "train-{0}-idx{1}-ubyte/train-{0}-idx{1}-ubyte",
        "test": "t10k-{0}-idx{1}-ubyte/t10k-{0}-idx{1}-ubyte",
    },
    "below": {
        "train": "a/raw/train-{}-idx{}-ubyte",
        "test": "a/raw/t10k-{}-idx{}-ubyte",
    },
    "xz": {"train": "train-{}-idx{}-ubyte.xz", "test": "test10k-{}-idx{}-ubyte.xz"},
}


def load(path, **fields):
    return idx_sets.load(DataConfig(name="idx", path=str(path), **fields))


def refused(path, **fields):
    with pytest.raises(ValueError) as raised:
        load(path, **fields)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("name", PUBLISHED)
def test_images_and_labels_are_those_of_the_files(name, tmp_path):
    written = idx_files.write_set(tmp_path, PUBLISHED[name], shape=(28, 20))
    data = load(tmp_path)
    for split, source in (("train", data.train), ("test", data.test)):
        images, labels = written[split]
        if name == "letters":
            images = images.swapaxes(1, 2)
        np.testing.assert_array_equal(source.images, images[..., None])
        np.testing.assert_array_equal(source.labels, labels)
        assert (source.images.dtype, source.labels.dtype) == (np.uint8, np.int32)
        assert source.images.flags.c_contiguous
        assert source.label_names == ("0", "1", "2", "3")
        assert source[7].name == source.names[7] == f"{split} image 7"
    assert data.valid is None
    assert data.notes[0] == "4 classes: 0 15, 1 15, 2 15, 3 15 (train 40, test 20)"


@pytest.mark.parametrize("name", ["mnist", "letters", "own folders"])
def test_any_file_of_a_set_names_it(name, tmp_path):
    idx_files.write_set(tmp_path, PUBLISHED[name])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 4
    for path in files:
        data = load(path)
        assert (len(data.train), len(data.test)) == (40, 20)


def test_kannada_mnist_says_x_and_y(tmp_path):
    for split, count in (("train", 30), ("test", 10)):
        base = f"kannada_MNIST_{split}-idx"
        idx_files.write(tmp_path / f"X_{base}3-ubyte.gz", idx_files.images(count))
        idx_files.write(tmp_path / f"y_{base}1-ubyte.gz", idx_files.labels(count))
    data = load(tmp_path)
    assert (len(data.train), len(data.test)) == (30, 10)


def test_emnist_is_turned_upright_and_said_to_be(tmp_path):
    """Rows and columns are exchanged, by the name alone."""
    names = {"train": "emnist-digits-train-{}-idx{}-ubyte"}
    written = idx_files.write_set(tmp_path, names, (20,), shape=(5, 7))
    data = load(tmp_path)
    image, _ = written["train"]
    np.testing.assert_array_equal(data.train.images[3, :, :, 0], image[3].T)
    line = "emnist-digits: rows and columns are exchanged, as EMNIST stores them"
    assert data.notes[1:] == (line,)


def test_emnist_letters_are_numbered_from_one_and_named_by_code_points(tmp_path):
    idx_files.write_set(tmp_path, PUBLISHED["letters"], first=1)
    assert load(tmp_path).train.label_names == ("1", "2", "3", "4")
    mapping = "".join(f"{n} {64 + n} {96 + n}\n" for n in range(1, 5))
    (tmp_path / "emnist-letters-mapping.txt").write_text(mapping)
    (tmp_path / "emnist-digits-mapping.txt").write_text("0 48\n")
    data = load(tmp_path)
    assert data.train.label_names == ("Aa", "Bb", "Cc", "Dd")
    assert data.train.labels[:5].tolist() == [0, 1, 2, 3, 0]


def test_qmnist_labels_have_the_class_in_the_first_of_eight_columns(tmp_path):
    for split, count in (("train", 20), ("test", 12)):
        table = np.zeros((count, 8), np.int32)
        table[:, 0], table[:, 1:] = idx_files.labels(count), 4321
        idx_files.write(tmp_path / f"qmnist-{split}-labels-idx2-int.gz", table)
        images = idx_files.images(count)
        idx_files.write(tmp_path / f"qmnist-{split}-images-idx3-ubyte.gz", images)
    data = load(tmp_path)
    assert data.train.labels[:5].tolist() == [0, 1, 2, 3, 0]


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4"])
def test_labels_may_be_integers_of_any_width(kind, tmp_path):
    idx_files.write(tmp_path / "images.idx", idx_files.images(9))
    values = np.array([7, 5, 100] * 3, kind)
    idx_files.write(tmp_path / "labels.idx", values)
    data = load(tmp_path)
    assert data.train.label_names == ("5", "7", "100")
    assert data.train.labels[:3].tolist() == [1, 0, 2]


@pytest.mark.parametrize("split", ["train", "t10k", "xnist"])
def test_of_one_set_alone_all_splits_are_drawn(split, tmp_path):
    idx_files.write_set(tmp_path, {"train": f"{split}-{{}}-idx{{}}-ubyte"}, (24,))
    data = load(tmp_path)
    assert data.test is data.train and data.valid is None
    assert data.train.names[5] == "image 5"
    assert data.notes == ("4 classes: 0 6, 1 6, 2 6, 3 6",)


def three(folder):
    names = {one: f"{one}-{{}}-idx{{}}-ubyte" for one in ("train", "val", "test")}
    idx_files.write_set(folder, names, (40, 12, 20))


def test_validation_images_are_a_split_of_their_own_or_the_test(tmp_path):
    three(tmp_path)
    data = load(tmp_path)
    assert [len(one) for one in (data.train, data.valid, data.test)] == [40, 12, 20]
    for path in tmp_path.glob("test-*"):
        path.unlink()
    data = load(tmp_path)
    assert (len(data.test), data.valid) == (12, None)
    assert data.notes[1].startswith("the validation pictures are the test, for which")


def test_splits_may_be_named(tmp_path):
    three(tmp_path)
    data = load(tmp_path, test_split="val")
    assert (len(data.test), data.valid) == (12, None)
    assert data.notes[1].startswith("not used, as others are named: test-images-idx3-")
    data = load(tmp_path, test_split="train")
    assert data.test is data.train
    assert "pictures of the test are not used" in data.notes[1]
    for field in ("train_split", "valid_split", "test_split"):
        said = refused(tmp_path, **{field: "none"})
        assert f"expected 'none', which data.{field} names, got idx1" in said


def test_a_file_may_lie_there_packed_and_unpacked(tmp_path):
    written = idx_files.write_set(tmp_path)
    for path in tmp_path.glob("*.gz"):
        idx_files.write(path.with_suffix(""), idx.read(path))
        path.write_bytes(b"not read")
    np.testing.assert_array_equal(load(tmp_path).test.labels, written["test"][1])


def test_hidden_files_and_copies_below_do_not_count(tmp_path):
    """As of an archive packed on a Mac, or one that has every file twice."""
    idx_files.write_set(tmp_path, PUBLISHED["dotted"])
    idx_files.write_set(tmp_path, PUBLISHED["own folders"])
    (tmp_path / "._train-images.idx3-ubyte").write_bytes(b"\0\5\x16\7")
    (tmp_path / "__MACOSX").mkdir()
    shutil.copy(tmp_path / "train-labels.idx1-ubyte", tmp_path / "__MACOSX")
    assert len(load(tmp_path).train) == 40


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((8, 6, 3), None), ((3, 8, 6), (0, 2, 3, 1)), ((1, 8, 6), (0, 2, 3, 1))],
)
def test_colours_come_last_or_first(shape, axes, tmp_path):
    written = idx_files.write_set(tmp_path, shape=shape)
    expected = written["train"][0]
    found = load(tmp_path).train.images
    np.testing.assert_array_equal(
        found, expected if axes is None else expected.transpose(axes)
    )


def test_several_sets_are_asked_about(tmp_path):
    for name in ("letters", "mnist"):
        idx_files.write_set(tmp_path, PUBLISHED[name])
    said = refused(tmp_path)
    assert (
        "expected the files of one set, got those of 2 (emnist-letters-train-labels-"
        in said
    )
    assert said.endswith(
        "; name a file of the one that you want in place of the folder"
    )
    shutil.rmtree(tmp_path)
    for folder in ("MNIST/raw", "FashionMNIST/raw", "KMNIST/raw"):
        idx_files.write_set(tmp_path / folder)
    assert "got those of 3 (FashionMNIST/raw/train-labels-idx1-ubyte.gz" in refused(
        tmp_path
    )
    assert len(load(tmp_path / "MNIST" / "raw").train) == 40


def test_what_is_no_folder_of_idx_files_is_refused(tmp_path):
    assert (
        "idx: expected data.path, a folder of IDX files or one"
        in refused_without_path()
    )
    assert refused(tmp_path / "none").endswith(f"found none at {tmp_path / 'none'}")
    assert refused(tmp_path).endswith("-ubyte.gz, got an empty folder")
    (tmp_path / "mnist.zip").write_bytes(b"PK\3\4")
    assert refused(tmp_path).endswith("-ubyte.gz, got mnist.zip")
    assert refused(tmp_path / "mnist.zip").endswith("-ubyte.gz, got a ZIP archive")


def refused_without_path():
    with pytest.raises(ValueError) as raised:
        idx_sets.load(DataConfig(name="idx"))
    return str(raised.value)


@pytest.mark.parametrize(
    ("removed", "line"),
    [
        (
            "train-labels-idx1-ubyte.gz",
            "train-images-idx3-ubyte.gz: expected a file of the train labels beside",
        ),
        (
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz: expected a file of the train images beside",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            "t10k-images-idx3-ubyte.gz: expected a file of the test labels beside",
        ),
    ],
)
def test_a_file_without_its_other_is_refused(removed, line, tmp_path):
    idx_files.write_set(tmp_path)
    (tmp_path / removed).unlink()
    assert line in refused(tmp_path)


def test_two_files_for_one_purpose_are_refused(tmp_path):
    idx_files.write_set(tmp_path, PUBLISHED["unpacked"])
    idx_files.write_set(tmp_path, PUBLISHED["dotted"])
    said = refused(tmp_path)
    assert (
        "expected one file of test images, got t10k-images-idx3-ubyte and t10k-" in said
    )


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


@pytest.mark.parametrize(
    ("file", "values", "line"),
    [
        (
            TRAIN_LABELS,
            idx_files.labels(39),
            "expected as many labels as images, got 39 in train-labels-idx1-ubyte.gz "
            "and 40 in train-images-idx3-ubyte.gz; copy or download both again",
        ),
        (
            TRAIN_IMAGES,
            idx_files.images(41),
            "got 40 in train-labels-idx1-ubyte.gz and 41 in train-i",
        ),
        (
            TRAIN_LABELS,
            idx_files.images(40),
            "labels, an integer for every image, got 40 x 28 x 28 of uint8",
        ),
        (
            TRAIN_LABELS,
            np.eye(40, dtype=np.uint8),
            "got 40 x 40 of uint8; write the number of the class alone",
        ),
        (TRAIN_LABELS, np.zeros(40, "f4"), "got 40 of >f4"),
        (
            TRAIN_IMAGES,
            idx_files.labels(40),
            "expected images of bytes, N x H x W or with 1 or 3 channels last or "
            "first, got 40 of uint8; write them as pictures into a folder per class",
        ),
        (TRAIN_IMAGES, idx_files.images(40, (784,)), "got 40 x 784 of uint8"),
        (TRAIN_IMAGES, np.zeros((40, 8, 8), "f4"), "got 40 x 8 x 8 of >f4"),
        (TRAIN_IMAGES, np.zeros((40, 8, 8), "i2"), "got 40 x 8 x 8 of >i2"),
        (TRAIN_IMAGES, idx_files.images(40, (2, 8, 8)), "got 40 x 2 x 8 x 8 of uint8"),
        (
            TRAIN_IMAGES,
            idx_files.images(40, (1, 784)),
            "no side is 100 times the other, got 784 x 1 pixels",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            idx_files.labels(20, 5),
            "expected the labels 0, 1, 2, 3 of the training images, got 4 of image 4, "
            "4 such of 20",
        ),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(file, values, line, tmp_path):
    idx_files.write_set(tmp_path)
    idx_files.write(tmp_path / file, values)
    said = refused(tmp_path)
    assert str(tmp_path) in said and line in said


@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_a_file_that_breaks_off_is_named(share, tmp_path):
    idx_files.write_set(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        assert f"{path}: expected a whole IDX file, got " in refused(tmp_path)
        path.write_bytes(whole)


def test_a_folder_of_pictures_is_no_set(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"\x89PNG")
    assert not idx_sets.is_set(tmp_path)
    idx_files.write_set(tmp_path / "idx")
    assert not idx_sets.is_set(tmp_path)  # which of the two is not for us to say
    assert idx_sets.is_set(tmp_path / "idx")
    (tmp_path / "idx" / "examples.png").write_bytes(b"\x89PNG")
    assert idx_sets.is_set(tmp_path / "idx") and len(load(tmp_path / "idx").train) == 40
    assert idx_sets.is_set(tmp_path / "idx" / TRAIN_LABELS)
    assert not idx_sets.is_set(tmp_path / "cat" / "1.png")
