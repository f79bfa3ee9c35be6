"""`nas_jax start`: pictures are counted, and the file says what came of it."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

from nas_jax import cli
from nas_jax.config import shipped
from nas_jax.data import augment, splits
from nas_jax.runs import first_experiment
from tests.data.picture_files import encoded, pixels


def write(folder, counts, size=(40, 70)):
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = encoded(pixels(*size, seed=number), "PNG")
            (folder / name / f"{number}.png").write_bytes(image)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write(tmp_path_factory.mktemp("my 'pets'"), {"cat": 40, "dog": 20})


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    root = tmp_path_factory.mktemp("apart")
    write(root / "train", {"a": 50, "b": 24}, (64, 90))
    write(root / "test", {"a": 5, "b": 4})
    return root


def sizes(experiment):
    data = experiment.data
    return [data.train_weights, data.train_alphas, data.valid, data.test]


def test_one_set_is_divided_in_shares(pictures):
    made = first_experiment.of_pictures(pictures)
    # of 60: the rest, a quarter, a tenth, a fifth
    assert sizes(made) == [27, 15, 6, 12]
    assert (made.space.classes, made.space.input_size) == (2, 32)
    # 27 images in batches of 15, one a step: 800 epochs
    assert (made.search.batch, made.search.warmup_epochs) == (15, 800)


def test_of_a_set_with_a_test_equally_many_of_every_class_are_held_out(apart):
    made = first_experiment.of_pictures(apart)
    assert sizes(made) == [74 - 12 - 4, 12, 4, 9]  # 6 and 2 of the 24, twice
    assert made.space.input_size == 64


@pytest.mark.parametrize("kind", ["pictures", "apart"])
def test_the_file_holds_the_experiment_and_its_splits_load(kind, request, tmp_path):
    folder, out = request.getfixturevalue(kind), tmp_path / "mine.py"
    assert cli.main(["start", str(folder), "--out", str(out)]) == 0
    found = shipped.load_experiment(str(out))
    assert found == first_experiment.of_pictures(folder)
    side = found.space.input_size
    loaded = splits.load(found.data, (side, side, 3), found.space.classes, 0).splits
    for name, count in zip(loaded, sizes(found), strict=True):
        assert len(loaded[name].labels) == count
        assert set(np.unique(loaded[name].labels)) == {0, 1}


def test_moments_are_those_of_the_pictures(tmp_path):
    for name, value in (("dark", 51), ("light", 204)):
        (tmp_path / name).mkdir()
        image = np.full((40, 40, 3), value, np.uint8)
        for number in range(20):
            (tmp_path / name / f"{number}.png").write_bytes(encoded(image, "PNG"))
    made = first_experiment.of_pictures(tmp_path).data
    assert made.mean == (0.5, 0.5, 0.5) and made.std == (0.3, 0.3, 0.3)


def test_grey_pictures_have_one_channel(tmp_path, monkeypatch):
    """And what they are augmented by does without colours."""
    monkeypatch.chdir(tmp_path)
    for name, value in (("dark", 51), ("light", 204)):
        (tmp_path / "grey" / name).mkdir(parents=True)
        for number in range(20):
            image = np.full((40, 40), value, np.uint8)
            file = tmp_path / "grey" / name / f"{number}.png"
            file.write_bytes(encoded(image, "PNG"))
    made = first_experiment.of_pictures(Path("grey"))
    assert made.space.input_channels == 1
    assert made.data.mean == (0.5,) and made.data.std == (0.3,)
    assert made.data.path == str(tmp_path / "grey")
    loaded = splits.load(made.data, (32, 32, 1), 2, 0).splits["train_weights"]
    images = loaded.take(np.arange(4)).images
    found = augment.of(made.data)(jax.random.key(0), images)
    assert found.shape == (4, 32, 32, 1) and np.isfinite(found).all()


@pytest.mark.skipif(os.name == "nt", reason="names there are Unicode")
def test_folder_whose_name_is_no_text_is_refused(tmp_path, capsys):
    """It would be a line of labels.txt, after the whole search."""
    write(tmp_path / "p", {"cat": 20, "dog\udcff": 20})
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / "mine.py")]
    assert cli.main(words) == 2
    assert "expected folders with names in UTF-8, got 'dog\\udcff'" in (
        capsys.readouterr().err
    )


def test_missing_folder_is_told_where_it_was_looked_for(tmp_path, capsys):
    words = ["start", str(tmp_path / "none"), "--out", str(tmp_path / "mine.py")]
    assert cli.main(words) == 2
    assert f"start {tmp_path / 'none'}: expected a folder of pictures, found none" in (
        capsys.readouterr().err
    )


def test_broken_pictures_are_named_or_left_out(tmp_path, capsys):
    write(tmp_path / "p", {"cat": 30, "dog": 30})
    (tmp_path / "p" / "cat" / "3.png").write_bytes(b"")
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / "mine.py")]
    assert cli.main(words) == 2
    assert "1 of 60 pictures do not decode: " in capsys.readouterr().err
    assert cli.main([*words, "--skip-corrupt"]) == 0
    found = shipped.load_experiment(str(tmp_path / "mine.py"))
    assert found.data.skip_corrupt and sum(sizes(found)) == 59


@pytest.mark.parametrize(
    ("counts", "out", "said"),
    [
        (
            {"cat": 30, "dog": 19},
            "m.py",
            "20 pictures or more, got 2, and of class 'dog'",
        ),
        (
            {"cat": 30},
            "m.py",
            "expected at least 2 classes of 20 pictures or more, got 1",
        ),
        ({}, "m.py", "expected one folder per class"),
        ({"cat": 20, "dog": 20}, "m.txt", "m.txt: expected the name of a .py file"),
        ({"cat": 20, "dog": 20}, "old.py", "old.py: expected a new file"),
    ],
)
def test_what_cannot_be_started_is_refused_in_one_line(
    counts, out, said, tmp_path, capsys
):
    (tmp_path / "p").mkdir()
    write(tmp_path / "p", counts)
    (tmp_path / "old.py").write_text("")
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / out)]
    assert cli.main(words) == 2
    heard = capsys.readouterr().err
    assert said in heard and heard.count("\n") == 1
    assert (tmp_path / "old.py").read_text() == "" and not (tmp_path / "m.py").exists()


def test_uneven_classes_are_told_with_what_to_do(tmp_path, capsys):
    write(tmp_path / "p", {"cat": 61, "dog": 20, "eel": 30})
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / "mine.py")]
    assert cli.main(words) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "  uneven classes: 61 of 111 pictures are of 'cat', but 20 of 'dog'; whoever "
        "always answers 'cat' is right on 55.0%: read the balanced accuracy, and add "
        "pictures of the small classes or try --train.class-weights balanced"
    )
    # the flag is one that the search of the file takes
    answer = ["--train.class-weights", "balanced", "--plan", "--train.epochs", "0"]
    assert cli.main(["search", str(tmp_path / "mine.py"), *answer]) == 2
    assert "train.epochs" in capsys.readouterr().err


def test_classes_of_up_to_3_to_1_are_not_mentioned(tmp_path, capsys):
    write(tmp_path / "p", {"cat": 60, "dog": 20})
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / "mine.py")]
    assert cli.main(words) == 0
    assert capsys.readouterr().err == ""


def test_a_command_of_several_lines_stays_a_comment(pictures):
    made = first_experiment.of_pictures(pictures)
    text = first_experiment.text(made, "start 'a\nimport os\r\x0b\x85b'")
    assert [line for line in text.splitlines() if "import os" in line] == [
        "# made by: start 'a import os   b'"
    ]
