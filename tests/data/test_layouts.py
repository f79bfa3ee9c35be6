"""Labels and splits are found where people keep them, or it is said what is there."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_jax.config.data import DataConfig
from nas_jax.data import layouts
from nas_jax.data.layouts import class_folders

CLASSES = ("cat", "dog")


def place(root, *names):
    """Files with suffixes of pictures; a layout does not look into them."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def classes(folder, count=2, names=CLASSES):
    prefix = f"{folder}/" if folder else ""
    return [f"{prefix}{name}/{n}.jpg" for name in names for n in range(count)]


def write(root, name, *lines, encoding="utf-8"):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n", encoding=encoding)


def find(path, **changes):
    return layouts.find(DataConfig(name="folder", path=str(path), **changes))


def found(path, **changes):
    """Names of each split and label."""
    groups = {}
    for row in find(path, **changes).rows:
        groups.setdefault((row.split, row.label), []).append(row.name)
    return groups


def counted(path, **changes):
    return {key: len(names) for key, names in found(path, **changes).items()}


def refused(path, **changes):
    with pytest.raises(ValueError) as error:
        find(path, **changes)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- folders -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"),
        ("Training", "Testing"),
        ("training_set", "test_set"),
        ("TRAIN", "TEST"),
        ("Train_Images", "Validation_Images"),
        ("train2017", "val2017"),
        ("trainset", "hold-out"),
        ("01 train data", "02 eval data"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("cars_train", "cars_test"),
        ("asl_alphabet_train/asl_alphabet_train", "asl_alphabet_test"),
        ("data/images/train", "data/images/dev"),
        ("train/images", "valid/images"),
    ],
)
def test_folders_of_splits_are_known_by_their_spellings(train, test, tmp_path):
    place(tmp_path, *classes(train), *classes(test))
    labels = {(split, label) for split, label in found(tmp_path)}
    splits = {split for split, _ in labels}
    assert splits in ({"train", "test"}, {"train", "valid"})
    assert labels == {(split, label) for split in splits for label in CLASSES}


def test_all_three_splits_are_used_and_what_is_in_none_is_said(tmp_path):
    place(tmp_path, *classes("train"), *classes("val"), *classes("test"))
    place(tmp_path, "extra/dog/1.jpg", "extra/2.jpg")
    splits = {split for split, _ in counted(tmp_path)}
    assert splits == {"train", "valid", "test"}
    assert find(tmp_path).notes == (
        "2 pictures in no folder of a split are not used: extra/2.jpg, extra/dog/1.jpg",
    )


def test_classes_may_have_folders_of_splits_in_them(tmp_path):
    place(tmp_path, *(f"{c}/{s}/1.jpg" for c in CLASSES for s in ("Train", "Test")))
    assert found(tmp_path) == {
        (split.lower(), label): [f"{label}/{split}/1.jpg"]
        for label in CLASSES
        for split in ("Test", "Train")
    }
    place(tmp_path, "dog/1.jpg")
    assert "dog: expected folders of splits, as other classes have, got Test" in (
        refused(tmp_path)
    )


@pytest.mark.parametrize(
    "names", [("bus", "car", "train"), ("test_tube", "beaker"), ("training_shoe", "a")]
)
def test_classes_with_names_like_those_of_splits_stay_classes(names, tmp_path):
    place(tmp_path, *classes("", names=names))
    assert {label for _, label in counted(tmp_path)} == set(names)


def test_a_class_called_train_lies_in_both_splits(tmp_path):
    names = ("bus", "train")
    place(tmp_path, *classes("train", names=names), *classes("test", names=names))
    assert set(counted(tmp_path)) == {(s, n) for s in ("train", "test") for n in names}


def test_folders_within_a_class_belong_to_it(tmp_path):
    place(tmp_path, *classes(""), "cat/more/yet/1.jpg", "cat/2019/1.jpg")
    assert counted(tmp_path) == {(None, "cat"): 4, (None, "dog"): 2}


def test_pictures_beside_the_classes_are_counted_and_not_used(tmp_path):
    place(tmp_path, *classes(""), "montage.png")
    assert find(tmp_path).notes == (
        "1 pictures beside the class folders are not used: montage.png",
    )


def test_a_test_without_labels_is_not_used_and_that_is_said(tmp_path):
    place(tmp_path, *classes("train"), "test/1.jpg", "test/2.jpg")
    assert {split for split, _ in counted(tmp_path)} == {"train"}
    assert find(tmp_path).notes == ("test/: pictures without labels, 2, not used",)


@pytest.mark.parametrize(
    ("folders", "named", "line"),
    [
        (("val", "test"), {}, "expected a folder of pictures to train on beside test"),
        (("train", "eval", "holdout"), {}, "for the split 'test', got eval, holdout; "),
        (("train", "test"), {"test_split": "exam"}, "expected 'exam', which data.test"),
        (("train", "test"), {"valid_split": "val"}, "expected 'val', which data.valid"),
        (("",), {"train_split": "trian"}, "data.train_split names, got cat, dog; name"),
        (
            ("", "test"),
            {},
            "expected the folder of a split beside test, got cat, dog, ",
        ),
    ],
)
def test_splits_that_are_not_clear_are_refused(folders, named, line, tmp_path):
    place(tmp_path, *(name for folder in folders for name in classes(folder)))
    assert line in refused(tmp_path, **named)


def test_splits_may_be_named(tmp_path):
    place(tmp_path, *classes("a/x"), *classes("b"), *classes("train"), *classes("test"))
    named = {"train_split": "a/x", "valid_split": "b"}
    assert {s: n[0] for (s, _), n in found(tmp_path, **named).items()} == {
        "train": "a/x/dog/0.jpg",
        "valid": "b/dog/0.jpg",
        "test": "test/dog/0.jpg",
    }
    only = counted(tmp_path, train_split="a/x", test_split="a/x")
    assert {split for split, _ in only} == {"train"}


def test_an_empty_class_is_refused_and_an_empty_folder_elsewhere_is_not(tmp_path):
    place(tmp_path, *classes("train"), *classes("test"))
    (tmp_path / "logs").mkdir()
    assert len(find(tmp_path).rows) == 8
    (tmp_path / "train" / "bird").mkdir()
    assert refused(tmp_path).startswith(
        f"{tmp_path}/train/bird: expected pictures of this class, got an empty folder"
    )


@given(
    labels=st.sets(st.sampled_from("abcdefgh"), min_size=2),
    splits=st.sets(st.sampled_from(["val", "test"])),
    wraps=st.lists(st.sampled_from(["data", "images", "x y"]), max_size=3),
    count=st.integers(1, 3),
)
def test_wrapped_folders_of_splits_are_read_back(labels, splits, wraps, count):
    """And the order of the names does not matter."""
    top = "".join(f"{wrap}/" for wrap in wraps)
    made = {
        f"{top}{split}/{label}/{n}.jpg": (label, {"val": "valid"}.get(split, split))
        for split in ("train", *splits)
        for label in labels
        for n in range(count)
    }
    config, root = DataConfig(name="folder"), layouts.Path("data")
    for names in (list(made), sorted(made, reverse=True)):
        where = class_folders.arranged(names, config, root)
        rows = class_folders.by_folders(names, where, root).rows
        assert {row.name: row.label for row in rows} == {
            name: label for name, (label, _) in made.items()
        }
        if splits:
            assert all(row.split == made[row.name][1] for row in rows)


# --- files of labels -----------------------------------------------------------------

IMAGES = ("images/a.jpg", "images/b.png", "images/c.jpg")
BY_HAND = {
    ("train", "cat"): ["images/a.jpg"],
    ("train", "dog"): ["images/b.png"],
    ("test", "cat"): ["images/c.jpg"],
}


@pytest.mark.parametrize(
    ("name", "lines", "encoding"),
    [
        (
            "labels.csv",
            "file,label,split\n{0},cat,train\n{1},dog,train\n{2},cat,test",
            "utf-8",
        ),
        (
            "all.csv",
            "id;Image Path;Class;Data Set\n"
            "0;{0};cat;TRAIN\n1;{1};dog;TRAIN\n2;{2};cat;TEST",
            "utf-8-sig",
        ),
        (
            "list.tsv",
            "filename\tcategory\tsubset\n"
            "a\tcat\ttraining\nb\tdog\ttraining\nc\tcat\teval",
            "utf-16",
        ),
        ("bare.csv", "{0},train,cat\n{1},train,dog\n{2},test,cat", "utf-8"),
        (
            "labels.csv",
            "image_id,cat,dog,split\na,1,0,train\nb,0,1,train\nc,1.0,0.0,test",
            "utf-8",
        ),
        (
            "labels.csv",
            "path,class_id,class_name,partition\n/old/x/{0},0,cat,train_weights\n"
            "/old/x/{1},1,dog,train_alphas\n/old/x/{2},0,cat,test",
            "utf-8",
        ),
        (
            "labels.csv",
            "img,y,set\nC:\\d\\images\\a.jpg,cat,train\n"
            "C:\\d\\images\\b.png,dog,train\nC:\\d\\images\\c.jpg,cat,test",
            "utf-8",
        ),
        (
            "metadata.jsonl",
            '{{"file_name": "{0}", "label": "cat", "split": "train"}}\n'
            '{{"file_name": "{1}", "label": "dog", "split": "train"}}\n\n'
            '{{"file_name": "{2}", "label": "cat", "split": "test", "more": null}}',
            "utf-8",
        ),
        (
            "labels.json",
            '[{{"file": "{0}", "label": "cat", "split": "train"}}, '
            '{{"file": "{1}", "label": "dog", "split": "train"}}, '
            '{{"file": "{2}", "label": "cat", "split": "test"}}]',
            "utf-8",
        ),
    ],
)
def test_a_file_of_labels_is_read_in_many_dialects(name, lines, encoding, tmp_path):
    place(tmp_path, *IMAGES)
    write(tmp_path, name, lines.format(*IMAGES), encoding=encoding)
    assert found(tmp_path) == found(tmp_path / name) == BY_HAND
    assert "left out" not in "".join(find(tmp_path).notes)


def test_the_columns_and_the_pictures_that_are_left_are_said(tmp_path):
    place(tmp_path, *IMAGES, "images/d.jpg")
    write(tmp_path, "labels.csv", "id,breed", "a,cat", "b,dog", "c,cat")
    assert find(tmp_path).notes == (
        "labels.csv: files in 'id', labels in 'breed' ('a' is images/a.jpg)",
        "1 pictures that no file of labels names, not used: images/d.jpg",
    )


def test_files_elsewhere_keep_working(tmp_path):
    place(tmp_path, "pool/a.jpg", "pool/b.jpg")
    lines = [f"{tmp_path}/pool/a.jpg,cat", "../pool/b.jpg,dog"]
    write(tmp_path, "own/labels.csv", "file,label", *lines)
    listing = find(tmp_path / "own" / "labels.csv")
    names = [row.name for row in listing.rows]
    assert names == [f"{tmp_path}/pool/a.jpg", "../pool/b.jpg"]
    assert all((listing.root / name).is_file() for name in names)


def test_columns_may_be_chosen(tmp_path):
    place(tmp_path, *IMAGES)
    lines = ["bild,tier,fold", "a,cat,0", "b,dog,0", "c,cat,1", "a,cat,0"]
    write(tmp_path, "labels.csv", *lines)
    line = refused(tmp_path)
    assert "usual name, got the columns bild, tier, fold; choose one by --data" in line
    chosen = {"file_column": "bild", "label_column": "tier", "split_column": "fold"}
    assert found(tmp_path, **chosen, train_split="0", test_split="1") == BY_HAND
    assert "column 'fold': expected train, valid or test, got '0'" in (
        refused(tmp_path, **chosen)
    )
    assert "expected the column 'Tier', which data.label_column names, got bild, " in (
        refused(tmp_path, **chosen | {"label_column": "Tier"})
    )
    assert "expected '7', which data.test_split names, got 0, 1" in (
        refused(tmp_path, **chosen, train_split="0", test_split="7")
    )


def test_columns_are_not_passed_over_where_folders_say_the_labels(tmp_path):
    place(tmp_path, *classes(""))
    line = refused(tmp_path, label_column="breed")
    assert line.startswith(f"{tmp_path}: expected a file of labels with the columns")
    write(tmp_path, "l.csv", "file,breed", *(f"{n},x{n[0]}" for n in classes("")))
    labels = {label for _, label in found(tmp_path, label_column="breed")}
    assert labels == {"xc", "xd"}


def test_each_split_may_have_a_file_beside_the_others(tmp_path):
    place(tmp_path, *(f"{s}/{n}.jpg" for s in ("train", "test") for n in "ab"))
    write(tmp_path, "Train_Labels.csv", "id,label", "a,cat", "b,dog")
    write(tmp_path, "test_labels.csv", "id,label", "a,dog", "b,cat")
    assert found(tmp_path) == {
        ("train", "cat"): ["train/a.jpg"],
        ("train", "dog"): ["train/b.jpg"],
        ("test", "dog"): ["test/a.jpg"],
        ("test", "cat"): ["test/b.jpg"],
    }


def test_of_a_contest_the_pictures_with_labels_are_used(tmp_path):
    place(tmp_path, *(f"{s}/{n}.jpg" for s in ("train", "test") for n in "ab"))
    write(tmp_path, "train.csv", "id,label", "a,cat", "b,dog")
    write(tmp_path, "test.csv", "id", "a", "b")
    write(tmp_path, "sample_submission.csv", "id,label", "a,cat", "b,cat")
    assert found(tmp_path) == {
        ("train", "cat"): ["train/a.jpg"],
        ("train", "dog"): ["train/b.jpg"],
    }
    assert find(tmp_path).notes[1:] == (
        "2 pictures that no file of labels names, not used: test/a.jpg, test/b.jpg",
        "left out, no pictures: 2 .csv",
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("is_split", [True, False])
def test_metadata_says_the_labels_of_a_folder_or_of_each_split(
    kind, is_split, tmp_path
):
    place(tmp_path, *(f"{s}/{n}.png" for s in ("train", "test") for n in "ab"))
    for folder in ("train", "test") if is_split else ("",):
        names = "ab" if is_split else ("train/a", "train/b", "test/a", "test/b")
        rows = [(f"{name}.png", "cat" if name[-1] == "a" else "dog") for name in names]
        lines = ["file_name,label", *map(",".join, rows)]
        if kind == "jsonl":
            lines = [json.dumps(dict(file_name=f, label=lab)) for f, lab in rows]
        write(tmp_path, f"{folder or '.'}/metadata.{kind}", *lines)
    assert found(tmp_path) == {
        (split, label): [f"{split}/{name}.png"]
        for split in ("train", "test")
        for label, name in (("cat", "a"), ("dog", "b"))
    }


def test_a_file_that_agrees_with_the_folders_adds_its_splits(tmp_path):
    place(tmp_path, *classes(""))
    lines = [f"{n},{n[:3]},{'test' if '1' in n else 'train'}" for n in classes("")]
    write(tmp_path, "cards.csv", "filepaths,labels,data set", *lines)
    assert set(counted(tmp_path)) == {
        (s, c) for s in ("train", "test") for c in CLASSES
    }


def test_a_file_that_contradicts_the_folders_is_refused(tmp_path):
    place(tmp_path, *classes(""))
    lines = [f"{name},{number % 2}" for number, name in enumerate(classes(""))]
    write(tmp_path, "cards.csv", "file,label", *lines)
    assert "got both which differ (cat/0.jpg: '0', 'cat'); set data.path to the" in (
        refused(tmp_path)
    )
    write(tmp_path, "cards.csv", "file,label", *lines[:2])  # of a few: no labels
    assert set(counted(tmp_path)) == {(None, "cat"), (None, "dog")}
    assert "cards.csv is not used, the folders are; " in find(tmp_path).notes[0]


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ([], "expected a row per picture, its file and its label, got none; write a"),
        (["file,label"], "expected a row per picture, its file and its label, got no"),
        (["file,label", "a,cat,dog"], "line 2: expected 2 columns as in the first"),
        (["file,file", "a,b"], "expected columns of different names, got file, file"),
        (["file,label", "a,"], "1 of 1 rows without a file or one label (row 1)"),
        (
            ["file,label", "a,cat", "a,dog"],
            "1 of 2 rows with two labels, splits or groups",
        ),
        (["file,label", "a,cat", "a.jpg,dog"], "got two for a.jpg; remove one"),
        (["id,cat,dog", "a,1,0", "b,1,1"], "1 of 2 rows without a file or one label"),
        (["file,label,split", "a,x,train", "b,x,unlabelled"], "got 'unlabelled'; name"),
        (
            ["name,colour", "a,red"],
            "expected a column 'label' or of another usual name",
        ),
        (["colour,label", "a,red"], "expected a column 'filename' or of another usual"),
        (["file,label", '"a,cat'], "without a file or one label"),
        (["1;2", "002;2"], "expected a column 'filename' or of another usual name"),
    ],
)
def test_a_damaged_file_of_labels_is_refused(lines, line, tmp_path):
    place(tmp_path, "a.jpg", "b.jpg")
    write(tmp_path, "labels.csv", *lines)
    assert line in refused(tmp_path / "labels.csv")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("l.csv", "file,label\na,Käse\n".encode("latin-1"), "expected text in UTF-8"),
        ("l.jsonl", b'{"file": "a", "label": 1}\n{"fil', "line 2: expected JSON"),
        ("l.jsonl", b"[1]\n", "line 1: expected a JSON object, got [1]"),
        (
            "l.jsonl",
            b'{"file": "a", "label": [1, 2]}',
            "a number for each file, got [1",
        ),
        ("l.json", b'{"images": [], "annotations": []}', "expected a list of objects"),
        ("l.json", b"{", "expected JSON"),
    ],
)
def test_other_damage_is_refused(name, content, line, tmp_path):
    place(tmp_path, "a.jpg")
    (tmp_path / name).write_bytes(content)
    assert line in refused(tmp_path / name)


def test_tables_beside_class_folders_never_stop_a_run(tmp_path):
    """Boxes, results, more than one of them, links to nothing."""
    place(tmp_path, *classes(""))
    expected = {(None, "cat"): 2, (None, "dog"): 2}
    write(tmp_path, "boxes.csv", "filename,class", "0.jpg,cat", "0.jpg,dog")
    assert counted(tmp_path) == expected
    assert (
        find(tmp_path)
        .notes[0]
        .endswith("(0.jpg); remove or mend these rows; the folders are used")
    )
    write(tmp_path, "results.csv", "file,label", "cat/0.jpg,dog")
    assert "got boxes.csv, results.csv; set data.path" in find(tmp_path).notes[0]
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    write(tmp_path, "sizes.csv", "file,width", "cat/0.jpg,9")
    write(tmp_path, "broken.json", "{")
    assert counted(tmp_path) == expected


def test_two_files_of_one_split_count_a_picture_once(tmp_path):
    place(tmp_path, "train/a.jpg", "train/b.jpg")
    write(tmp_path, "train.csv", "id,label", "a,cat", "b,dog")
    write(tmp_path, "train_labels.csv", "id,label", "a,cat", "b,dog")
    assert len(find(tmp_path).rows) == 2
    write(tmp_path, "train_labels.csv", "id,label", "a,cat", "b,cat")
    assert "train.csv, train_labels.csv: expected one label, split and grou" in (
        refused(tmp_path)
    )


def test_folders_that_only_sound_like_a_split_do_not_matter_to_a_file(tmp_path):
    place(tmp_path, "camera/a.jpg", "test/b.jpg")
    write(tmp_path, "own.csv", "file,label", "camera/a.jpg,cat", "test/b.jpg,dog")
    assert counted(tmp_path / "own.csv") == {(None, "cat"): 1, (None, "dog"): 1}


def test_names_that_may_mean_two_pictures_or_files_are_refused(tmp_path):
    place(tmp_path, "x/a.jpg", "y/a.jpg", "y/b.jpg")
    write(tmp_path, "one.csv", "id,label", "a,cat", "b,dog")
    assert "a: x/a.jpg, y/a.jpg: expected one picture for this name" in (
        refused(tmp_path / "one.csv")
    )
    place(tmp_path / "z", "a.jpg", "b.jpg")
    for name in ("one.csv", "two.csv"):
        write(tmp_path / "z", name, "id,label", "a,cat")
    assert "expected one file of labels, got one.csv, two.csv; set data.path" in (
        refused(tmp_path / "z")
    )


# --- names of files ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (("cat.0.jpg", "dog.1.png"), "{label}.{}.{}"),
        (("cat_0.jpg", "dog_12.jpg"), "{label}_{number}.jpg"),
        (("cat_0.jpg", "dog_12.png"), "{label}_{number}"),
        (("cat_0.jpg", "dog_12.png"), r"(?P<label>[a-z]+)_\d+"),
        (("0/cat (1).jpg", "1/dog (2).jpg"), "{label} ({number})"),
        (("a-cat/0.jpg", "b-dog/1.jpg"), "{}-{label}/{}"),
    ],
)
def test_a_pattern_finds_the_label_in_the_name(names, pattern, tmp_path):
    place(tmp_path, *names)
    assert found(tmp_path, label_pattern=pattern) == {
        (None, "cat"): [names[0]],
        (None, "dog"): [names[1]],
    }


def test_a_pattern_works_in_folders_of_splits_and_may_name_the_split(tmp_path):
    place(tmp_path, *(f"a/{s}/{c}.0.jpg" for s in ("train", "test") for c in CLASSES))
    expected = {(s, c) for s in ("train", "test") for c in CLASSES}
    assert set(found(tmp_path / "a", label_pattern="{label}.{}")) == expected
    place(tmp_path, *(f"b/{s}-{c}-0.jpg" for s in ("train", "test") for c in CLASSES))
    named = found(tmp_path / "b", label_pattern="{split}-{label}-{number}.jpg")
    assert set(named) == expected


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("{lable}.jpg", "expected a template of {label}, {split}, {number}, {} and"),
        ("(?P<label>[", "got '(?P<label>[' (unterminated character set at"),
        ("{}.jpg", "expected {label} in a template, or (?P<label>...) in a regular"),
        ("{label}.{}", "got 1 of 2 others (dog_1.jpg); mend the pattern, which has"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(pattern, line, tmp_path):
    place(tmp_path, "cat.0.jpg", "dog_1.jpg")
    assert line in refused(tmp_path, label_pattern=pattern)
    write(tmp_path, "labels.csv", "file,label", "cat.0.jpg,cat")
    assert "expected no data.label_pattern with a file of labels, got" in (
        refused(tmp_path / "labels.csv", label_pattern=pattern)
    )


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("{c}.{n}.jpg", "{label}.{number}"),
        ("{c}_{n:03}.jpg", "{label}_{number}"),
        ("great_{c}_{n}.jpg", "{label}_{number}"),
        ("{c}{n}.png", "{label}{number}"),
        ("pictures/{c} ({n}).jpg", "{label} ({number})"),
        ("train/{n}_{c}.jpg", "{number}_{label}"),
    ],
)
def test_pictures_side_by_side_are_answered_with_a_pattern(form, pattern, tmp_path):
    place(tmp_path, *(form.format(c=c, n=n) for c in CLASSES for n in range(3)))
    line = refused(tmp_path)
    assert "expected one folder per class, got 6 pictures side by side (" in line
    great = "great_" if "great" in form else ""
    advice = f"--data.label-pattern '{pattern}' would give the classes"
    assert f"{advice} {great}cat 3, {great}dog 3; " in line
    assert len(found(tmp_path, label_pattern=pattern)) == 2


def test_pictures_whose_names_say_nothing_are_answered_without(tmp_path):
    place(tmp_path, *(f"IMG_{n}.jpg" for n in range(4)))
    assert "if the names hold labels, say where, as in --data.label-pattern '" in (
        refused(tmp_path)
    )


# --- other data ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["my pets.zip"], "unzip '{0}/my pets.zip' -d '{0}/my pets'"),
        (["pets.tar.gz"], "mkdir {0}/pets && tar -xf {0}/pets.tar.gz -C {0}/pets"),
        (["pets.7z"], "7z x {0}/pets.7z -o{0}/pets"),
        (["pets.rar"], "unrar x {0}/pets.rar {0}/pets/"),
    ],
)
def test_an_archive_is_answered_with_the_command_that_unpacks_it(names, line, tmp_path):
    place(tmp_path, *names)
    command = line.format(tmp_path)
    assert refused(tmp_path).endswith(f"unpack them: {command}")
    assert refused(tmp_path / names[0]).endswith(f"an archive; unpack it: {command}")


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ([], "got an empty folder; name the folder that holds the folders of the cl"),
        (["a.txt", "b/c.md"], "got 1 .txt, 1 .md; name the folder that holds"),
        (["train.npz", "test.npz"], "got 2 .npz; write every image as a PNG into a fo"),
        (["data/train-0.parquet"], "got 1 .parquet; write every image as a PNG into"),
        (["train-images-idx3-ubyte"], "got 1 without a suffix; set data.name to idx"),
        (["a.tfrecord-00000-of-00001"], "; set data.name to tfds:NAME for what tensor"),
        (["cat/1.svg"], "got 1 .svg (SVG, which is not read: convert it to a PNG); na"),
    ],
)
def test_a_folder_without_pictures_says_what_it_holds(names, line, tmp_path):
    place(tmp_path, *names)
    assert line in refused(tmp_path)


def test_a_data_set_for_detection_is_named(tmp_path):
    for kind, name in (("yolo", "labels/train/1.txt"), ("voc", "Annotations/1.xml")):
        place(tmp_path / kind, "images/train/1.jpg", "images/train/2.jpg", name)
        line = refused(tmp_path / kind)
        assert f"side by side and 1 {name[-4:]} files of their names (" in line
        assert line.endswith("cut the boxes out into a folder per class")
    place(tmp_path / "coco", "train2017/1.jpg", "val2017/2.jpg")
    boxes = {"images": [{"file_name": "1.jpg"}], "annotations": [{"bbox": [1]}]}
    write(tmp_path / "coco", "annotations/instances.json", json.dumps(boxes))
    assert "and annotations/instances.json (COCO): a data set for detection" in (
        refused(tmp_path / "coco")
    )


def test_a_file_that_is_no_list_is_refused(tmp_path):
    place(tmp_path, "cat/1.jpg")
    assert "got one picture; name the folder that it lies in" in (
        refused(tmp_path / "cat" / "1.jpg")
    )
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    assert "got PDF, which is not read: convert" in refused(tmp_path / "a.pdf")


@pytest.mark.parametrize(
    "folders",
    [
        ("original/cat", "original/dog", "augmented/cat", "augmented/dog"),
        ("color/a", "color/b", "grayscale/a", "grayscale/b", "segmented/a"),
        ("cat", "dog", "ds/cat", "ds/dog"),
    ],
)
def test_variants_of_a_set_that_are_taken_for_classes_are_asked_about(
    tmp_path, folders
):
    for seed, folder in enumerate(folders):
        place(tmp_path, f"{folder}/{seed}.jpg")
    notes = layouts.find(DataConfig(name="folder", path=str(tmp_path))).notes
    (asked,) = [note for note in notes if "the classes? There are folders" in note]
    assert "if these are, name the folder that holds them" in asked


def test_folders_within_classes_are_not_asked_about(tmp_path):
    for seed, folder in enumerate(("cat/2019", "cat/2020", "dog/2019", "eel")):
        place(tmp_path, f"{folder}/{seed}.jpg")
    notes = layouts.find(DataConfig(name="folder", path=str(tmp_path))).notes
    assert not [note for note in notes if "the classes?" in note]
