"""A run knows its data: its lists, its labels, and what became of them."""

import csv
import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest

from nas_jax import cli, config
from nas_jax.data import companions, idx, record
from nas_jax.runs import run_folder, setup
from nas_jax.training.devices import PLAIN
from tests.data import idx_files
from tests.data import test_one_reader as matrix
from tests.data.picture_files import write_class
from tests.runs.test_data_run import EXPERIMENT

SIZES = {"train_weights": 20, "train_alphas": 8, "valid": 4, "test": 8}


def experiment_at(place, **changes):
    data = dataclasses.replace(EXPERIMENT.data, path=str(place), **SIZES | changes)
    return dataclasses.replace(EXPERIMENT, data=data)


@pytest.fixture
def home(tmp_path):
    for number, name in enumerate(("cat", "dog")):
        write_class(tmp_path / "p" / name, 24, seed=100 * number)
    (tmp_path / "run").mkdir()
    return tmp_path


def begun(home, **changes):
    """What a run that begins has of its data."""
    return setup.begin(experiment_at(home / "p", **changes), home / "run")


def again(home, place="p", **more):
    return setup.of_run(experiment_at(home / place), home / "run", PLAIN, **more)


def files_of(found):
    return {
        name: [split.source.names[number] for number in split.indices]
        for name, split in found.splits.items()
    }


def test_lists_have_every_file_with_label_split_and_digest(home):
    found = begun(home)
    rows = list(csv.DictReader((home / "run" / "data.csv").read_text().splitlines()))
    assert len(rows) == 48
    by_split = {
        split: [row["file"] for row in rows if row["split"] == split]
        for split in (*SIZES, "")
    }
    assert {name: by_split[name] for name in SIZES} == files_of(found)
    assert len(by_split[""]) == 8  # of no split
    for row in rows:
        content = (home / "p" / row["file"]).read_bytes()
        assert row["label"] == row["file"].partition("/")[0]
        assert int(row["bytes"]) == len(content)
        assert row["digest"] == hashlib.sha256(content).hexdigest()
    about = json.loads((home / "run" / "data.json").read_text())
    assert about.pop("digest")
    assert about == {"label_names": ["cat", "dog"], "path": str(home / "p")}


def test_a_run_that_goes_on_has_the_same_batches(home):
    first = begun(home)
    for found in (begun(home), again(home)):
        assert files_of(found) == files_of(first)
        for name, split in first.splits.items():
            for mine, other in zip(
                split.take(np.arange(4), 3),
                found.splits[name].take(np.arange(4), 3),
                strict=True,
            ):
                np.testing.assert_array_equal(mine, other)


def test_added_pictures_are_left_out_and_the_cuts_stay_the_same(home):
    first = begun(home)
    for name in ("cat", "dog"):
        write_class(home / "p" / name / "0more", 3, seed=900)
    found = again(home)
    assert files_of(found) == files_of(first)
    images, labels = first.splits["train_weights"].take(np.arange(20), 5)
    others, same = found.splits["train_weights"].take(np.arange(20), 5)
    np.testing.assert_array_equal(images, others)
    np.testing.assert_array_equal(labels, same)
    note = found.notes[-1]
    assert note == (
        f"6 items at {home}/p are not of this run (cat/0more/000.jpg, "
        "cat/0more/001.jpg, cat/0more/002.jpg, dog/0more/000.jpg, dog/0more/001.jpg "
        "and 1 more): left out; a new run would use them"
    )


@pytest.mark.parametrize(
    "rule",
    [
        {"group_column": "who"},
        {"group_pattern": "{}/{group}/{number}"},
        {"group_folder": 1},
    ],
)
def test_groups_are_those_of_the_beginning_whatever_became_of_their_rule(home, rule):
    """The lists say which picture lies where: the rule is not asked again."""
    for file in sorted((home / "p").rglob("*.jpg")):
        folder = file.parent / f"burst{int(file.stem) // 2}"
        folder.mkdir(exist_ok=True)
        file.rename(folder / file.name)
    files = [one.relative_to(home / "p") for one in (home / "p").rglob("*.jpg")]
    rows = "\n".join(["file,who", *(f"{one},{one.parent}" for one in files)])
    (home / "p" / "who.csv").write_text(rows)
    first = begun(home, **rule)
    assert any("groups by data.group_" in note for note in first.notes)
    (home / "p" / "who.csv").unlink()
    write_class(home / "p" / "dog", 2, seed=900)  # in no folder of a burst
    found = setup.of_run(experiment_at(home / "p", **rule), home / "run", PLAIN)
    assert files_of(found) == files_of(first)
    assert not any("groups by" in note for note in found.notes)


def test_a_new_class_does_not_move_the_labels(home):
    first = begun(home)
    write_class(home / "p" / "ant", 5, seed=900)
    found = again(home)
    assert found.label_names == ("cat", "dog")
    for name, split in first.splits.items():
        np.testing.assert_array_equal(split.labels, found.splits[name].labels)
        _, labels = found.splits[name].take(np.arange(4))
        np.testing.assert_array_equal(labels, split.labels[:4])


def refused(home, **more):
    with pytest.raises(ValueError) as caught:
        again(home, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_renamed_class_is_told_with_counts(home):
    begun(home)
    (home / "p" / "cat").rename(home / "p" / "feline")
    line = refused(home)
    assert f"{home}/p: expected the 40 items that this run began with, got 2" in line
    assert "0 under other names (cat/0" in line and "is now feline/0" in line
    assert "missing" not in line
    assert line.endswith("put them back as they were, or start a new run")


def test_missing_changed_and_moved_pictures_are_told_apart(home):
    files = files_of(begun(home))
    gone, changed, moved = files["train_weights"][:3]
    (home / "p" / gone).unlink()
    (home / "p" / changed).write_bytes((home / "p" / moved).read_bytes())
    line = refused(home)
    assert f"got 1 missing ({gone}), 1 with other bytes ({changed}); put" in line
    # the test is whole: what needs nothing else goes on
    assert set(again(home, needed=("test",)).splits) == {"test"}
    name = moved.replace("cat/", "dog/x") if "cat" in moved else f"cat/x{moved[4:]}"
    (home / "p" / moved).rename(home / "p" / name)
    assert f"1 under other names ({moved} is now {name})" in refused(home)


def test_moved_data_are_found_where_they_are_said_to_lie(home):
    first = begun(home)
    (home / "p").rename(home / "q")
    line = refused(home)
    assert line == (
        f"{home}/run: expected its data at {home}/p, found none; if they lie elsewhere "
        "now, name the place with --data.path"
    )
    assert files_of(again(home, place="q")) == files_of(first)
    (home / "other").mkdir()
    for number, name in enumerate(("cat", "dog")):
        write_class(home / "other" / name, 24, seed=500 + 100 * number)
    assert "40 with other bytes" in refused(home, place="other")


def test_a_run_of_an_older_version_says_that_it_has_no_lists(home):
    found = again(home)
    assert found.notes[-1] == (
        f"{home}/run keeps no list of its data: its splits are drawn anew"
    )


def test_built_in_images_are_compared_as_well(tmp_path):
    digits = config.Experiment(
        name="d",
        space=config.SpaceConfig(name="d", input_size=8, input_channels=1, classes=10),
    )
    setup.begin(digits, tmp_path)
    found = setup.of_run(digits, tmp_path, PLAIN)
    assert {name: len(split.labels) for name, split in found.splits.items()} == {
        "train_weights": 300,
        "train_alphas": 300,
        "valid": 197,
        "test": 1000,
    }
    kept = record.read(tmp_path)
    test = kept.splits["test"]
    others = (test[0]._replace(digest="00"), *test[1:])
    splits = {**kept.splits, "test": others}
    record.write(tmp_path, dataclasses.replace(kept, splits=splits))
    with pytest.raises(ValueError, match="digits: expected the images that this run"):
        setup.of_run(digits, tmp_path, PLAIN)


@pytest.mark.parametrize("cut", [0, 1, 30, 300, -1, -40, -1000])
def test_lists_that_are_cut_are_refused(home, cut):
    begun(home)
    file = home / "run" / "data.csv"
    file.write_text(file.read_text()[:cut])
    line = refused(home)
    assert f"{file}: expected the items and labels that data.json was writt" in line
    assert line.endswith("one of the two is damaged or cut, copy the run again")


def test_labels_in_another_order_are_refused(home):
    begun(home)
    file = home / "run" / "data.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps(about | {"label_names": ["dog", "cat"]}))
    assert "expected the items and labels that data.json was writt" in refused(home)


@pytest.mark.parametrize("name", ["data.csv", "data.json"])
def test_one_list_without_the_other_is_refused(home, name):
    begun(home)
    (home / "run" / name).unlink()
    assert f"{home}/run/{name}: expected this file beside the other" in refused(home)


def test_names_of_every_kind_are_read_back(tmp_path):
    names = ("a,b.jpg", 'say "x".jpg', "line\nbreak.jpg", " space .jpg", "ä/ö.jpg")
    entries = tuple(record.Entry(name, "l,1", 3, "00") for name in names)
    one = record.Record(("l,1",), None, {"test": entries})
    record.write(tmp_path, one)
    assert record.read(tmp_path) == one


def test_the_path_of_a_run_holds_from_everywhere(home, monkeypatch):
    monkeypatch.chdir(home)
    made = run_folder.create(experiment_at("p"), home / "new", home)
    assert run_folder.read_experiment(made).data.path == str(home / "p")


# --- a whole run on pictures of every kind --------------------------------------------


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A run whose pictures are of all formats, modes and orientations."""
    home = tmp_path_factory.mktemp("odd")
    cases = [case for case in matrix.CASES if case[1] not in ("1", "P clear")]
    for number, case in enumerate(cases):
        for name in ("bright", "dark"):
            (home / "p" / name).mkdir(parents=True, exist_ok=True)
            file = home / "p" / name / matrix.file_of(number, case[0])
            # one in seven is in the wrong folder, so that not all can be right
            is_wrong = number % 7 == 0
            shade = "dark" if (name == "dark") != is_wrong else "bright"
            file.write_bytes(matrix.encoded(*case, shade=shade))
    each = len(cases) // 4
    sizes = {"train_alphas": each, "valid": each, "test": 2 * each}
    sizes["train_weights"] = 2 * len(cases) - sum(sizes.values())
    train = config.TrainConfig(epochs=4, batch=32)
    one = experiment_at(home / "p", **sizes)
    one = dataclasses.replace(one, train=train)
    code = f"def get_config():\n    return {one!r}\n"
    (home / "own.py").write_text(f"from nas_jax.config import *\n\n{code}")
    assert cli.main(["search", str(home / "own.py"), "--out", str(home / "run")]) == 0
    return home


@pytest.mark.slow
def test_predict_is_right_as_often_as_the_test_says(odd, capsys):
    result = json.loads((odd / "run" / "result.json").read_text())
    rows = csv.DictReader((odd / "run" / "data.csv").read_text().splitlines())
    test = {
        str(odd / "p" / r["file"]): r["label"] for r in rows if r["split"] == "test"
    }
    assert cli.main(["predict", str(odd / "run"), *test, "--json", "--top", "1"]) == 0
    found = json.loads(capsys.readouterr().out)["pictures"]
    right = [test[one["image"]] == one["guesses"][0]["label"] for one in found]
    assert len(right) == result["networks"]["searched"]["test_images"] > 100
    assert np.mean(right) == result["networks"]["searched"]["test_accuracy"]
    assert 0.75 < np.mean(right) < 0.95


@pytest.mark.slow
def test_labels_of_a_run_outlive_the_folder(odd, capsys):
    """Renamed, the class is told; exported labels stay those of the weights."""
    (odd / "p" / "bright").rename(odd / "p" / "zz")
    try:
        assert cli.main(["evaluate", str(odd / "run")]) == 2
        assert "under other names (bright/" in capsys.readouterr().err
        assert cli.main(["export", str(odd / "run"), "--format", "onnx"]) == 0
        assert "compared on drawn numbers" in capsys.readouterr().err
        found = companions.read(odd / "run" / "export")
        assert found.labels == ("bright", "dark")
        (odd / "run" / "result.json").rename(odd / "kept.json")
        assert cli.main(["search", "--resume", str(odd / "run")]) == 2
        assert "under other names (bright/" in capsys.readouterr().err
    finally:
        (odd / "p" / "zz").rename(odd / "p" / "bright")
        if (odd / "kept.json").exists():
            (odd / "kept.json").rename(odd / "run" / "result.json")


@pytest.mark.slow
def test_export_proves_itself_on_files_wherever_they_lie(odd, capsys):
    def exported(*more):
        words = ["export", str(odd / "run"), "--format", "onnx", "--json", *more]
        assert cli.main(words) == 0
        out, err = capsys.readouterr()
        return json.loads(out)["networks"]["searched"]["formats"]["onnx"], err

    found, _ = exported()
    assert found["inputs"] == "test files" and found["same_top1"] == 1
    kept = found["top1"]
    (odd / "p").rename(odd / "q")
    found, err = exported()
    assert found["inputs"] == "standard normal numbers"
    assert "compared on drawn numbers, without the test images" in err
    found, _ = exported("--data.path", str(odd / "q"))
    assert (found["inputs"], found["top1"]) == ("test files", kept)
    assert cli.main(["evaluate", str(odd / "run"), "--data.path", str(odd / "q")]) == 0
    shutil.move(odd / "q", odd / "p")


@pytest.fixture
def begun_on_idx(tmp_path):
    """A run on a set of IDX files, and its experiment."""
    idx_files.write_set(tmp_path / "p", counts=(40, 20), shape=(12, 12))
    (tmp_path / "p" / "labels.txt").write_text("ant\nbee\ncat\ndog\n")
    (tmp_path / "run").mkdir()
    space = dataclasses.replace(EXPERIMENT.space, classes=4)
    sizes = dict.fromkeys(SIZES) | {"train_alphas": 8, "valid": 4}
    data = dataclasses.replace(
        EXPERIMENT.data, name="idx", path=str(tmp_path / "p"), **sizes
    )
    experiment = dataclasses.replace(EXPERIMENT, space=space, data=data)
    return experiment, setup.begin(experiment, tmp_path / "run")


def test_idx_images_are_recorded_by_what_their_files_hold(begun_on_idx, tmp_path):
    _, found = begun_on_idx
    rows = list(
        csv.DictReader((tmp_path / "run" / "data.csv").read_text().splitlines())
    )
    assert len(rows) == 60
    images = idx_files.images(20, (12, 12), seed=1)
    for row in rows:
        if row["split"] == "test":
            number = int(row["file"].removeprefix("test image "))
            content = images[number].tobytes()
            assert row["digest"] == hashlib.sha256(content).hexdigest()
            assert row["label"] == ("ant", "bee", "cat", "dog")[number % 4]
    side = EXPERIMENT.space.input_size
    assert side != 12 and found.splits["test"].image_shape[0] == side


def test_idx_files_that_were_moved_or_packed_are_the_same(begun_on_idx, tmp_path):
    experiment, first = begun_on_idx
    (tmp_path / "p").rename(tmp_path / "q")
    with pytest.raises(ValueError, match=r"expected its data at .*--data.path"):
        setup.of_run(experiment, tmp_path / "run", PLAIN)
    for path in list((tmp_path / "q").glob("*.gz")):
        idx_files.write(path.with_suffix(""), idx.read(path))
        path.unlink()
    data = dataclasses.replace(experiment.data, path=str(tmp_path / "q"))
    moved = dataclasses.replace(experiment, data=data)
    found = setup.of_run(moved, tmp_path / "run", PLAIN)
    for name, split in first.splits.items():
        for mine, other in zip(
            split.take(np.arange(4)), found.splits[name].take(np.arange(4)), strict=True
        ):
            np.testing.assert_array_equal(mine, other)


def test_idx_labels_in_another_order_keep_their_numbers(begun_on_idx, tmp_path):
    experiment, first = begun_on_idx
    (tmp_path / "p" / "labels.txt").write_text("dog\nbee\ncat\nant\n")
    for split, count in (("train", 40), ("t10k", 20)):
        labels = 3 - idx_files.labels(count)
        labels = np.where(labels % 3 == 0, labels, 3 - labels)
        path = tmp_path / "p" / f"{split}-labels-idx1-ubyte.gz"
        idx_files.write(path, labels.astype(np.uint8))
    found = setup.of_run(experiment, tmp_path / "run", PLAIN)
    assert found.label_names == ("ant", "bee", "cat", "dog")
    for name, split in first.splits.items():
        mine, other = split.take(np.arange(4)), found.splits[name].take(np.arange(4))
        np.testing.assert_array_equal(mine.images, other.images)
        np.testing.assert_array_equal(mine.labels, other.labels)


def test_idx_files_that_changed_are_refused(begun_on_idx, tmp_path):
    experiment, _ = begun_on_idx
    folder, run = tmp_path / "p", tmp_path / "run"
    (folder / "labels.txt").write_text("ant\nbee\ncat\nelk\n")
    with pytest.raises(
        ValueError, match=r"got 15 with another label .*: dog, now no cl"
    ):
        setup.of_run(experiment, run, PLAIN)
    (folder / "labels.txt").write_text("ant\nbee\ncat\ndog\n")
    idx_files.write(
        folder / "t10k-images-idx3-ubyte.gz", idx_files.images(20, (12, 12), seed=9)
    )
    with pytest.raises(
        ValueError, match=r"expected the 60 items .* got 20 with other b"
    ):
        setup.of_run(experiment, run, PLAIN)
