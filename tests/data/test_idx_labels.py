"""Names of the labels of IDX files: a list, EMNIST's mapping, KMNIST's class map."""

from pathlib import Path

import numpy as np
import pytest

from nas_jax.data import idx_labels
from tests.data import idx_files

LABELS = np.arange(12) % 3


def known(folder, name, text, labels=LABELS):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return idx_labels.known(labels, path)


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("labels.txt", "cat\ndog\nT-shirt/top\n", ("cat", "dog", "T-shirt/top")),
        ("labels.txt", "\ufeffcat\r\ndog\r\n ä b \r\n", ("cat", "dog", "ä b")),
        ("labels.txt", "cat\ndog\nemu", ("cat", "dog", "emu")),
        ("x-mapping.txt", "0 48\n1 65 97\n2 98\n", ("0", "Aa", "b")),
        ("mapping.txt", "2 50\n0 48\n1 49\n", ("0", "1", "2")),
        (
            "kmnist_classmap.csv",
            "index,codepoint,char\n0,U+304A,お\n1,U+304D,き\n2,U+3059,す\n",
            ("お", "き", "す"),
        ),
    ],
)
def test_names_are_those_of_the_file(name, text, names, tmp_path):
    found = known(tmp_path, name, text)
    assert found.names == names
    np.testing.assert_array_equal(found.numbered(LABELS, Path("l")), LABELS)


def test_a_list_begins_at_one_where_the_labels_do(tmp_path):
    text = "cat\ndog\nemu\n"
    assert known(tmp_path, "labels.txt", text, LABELS + 1).values.tolist() == [1, 2, 3]
    # only 1 and 2 occur: the third name says that there is a 0
    labels = np.array([1, 2])
    assert known(tmp_path, "labels.txt", text, labels).values.tolist() == [0, 1, 2]


def test_without_names_the_numbers_stand_for_themselves():
    found = idx_labels.known(np.array([30, 4, 30, 5]), None)
    assert found.names == ("4", "5", "30")
    assert found.numbered(np.array([30, 4]), Path("l")).tolist() == [2, 0]


def test_a_label_without_a_name_is_refused(tmp_path):
    found = known(tmp_path, "labels.txt", "cat\ndog\n", LABELS)
    with pytest.raises(
        ValueError,
        match=r"l: expected the labels 0, 1 of labels.txt, got 2 of image 2, 4 such",
    ):
        found.numbered(LABELS, Path("l"))


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (
            "labels.txt",
            "",
            "expected a name for every label, none of them twice, got ''",
        ),
        ("labels.txt", "cat\n\ndog\n", "got ''; mend it"),
        ("labels.txt", "cat\ncat\ndog\n", "got 'cat'; mend it"),
        ("labels.txt", "cat\na\0b\ndog\n", "none of them twice, got "),
        ("labels.txt", b"cat\n\xff\n", "expected text (UTF-8)"),
        ("mapping.txt", "", "line 1: expected a label and the code points of its"),
        (
            "mapping.txt",
            "0 48\none 49\n",
            "line 2: expected a label and the code points",
        ),
        ("mapping.txt", "0 48\n1\n", "line 2: expected a label and the code points"),
        ("mapping.txt", "0 48\n0 49\n", "line 2: expected another label, got 0 again"),
        ("mapping.txt", "0 48\n1 48\n", "none of them twice, got '0'"),
        ("mapping.txt", "0 10\n", "none of them twice, got "),
        ("mapping.txt", "0 55296\n", "none of them twice, got "),
        ("mapping.txt", "0 99999999999\n", "line 1: expected a label and the code po"),
        ("a_classmap.csv", "index,codepoint,char\n", "none of them twice, got none"),
        (
            "a_classmap.csv",
            "index,codepoint\nU+304A,0\n",
            "line 2: expected a label and",
        ),
    ],
)
def test_a_damaged_file_of_names_is_one_line(name, text, line, tmp_path):
    with pytest.raises(ValueError) as raised:
        known(tmp_path, name, text)
    assert str(tmp_path / name) in str(raised.value) and line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_names_beside_a_set_are_found(tmp_path):
    assert idx_labels.beside(tmp_path, ()) is None
    for name in ("emnist-digits-mapping.txt", "README.txt", "._labels.txt"):
        (tmp_path / name).touch()
    assert idx_labels.beside(tmp_path, ("emnist", "letters")) is None
    (tmp_path / "emnist-letters-mapping.txt").touch()
    found = idx_labels.beside(tmp_path, ("emnist", "letters"))
    assert found == tmp_path / "emnist-letters-mapping.txt"
    (tmp_path / "kmnist_classmap.csv").touch()
    assert idx_labels.beside(tmp_path, ()) == tmp_path / "kmnist_classmap.csv"
    (tmp_path / "labels.txt").touch()
    with pytest.raises(ValueError, match=r"got kmnist_classmap.csv, labels.txt; move"):
        idx_labels.beside(tmp_path, ())


def test_columns_are_those_of_qmnist_alone(tmp_path):
    table = np.arange(24, dtype=np.int32).reshape(3, 8)
    path = idx_files.write(tmp_path / "a", table)
    assert idx_labels.read(path).tolist() == [0, 8, 16]
    for other in (table[:, :7], table.astype(np.int16), table.astype(np.float32)):
        with pytest.raises(ValueError, match="an integer for every image, got 3 x"):
            idx_labels.read(idx_files.write(tmp_path / "a", other))
