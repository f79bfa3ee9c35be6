"""CIFAR from the original binary archive: same pixels, same labels, or a refusal."""

import io
import tarfile

import numpy as np
import pytest

from nas_jax.data import cifar

NAMES = {
    "cifar10": [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ],
    "cifar100": [f"fine_{number}" for number in range(100)],
}
RECORDS = 20
TRUE = dict(cifar.LAYOUTS)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The true layout with fewer records in every file."""
    for name, layout in cifar.LAYOUTS.items():
        few = layout._replace(train_records=RECORDS, test_records=RECORDS)
        monkeypatch.setitem(cifar.LAYOUTS, name, few)


def contents(name, seed=0):
    """Files of the archive, and by file the images [N H W C] and labels in them."""
    numbers, layout = np.random.default_rng(seed), cifar.LAYOUTS[name]
    files, truth = {}, {}
    for file in (*layout.train, *layout.test):
        images = numbers.integers(0, 256, (RECORDS, 32, 32, 3), np.uint8)
        labels = numbers.integers(0, len(NAMES[name]), RECORDS)
        records = []
        for image, label in zip(images, labels, strict=True):
            coarse = [7] if name == "cifar100" else []
            planes = [image[:, :, channel].tobytes() for channel in range(3)]
            records.append(bytes([*coarse, label]) + b"".join(planes))
        files[file] = b"".join(records)
        truth[file] = images, labels
    files[layout.names] = ("\n".join(NAMES[name]) + "\n\n").encode()
    return files, truth


def archive(path, name, files):
    with tarfile.open(path, "w:gz") as tar:
        for file, content in files.items():
            info = tarfile.TarInfo(f"{cifar.LAYOUTS[name].folder}/{file}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def unpacked(path, name, files):
    folder = path / cifar.LAYOUTS[name].folder
    folder.mkdir()
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", cifar.LAYOUTS)
def test_pixels_and_labels_are_those_of_the_records(tmp_path, name):
    files, truth = contents(name)
    layout = cifar.LAYOUTS[name]
    data = cifar.load(name, str(archive(tmp_path / "any.tar.gz", name, files)))
    for source, parts in ((data.train, layout.train), (data.test, layout.test)):
        images = np.concatenate([truth[part][0] for part in parts])
        labels = np.concatenate([truth[part][1] for part in parts])
        np.testing.assert_array_equal(source.images, images)
        np.testing.assert_array_equal(source.labels, labels)
        assert (source.images.dtype, source.labels.dtype) == (np.uint8, np.int32)
        assert list(source.label_names) == NAMES[name]
        item = source[3]
        np.testing.assert_array_equal(item.image, images[3])
        assert (item.label, len(source)) == (labels[3], len(labels))


def test_the_archive_may_be_given_by_any_of_its_places(tmp_path):
    files, _ = contents("cifar10")
    layout = cifar.LAYOUTS["cifar10"]
    archive(tmp_path / layout.archive, "cifar10", files)
    packed = cifar.load("cifar10", str(tmp_path))
    folder = unpacked(tmp_path, "cifar10", files)
    for path in (folder, tmp_path, tmp_path / layout.archive):
        again = cifar.load("cifar10", str(path))
        np.testing.assert_array_equal(again.train.images, packed.train.images)
        np.testing.assert_array_equal(again.test.labels, packed.test.labels)


def test_an_archive_that_breaks_off_is_refused(tmp_path):
    files, _ = contents("cifar10")
    path = archive(tmp_path / "cut.tar.gz", "cifar10", files)
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"breaks off or is none .*download"):
            cifar.load("cifar10", str(path))


def test_a_file_cut_off_within_a_record_or_after_one_is_refused(tmp_path):
    files, _ = contents("cifar10")
    folder = unpacked(tmp_path, "cifar10", files)
    for length in (3073 * RECORDS - 1, 3073 * (RECORDS - 1), 0):
        (folder / "data_batch_4.bin").write_bytes(files["data_batch_4.bin"][:length])
        with pytest.raises(
            ValueError, match=rf"data_batch_4.bin: expected 20 .* got {length:,} bytes"
        ):
            cifar.load("cifar10", str(folder))


def test_a_missing_file_is_named(tmp_path):
    files, _ = contents("cifar10")
    del files["test_batch.bin"]
    path = archive(tmp_path / "c.tar.gz", "cifar10", files)
    with pytest.raises(ValueError, match=r"without test_batch.bin; download"):
        cifar.load("cifar10", str(path))
    with pytest.raises(ValueError, match=r"expected test_batch.bin of .*, got none"):
        cifar.load("cifar10", str(unpacked(tmp_path, "cifar10", files)))


def test_a_label_without_a_name_is_refused(tmp_path):
    files, _ = contents("cifar10")
    files["data_batch_2.bin"] = bytes([10]) + files["data_batch_2.bin"][1:]
    path = archive(tmp_path / "c.tar.gz", "cifar10", files)
    with pytest.raises(
        ValueError, match=r"labels below 10, .*batches.meta.txt, got 10"
    ):
        cifar.load("cifar10", str(path))


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x1f\x8b\x08broken"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.tar.gz: expected the whole archive"):
        cifar.load("cifar10", str(tmp_path / "a.tar.gz"))


@pytest.mark.parametrize("path", [None, "nowhere"])
def test_missing_data_are_said_where_to_get(path):
    with pytest.raises(ValueError, match=r"download cifar-100-binary.tar.gz from cs.t"):
        cifar.load("cifar100", path)


def test_the_true_archives_have_50_000_images_to_train_on_and_10_000_to_test():
    for layout in TRUE.values():
        assert len(layout.train) * layout.train_records == 50_000
        assert len(layout.test) * layout.test_records == 10_000


@pytest.mark.parametrize("name", ["data_batch_1.bin", "unasked.bin"])
def test_archive_that_would_burst_is_refused(tmp_path, name):
    files, _ = contents("cifar10")
    path = archive(tmp_path / "bomb.tar.gz", "cifar10", {**files, name: bytes(1 << 24)})
    with pytest.raises(ValueError, match=r"bomb\.tar\.gz: .*16,777,216 bytes"):
        cifar.load("cifar10", str(path))


def test_unpacked_file_that_is_far_too_large_is_not_read(tmp_path):
    files, _ = contents("cifar10")
    folder = unpacked(tmp_path, "cifar10", files)
    with (folder / "data_batch_2.bin").open("wb") as file:
        file.truncate(1 << 40)  # without a block on the disk
    with pytest.raises(ValueError, match=r"data_batch_2\.bin of at most .* got 1,099"):
        cifar.load("cifar10", str(folder))
