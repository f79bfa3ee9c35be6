"""Your own pictures as sources: broken ones are named, nothing is lost."""

import numpy as np
import pytest

from nas_jax.config.data import DataConfig
from nas_jax.data import folder, splits
from tests.data.picture_files import encoded, pixels, write_class

SIZES = {"train_weights": 12, "train_alphas": 4, "valid": 4, "test": 4}


def config(path, **changes):
    return DataConfig(name="folder", path=str(path), **SIZES | changes)


@pytest.fixture
def root(tmp_path):
    """cat and dog, 12 pictures each."""
    for seed, name in enumerate(("cat", "dog")):
        write_class(tmp_path / "pictures" / name, 12, seed=100 * seed)
    return tmp_path / "pictures"


def test_classes_are_the_folders_in_the_order_of_their_names(root):
    data = folder.load(config(root))
    assert data.train is data.test
    assert data.train.label_names == ("cat", "dog")
    assert data.train.labels.tolist() == [0] * 12 + [1] * 12
    item = data.train[12]
    assert (item.label, item.name) == (1, str(root / "dog" / "000.jpg"))
    assert item.image == (root / "dog" / "000.jpg").read_bytes()


def test_folders_within_a_class_belong_to_it_and_hidden_files_to_nothing(root):
    write_class(root / "cat" / "more" / "yet", 2)
    (root / ".DS_Store").write_bytes(b"x")
    (root / "cat" / ".thumbnail.jpg").write_bytes(b"x")
    write_class(root / ".git", 1)
    assert len(folder.load(config(root)).train) == 26


def spoil(root):
    """Grey, CMYK and transparent pictures, which are fine; two broken ones, a text."""
    (root / "cat" / "grey.jpg").write_bytes(encoded(pixels(), "JPEG", "L"))
    (root / "cat" / "cmyk.jpg").write_bytes(encoded(pixels(), "JPEG", "CMYK"))
    (root / "dog" / "alpha.png").write_bytes(encoded(pixels(), "PNG", "RGBA"))
    (root / "dog" / "corrupt.jpg").write_bytes(encoded(pixels())[:-500])
    (root / "dog" / "empty.jpg").write_bytes(b"")
    (root / "cat" / "notes.txt").write_text("not a picture")


def test_broken_pictures_stop_a_run_counted_and_named(root):
    spoil(root)
    with pytest.raises(ValueError) as error:
        folder.load(config(root))
    line = str(error.value)
    assert line.startswith(f"{root}: 2 of 29 pictures do not decode: ")
    assert "notes.txt" not in line
    assert f"{root}/dog/empty.jpg (an empty file)" in line
    assert f"{root}/dog/corrupt.jpg (" in line
    assert line.endswith("leave them out with --data.skip-corrupt")


def test_broken_pictures_may_be_left_out_and_that_is_said(root):
    spoil(root)
    data = folder.load(config(root, skip_corrupt=True))
    assert len(data.train) == len(data.train.labels) == 27
    assert data.notes[:2] == (
        "2 classes: cat 14, dog 13",
        "left out, no pictures: 1 .txt",
    )
    note = data.notes[2]
    assert note.startswith(f"left out: {root}: 2 of 29 pictures do not decode: ")
    names = [data.train[index].name for index in range(27)]
    assert not [name for name in names if name.endswith(("txt", "empty.jpg"))]
    assert [data.train[index].label for index in range(27)] == [0] * 14 + [1] * 13


def test_the_first_five_broken_pictures_are_named_and_all_counted(root):
    for number in range(7):
        (root / "cat" / f"broken_{number}.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"7 of 31 .*broken_4.* and 2 more; ") as error:
        folder.load(config(root))
    assert "broken_5" not in str(error.value)


def test_a_class_of_broken_pictures_alone_is_refused(root):
    for path in (root / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"nothing is left of class 'dog'"):
        folder.load(config(root, skip_corrupt=True))


def test_the_test_pictures_may_lie_apart(tmp_path):
    for part, count in (("train", 10), ("test", 3)):
        for name in ("cat", "dog"):
            write_class(tmp_path / part / name, count)
    data = folder.load(config(tmp_path))
    assert (len(data.train), len(data.test)) == (20, 6)
    named = config(tmp_path, test_split="train")
    assert (one := folder.load(named)).train is one.test
    (tmp_path / "test" / "dog").rename(tmp_path / "test" / "wolf")
    with pytest.raises(ValueError, match=r"got pictures of others: 'wolf' 3; ren"):
        folder.load(config(tmp_path))


@pytest.mark.parametrize(
    ("train", "test"), [("Train", "Test"), ("Training", "Testing"), ("TRAIN", "val")]
)
def test_splits_in_any_spelling_are_no_classes(train, test, tmp_path):
    for part in (train, test):
        for seed, name in enumerate(("flat", "tall")):
            write_class(tmp_path / part / name, 4, seed=100 * seed)
    data = folder.load(config(tmp_path))
    assert data.train.label_names == data.test.label_names == ("flat", "tall")
    assert (len(data.train), len(data.test), data.valid) == (8, 8, None)
    assert data.train.names[0] == f"{train}/flat/000.jpg"
    assert data.notes[0] == "2 classes: flat 8, tall 8 (train 8, test 8)"


def three(root, *parts, count=4):
    """flat and tall in folders of splits, with other pictures in each."""
    for part, name in enumerate(parts):
        for seed, label in enumerate(("flat", "tall")):
            write_class(root / name / label, count, seed=1000 * part + 100 * seed)


def test_a_validation_folder_is_watched(tmp_path):
    three(tmp_path, "train", "valid", "test", count=8)
    data = folder.load(config(tmp_path))
    assert data.valid.names[0] == "valid/flat/000.jpg"
    assert data.notes == ("2 classes: flat 24, tall 24 (train 16, valid 16, test 16)",)
    sizes = {"train_weights": 8, "train_alphas": 8, "valid": 16, "test": 16}
    found = load(tmp_path, **sizes)
    assert found["valid"].source is not found["train_weights"].source
    assert {name: len(split.labels) for name, split in found.items()} == sizes


def test_without_a_test_the_validation_folder_is_it_unless_it_is_named(tmp_path):
    three(tmp_path, "train", "val", count=8)
    data = folder.load(config(tmp_path))
    assert (data.valid, data.test.names[0]) == (None, "val/flat/000.jpg")
    assert data.notes[1].startswith("the validation pictures are the test, for which")
    named = folder.load(config(tmp_path, valid_split="val"))
    assert named.test is named.train
    assert named.valid.names[0] == "val/flat/000.jpg"
    assert named.notes == ("2 classes: flat 16, tall 16 (train 16, valid 16)",)
    sizes = {"train_weights": 8, "train_alphas": 4, "valid": 16, "test": 4}
    found = load(tmp_path, valid_split="val", **sizes)
    assert {name: len(split.labels) for name, split in found.items()} == sizes


def test_classes_of_the_test_are_those_to_train_on_or_fewer(tmp_path):
    three(tmp_path, "train", "test")
    (tmp_path / "test" / "tall").rename(tmp_path / ".wide")
    data = folder.load(config(tmp_path))
    assert data.test.label_names == ("flat", "tall")
    assert data.notes[0] == (
        "2 classes: flat 8, tall 4 (train 8, test 4); test has no pictures of tall"
    )
    (tmp_path / ".wide").rename(tmp_path / "test" / "wide")
    line = r"\(flat, tall\), got pictures of others: 'wide' 4; rename"
    with pytest.raises(ValueError, match=line):
        folder.load(config(tmp_path))


def test_labels_that_are_numbers_are_in_the_order_of_numbers(tmp_path):
    for number in (10, 9, 2):
        write_class(tmp_path / str(number), 2)
    data = folder.load(config(tmp_path))
    assert data.train.label_names == ("2", "9", "10")
    labels = dict(zip(data.train.names, data.train.labels.tolist(), strict=True))
    assert labels["10/000.jpg"] == 2 and labels["2/000.jpg"] == 0


def test_many_classes_are_counted_in_short(tmp_path):
    for number in range(8):
        write_class(tmp_path / f"class{number}", 1 + number % 3)
    assert folder.load(config(tmp_path)).notes == (
        "8 classes: class0 1, class1 2, class2 3, class3 1, class4 2 and 3 more, from "
        "1 to 3 pictures",
    )


def test_what_is_loaded_can_be_written_down_and_loaded_again(tmp_path):
    """A table of file, label and split is a data set itself."""
    three(tmp_path, "train", "valid", "test")
    data = folder.load(config(tmp_path))
    parts = {"train_weights": data.train, "valid": data.valid, "test": data.test}
    lines = ["file,label,split,bytes,digest"] + [
        f"{name},{source.label_names[label]},{split},1,ab"
        for split, source in parts.items()
        for name, label in zip(source.names, source.labels, strict=True)
    ]
    (tmp_path / "data.csv").write_text("\n".join(lines))
    again = folder.load(config(tmp_path / "data.csv"))
    found = (again.train, again.valid, again.test)
    for old, new in zip(parts.values(), found, strict=True):
        assert old.names == new.names and old.label_names == new.label_names
        assert old.labels.tolist() == new.labels.tolist()


def test_pictures_that_a_file_of_labels_names_and_are_not_there_are_named(root):
    rows = [f"{name}/{n:03}.jpg,{name}" for name in ("cat", "dog") for n in range(13)]
    path = root / "labels.csv"
    path.write_text("\n".join(["file,label", *rows]))
    line = r"2 of 26 pictures cannot be used: cat/012.jpg \(no such file\), dog/012.jp"
    with pytest.raises(ValueError, match=line):
        folder.load(config(path))
    assert len(folder.load(config(path, skip_corrupt=True)).train) == 24


@pytest.mark.parametrize("skip_corrupt", [False, True])
def test_a_file_of_labels_without_any_of_its_pictures_is_refused(root, skip_corrupt):
    path = root / "labels.csv"
    path.write_text("file,label\na.jpg,cat\nb.jpg,dog\n")
    with pytest.raises(ValueError, match=r"2 of 2 pictures .* name their files from"):
        folder.load(config(path, skip_corrupt=skip_corrupt))


def test_what_is_no_folder_of_classes_is_refused(tmp_path, root):
    with pytest.raises(ValueError, match=r"expected data.path, .* got None"):
        folder.load(DataConfig(name="folder"))
    with pytest.raises(
        ValueError,
        match=r"data.path: expected a folder of pictures, found no folder .*nowhere",
    ):
        folder.load(config("nowhere"))
    with pytest.raises(ValueError, match=r"one folder per class, got 12 pictures s"):
        folder.load(config(root / "cat"))
    (root / "bird").mkdir()
    with pytest.raises(ValueError, match=r"bird: expected pictures of this class, got"):
        folder.load(config(root))


# --- as splits -----------------------------------------------------------------------


def load(path, classes=2, shape=(16, 16, 3), seed=0, **changes):
    return splits.load(config(path, **changes), shape, classes, seed)[0]


def test_splits_are_disjoint_by_class_and_have_the_sizes_asked_for(root):
    found = load(root)
    assert {name: len(split.labels) for name, split in found.items()} == SIZES
    every = np.concatenate([split.indices for split in found.values()])
    assert sorted(every) == list(range(24))
    for name, split in found.items():
        assert np.bincount(split.labels).tolist() == [SIZES[name] // 2] * 2


def test_one_class_only_is_refused(root):
    write_class(root.parent / "one" / "cat", 24)
    with pytest.raises(
        ValueError, match=r"at least 2 classes, got one class, cat; add"
    ):
        load(root.parent / "one")


def test_other_classes_than_the_spaces_are_refused(root):
    with pytest.raises(ValueError, match=r"the 3 classes .* got 2 \(cat, dog\); set"):
        load(root, classes=3)


def test_more_images_than_there_are_are_refused(root):
    with pytest.raises(ValueError, match=r"folder: .* ask for 25 images .* has 24"):
        load(root, train_weights=13)


def test_means_for_another_number_of_channels_are_refused(root):
    with pytest.raises(ValueError, match=r"expected 1 values each, .* got 3"):
        load(root, shape=(16, 16, 1))
    grey = {"mean": (0.5,), "std": (0.2,)}
    with pytest.raises(ValueError, match=r"data.saturation: expected 0 with"):
        load(root, shape=(16, 16, 1), saturation=0.1, **grey)
    images = load(root, shape=(16, 16, 1), **grey)["valid"].take(np.arange(2)).images
    assert images.shape == (2, 16, 16, 1)
