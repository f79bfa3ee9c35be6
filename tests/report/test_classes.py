"""Right and wrong by class on the page: matrix, tables, notes; runs without them."""

import json
import re
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from nas_jax import report
from nas_jax.report import classes, comparison, run_files
from nas_jax.training import scores
from tests.report.made_up_run import made_up_scores, make_run, make_targets_run
from tests.report.page_reader import Page

TITLE = "Right and wrong, class by class"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "digits-seed0-001")


@pytest.fixture
def written(run, tmp_path):
    """The page of a copy of the run, with other scores of its networks."""

    def write(*found):
        own = shutil.copytree(run, tmp_path / "own")
        document = json.loads((own / "result.json").read_text())
        for network, one in zip(document["networks"].values(), found, strict=False):
            network |= asdict(one)
        (own / "result.json").write_text(json.dumps(document))
        return report.write(own).read_text(encoding="utf-8")

    return write


def section(document, title=TITLE):
    """The markup of one section."""
    (found,) = re.findall(rf"<section><h2>{title}</h2>.*?</section>", document, re.S)
    return found


def of_matrix(matrix, names):
    labels = np.repeat(np.arange(len(matrix)), np.sum(matrix, axis=1))
    guesses = np.concatenate([np.repeat(np.arange(len(matrix)), row) for row in matrix])
    return scores.of_guesses(guesses, labels, names)


CATS = of_matrix([[200, 0], [20, 0]], ["cat", "dog"])
BIRDS = of_matrix([[6, 2, 0], [1, 3, 0], [0, 4, 0]], ["auk", "bee-eater", "crow"])


def test_matrix_has_names_counts_and_one_cell_for_each_pair_that_came(written):
    markup = section(written(BIRDS))
    tooltips = re.findall(r"<title>([^<]*)</title>", markup)
    assert tooltips == [
        "auk, taken for auk: 6 of 8",
        "auk, taken for bee-eater: 2 of 8",
        "bee-eater, taken for auk: 1 of 4",
        "bee-eater, taken for bee-eater: 3 of 4",
        "crow, taken for bee-eater: 4 of 4",
    ]
    right, wrong = (
        re.findall(rf'<path d="([^"]*)" fill="var\(--{hue}\)"', markup)
        for hue in ("k5", "searched")
    )
    assert sorted("".join(right).split("z")) == ["", "M0 0h1v1h-1", "M1 1h1v1h-1"]
    assert sorted("".join(wrong).split("z")) == [
        *("", "M0 1h1v1h-1", "M1 0h1v1h-1", "M1 2h1v1h-1"),
    ]
    label = "Confusion matrix of 3 classes, 56.2% of the images on its diagonal"
    assert [picture.get("aria-label") for picture in Page(markup).pictures] == [label]
    assert "What was taken for what" not in markup


def test_opacity_is_the_root_of_the_share_of_the_row_rounded_up():
    found = of_matrix([[144 * 3, 1], [36, 108]], ["a", "b"])
    opacities = set(classes.section(found)["matrix"]["paths"])
    # sqrt(432 / 433), sqrt(1 / 433) = 0.05, sqrt(1 / 4), sqrt(3 / 4) = 0.87
    assert opacities == {(True, 1), (False, 1 / 12), (False, 0.5), (True, 11 / 12)}


def test_classes_are_listed_the_worst_first(written):
    text = Page(section(written(BIRDS))).text
    rows = "crow 4 0.0 % 0–49 – auk 8 75.0 % 41–93 85.7 % bee-eater 4 75.0 % 30–95 33.3"
    assert f"class test images accuracy precision {rows}" in text


def test_class_without_images_is_last_and_has_no_accuracy():
    found = of_matrix([[3, 1], [0, 0]], ["a", "b"])
    (table,) = classes.tables(found.per_class)
    assert [row.head for row in table.rows] == ["a", "b"]
    assert table.rows[1].cells[0] == "0" and table.rows[1].cells[1].text == "–"


@pytest.mark.parametrize("count", [2, 12, 13, 100, 101, 150])
def test_many_classes_are_folded_and_the_confused_pairs_named(written, count):
    markup = section(written(made_up_scores(0.8, count)))
    is_lettered, has_matrix = count <= 12, count <= 100
    assert ("<title>class 1, taken for" in markup) == is_lettered
    assert ("Confusion matrix of" in markup) == has_matrix
    assert (f"<summary>All {count} classes</summary>" in markup) == (not is_lettered)
    text = Page(markup).text
    assert ("What was taken for what class taken for images" in text) != is_lettered
    if not is_lettered:
        (rows,) = re.findall(r"<h3>What.*?<tbody>(.*?)</tbody>", markup, re.S)
        assert rows.count("<tr") == scores.CONFUSIONS or count == 13
    assert len(markup) < 400 * count + 20_000


def test_pairs_are_not_listed_where_all_is_right():
    found = made_up_scores(1.0, 40)
    assert classes.section(found)["confused"] is None


def test_long_names_are_cut_in_the_middle_and_whole_in_the_tooltip(written):
    names = ["Tomato___healthy_leaf", "Tomato___late_blight"]
    markup = section(written(of_matrix([[3, 1], [0, 4]], names)))
    assert markup.count(">Tomato…hy_leaf<") == 2
    assert markup.count(">Tomato…_blight<") == 2
    assert "<title>Tomato___healthy_leaf, taken for Tomato___late_blight" in markup


def test_hostile_label_names_are_text(written):
    names = ["<script>alert(1)</script>", 'a"><b>']
    document = written(of_matrix([[3, 1], [0, 4]], names))
    Page(document)  # closes what it opens
    assert "<script" not in document and "<b>" not in section(document)


def test_page_says_what_a_constant_answer_would_get(written):
    document = written(CATS, BIRDS)
    text = Page(document).text
    assert "a constant answer, always 'cat', would get 90.9%" in text
    assert (
        "hardly better than a constant answer, which would get 90.9%: searched 90.9%"
    ) in text
    compared = Page(section(document, "Against other networks")).text
    assert "test accuracy balanced accuracy parameters" in compared
    assert "searched 90.9 % 86.4–94.0 50.0 %" in compared


def test_balanced_accuracy_is_left_out_where_it_says_the_same(run):
    document = report.write(run).read_text(encoding="utf-8")
    assert "balanced accuracy" not in section(document, "Against other networks")
    assert "constant answer" not in document
    assert "Confusion matrix of 10 classes, 97.3%" in section(document)


def test_older_results_have_their_page(run, tmp_path):
    own = shutil.copytree(run, tmp_path / "old")
    document = json.loads((own / "result.json").read_text())
    for network in document["networks"].values():
        for key in asdict(CATS).keys() - {"test_accuracy", "test_images"}:
            del network[key]
    (own / "result.json").write_text(json.dumps(document))
    page = Page(report.write(own).read_text(encoding="utf-8"))
    assert "There is no searched network with scores by class." in page.text
    assert "97.3 % test accuracy" in page.text
    # beside a newer one, a column with a gap
    old, new = (run_files.read(each).networks["searched"] for each in (own, run))
    found = {"a": old, "b": old.__class__(**vars(new) | {"balanced_accuracy": 0.9})}
    first, second = comparison.table(found).rows
    assert (first.cells[1].text, second.cells[1].text) == ("–", "90.0\u00a0%")


def test_every_searched_network_of_several_targets_has_its_matrix(tmp_path):
    document = report.write(make_targets_run(tmp_path / "curve")).read_text("utf-8")
    markup = section(document)
    assert markup.count("Confusion matrix of 10 classes") == 2
    for name in ("searched_1", "searched_2"):
        assert f"<figcaption>{name}, target" in markup


def test_several_runs_say_which_is_hardly_better(run, written, tmp_path):
    written(CATS)
    page = report.write_several([run, tmp_path / "own"], tmp_path / "several.html")
    text = Page(page.read_text(encoding="utf-8")).text
    assert "own: hardly better than a constant answer" in text
    assert "network run test accuracy balanced accuracy" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"balanced_accuracy": 97}, "networks.searched.balanced_accuracy: expected at"),
        (
            {"confusion": [[1, 2]]},
            "result.json: confusion: expected a row and a c",
        ),
        ({"per_class": None}, "networks.searched.per_class: expected an object"),
        (
            {"largest_confusions": [{"true": "x", "guessed": "y", "images": 1}]},
            "result.json: largest_confusions: expected classes of per_class, got",
        ),
    ],
)
def test_wrong_scores_are_an_error_that_names_the_place(run, tmp_path, change, message):
    own = shutil.copytree(run, tmp_path / "own")
    document = json.loads((own / "result.json").read_text())
    document["networks"]["searched"] |= change
    (own / "result.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=message):
        report.write(own)
