"""The search of a run: its metrics, other costs, a stop."""

import dataclasses
import json

import numpy as np
import pytest

from nas_jax import cli, report
from nas_jax.latency import tables
from nas_jax.runs import run_folder, setup
from nas_jax.search import loop
from tests import small_run

NETWORKS = {"searched", "baseline", "cheapest", "random_1"}


@pytest.mark.slow
def test_search_for_multiply_adds_by_reward(home, arguments, quick, tmp_path, capsys):
    """Nothing that is not a time is called one."""
    words = (
        "--search.cost macs --search.estimator reinforce --search.objective tunas "
        "--search.expectation full --search.reinforce-samples 3 --random-networks 0"
    )
    folder = tmp_path / "run"
    assert cli.main([*arguments, *words.split(), "--out", str(folder)]) == 0
    result = json.loads((folder / "result.json").read_text())
    goal = 0.7 * result["networks"]["baseline"]["macs"]
    assert result["target_macs"] == pytest.approx(goal)
    assert "target_ms" not in result
    printed = capsys.readouterr().out
    assert f"target {goal:,.0f} MACs, report: " in printed
    assert (
        f"ms per call of {small_run.EXPERIMENT.latency.batch} images, 1 th" in printed
    )
    lines = [
        json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    for line in lines[:3]:
        assert line["search/expected_macs"] > 1000
        assert line["search/target_macs"] == result["target_macs"]
        assert not {"search/target_ms", "search/expected_latency_ms"} & set(line)
    assert all("search/arch_reward" in line for line in lines[1:3])
    page = (folder / "report.html").read_text()
    assert "Expected multiply-adds" in page
    assert "Expected latency" not in page


def test_candidates_beyond_a_limit_on_the_peak_are_no_part_of_a_search(
    home, arguments, quick, tmp_path, capsys
):
    """`mb6_k3` needs (8 + 2 * 48) * 64 numbers at once, `mb3_k3` (8 + 2 * 24) * 64."""
    limits = "--search.limits peak_memory_int8:0.6x flash:0.95x --train.epochs 1"
    folder = tmp_path / "run"
    assert cli.main([*arguments, *limits.split(), "--out", str(folder)]) == 0
    told = "peak_memory_int8:0.6x leaves out 2 of 6 candidates"
    printed = capsys.readouterr()
    assert told in printed.out + printed.err
    lines = [
        json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    for line in lines[:3]:
        assert line["search/candidates"] == 4
        assert [row[1] for row in line["search/probs"]] == [0, 0]
    networks = json.loads((folder / "result.json").read_text())["networks"]
    assert networks["baseline"]["peak_memory_int8_bytes"] == (8 + 2 * 48) * 64
    assert networks["searched"]["peak_memory_int8_bytes"] <= (8 + 2 * 24) * 64
    assert networks["searched"]["peak_memory_bytes"] <= 4 * (8 + 2 * 24) * 64
    most = 0.95 * networks["baseline"]["flash_bytes"]
    assert networks["searched"]["flash_bytes"] <= most
    kept = {name: one["keeps_limits"] for name, one in networks.items()}
    assert kept["searched"] and not kept["baseline"]
    for name in kept:
        if name.startswith("random_"):
            assert networks[name]["flash_bytes"] <= most and kept[name]
    found = (folder / "architecture.json").read_text()
    assert cli.main(["derive", str(folder)]) == 0
    assert (folder / "architecture.json").read_text() == found


def test_metrics_lines_carry_step_phase_and_seconds(finished):
    lines = [
        json.loads(line)
        for line in (finished / "metrics.jsonl").read_text().splitlines()
    ]
    phases = ["warmup", "joint", "joint"] + 4 * ["train", "train"]
    assert [line["phase"] for line in lines] == phases
    assert all({"step", "phase", "seconds", "epoch"} <= set(line) for line in lines)
    steps = [line["step"] for line in lines]
    assert steps == [2, 4, 6] + 4 * [2, 4]
    for line in lines[:3]:
        assert np.shape(line["search/probs"]) == (2, 3)
        assert line["search/expected_latency_ms"] > 0
        assert {"search/loss", "search/entropy"} <= set(line)
    watched = ["search/valid_accuracy" in line for line in lines[:3]]
    assert watched == [False, True, True]  # every second epoch, and the last
    for line in lines[3:]:
        assert line["network"] in NETWORKS
        assert {"train/loss", "train/accuracy"} <= set(line)


@pytest.fixture
def stopped_early(monkeypatch):
    """Ctrl-C after the first epoch of a search."""
    whole = loop.run

    def run(*args, **kwargs):
        yield next(whole(*args, **kwargs))
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "run", run)


def test_stopped_search_leaves_a_folder_that_works(
    arguments, stopped_early, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 130
    folder = run_folder.Path("runs") / "small-seed3-000"
    *_, last = capsys.readouterr().err.splitlines()
    assert last == (
        f"nas_jax: stopped; what is finished lies in {folder}; start again: nas_jax "
        + " ".join(arguments)
    )
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 1
    assert report.write(folder).is_file()
    assert cli.main(["derive", str(folder)]) == 0
    assert (folder / "architecture.json").is_file()
    assert cli.main(["evaluate", str(folder)]) == 2
    assert f"train it: nas_jax train {folder}" in capsys.readouterr().err


def test_search_too_short_for_its_target_is_told_before_it_begins(home):
    table = tables.load(home / "table.json")

    def warnings(**changes):
        own = dataclasses.replace(small_run.EXPERIMENT.search, **changes)
        given = setup.load(dataclasses.replace(small_run.EXPERIMENT, search=own))
        lines = setup.resolve_targets(given, table).warnings
        return [line for line in lines if "search.arch_lr" in line]

    (line,) = warnings(arch_lr=0.001)
    assert "moves an alpha by about 0.004 in this search" in line
    assert line.endswith("raise search.arch_lr to 0.1")
    assert warnings(arch_lr=0.1) == []


def test_search_that_ended_off_its_target_is_told(
    home, arguments, quick, tmp_path, capsys
):
    words = ["--search.arch-lr", "0.001", "--out", str(tmp_path / "run")]
    assert cli.main([*arguments, *words, "--train.epochs", "1"]) == 0
    printed = capsys.readouterr()
    assert "warning: the search ended with 1.0" in printed.out + printed.err
