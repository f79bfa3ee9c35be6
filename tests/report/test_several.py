"""One page about several runs."""

import json
import re
from pathlib import Path

import pytest

from nas_jax import report
from nas_jax.report import run_files, scatter
from nas_jax.report.scatter import Measured
from nas_jax.report.styles import RUN_COLOURS, run_look
from tests.report.made_up_run import make_run
from tests.report.page_reader import Page


@pytest.fixture
def runs(tmp_path) -> list[Path]:
    """Two runs of one experiment that differ in their seed and target."""
    found = [make_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    config = json.loads((found[1] / "config.json").read_text())
    config["search"]["target_ratio"] = 0.7
    (found[1] / "config.json").write_text(json.dumps(config))
    return found


def test_page_has_all_networks_and_the_settings_that_differ(runs, tmp_path):
    out = tmp_path / "both.html"
    assert report.write_several(runs, out) == out
    document = out.read_text(encoding="utf-8")
    page = Page(document)
    assert "8 networks of 2 runs" in page.text
    rows = re.findall(r'<td data-label="run"><span>(\w)</span>', document)
    assert rows == list("aaaabbbb")
    (table,) = re.findall(
        r"In which settings the runs differ</h2>.*?</section>", document, re.S
    )
    text = Page(f"<section><h2>{table}").text
    assert "search.target_ratio 0.5 0.7" in text
    assert "seed 0 1" in text
    assert "search.batch" not in text and "space.classes" not in text
    # both networks searched, each with the times of its own table
    assert page.text.count("sum of layers") == 2
    (chart,) = (
        picture["aria-label"]
        for picture in page.pictures
        if "a searched" in (picture.get("aria-label") or "")
    )
    assert chart.count(" at ") == 8 and "b cheapest 90.2" in chart
    assert "://" not in document and "script" not in page.tags
    assert "different devices" not in page.text


def test_different_devices_are_said(runs, tmp_path):
    result = json.loads((runs[1] / "result.json").read_text())
    (runs[1] / "result.json").write_text(json.dumps(result | {"device": "Other CPU"}))
    (runs[0] / "metrics.jsonl").unlink()
    report.write_several(runs, tmp_path / "both.html")
    page = Page((tmp_path / "both.html").read_text(encoding="utf-8"))
    assert "different devices (Imaginary CPU, Other CPU)" in page.text
    assert "a: metrics.jsonl is missing" in page.text


def test_colours_are_those_of_the_legend_beside_a_run_without_networks(runs):
    found = [
        Measured("b", name, network)
        for name, network in run_files.read(runs[1]).networks.items()
    ]
    chart = scatter.trade_off(found, ["a", "b"])
    hue, _ = run_look(1)
    assert chart is not None and f"var(--{hue})" in chart
    assert f"var(--{run_look(0)[0]})" not in chart


def test_one_run_and_two_of_one_name_are_refused(runs, tmp_path):
    for wrong in (runs[:1], [runs[0], runs[0]]):
        with pytest.raises(ValueError, match="two or more run folders of different"):
            report.write_several(wrong, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_ten_runs_look_different():
    looks = [run_look(place) for place in range(10)]
    assert len(set(looks)) == 2 * len(RUN_COLOURS) == 10
    assert looks[0] == ("searched", False) and looks[5] == ("searched", True)
