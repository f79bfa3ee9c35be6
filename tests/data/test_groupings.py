"""Groups are found by a column, in names or by folders, or it is said what lacks."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_jax.config.data import DataConfig
from nas_jax.data import layouts
from nas_jax.data.layouts import groupings
from nas_jax.data.layouts.listing import Row
from tests.data.test_layouts import place, write


def grouped(path, **rule):
    """The files of each group, and what is said."""
    config = DataConfig(name="folder", path=str(path), **rule)
    listing = layouts.find(config)
    found = groupings.found(listing.rows, config, listing.root)
    groups = {}
    for name, group in found.of.items():
        groups.setdefault(group, []).append(name)
    return {group: sorted(names) for group, names in groups.items()}, found.notes


def refused(path, **rule):
    with pytest.raises(ValueError) as error:
        grouped(path, **rule)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_without_a_rule_there_are_no_groups(tmp_path):
    place(tmp_path, "cat/a.jpg", "dog/b.jpg")
    assert grouped(tmp_path) == ({}, ())


# --- a column ------------------------------------------------------------------------

FLAT = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
BY_PATIENT = {"p1": ["a.jpg", "b.jpg"], "p2": ["c.jpg", "d.jpg"]}


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        ("x.csv", ["id,dx,who", "a,ill,p1", "b,ill,p1", "c,well,p2", "d,ill, p2 "]),
        (
            "x.tsv",
            ["file\tsplit\tlabel\twho"]
            + [f"{f}\ttrain\t{f[0]}\t{w}" for f, w in zip(FLAT, "1122", strict=True)],
        ),
        (
            "x.csv",
            ["who;image;ill;well", "p1;a;1;0", "p1;b;0;1", "p2;c;1;0", "p2;d;0;1"],
        ),
        (
            "x.jsonl",
            [
                json.dumps({"file": f, "label": "x" + f, "who": int(w)})
                for f, w in zip(FLAT, "1122", strict=True)
            ],
        ),
    ],
)
def test_a_column_of_a_file_of_labels_says_the_group(file, lines, tmp_path):
    place(tmp_path, *FLAT)
    write(tmp_path, file, *lines)
    for path in (tmp_path, tmp_path / file):
        groups, _ = grouped(path, group_column="who")
        assert sorted(groups.values()) == sorted(BY_PATIENT.values())


def in_folders(root, *folders):
    place(
        root,
        *(f"{folder}{c}/{n}.jpg" for folder in folders for c in "xy" for n in "12"),
    )


def test_labels_may_be_those_of_the_folders(tmp_path):
    """A table of patients beside folders of classes, with labels or without."""
    in_folders(tmp_path, "")
    lines = ["x/1.jpg,7", "x/2.jpg,8", "y/1.jpg,7", "y/2.jpg,9"]
    write(tmp_path, "patients.csv", "file,patient", *lines)
    groups, notes = grouped(tmp_path, group_column="patient")
    assert groups == {"7": ["x/1.jpg", "y/1.jpg"], "8": ["x/2.jpg"], "9": ["y/2.jpg"]}
    assert notes == (
        "3 groups by data.group_column 'patient': 7 2, 8 1, 9 1; each is kept in one "
        "split",
    )
    config = DataConfig(name="folder", path=str(tmp_path), group_column="patient")
    assert {row.label for row in layouts.find(config).rows} == {"x", "y"}
    labelled = [f"{line},{line[0]}" for line in lines]
    for name in ("patients.csv", "metadata.csv"):
        (tmp_path / "patients.csv").unlink(missing_ok=True)
        write(tmp_path, name, "file,patient,label", *labelled)
        assert grouped(tmp_path, group_column="patient")[0] == groups
        (tmp_path / name).unlink()


def test_one_table_may_say_the_groups_of_folders_of_splits(tmp_path):
    in_folders(tmp_path, "train/", "test/")
    lines = [
        f"{s}/{c}/{n}.jpg,{n}" for s in ("train", "test") for c in "xy" for n in "12"
    ]
    write(tmp_path, "who.csv", "path,id_of", *lines)
    groups, _ = grouped(tmp_path, group_column="id_of", file_column="path")
    assert {group: len(names) for group, names in groups.items()} == {"1": 4, "2": 4}
    config = DataConfig(name="folder", path=str(tmp_path), group_column="id_of")
    assert {row.split for row in layouts.find(config).rows} == {"train", "test"}


def test_each_split_may_have_a_table_of_its_own(tmp_path):
    place(tmp_path, *FLAT)
    write(tmp_path, "train.csv", "file,label,who", "a.jpg,x,p1", "b.jpg,y,p1")
    write(tmp_path, "test.csv", "file,label,who", "c.jpg,x,p2", "d.jpg,y,p2")
    assert grouped(tmp_path, group_column="who")[0] == BY_PATIENT
    write(tmp_path, "test.csv", "file,label", "c.jpg,x", "d.jpg,y")
    assert f"{tmp_path}/test.csv: expected the column 'who', which data.group_col" in (
        refused(tmp_path, group_column="who")
    )


def test_the_table_with_the_column_is_meant(tmp_path):
    in_folders(tmp_path, "")
    names = [f"{c}/{n}.jpg" for c in "xy" for n in "12"]
    write(tmp_path, "labels.csv", "file,label", *(f"{one},{one[0]}" for one in names))
    write(tmp_path, "who.csv", "file,who", *(f"{one},{one[2]}" for one in names))
    groups, _ = grouped(tmp_path, group_column="who")
    assert groups == {"1": ["x/1.jpg", "y/1.jpg"], "2": ["x/2.jpg", "y/2.jpg"]}


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (
            ["file,label", "a,x", "b,y"],
            "expected the column 'who', which data.group_column names, got file, label",
        ),
        (
            ["file,label,who", "a,x,p1", "b,y,", "c,x, ", "d,y,p2"],
            "expected a group for every picture by data.group_column 'who', got none "
            "for 2 of 4 (b.jpg, c.jpg); fill the column, with a name of its own for",
        ),
        (
            ["file,label,who", "a,x,p1", "b,y,p1", "c,x,p1", "d,y,p1"],
            "expected several groups by data.group_column 'who', got one of all 4 pict"
            "ures (p1), which no splits divide; fill the column",
        ),
        (
            ["file,label,who", "a,x,p1", "a,x,p2"],
            "got 1 of 2 rows with two labels, splits or groups (a); remove",
        ),
        (["file,who", "a,p1", "b,p2"], "expected a column 'label' or of another usual"),
    ],
)
def test_a_column_that_does_not_say_it_is_refused(lines, line, tmp_path):
    place(tmp_path, *FLAT)
    write(tmp_path, "labels.csv", *lines)
    for path in (tmp_path, tmp_path / "labels.csv"):
        assert line in refused(path, group_column="who")


def test_a_table_that_leaves_pictures_of_folders_out_is_refused(tmp_path):
    in_folders(tmp_path, "")
    write(tmp_path, "who.csv", "file,who", "x/1.jpg,7", "x/2.jpg,8", "y/1.jpg,7")
    assert "got none for 1 of 4 (y/2.jpg); fill the column" in (
        refused(tmp_path, group_column="who")
    )
    (tmp_path / "who.csv").unlink()
    assert "expected a file of labels with the columns that are chosen, got none" in (
        refused(tmp_path, group_column="who")
    )


def test_two_tables_that_differ_in_a_group_are_refused(tmp_path):
    place(tmp_path, "train/a.jpg", "train/b.jpg", "test/c.jpg")
    for name, who in (("train.csv", "1"), ("test.csv", "2")):
        write(tmp_path, name, "file,label,split,who", f"train/a.jpg,x,train,{who}")
    assert "expected one label, split and group a picture, got two for train/a.jpg" in (
        refused(tmp_path, group_column="who")
    )


# --- names of files ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "pattern", "groups"),
    [
        (
            ("x/patient12_03.png", "y/patient12_04.png", "y/patient3_1.png"),
            "{group}_{number}",
            {"patient12": 2, "patient3": 1},
        ),
        (
            ("x/IMG_17_frame_003.jpg", "x/IMG_17_frame_004.jpg", "y/IMG_8_frame_1.jpg"),
            "IMG_{group}_frame_{number}.jpg",
            {"17": 2, "8": 1},
        ),
        (
            ("x/00000001_000.png", "x/00000001_001.png", "y/00000002_000.PNG"),
            "{group}_{}",
            {"00000001": 2, "00000002": 1},
        ),
        (
            ("x/v_g01_c02.jpg", "x/v_g01_c07.jpg", "y/w_g02_c01.jpg"),
            r"(?P<group>\w+_g\d+)_c\d+",
            {"v_g01": 2, "w_g02": 1},
        ),
        (
            ("x/8863/one.png", "y/8863/two.png", "y/12/a/three.png"),
            r"[xy]/(?P<group>[^/]+)/.*",
            {"8863": 2, "12": 1},
        ),
        (
            ("x/c1-a/1.png", "x/c1-b/2.png", "y/c2-a/1.png"),
            "{label}/{group}-{}/{number}",
            {"c1": 2, "c2": 1},
        ),
    ],
)
def test_a_pattern_finds_the_group_in_the_name(names, pattern, groups, tmp_path):
    place(tmp_path, *names)
    found, _ = grouped(tmp_path, group_pattern=pattern)
    assert {group: len(its) for group, its in found.items()} == groups


def test_label_and_group_may_both_stand_in_the_name(tmp_path):
    place(tmp_path, "x_p1_1.jpg", "x_p1_2.jpg", "y_p2_1.jpg", "y_p1_3.jpg")
    rule = {"label_pattern": "{label}_{}_{}", "group_pattern": "{}_{group}_{number}"}
    assert {one: len(its) for one, its in grouped(tmp_path, **rule)[0].items()} == {
        "p1": 3,
        "p2": 1,
    }


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (
            "{label}_{number}",
            "data.group_pattern: expected {group} in a template, or (?P<group>...) in "
            "a regular expression, got '{label}_{number}'",
        ),
        (
            "{grup}_{}",
            "data.group_pattern: expected a template of {group}, {label}, {split}, {nu"
            "mber}, {} and text, as in {group}_{number}.jpg, or a regular expression",
        ),
        ("(?P<group>[", "data.group_pattern: expected a template of {group}, "),
        ("{group}{group}", "data.group_pattern: expected a template of {group}, "),
        (
            "p{group}_{number}",
            "expected a group for every picture by data.group_pattern 'p{group}_{numbe"
            "r}', got none for 2 of 4 (y/1_1.jpg, y/x.jpg); mend the pattern",
        ),
        (
            r"(?P<group>p\d+)?.*",
            "got none for 2 of 4 (y/1_1.jpg, y/x.jpg); mend the pattern, which has to",
        ),
        (".*(?P<group>j)pg", "got one of all 4 pictures (j), which no splits divide"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(pattern, line, tmp_path):
    place(tmp_path, "x/p1_1.jpg", "x/p1_2.jpg", "y/1_1.jpg", "y/x.jpg")
    assert line in refused(tmp_path, group_pattern=pattern)


def test_a_pattern_of_labels_takes_no_group(tmp_path):
    place(tmp_path, "x_p1_1.jpg", "y_p1_2.jpg")
    assert (
        "data.label_pattern: expected a template of {label}, {split}, {number}, "
        in (refused(tmp_path, label_pattern="{label}_{group}_{}"))
    )


# --- folders -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "level", "groups"),
    [
        (
            ("train/x/B_1/1.jpg", "train/x/B_1/2.jpg", "train/y/B_2/1.jpg"),
            1,
            {"B_1": 2, "B_2": 1},
        ),
        (
            ("in/x/train/B1/1.jpg", "in/x/val/B2/a/2.jpg", "in/y/train/B1/1.jpg"),
            1,
            {"B1": 2, "B2": 1},
        ),
        (
            ("x/day1/1/a.jpg", "x/day1/1/b.jpg", "x/day2/1/a.jpg", "y/day1/1/a.jpg"),
            2,
            {"day1/1": 3, "day2/1": 1},
        ),
        (("x/x/1.jpg", "x/y/2.jpg", "y/y/1.jpg"), 1, {"x": 1, "y": 2}),
    ],
)
def test_a_folder_in_that_of_the_class_is_a_group(names, level, groups, tmp_path):
    place(tmp_path, *names)
    found, _ = grouped(tmp_path, group_folder=level)
    assert {group: len(its) for group, its in found.items()} == groups


def test_without_folders_of_classes_the_first_that_differ_are_groups(tmp_path):
    """Labels in a file, or in the names."""
    names = ["images/p1/x_1.jpg", "images/p1/y_2.jpg", "images/p2/x_3.jpg"]
    place(tmp_path, *names)
    by_name, _ = grouped(tmp_path, group_folder=1, label_pattern="{label}_{number}")
    write(tmp_path, "l.csv", "file,label", *(f"{one},{one[10]}" for one in names))
    by_file, _ = grouped(tmp_path / "l.csv", group_folder=1)
    assert by_name == by_file == {"p1": names[:2], "p2": names[2:]}


def test_they_are_counted_from_the_folder_of_the_split(tmp_path):
    place(
        tmp_path,
        *(f"{s}/p{n}/{c}_1.jpg" for s in ("train", "test") for n in "12" for c in "xy"),
    )
    by_name, _ = grouped(tmp_path, group_folder=1, label_pattern="{label}_{number}")
    assert {group: len(its) for group, its in by_name.items()} == {"p1": 4, "p2": 4}


@pytest.mark.parametrize(
    ("level", "line"),
    [
        (2, "got none for 3 of 3 (x/B1/1.jpg, x/B1/2.jpg, y/3.jpg); move each picture"),
        (
            1,
            "got none for 1 of 3 (y/3.jpg); move each picture into a folder of what it",
        ),
    ],
)
def test_pictures_in_no_such_folder_are_refused(level, line, tmp_path):
    place(tmp_path, "x/B1/1.jpg", "x/B1/2.jpg", "y/3.jpg")
    assert line in refused(tmp_path, group_folder=level)


def test_folders_that_are_all_the_same_are_refused(tmp_path):
    place(tmp_path, "x/images/1.jpg", "y/images/1.jpg")
    assert "got one of all 2 pictures (images), which no splits divide; move" in (
        refused(tmp_path, group_folder=1)
    )


# --- any rule ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule", [{"group_pattern": "{group}"}, {"group_folder": 1}, {"group_column": "who"}]
)
def test_groups_of_one_picture_each_are_told(rule, tmp_path):
    names = [f"{c}/{c}{n}/{c}{n}.jpg" for c in "xy" for n in "12"]
    place(tmp_path, *names)
    if "group_column" in rule:
        write(tmp_path, "l.csv", "file,who", *(f"{one},{one}" for one in names))
    groups, (note,) = grouped(tmp_path, **rule)
    assert len(groups) == 4
    assert note.startswith("data.group_") and note.endswith(
        "makes every picture a group of its own: it keeps none together"
    )


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"group_folder": 1, "group_pattern": "{group}_{}"},
            "data.group_pattern, data.group_folder: expected one of them at most, got",
        ),
        (
            {"group_folder": 1, "group_column": "who"},
            "data.group_column, data.group_folder: expected one of them at most, got",
        ),
        (
            {"group_column": "who", "label_pattern": "{label}_{}"},
            "data.group_column: expected None with data.label_pattern, which reads no",
        ),
        ({"group_folder": 0}, "data.group_folder: expected at least 1, got 0"),
        ({"group_folder": True}, "data.group_folder: expected a"),
        (
            {"name": "cifar10", "group_pattern": "{group}"},
            "data.group_pattern: expected None unless data.name is folder, got '{grou",
        ),
        (
            {"name": "tfds:mnist", "group_column": "id"},
            "data.group_column: expected None unless data.name is folder, got 'id'",
        ),
    ],
)
def test_rules_that_cannot_be_are_refused_where_they_are_set(fields, line):
    with pytest.raises(ValueError) as error:
        DataConfig(**{"name": "folder"} | fields)
    assert str(error.value).startswith(line)


# --- a hint --------------------------------------------------------------------------


def names_of(form, groups, each):
    """Names of two classes, and their labels."""
    names = [
        f"{c}/" + form.format(c=c, g=g, n=n)
        for c in "xy"
        for g in range(1, groups + 1)
        for n in range(1, each + 1)
    ]
    return names, np.array([int(name[0] == "y") for name in names])


@pytest.mark.parametrize(
    ("form", "template"),
    [
        ("patient{c}{g}_{n:02}.png", "{group}_{number}"),
        ("IMG_{g}_frame_{n:03}.jpg", "{group}_{number}"),
        ("{g:08}-{n}.png", "{group}-{number}"),
        ("v{g}_c{n:02}.jpg", "(?P<group>.*[0-9])[^0-9]+[0-9]{1,5}"),
    ],
)
def test_names_that_look_like_groups_are_told(form, template):
    names, labels = names_of(form, 5, 3)
    (line,) = groupings.hint(names, labels)
    assert line.startswith("names look like ")
    assert line.endswith(f"keep it in one split by --group-pattern '{template}'")
    # what is proposed does what is said
    rows = [Row(name, name[0]) for name in names]
    config = DataConfig(name="folder", group_pattern=template)
    found = groupings.found(rows, config, Path("pictures"))
    assert line.startswith(f"names look like {len(set(found.of.values()))} groups (")


@pytest.mark.parametrize(
    ("form", "groups", "each"),
    [
        ("{c}_{g}{n}.jpg", 5, 9),  # numbers of a class
        ("IMG_{g}{n:03}.jpg", 5, 3),
        ("{c}{g}_{n}.jpg", 3, 10),  # too few to be divided
        ("{g}_{n}.jpg", 40, 1),  # one picture each
        ("IMG_2021051{g}_1{n:05}.jpg", 5, 3),  # days and times
        ("IMG-2021051{g}-WA000{n}.jpg", 5, 3),
        ("n01440764_{g}{n}.jpg", 5, 3),
        ("{g}_picture.jpg", 5, 3),
    ],
)
def test_ordinary_names_are_passed_over(form, groups, each):
    assert groupings.hint(*names_of(form, groups, each)) == ()


@given(st.lists(st.text(min_size=1), min_size=1), st.integers(0, 1))
def test_any_names_are_looked_at(names, label):
    assert len(groupings.hint(names, np.full(len(names), label))) < 2
