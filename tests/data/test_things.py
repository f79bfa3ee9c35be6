"""Pictures of one thing lie in one split, and what is left out for it is told."""

import io
import itertools
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax.config.data import DataConfig
from nas_jax.data import splits, things
from nas_jax.data.source import Arrays, DataSet
from tests.data.drawn_pictures import scene

SIZES = {"train_weights": None, "train_alphas": 12, "valid": 12, "test": 12}


def write_bursts(root, groups, each=3, form="{c}/B{g}/{n}.png", start=0):
    """Two classes of bursts of different scenes."""
    for c in ("flat", "tall"):
        for g in groups:
            for n in range(each):
                path = root / form.format(c=c, g=g, n=n)
                path.parent.mkdir(parents=True, exist_ok=True)
                scene(start + 100 * g + n, c == "flat").save(path)


def load(root, seed=0, **changes):
    """Names of the pictures of every split, and what is said of them."""
    config = DataConfig(name="folder", path=str(root), **SIZES | changes)
    found = splits.load(config, (32, 32, 3), 2, seed)
    names = {
        split: sorted(one.source.names[number] for number in one.indices)
        for split, one in found.splits.items()
    }
    return names, found.notes[1:]  # the classes are counted first


def splits_of(names, group):
    """The splits with a picture whose name has this in it."""
    return [split for split, its in names.items() if any(group in one for one in its)]


# --- one set --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("form", "rule"),
    [
        ("{c}/{c}_B{g}-/{n}.png", {"group_folder": 1}),
        ("{c}/{c}_B{g}-{n}.png", {"group_pattern": "{group}-{number}"}),
        ("{c}_B{g}-{n}.png", {"group_pattern": r"(?P<group>.*)-\d"}),
        ("{c}/{c}_B{g}-{n}.png", {"group_column": "who"}),
    ],
)
def test_every_group_lies_in_one_split(form, rule, seed, tmp_path):
    root = tmp_path / "p"
    write_bursts(root, range(8), 6, form)
    files = [one.relative_to(root).as_posix() for one in sorted(root.rglob("*.png"))]
    rows = [f"{one},{one.split('-')[0]}" for one in files]
    (root / "who.csv").write_text("\n".join(["file,who", *rows]))
    changes = dict(rule) if "/" in form else rule | {"label_pattern": "{label}_{}"}
    names, notes = load(root, seed, **changes)
    for c in ("flat", "tall"):
        for g in range(8):
            assert len(splits_of(names, f"{c}_B{g}-")) == 1
        assert all(any(c in one for one in its) for its in names.values())
    assert sorted(itertools.chain(*names.values())) == sorted(files)
    assert {split: len(its) for split, its in names.items()} == {
        "train_weights": 60,
        "train_alphas": 12,
        "valid": 12,
        "test": 12,
    }
    assert any("16 groups by data.group_" in note for note in notes)


def test_without_the_rule_they_are_divided(tmp_path):
    write_bursts(tmp_path, range(8), 6)
    names, _ = load(tmp_path)
    assert any(len(splits_of(names, f"B{g}/")) > 1 for g in range(8))


def test_one_patient_in_two_classes_is_one_group(tmp_path):
    write_bursts(tmp_path, range(8), 6)
    names, _ = load(tmp_path, group_folder=1)
    assert all(len(splits_of(names, f"/B{g}/")) == 1 for g in range(8))
    assert all(any("flat" in one for one in its) for its in names.values())


def test_sizes_that_change_for_groups_are_told(tmp_path):
    write_bursts(tmp_path, range(4), 5)
    names, notes = load(tmp_path, group_folder=1, valid=2)
    assert len(names["valid"]) == 10
    assert "data.valid = 2 became 10: groups and copies stay together" in notes


def test_copies_in_two_groups_join_them(tmp_path):
    write_bursts(tmp_path, range(10), 4, "{c}/{c}{g}-{n}.png")
    flat = tmp_path / "flat"
    for one, other in ((0, 1), (1, 2)):
        shutil.copy(flat / f"flat{one}-3.png", flat / f"flat{other}-9.png")
    for seed in range(5):
        names, notes = load(tmp_path, seed, group_pattern="{group}-{}")
        found = [splits_of(names, f"flat{g}-") for g in range(3)]
        assert found[0] == found[1] == found[2] and len(found[0]) == 1
        assert any("2 of 82 pictures are copies of others" in note for note in notes)


@pytest.mark.parametrize("groups", [1, 3])
def test_a_class_of_too_few_groups_is_refused_with_their_number(groups, tmp_path):
    write_bursts(tmp_path, range(6), 6, "{c}/{c}{g}-{n}.png")
    for path in (tmp_path / "tall").iterdir():
        number = int(path.name[4]) % groups
        path.rename(path.with_name(f"tall{number}-{path.stem[4]}x{path.stem[6]}.png"))
    with pytest.raises(ValueError) as error:
        load(tmp_path, group_pattern="{group}-{}")
    assert str(error.value) == (
        "class 'tall': expected at least 4 images that are neither copies nor of one "
        f"group, one for every split, got {groups} (36 with these); add images or "
        "leave the class out"
    )


# --- a test or valid set of its own ---------------------------------------------------


def test_training_pictures_of_a_group_that_is_tested_are_left_out(tmp_path):
    write_bursts(tmp_path / "train", range(8), 6)
    write_bursts(tmp_path / "test", (6, 7, 8), 2, start=50)
    names, notes = load(tmp_path, test=None, group_folder=1)
    test = names.pop("test")
    learned = list(itertools.chain(*names.values()))
    assert {one.split("/")[2] for one in learned} == {f"B{g}" for g in range(6)}
    assert len(learned) == 72 and len(test) == 12
    assert (
        "24 of 96 training pictures show a group that test pictures show, too (B6 12, "
        "B7 12): left out of training"
    ) in notes


def test_valid_pictures_of_a_group_that_is_tested_are_left_out_of_valid(tmp_path):
    write_bursts(tmp_path / "train", range(5), 6, "{c}/{c}{g}_{n}.png")
    write_bursts(tmp_path / "val", (4, 5, 6), 3, "{c}/{c}{g}_{n}.png", 30)
    write_bursts(tmp_path / "test", (6, 7), 3, "{c}/{c}{g}_{n}.png", 60)
    given = {"valid": None, "test": None, "group_pattern": "{group}_{}"}
    names, notes = load(tmp_path, **given)
    assert {one[-7:-6] for one in names["valid"]} == {"4", "5"}
    learned = names["train_weights"] + names["train_alphas"]
    assert {one[-7:-6] for one in learned} == {"0", "1", "2", "3"}
    assert notes[1:3] == (
        "6 of 18 valid pictures show a group that test pictures show, too (flat6 3, "
        "tall6 3): left out of valid",
        "12 of 60 training pictures show a group that valid pictures show, too "
        "(flat4 6, tall4 6): left out of training",
    )


def test_the_group_of_a_copy_of_a_test_picture_is_left_out_with_it(tmp_path):
    write_bursts(tmp_path / "train", range(7), 6, "{c}/{c}{g}_{n}.png")
    write_bursts(tmp_path / "test", (20, 21), 3, "{c}/{c}{g}_{n}.png")
    copy = tmp_path / "train/flat/flat3_9.png"
    shutil.copy(tmp_path / "test/flat/flat20_1.png", copy)
    names, notes = load(tmp_path, test=None, group_pattern="{group}_{}")
    assert not splits_of(names, "flat3_")
    assert notes[1:3] == (
        "1 of 85 training pictures is a copy of test pictures (train/flat/flat3_9.png "
        "= test/flat/flat20_1.png): left out of training",
        "6 of 85 training pictures show a group that test pictures show, too (flat3 6)"
        ": left out of training",
    )


def test_a_class_that_is_tested_whole_is_refused_with_the_reason(tmp_path):
    write_bursts(tmp_path / "train", range(4), 6)
    write_bursts(tmp_path / "test", range(4), 2, start=50)
    with pytest.raises(ValueError) as error:
        load(tmp_path, test=None, group_folder=1)
    line = str(error.value)
    assert line.startswith(
        "folder: expected training pictures of class 'flat' that no other set has, got "
        "none (48 of 48 training pictures show a group that test pictures show, too ("
    )
    assert line.endswith("keep each picture in one of the sets") and "\n" not in line


# --- any groups -----------------------------------------------------------------------


def part_of(name, keys):
    """A set of pictures that are copies where their keys are the same."""
    images = np.zeros((len(keys), 8, 8, 3), np.uint8)
    images[:, 0, 0, 0] = keys
    labels = np.zeros(len(keys), np.int32)
    return Arrays(images, labels, ("one",), name)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_nothing_of_another_set_hangs_together_with_the_training(data):
    """Against a closure that is made pair by pair."""
    pairs = st.tuples(st.integers(0, 15), st.integers(0, 15))
    given = {
        name: data.draw(st.lists(pairs, min_size=1, max_size=12))
        for name in ("test", "valid", "train")
    }
    sets = {name: part_of(name, [key for key, _ in its]) for name, its in given.items()}
    groups = {
        item: str(group)
        for name, its in given.items()
        for item, (_, group) in zip(sets[name].names, its, strict=True)
    }
    made = DataSet(sets["train"], sets["test"], (), sets["valid"], groups)
    found = things.distinct(made)

    every = [pair for its in given.values() for pair in its]
    closure = list(range(len(every)))
    for _ in every:
        for one, a in enumerate(every):
            for two, b in enumerate(every):
                if a[0] == b[0] or a[1] == b[1]:
                    closure[one] = closure[two] = min(closure[one], closure[two])
    seen, start = set(), 0
    for name, its in given.items():
        here = closure[start : start + len(its)]
        start += len(its)
        left = [n for n, thing in enumerate(here) if thing not in seen]
        source = "training" if name == "train" else name
        assert found.numbers[source].tolist() == left
        seen |= set(here)
    whole = [here[n] for n in left]
    same = np.equal.outer(whole, whole)
    np.testing.assert_array_equal(np.equal.outer(found.groups, found.groups), same)


def test_pixels_are_compared_not_files(tmp_path):
    """A copy in another format joins groups, too."""
    write_bursts(tmp_path, range(8), 5, "{c}/{c}{g}-{n}.png")
    picture = io.BytesIO()
    scene(100, is_flat=True).save(picture, "BMP")
    (tmp_path / "flat" / "flat2-7.bmp").write_bytes(picture.getvalue())  # of group 1
    for seed in range(3):
        names, _ = load(tmp_path, seed, group_pattern="{group}-{}")
        assert splits_of(names, "flat1-") == splits_of(names, "flat2-")
