"""What the sections of the report say of one made-up run, against its files."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest

from nas_jax import report
from nas_jax.config.space import ElasticConfig
from nas_jax.data import record
from nas_jax.latency.risk import Prediction
from nas_jax.report import comparison, finalists, run_files, scatter, summary
from nas_jax.report.quantities import decimals
from nas_jax.report.run_files import NetworkResult
from nas_jax.spaces import architecture_json, elastic
from tests.report.made_up_run import make_run, make_targets_run
from tests.report.page_reader import Page


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "digits-seed0-001")


@pytest.fixture(scope="module")
def document(run) -> str:
    return report.write(run).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(document) -> Page:
    return Page(document)


@pytest.fixture(scope="module")
def targets(tmp_path_factory) -> Path:
    return make_targets_run(tmp_path_factory.mktemp("runs") / "curve")


def section(document: str, title: str) -> str:
    """Text of one section."""
    (found,) = re.findall(rf"<section><h2>{title}</h2>.*?</section>", document, re.S)
    return Page(found).text


def test_question_names_space_data_target_and_device(document):
    text = section(document, "The question")
    # 6 layers of 7 candidates, of which 2 (stride 2 or other width) lack zero
    assert "6 layers with up to 7 candidates each" in text
    assert f"{7**4 * 6**2} networks" in text
    assert "images of 16×16×1, 10 classes" in text
    assert "digits; images: 300 for the weights, 300 for the architecture" in text
    assert "0.5 of the hand-designed network's latency, 0.420 ms" in text
    assert "batch 8, 1 thread, onnxruntime, Imaginary CPU" in text


def test_every_layer_has_its_milliseconds_and_they_add_up(document, run):
    text = section(document, "Where the milliseconds go")
    network = architecture_json.from_json((run / "architecture.json").read_text())
    entries = json.loads((run / "latency_table.json").read_text())["entries"]
    found = json.loads((run / "result.json").read_text())["networks"]["searched"]
    timed = [
        entries[part.key]["mean_ms"]
        for part in network.parts
        if not part.key.startswith("zero")
    ]
    predicted = sum(timed)
    share = max(timed) / predicted
    assert f"{decimals(max(timed))} ms, {100 * share:.0f} %" in text
    assert f"predicted {predicted:.3f} ms" in text
    measured = found["measured_ms"]["median"]
    assert f"measured {measured:.3f} ms" in text and "of it" not in text
    assert "Every part was timed alone" in text
    assert "not held against whole networks" in text
    # the skipped block costs nothing and has no bar
    assert "zero" not in text


def test_preferences_are_those_of_the_network(document, run):
    text = section(document, "What the device prefers")
    blocks = json.loads((run / "architecture.json").read_text())["blocks"]
    stages = [blocks[first : first + 2] for first in (0, 2, 4)]
    for stage, size in zip(stages, ("16×16×16", "8×8×32", "4×4×64"), strict=True):
        kept = [block["op"] for block in stage if block["op"] != "zero"]
        expansions = [int(op[2]) for op in kept]
        assert f"{size} {len(kept)} of 2 " in text
        for kernel in {op[-1] for op in kept}:
            share = sum(op[-1] == kernel for op in kept) / len(kept)
            assert f"{kernel}×{kernel} {100 * share:.0f} %" in text
        if kept:
            assert f"% {sum(expansions) / len(kept):.1f}" in text
    # made_up_run skips the second layer
    assert blocks[1]["op"] == "zero"


def test_finalists_say_which_was_taken(document):
    text = section(document, "How the network was chosen")
    assert "2 networks, the most probable within the target" in text
    assert "2 of them were trained in full; the smallest loss on validation" in text
    assert re.search(r"1, taken (\S+ ){6}1\.2 % 1\.50 89\.0 % 0\.1600", text)
    assert re.search(r"\b2 (\S+ ){6}2\.5 % 3\.00 88\.0 % 0\.1700", text)
    assert text.count("taken") == 1


def test_those_that_were_only_tried_share_an_entry_of_the_legend(run, tmp_path):
    own = shutil.copytree(run, tmp_path / "own")
    file = own / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    trained = next(one for one in lines if one.get("network") == "searched")
    for name in ("trial_1_rung_1", "trial_2_rung_1"):
        lines.append({**trained, "network": name})
    file.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    text = section(report.write(own).read_text(encoding="utf-8"), "Retraining")
    assert text.count("tried in rungs") == 1
    legend = text.partition("Accuracy")[0]
    assert "searched" in legend and "trial_" not in legend


def test_what_an_experiment_is_about_stands_below_the_headline(run, tmp_path):
    own = shutil.copytree(run, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    config["about"] = "a first look: small images"
    (own / "config.json").write_text(json.dumps(config))
    document = report.write(own).read_text(encoding="utf-8")
    assert "This was a first look: small images. " in document


def test_rungs_are_told_where_there_were_several():
    given = [
        {"path": [0, 1], "rung": 1, "trained_valid_loss": 0.3},
        {"path": [0, 2], "rung": 2, "trained_valid_loss": 0.2},
    ]
    found = finalists.parse(json.dumps(given).encode(), (2, 7))
    text = finalists.summary(found, None)
    assert "2 of them were trained in rungs, each with the best quarter" in text
    assert "images in the last decides" in text
    # a run that was stopped in the first rung of several
    text = finalists.summary(found[:1], None)
    assert "1 of them were trained in rungs, each with the best quarter" in text


@pytest.mark.parametrize(
    ("known", "first", "fifth"),
    [
        ({"answers_lost": 0.8}, "number", "answers lost"),
        ({"valid_accuracy": 0.9}, "by the supernet", "accuracy, supernet"),
        ({"trained_valid_loss": 0.1}, "number", "loss after training (rung)"),
    ],
)
def test_networks_that_were_drawn_are_numbered_unless_a_supernet_ranked_them(
    known, first, fifth
):
    space = elastic.build(ElasticConfig())
    path = [0] * len(space.middle.layers)
    given = json.dumps([{"path": path, "measured_ms": 1.0, **known}]).encode()
    (found,) = finalists.tables(finalists.parse(given, None), space, None)
    assert (found.columns[0], found.columns[4:]) == (first, (fifth,))


def test_a_run_from_weights_is_held_against_the_given_network(run, tmp_path):
    own = shutil.copytree(run, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    config["train"]["start"] = "lite0"
    layers = sum(config["space"]["cells"])
    config["space"]["hand_designed"] = ["mb6_k3"] * layers
    (own / "config.json").write_text(json.dumps(config))
    document = report.write(own).read_text(encoding="utf-8")
    assert "; the given baseline: " in document
    assert "the weights in lite0" in section(document, "Retraining")
    assert "and the given network" in document
    assert "hand-designed" not in section(document, "The question")


def test_of_many_finalists_the_rest_is_folded_away():
    given = [{"path": [0, place]} for place in range(6)]
    found = finalists.parse(json.dumps(given).encode(), (2, 7))
    shown, every = finalists.tables(found, None, (0, (0, 4)))
    # the first three and the chosen one; no column for what was not done
    assert [row.head for row in shown.rows] == ["1", "2", "3", "5, taken"]
    assert [row.is_first for row in shown.rows] == [False, False, False, True]
    assert len(every.rows) == 6
    assert not any("trained" in column for column in shown.columns)
    assert len(finalists.tables(found[:3], None, None)) == 1


def test_rest_of_the_finalists_is_folded_away_on_the_page(run, tmp_path):
    own = shutil.copytree(run, tmp_path / "own")
    given = json.loads((own / "finalists.json").read_text())
    for one in given:
        one["trained_valid_loss"] = None
    (own / "finalists.json").write_text(json.dumps(given * 3))
    document = report.write(own).read_text(encoding="utf-8")
    (folded,) = re.findall(
        r"<details><summary>All 6</summary>(.*?)</details>", document, re.S
    )
    assert folded.count("<tr") == 1 + 6


def test_searched_network_is_drawn_on_top():
    one = NetworkResult(test_accuracy=0.9, test_images=100, measured_ms=0.5)
    names = ("searched", "baseline", "random_1")
    picture = scatter.accuracy_against_latency(dict.fromkeys(names, one), None)
    picture = re.sub(r"<text.*?</text>", "", picture, flags=re.S)  # names are apart
    places = [picture.rindex(f"var(--{name})") for name in ("random", "searched")]
    assert places == sorted(places)


def test_networks_are_named_in_the_picture_beside_the_headline(document, run):
    (header,) = re.findall(r"<header.*?</header>", document, re.S)
    (picture,) = re.findall(r"<figure>.*?</figure>", header, re.S)
    assert "and the target (dotted)" in picture
    for name in json.loads((run / "result.json").read_text())["networks"]:
        assert re.search(rf">{name}</text>", picture)
    # gates draw no networks that are timed before the choice
    assert "ticks" not in picture


def test_names_that_find_no_place_are_left_out():
    one = NetworkResult(test_accuracy=0.9, test_images=100, measured_ms=0.5)
    names = ["searched", *(f"random_{place}" for place in range(30))]
    picture = scatter.accuracy_against_latency(dict.fromkeys(names, one), 0.5)
    shown = re.findall(r">(searched|random_\d+)</text>", picture)
    assert shown[0] == "searched" and len(shown) < len(names)


def test_scaled_networks_are_joined_with_the_hand_designed_one_and_tries_are_ticks():
    found = {
        name: NetworkResult(test_accuracy=0.9, test_images=100, measured_ms=ms)
        for name, ms in (("baseline", 1.0), ("scaled", 0.5))
    }
    joined = scatter.accuracy_against_latency(found, None)
    ticks = scatter.accuracy_against_latency(found, None, [0.4, 0.45])
    assert ticks.count("LineCollection") > joined.count("LineCollection")


def test_kernels_stand_in_the_boxes_where_they_fit(document, run):
    network = architecture_json.from_json((run / "architecture.json").read_text())
    shown = re.findall(r'font-weight="600" fill="var\(--card\)">k(\d)</text>', document)
    kept = [block.op.kernel for block in network.blocks if not block.op.is_zero]
    assert shown and {int(kernel) for kernel in shown} >= {max(kept)}


def test_derivation_is_folded_away(document):
    (header,) = re.findall(r"<header.*?</header>", document, re.S)
    assert "Derivation left" not in header
    text = section(document, "How the network was chosen")
    assert "The derivation in numbers Derivation left 1.2 % of latency unspent" in text


def test_page_says_how_to_use_the_network_before_all_else(document):
    said = Page(document).text.partition("The question")[0]
    for command in (
        "nas_jax predict digits-seed0-001 PICTURES",
        "nas_jax export digits-seed0-001 --format onnx,stablehlo",
        "nas_jax.load_model('digits-seed0-001/checkpoints/searched')",
    ):
        assert command in said
    assert "from the folder around the run:" in said


def test_a_run_in_runs_is_named_as_the_search_named_it(tmp_path):
    own = make_run(tmp_path / "runs" / "mine")
    text = Page(report.write(own).read_text(encoding="utf-8")).text
    assert "from the folder around runs: nas_jax predict runs/mine PICTURES" in text
    assert "nas_jax report runs/mine # this page again" in text


def test_foot_of_a_run_without_a_network_names_no_command(tmp_path):
    assert summary.use(run_files.read(tmp_path)) == []


def test_ratio_is_what_the_result_says(run):
    """Not that of the rounded numbers beside it, which are of other rounds."""
    document = json.loads((run / "result.json").read_text())
    stated = document["networks"]["searched"]["measured_over_predicted"]
    found = run_files.read(run).networks["searched"]
    assert found.measured_over_predicted == stated
    (row,) = comparison.table({"searched": found}).rows
    assert row.cells[-1].text == f"{stated:.2f}"


def test_memory_is_told_where_it_is_known():
    """An older run does not know it, and has no empty columns."""
    known = NetworkResult(flash_bytes=36_904, peak_memory_bytes=640)
    table = comparison.table({"searched": known, "baseline": NetworkResult()})
    place = table.columns.index("flash") - 1  # the head is no cell
    assert table.columns[place + 2] == "peak memory"
    first, second = ([cell.text for cell in row.cells] for row in table.rows)
    assert [one.replace("\u00a0", " ") for one in first[place : place + 2]] == [
        *("36.9 KB", "640 B")
    ]
    assert second[place : place + 2] == ["–", "–"]
    assert "flash" not in comparison.table({"searched": NetworkResult()}).columns


def test_constraint_is_drawn_with_its_multiplier(page):
    assert "Multiplier of the constraint" in page.text
    spoken = [picture.get("aria-label") or "" for picture in page.pictures]
    # 0 in the warm-up, -0.1 at the end
    assert "Multiplier of the constraint: search from 0 to -0.1" in spoken
    assert "Weight of the squared excess: search from 1 to 100" in spoken
    assert any("target from 0.42 to 0.42" in text for text in spoken)


def without_alternative(page: Page) -> list[dict]:
    return [
        picture
        for picture in page.pictures
        if picture.get("aria-hidden") != "true"
        and not (picture.get("role") == "img" and picture.get("aria-label"))
    ]


def test_every_picture_has_a_text_alternative(page):
    assert len(page.pictures) > 15
    assert without_alternative(page) == []
    assert without_alternative(Page("<svg viewBox='0 0 1 1'></svg>")) != []


def test_predicted_interval_by_hand():
    # 2 · exp(± 1.637744 · 0.1), t of three degrees of freedom
    found = NetworkResult(prediction=Prediction(2.0, 0.1, networks=4))
    expected = pytest.approx((1.6978670, 2.3558972))
    assert comparison.predicted_interval(found) == expected
    assert comparison.predicted_interval(NetworkResult()) is None


def test_pace_and_chance_of_the_result_are_told(run, tmp_path):
    there = shutil.copytree(run, tmp_path / "run")
    result = json.loads((there / "result.json").read_text())
    result["pace"] = {"factor": 1.04, "sd": 0.01, "reference_ms": 1.04, "table_ms": 1}
    result["networks"]["searched"]["risk"] = {
        "mean_ms": 0.46,
        "low_ms": 0.44,
        "high_ms": 0.48,
        "probability": 0.03,
        "networks": 20,
    }
    (there / "result.json").write_text(json.dumps(result))
    text = Page(report.write(there).read_text(encoding="utf-8")).text
    assert "The machine was 4.0 % slower than when the table was measured" in text
    assert "By 20 networks held against the table, 80 % of such networks take" in text
    result["pace"] = {"factor": -1.0}
    (there / "result.json").write_text(json.dumps(result))
    with pytest.raises(ValueError, match=r"result.json: pace.factor: expected at le"):
        report.write(there)


def test_prediction_has_the_error_of_the_table(run, tmp_path):
    """None until networks were held out: 5 ms off by 0.5 at rmse."""
    assert run_files.read(run).networks["searched"].prediction is None
    text = Page(report.write(run, tmp_path / "before.html").read_text()).text
    assert "where 80 % of networks lie" not in text
    document = json.loads((run / "latency_table.json").read_text())
    document["validation"] = {
        "networks": 60,
        "kendall_tau": 0.98,
        "within_5_percent": 0.5,
        "within_10_percent": 0.9,
        "mape": 0.1,
        "mean_ms": 5.0,
        "rmse_ms": 0.5,
        "bias_ms": 0.0,
    }
    for name in ("result.json", "config.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / "latency_table.json").write_text(json.dumps(document))
    searched = run_files.read(tmp_path).networks["searched"]
    assert searched.prediction is not None
    assert searched.prediction.sd == pytest.approx(0.1 * math.sqrt(1 + 1 / 60))
    text = Page(report.write(tmp_path).read_text(encoding="utf-8")).text
    assert "error on networks that it had not seen" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "finalists.json: expected JSON"),
        (b"{}", "finalists.json: expected a list, got {}"),
        (b"[1]", "finalists.json: number 1: expected an object, got 1"),
        (b'[{"path": [0, 9]}]', "number 1: path: expected candidate indices, one per"),
        (b'[{"path": [0]}]', r"layer \(2 of them, each below 7\), got \[0\]"),
        (b'[{"path": [0, 1], "valid_accuracy": "x"}]', "valid_accuracy: expected a nu"),
    ],
)
def test_wrong_finalists_are_an_error_that_names_the_place(content, message):
    with pytest.raises(ValueError, match=message):
        finalists.parse(content, (2, 7))


def test_network_that_was_no_finalist_is_said():
    found = finalists.parse(b'[{"path": [0, 1], "valid_accuracy": 0.5}]', (2, 7))
    assert "none of them" in finalists.summary(found, (0, (1, 1)))
    assert "None was trained before the choice" in finalists.summary(found, (0, (0, 1)))
    assert "none of them" not in finalists.summary(found, (0, (0, 1)))


def test_report_of_several_targets_shows_each(targets):
    document = report.write(targets).read_text(encoding="utf-8")
    page = Page(document)
    assert "2 targets from one warm-up" in page.text
    assert " is missing" not in page.text
    assert without_alternative(page) == []
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    titles = ("The networks", "Where the milliseconds go", "What the device prefers")
    for title in titles:
        text = section(document, title)
        assert "searched_1, target 0.420 ms" in text
        assert "searched_2, target 0.420 ms" in text
    text = section(document, "Against other networks")
    assert re.search(r"searched_1 0\.5: 0\.420 ms \S+ ms –", text)
    assert re.search(r"searched_2 0\.8: 0\.420 ms \S+ ms 1\.25 ×", text)
    # joint epochs begin after the shared warm-up of 10
    assert "epoch 11" in section(document, "How the search got there")
    assert section(document, "How the network was chosen").count(", taken") == 2


def test_unfinished_run_of_several_targets_says_what_is_missing(targets, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(targets, half)
    for name in ("result.json", "targets/0.8/architecture.json"):
        (half / name).unlink()
    lines = (half / "metrics.jsonl").read_text().splitlines(keepends=True)
    (half / "metrics.jsonl").write_text("".join(lines[:10]))
    page = Page(report.write(half).read_text(encoding="utf-8"))
    assert "searches for several targets, begun: target 0.5, target 0.8" in page.text
    assert page.text.count(" is missing") == 1
    assert "result.json is missing" in page.text
    assert list(run_files.read(half).searched) == ["target 0.5"]


def test_images_of_the_splits_are_those_that_the_run_keeps(tmp_path):
    """Not those that were asked for: copies move them, and None is the rest."""
    run = make_run(tmp_path / "run")
    entry = record.Entry("a/1.jpg", "a", 3, "00")
    splits = {"train_weights": 7, "train_alphas": 5, "valid": 3, "test": 2, "": 4}
    kept = {name: (entry,) * count for name, count in splits.items()}
    record.write(run, record.Record(("a",), None, kept))
    said = summary.question(run_files.read(run))["data"]
    assert "images: 7 for the weights, 5 for the architecture, 3 for validati" in said
    assert said.endswith("2 for the test")
