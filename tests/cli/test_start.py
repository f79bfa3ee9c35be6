"""`nas_jax start`: pictures are counted, and the file says what came of it."""

import json
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from nas_jax import cli
from nas_jax.config import EndsConfig, families, shipped
from nas_jax.data import augment, splits
from nas_jax.runs import first_experiment, setup
from nas_jax.search import baselines
from nas_jax.spaces import elastic
from tests.data import idx_files
from tests.data.picture_files import encoded, pixels


def write(folder, counts, size=(40, 70)):
    for first, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = encoded(pixels(*size, seed=1000 * first + number), "PNG")
            (folder / name / f"{number}.png").write_bytes(image)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write(tmp_path_factory.mktemp("my 'pets'"), {"cat": 40, "dog": 20})


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    root = tmp_path_factory.mktemp("apart")
    write(root / "train", {"a": 50, "b": 24}, (64, 90))
    write(root / "test", {"a": 5, "b": 4}, (65, 90))
    return root


@pytest.mark.parametrize("blocks", families.BLOCKS)
def test_other_blocks_are_written_and_read_back(blocks, pictures, tmp_path, capsys):
    file = tmp_path / "mine.py"
    assert (
        cli.main(["start", str(pictures), "--out", str(file), "--blocks", blocks]) == 0
    )
    capsys.readouterr()
    space = shipped.load_experiment(str(file)).space
    assert (space.candidates, space.ends) == families.BLOCKS[blocks]
    whole = elastic.build(space)
    assert baselines.hand_designed(whole.middle).name == "baseline"
    # all but the smallest differ from MobileNetV2's
    assert ("EndsConfig" in file.read_text()) == (space.ends != EndsConfig())


def test_blocks_of_a_network_that_brings_its_own_are_refused(
    pictures, tmp_path, capsys
):
    words = ["start", str(pictures), "--out", str(tmp_path / "mine.py")]
    words += ["--weights", str(tmp_path), "--blocks", "mobilenet_v3"]
    assert cli.main(words) == 2
    assert "--blocks: expected without --weights" in capsys.readouterr().err
    assert cli.main([*words[:4], "--blocks", "mobilenet"]) == 2
    assert "mobilenet_v3" in capsys.readouterr().err


def test_a_first_look_is_small_and_short(pictures, tmp_path, capsys):
    command = ["start", str(pictures), "--out"]
    assert cli.main([*command, str(tmp_path / "m.py"), "--quick"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "a first look: small images, few and short trainings" in told
    assert f"written: {tmp_path / 'm.py'}" in told
    quick = shipped.load_experiment(str(tmp_path / "m.py"))
    assert quick.name == quick.space.name == "m"  # and so its runs in runs/
    whole = first_experiment.of_pictures(pictures).experiment
    assert quick.space.input_sizes == (32,) and len(whole.space.input_sizes) > 1
    assert (quick.search.trials, quick.search.finalists) == (2, 4)
    assert (quick.random_networks, quick.scaled_networks) == (1, 0)
    assert quick.about in told and not whole.about
    # a quarter of the steps, of which warm-up and average keep their share
    assert quick.train == whole.train.lasting(whole.train.epochs // 4)
    for words in (["--hours", "1"], ["--weights", str(tmp_path)]):
        out = str(tmp_path / "n.py")
        assert cli.main([*command, out, "--quick", *words]) == 2
        assert f"--quick: expected without {words[0]}" in capsys.readouterr().err


def sizes(data):
    return [data.train_weights, data.train_alphas, data.valid, data.test]


def test_one_set_is_divided_in_shares(pictures):
    made = first_experiment.of_pictures(pictures)
    # of 60: the rest, a quarter, a quarter, a fifth
    assert list(made.pictures.values()) == [18, 15, 15, 12]
    experiment = made.experiment
    assert sizes(experiment.data) == [None, 15, 15, 12]
    assert (experiment.space.classes, experiment.space.input_size) == (2, 32)
    assert experiment.space.input_sizes == (24, 32, 48)
    # 33 images in batches of 32, one a step: 1600 epochs
    assert (experiment.train.batch, experiment.train.epochs) == (32, 1600)
    assert made.notes == (
        "2 classes: cat 40, dog 20",
        "no picture is a copy of another",
        "15 validation pictures cannot tell networks apart that differ by less "
        "than 12.9 points; take less for no difference, or add pictures",
    )


def test_of_a_set_with_a_test_shares_of_the_training_are_held_out(apart):
    """In proportion: the rarest class does not decide for the others."""
    made = first_experiment.of_pictures(apart)
    assert list(made.pictures.values()) == [74 - 18 - 18, 18, 18, 9]
    assert sizes(made.experiment.data) == [None, 18, 18, None]
    assert made.experiment.space.input_size == 64
    loaded = splits.load(made.experiment.data, (64, 64, 3), 2, 0).splits
    counts = [np.bincount(split.labels).tolist() for split in loaded.values()]
    assert counts == [[26, 12], [12, 6], [12, 6], [5, 4]]


@pytest.mark.parametrize("kind", ["pictures", "apart"])
def test_the_file_holds_the_experiment_and_its_splits_load(kind, request, tmp_path):
    folder, out = request.getfixturevalue(kind), tmp_path / "mine.py"
    assert cli.main(["start", str(folder), "--out", str(out)]) == 0
    found = shipped.load_experiment(str(out))
    made = first_experiment.of_pictures(folder)
    assert found == first_experiment.named(made.experiment, out)
    side = found.space.input_size
    loaded = splits.load(found.data, (side, side, 3), found.space.classes, 0).splits
    for name, count in made.pictures.items():
        assert len(loaded[name].labels) == count
        assert set(np.unique(loaded[name].labels)) == {0, 1}


@pytest.mark.parametrize(
    ("added", "removed"), [(1, 0), (0, 1), (3, 0), (0, 3), (2, 5), (40, 0)]
)
def test_pictures_that_come_and_go_do_no_harm(added, removed, tmp_path):
    """Case 25: one more ended in sizes that were counted once."""
    write(tmp_path / "p", {"cat": 30, "dog": 30, "emu": 30, "fox": 30})
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / "mine.py")]
    assert cli.main(words) == 0
    for number in range(added):
        image = encoded(pixels(40, 70, seed=9000 + number), "PNG")
        (tmp_path / "p" / "dog" / f"new{number}.png").write_bytes(image)
    for number in range(removed):
        (tmp_path / "p" / "cat" / f"{number}.png").unlink()
    experiment = shipped.load_experiment(str(tmp_path / "mine.py"))
    loaded = setup.load(experiment).splits
    counts = {name: len(split.labels) for name, split in loaded.items()}
    rest = 120 + added - removed - 30 - 30 - 24
    assert list(counts.values()) == [rest, 30, 30, 24]
    assert all(set(split.labels) == {0, 1, 2, 3} for split in loaded.values())


def test_copies_are_told_where_the_pictures_are_counted(tmp_path, capsys):
    write(tmp_path / "p", {"cat": 30, "dog": 30})
    cat = tmp_path / "p" / "cat"
    (cat / "again.png").write_bytes((cat / "7.png").read_bytes())
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / "mine.py")]
    assert cli.main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert sum(answer["pictures"].values()) == 61
    assert answer["notes"] == [
        "2 classes: cat 31, dog 30",
        "1 of 61 pictures is a copy of others (cat/again.png = cat/7.png): kept in one "
        "split",
        "15 validation pictures cannot tell networks apart that differ by less "
        "than 12.9 points; take less for no difference, or add pictures",
    ]


def test_a_test_that_is_a_copy_of_the_training_cannot_be_started(tmp_path, capsys):
    write(tmp_path / "p" / "train", {"cat": 24, "dog": 24})
    shutil.copytree(tmp_path / "p" / "train", tmp_path / "p" / "test")
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / "mine.py")]
    assert cli.main(words) == 2
    heard = capsys.readouterr().err
    assert "of class 'cat' 0 pictures; add pictures (48 of 48 training pict" in heard
    assert heard.endswith("keep each picture in one of the sets\n")
    assert heard.count("\n") == 1


def test_moments_are_those_of_the_pictures(tmp_path):
    for name, value in (("dark", 51), ("light", 204)):
        (tmp_path / name).mkdir()
        for number in range(20):
            image = np.full((40 + number, 40, 3), value, np.uint8)
            (tmp_path / name / f"{number}.png").write_bytes(encoded(image, "PNG"))
    made = first_experiment.of_pictures(tmp_path).experiment.data
    assert made.mean == (0.5, 0.5, 0.5) and made.std == (0.3, 0.3, 0.3)


def test_grey_pictures_have_one_channel(tmp_path, monkeypatch):
    """And what they are augmented by does without colours."""
    monkeypatch.chdir(tmp_path)
    for name, value in (("dark", 51), ("light", 204)):
        (tmp_path / "grey" / name).mkdir(parents=True)
        for number in range(20):
            image = np.full((40 + number, 40), value, np.uint8)
            file = tmp_path / "grey" / name / f"{number}.png"
            file.write_bytes(encoded(image, "PNG"))
    made = first_experiment.of_pictures(Path("grey")).experiment
    assert made.space.input_channels == 1
    assert made.data.mean == (0.5,) and made.data.std == (0.3,)
    assert made.data.path == str(tmp_path / "grey")
    loaded = splits.load(made.data, (32, 32, 1), 2, 0).splits["train_weights"]
    images = loaded.take(np.arange(4)).images
    found = augment.of(made.data)(jax.random.key(0), images)
    assert found.shape == (4, 32, 32, 1) and np.isfinite(found).all()


def test_classes_and_what_is_left_out_are_told_and_flags_are_written(tmp_path, capsys):
    root = tmp_path / "p"
    for part, size in (("a", 70), ("b", 71), ("c", 72)):
        write(root / part, {"cat": 30, "dog": 30}, (40, size))
    (root / "a" / "cat" / "Thumbs.db").write_bytes(b"x")
    words = ["start", str(root), "--out", str(tmp_path / "m.py"), "--test-split", "c"]
    assert cli.main([*words, "--train-split", "d"]) == 2
    heard = capsys.readouterr().err
    assert "expected 'd', which data.train_split names, got a, b, c; name" in heard
    assert cli.main([*words, "--train-split", "a", "--valid-split", "b"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(
        "2 classes: cat 90, dog 90 (train 60, valid 60, test 60)\n"
        "left out, no pictures: 1 .db\n"
    )
    found = shipped.load_experiment(str(tmp_path / "m.py")).data
    assert (found.train_split, found.valid_split, found.test_split) == ("a", "b", "c")


def test_labels_may_come_from_names_or_a_file(tmp_path, capsys):
    write(tmp_path / "p", {"all": 40})
    for number, file in enumerate(sorted((tmp_path / "p" / "all").iterdir())):
        file.rename(file.with_name(f"{('cat', 'dog')[number % 2]}_{number}.png"))
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / "m.py")]
    assert cli.main(words) == 2
    pattern = "{label}_{number}"
    assert f" --label-pattern '{pattern}' would give the classes cat 20, dog 20" in (
        capsys.readouterr().err
    )
    assert cli.main([*words, "--label-pattern", pattern]) == 0
    found = shipped.load_experiment(str(tmp_path / "m.py")).data
    assert found.label_pattern == pattern
    assert splits.load(found, (32, 32, 3), 2, 0).label_names == ("cat", "dog")
    rows = [f"{file.name},{file.name[:3]}" for file in (tmp_path / "p/all").iterdir()]
    (tmp_path / "l.csv").write_text("\n".join(["id,kind", *rows]))
    words = ["start", str(tmp_path / "l.csv"), "--out", str(tmp_path / "n.py")]
    capsys.readouterr()
    assert cli.main([*words, "--label-column", "kind"]) == 0
    assert "2 classes: cat 20, dog 20\n" in capsys.readouterr().out


def bursts(root, form, groups=8):
    """Two classes of bursts of five pictures."""
    for first, c in enumerate("xy"):
        for number in range(5 * groups):
            path = root / form.format(c=c, g=number // 5, n=number % 5)
            path.parent.mkdir(parents=True, exist_ok=True)
            image = encoded(pixels(40, 70, seed=1000 * first + number), "PNG")
            path.write_bytes(image)


@pytest.mark.parametrize(
    ("form", "flag", "value"),
    [
        ("{c}/{c}{g}_{n}.png", "--group-pattern", "{group}_{number}"),
        ("{c}/{c}{g}/{n}.png", "--group-folder", "1"),
        ("{c}/{c}{g}-{n}.png", "--group-column", "who"),
    ],
)
def test_groups_are_kept_and_what_they_tell_apart_is_said(
    form, flag, value, tmp_path, capsys
):
    root = tmp_path / "p"
    bursts(root, form)
    files = [f"{c}/{one.name}" for c in "xy" for one in (root / c).iterdir()]
    rows = [f"{one},{one[2:4]}" for one in files]
    (root / "who.csv").write_text("\n".join(["file,who", *rows]))
    words = ["start", str(root), "--out", str(tmp_path / "m.py"), flag, value]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "16 groups by data." in told and "names look like" not in told
    assert (
        "20 validation pictures cannot tell networks apart that differ by less than "
        "11.2 points (25.0 if each of their 4 groups is right or wrong as a "
        "whole); take less for no difference, or add pictures\n"
    ) in told
    found = setup.load(shipped.load_experiment(str(tmp_path / "m.py"))).splits
    groups = [
        {split.source.names[n].split("/", 1)[1][:2] for n in split.indices}
        for split in found.values()
    ]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 16


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--group-pattern", "{group}"], "makes every picture a group of its own"),
        (["--group-pattern", "p_{group}_{}"], "got none for 80 of 80 (x/x0_0.png, "),
        (["--group-column", "who"], "expected a file of labels with the columns that"),
        (["--group-folder", "1"], "by data.group_folder 1, got none for 80 of 80"),
        (
            ["--group-folder", "1", "--group-pattern", "{group}_{}"],
            "data.group_pattern, data.group_folder: expected one of them at most",
        ),
        (["--group-folder", "0"], "data.group_folder: expected at least 1, got 0"),
        (["--group-folder", "one"], "--group-folder: expected"),
    ],
)
def test_rules_that_divide_nothing_are_one_line(words, line, tmp_path, capsys):
    bursts(tmp_path / "p", "{c}/{c}{g}_{n}.png")
    is_refused = "makes" not in line
    assert is_refused == bool(
        cli.main(
            ["start", str(tmp_path / "p"), "--out", str(tmp_path / "m.py"), *words]
        )
    )
    heard = capsys.readouterr()
    assert line in (heard.err if is_refused else heard.out)
    assert heard.err.count("\n") == is_refused


def test_names_that_look_like_groups_are_told_with_the_pattern(tmp_path, capsys):
    bursts(tmp_path / "p", "{c}/IMG_{c}{g}_frame_{n:03}.png")
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / "m.py")]
    assert cli.main(words) == 0
    assert (
        "names look like 16 groups (IMG_x0 5, IMG_x1 5, IMG_x2 5, IMG_x3 5, IMG_x4 5 "
        "and 11 more): if each shows one thing, keep it in one split by "
        "--group-pattern '{group}_{number}'\n"
    ) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pictures", "valid"),
    [(80, 20), (999, 249), (9999, 2499), (24000, 2500), (25010, 2501)],
)
def test_valid_is_as_large_as_differences_ask_for_within_its_shares(pictures, valid):
    assert first_experiment.valid_size(pictures) == valid


@pytest.mark.parametrize("part", ["valid", "val"])
def test_a_valid_of_its_own_says_what_it_tells_apart(part, apart, tmp_path):
    shutil.copytree(apart, tmp_path / "p")
    write(tmp_path / "p" / part, {"a": 6, "b": 4}, (66, 90))
    made = first_experiment.of_pictures(tmp_path / "p")
    assert made.pictures["valid"] == 10
    line = (
        "10 validation pictures cannot tell networks apart that differ by less than "
        "15.8 points; take less for no difference, or add pictures"
    )
    assert line in made.notes


def test_a_rare_class_does_not_decide_for_the_others(tmp_path):
    """Where it did, 243 of 7,474 pictures were looked at to choose a network."""
    write(tmp_path / "train", {"a": 200, "b": 80, "c": 20}, (33, 33))
    write(tmp_path / "test", {"a": 4, "b": 4, "c": 4}, (34, 34))
    made = first_experiment.of_pictures(tmp_path)
    assert list(made.pictures.values()) == [150, 75, 75, 12]
    loaded = splits.load(made.experiment.data, (32, 32, 3), 3, 0).splits
    assert np.bincount(loaded["valid"].labels).tolist() == [50, 20, 5]
    assert np.bincount(loaded["train_alphas"].labels).tolist() == [50, 20, 5]


@pytest.mark.skipif(os.name == "nt", reason="names there are Unicode")
def test_folder_whose_name_is_no_text_is_refused(tmp_path, capsys):
    """It would be a line of labels.txt, after the whole search."""
    write(tmp_path / "p", {"cat": 20, "dog\udcff": 20})
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / "mine.py")]
    assert cli.main(words) == 2
    assert "expected folders with names in UTF-8, got 'dog\\udcff'" in (
        capsys.readouterr().err
    )


def test_out_is_tried_before_a_picture_is_read(tmp_path, capsys):
    words = ["start", str(tmp_path / "none"), "--out", str(tmp_path / "no" / "a.py")]
    assert cli.main(words) == 2
    assert f"expected a folder {tmp_path}/no to write to, found none; make it" in (
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
    assert found.data.skip_corrupt
    assert "34 pictures to train" in capsys.readouterr().out


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
            "for each of at least 2 classes, got one class, cat; add the others",
        ),
        ({}, "m.py", "expected one folder per class"),
        ({"cat": 20, "dog": 20}, "m.txt", "expected the name of a .py file, as "),
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
    assert (
        "uneven classes: 61 of 111 pictures are of 'cat', but 20 of 'dog'; whoever "
        "always answers 'cat' is right on 55.0%: read the balanced accuracy, and add "
        "pictures of the small classes or try --train.class-weights balanced"
        in capsys.readouterr().out.splitlines()
    )
    # the flag is one that the search of the file takes
    answer = ["--train.class-weights", "balanced", "--plan", "--train.epochs", "0"]
    assert cli.main(["search", str(tmp_path / "mine.py"), *answer]) == 2
    assert "train.epochs" in capsys.readouterr().err


def test_classes_of_up_to_3_to_1_are_not_mentioned(tmp_path, capsys):
    write(tmp_path / "p", {"cat": 60, "dog": 20})
    words = ["start", str(tmp_path / "p"), "--out", str(tmp_path / "mine.py")]
    assert cli.main(words) == 0
    assert "uneven" not in capsys.readouterr().out


def test_a_command_of_several_lines_stays_a_comment(pictures):
    made = first_experiment.of_pictures(pictures).experiment
    text = first_experiment.text(made, "start 'a\nimport os\r\x0b\x85b'")
    assert [line for line in text.splitlines() if "import os" in line] == [
        "# made by: start 'a import os   b'"
    ]


@pytest.mark.parametrize(
    ("shape", "side", "channels"),
    [((28, 28), 28, 1), ((20, 20), 28, 1), ((32, 48, 3), 32, 3), ((64, 64), 64, 1)],
)
def test_idx_files_are_started_as_pictures_are(shape, side, channels, tmp_path, capsys):
    idx_files.write_set(tmp_path / "mnist", counts=(120, 40), shape=shape)
    words = ["start", str(tmp_path / "mnist"), "--out", str(tmp_path / "m.py")]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert told.startswith("4 classes: 0 40, 1 40, 2 40, 3 40 (train 120, test 40)\n")
    sides = " or ".join(map(str, first_experiment.CHOICES[side]))
    line = f"images of {sides} pixels, moved by up to 2 pixels; for"
    assert line in told
    found = shipped.load_experiment(str(tmp_path / "m.py"))
    assert (found.data.name, found.data.path) == ("idx", str(tmp_path / "mnist"))
    assert (found.data.shift_pixels, found.data.flip) == (2, False)
    assert found.data.mean[0] == pytest.approx(0.5, abs=0.01)
    assert sizes(found.data) == [None, 30, 30, None]
    loaded = setup.load(found)
    assert loaded.splits["test"].image_shape == (side, side, channels)
    images = loaded.splits["train_weights"].take(np.arange(4)).images
    assert loaded.augment(jax.random.key(0), images).shape == (4, side, side, channels)


def test_one_of_several_idx_sets_is_started_by_one_of_its_files(tmp_path, capsys):
    for name in ("letters", "digits"):
        parts = {one: f"emnist-{name}-{one}-{{}}-idx{{}}-ubyte" for one in ("train",)}
        idx_files.write_set(tmp_path / "gzip", parts, (120,), first=name == "letters")
    words = ["start", str(tmp_path / "gzip"), "--out", str(tmp_path / "m.py")]
    assert cli.main(words) == 2
    assert "expected the files of one set, got those of 2" in capsys.readouterr().err
    words[1] += "/emnist-letters-train-labels-idx1-ubyte"
    assert cli.main([*words, "--label-pattern", "{label}"]) == 2
    heard = capsys.readouterr().err
    assert "label-pattern: expected None but with a folder" in heard.replace("_", "-")
    assert cli.main(words) == 0
    assert "4 classes: 1 30, 2 30, 3 30, 4 30\nemnist-letters: rows and columns" in (
        capsys.readouterr().out
    )
