"""The report: what it says, that it stands alone, and that half a run is enough."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nas_jax import report
from nas_jax.config import SpaceConfig
from nas_jax.report import run_files
from nas_jax.report.quantities import wilson
from nas_jax.spaces import architecture_json
from nas_jax.spaces.builders import mobile
from tests.report.made_up_run import DIGITS, make_run
from tests.report.page_reader import Page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror='a'>\"&amp;$\\frac"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "digits-seed0-001")


def _written(run: Path) -> str:
    path = report.write(run)
    assert path == run / "report.html"
    return path.read_text(encoding="utf-8")


def _edit(run: Path, name: str, change) -> None:
    document = json.loads((run / name).read_text())
    change(document)
    (run / name).write_text(json.dumps(document))


def test_report_says_the_numbers(run):
    page = Page(_written(run))
    results = json.loads((run / "result.json").read_text())["networks"]
    searched, baseline = results["searched"], results["baseline"]
    ms = searched["measured_ms"]["median"]
    theirs = baseline["measured_ms"]["median"]
    assert f"97.3 % test accuracy at {ms:.3f} ms measured" in page.text
    assert f"% at {theirs:.3f} ms" in page.text
    off = ms / 0.42 - 1
    side, became = ("over", "missed") if off > 0 else ("under", "kept")
    assert f"Target 0.420 ms: {became} as measured, {ms:.3f} ms [" in page.text
    assert (
        f"], {abs(off):.1%} {side} it; the table predicts".replace("%", " %")
        in page.text
    )
    # 973 of 1000: the Wilson interval
    assert "96.1–98.1" in page.text
    assert f"{searched['predicted_ms']:.3f} ms" in page.text
    for text in (
        "0123abcd",
        "jax 0.10.0",
        "1 min 15 s",
        "nas_jax search digits --seed 0",
    ):
        assert text in page.text
    for name in run_files.NETWORKS:
        assert name in page.text
    assert page.text.count("mb6_k3") >= len(mobile(DIGITS).layers)


def test_drawing_names_every_layer_with_its_predicted_time(run):
    titles = re.findall(r"<title>([^<]*)</title>", _written(run))
    network = architecture_json.from_json((run / "architecture.json").read_text())
    entries = json.loads((run / "latency_table.json").read_text())["entries"]
    for part in network.parts:
        if part.key not in entries:  # a skipped block
            continue
        key = part.key.replace(">", "&gt;")
        (title,) = {title for title in titles if key in title}
        assert f"predicted {entries[part.key]['mean_ms']:.3g}"[:14] in title


def test_report_stands_alone_and_is_small(run):
    document = _written(run)
    page = Page(document)
    assert "://" not in document
    assert "script" not in page.tags and "xmlns" not in document
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value is not None and value.startswith(("#", "data:,")), value
    assert not re.search(r"@import|url\((?!#)", document)
    assert "default-src 'none'" in document.replace("&#x27;", "'")
    assert len(document) < 1_000_000
    assert 'http-equiv="refresh"' not in document
    # on paper always dark on light
    assert "@media screen and (prefers-color-scheme:dark)" in document
    assert document.count("prefers-color-scheme") == 1


def test_report_of_the_largest_space_and_longest_search_is_small(tmp_path):
    run = make_run(tmp_path / "imagenet", SpaceConfig(), epochs=(40, 260))
    assert report.write(run).stat().st_size < 1_000_000


def test_ids_are_unique(run):
    page = Page(_written(run))
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = re.findall(r'(?:url\(|href=")#([^")]+)', _written(run))
    assert set(targets) <= set(ids)


def test_two_writes_are_identical(run):
    first = report.write(run).read_bytes()
    assert report.write(run).read_bytes() == first
    assert not list(run.glob("*.partial"))


@pytest.mark.parametrize("missing", run_files.FILES)
def test_one_missing_file_is_named_and_the_rest_is_shown(run, missing):
    (run / missing).unlink()
    page = Page(_written(run))
    assert f"{missing} is missing" in page.text
    assert page.text.count(" is missing") == 1
    if missing != "result.json":
        assert "97.3 %" in page.text
    else:
        assert "Not finished: retraining (searched, baseline" in page.text


def test_empty_folder_gives_a_page(tmp_path):
    page = Page(_written(tmp_path))
    assert page.text.count(" is missing") == len(run_files.FILES)
    assert "the search has not begun" in page.text


@pytest.mark.parametrize("lines", [1, 2, 11])
def test_search_under_way(run, lines):
    for name in ("result.json", "architecture.json"):
        (run / name).unlink()
    kept = (run / "metrics.jsonl").read_text().splitlines(keepends=True)[:lines]
    (run / "metrics.jsonl").write_text("".join(kept))
    phase = "warm-up" if lines <= 10 else "joint phase"
    assert f"searching, {phase}, epoch {lines} of 40" in Page(_written(run)).text


def test_partial_result_leaves_gaps(run):
    def change(result):
        result["networks"] = {"searched": {"test_accuracy": 0.9}, "random": {}}
        del result["seconds_per_phase"], result["versions"]

    _edit(run, "result.json", change)
    assert "Searched network: 90.0 % test accuracy" in Page(_written(run)).text


def test_lines_with_absent_and_non_finite_values(run):
    text = (run / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        line.pop("search/entropy", None)
        line["train/loss" if line["phase"] == "train" else "search/loss"] = float("nan")
    del lines[3]["search/probs"]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "metrics.jsonl").write_text(text)
    page = Page(_written(run))
    assert "Entropy of the path" not in page.text
    assert "Probabilities of the candidates" in page.text


def test_cut_last_line_is_left_out_with_a_note(run):
    content = (run / "metrics.jsonl").read_bytes()
    lines = content.count(b"\n")
    (run / "metrics.jsonl").write_bytes(content[:-20])
    assert f"(line {lines}) is cut short" in Page(_written(run)).text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "metrics.jsonl line 2: expected JSON"),
        ("[1]", "metrics.jsonl line 2: expected an object, got [1]"),
        (
            '{"phase": "x"}',
            "line 2: phase: expected 'warmup', 'joint' or 'train', got ",
        ),
        ('{"phase": []}', "line 2: phase: expected 'warmup', 'joint' or 'train', got "),
        ('{"phase": "train"}', "line 2: network: expected a value, got none"),
        (
            '{"phase": "joint", "epoch": "x"}',
            "line 2: epoch: expected a number, got 'x'",
        ),
        (
            '{"phase": "joint", "search/loss": true}',
            "search/loss: expected a number, got True",
        ),
        ('{"phase": "joint", "search/probs": [[0.5, 0.5]]}', "search/probs: expected"),
        ('{"phase": "joint", "search/probs": [[1], [1, 2]]}', "search/probs: expected"),
    ],
)
def test_a_bad_line_is_an_error_that_names_it(run, line, message):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    lines[1] = line
    (run / "metrics.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError) as error:
        report.write(run)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "result.json",
            lambda document: document["networks"]["searched"].update(test_accuracy=97),
            "result.json: networks.searched.test_accuracy: expected at most 1, got 97",
        ),
        (
            "result.json",
            lambda document: document.update(networks=[]),
            "result.json: networks: expected an object, got []",
        ),
        (
            "result.json",
            lambda document: document.update(derivation={"slack": {"latency": 0.1}}),
            "result.json: derivation.log_prob_given_up: expected a value, got none",
        ),
        (
            "config.json",
            lambda document: document["space"].update(depth=3),
            "config.json: space.depth: expected no such key, got 3",
        ),
        (
            "config.json",
            lambda document: document["search"].update(limits=0.5),
            "config.json: search.limits: expected a list, got 0.5",
        ),
        (
            "latency_table.json",
            lambda document: document["entries"].update(stem={"mean_ms": "1"}),
            "latency_table.json': entries.stem.mean_ms: expected a number, got '1'",
        ),
        (
            "architecture.json",
            lambda document: document.clear(),
            "architecture.json: architecture: name: expected a value, got none",
        ),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_place(run, name, change, message):
    _edit(run, name, change)
    with pytest.raises(ValueError, match=re.escape(message)):
        report.write(run)


def test_what_a_derivation_gave_up_is_in_the_headline(run):
    told = {"slack": {"latency": 0.1}, "log_prob_given_up": 1.5, "log_prob_gap": 0.0}
    _edit(run, "result.json", lambda document: document.update(derivation=told))
    assert "kept e^-1.5 of the probability" in report.write(run).read_text()


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"expected a run .*, found nothing there"):
        report.write(tmp_path / "none")


def test_a_resumed_run_shows_the_later_of_two_lines(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    again = json.loads(lines[5]) | {"search/loss": 9.0}
    (run / "metrics.jsonl").write_text("\n".join([*lines, json.dumps(again)]))
    curves = run_files.read(run).curves
    assert len(curves.search) == 40
    assert curves.series("search/loss")[5] == 9.0


def test_hostile_names_are_text(run):
    def rename(result):
        networks = result["networks"]
        networks[HOSTILE] = networks.pop("random")
        for key in ("commit", "device", "command"):
            result[key] = HOSTILE
        result["versions"] = {HOSTILE: HOSTILE}
        result["seconds_per_phase"] = {HOSTILE: 1.0}

    _edit(run, "result.json", rename)
    _edit(run, "config.json", lambda document: document["space"].update(name=HOSTILE))
    _edit(run, "latency_table.json", lambda d: d["provenance"].update(device=HOSTILE))
    line = {"phase": "train", "network": HOSTILE, "epoch": 0, "train/loss": 1.0}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    page = Page(_written(run))
    assert not {"script", "img"} & set(page.tags)
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert HOSTILE in page.text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("architecture.json", "expected a 'name' of letters"),
        ("config.json", "config.json: name: expected letters, digits, - and _, got"),
    ],
)
def test_a_hostile_name_of_a_network_or_experiment_is_refused(run, name, message):
    _edit(run, name, lambda document: document.update(name=HOSTILE))
    with pytest.raises(ValueError, match=message):
        report.write(run)


@pytest.mark.parametrize(
    ("correct", "images", "low", "high"),
    [
        # z = 1.959964, z² = 3.841459
        # n = 10, p = 0: 0 and z²/(n + z²) = 3.841459/13.841459
        (0, 10, 0.0, 0.2775328),
        # p = 1 is its mirror image
        (10, 10, 0.7224672, 1.0),
        # n = 100, p = 1/2: 1/2 ± z/2 / √(n + z²) = 1/2 ± 0.979982/10.190258
        (50, 100, 0.4038315, 0.5961685),
        # Newcombe (1998), table I: 81 of 263
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_wilson_interval_by_hand(correct, images, low, high):
    assert wilson(correct / images, images) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("images", range(1, 300))
def test_wilson_interval_holds_the_share(images):
    """A bar of a negative length is refused by matplotlib."""
    for share in (0.0, 1 / images, 1.0):
        low, high = wilson(share, images)
        assert 0 <= low <= share <= high <= 1


def test_wilson_refuses_what_is_no_share():
    for accuracy, images in ((0.5, 0), (1.1, 10), (float("nan"), 10)):
        with pytest.raises(ValueError, match="wilson: expected an accuracy"):
            wilson(accuracy, images)


def test_report_imports_no_jax():
    code = "import sys, nas_jax.report; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
