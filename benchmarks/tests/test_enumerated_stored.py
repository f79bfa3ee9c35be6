"""What ships with the enumerated benchmark: every network of its space, trained."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import command as bench_command
from benchmarks import ledger
from benchmarks.enumerated import networks, ranking, run, searchers, task
from benchmarks.quality_settings import EnumeratedConfig
from nas_jax.config import shipped
from nas_jax.latency import tables
from nas_jax.networks import counts
from nas_jax.spaces import architecture
from nas_jax.training.progress import Progress


@pytest.fixture(scope="module")
def stored():
    given = task.load()
    return given, networks.load(given)


def test_stored_table_has_every_network_and_signal(stored):
    given, known = stored
    assert 300 <= len(known.paths) == given.space.architectures <= 700
    assert known.test.shape[1] >= 2
    assert ranking.spread(known.test).ratio >= 5
    chance = 1 / given.space.classifier.classes
    assert known.truth.min() > 5 * chance
    assert known.latency_ms.min() < known.target_ms < known.latency_ms.max()
    assert known.allowed.mean() == pytest.approx(task.TARGET_QUANTILE, abs=0.01)
    provenance = ledger.read(networks.STORED).provenance
    assert {"commit", "device", "versions"} <= set(provenance)


def test_costs_of_paths_are_those_of_their_networks(stored):
    given, known = stored
    table = tables.load(shipped.folder("latency_tables") / task.TABLE)
    rows = networks.rows(given)
    for n in range(0, len(known.paths), 97):
        one = architecture.from_path(given.space, rows[n]["path"], "one")
        assert rows[n]["macs"] == counts.describe(one)["macs"]
        expected = tables.predict_ms(table, one)
        assert known.latency_ms[n] == pytest.approx(expected, rel=1e-5)


def test_a_table_with_a_network_missing_or_of_another_task_is_refused(
    stored, tmp_path, monkeypatch
):
    given, _ = stored
    lines = networks.STORED.read_text().splitlines(keepends=True)
    short = tmp_path / "short.jsonl"
    short.write_text("".join(lines[:-2]))
    with pytest.raises(ValueError, match=r"2 are missing, among them \["):
        networks.load(given, short)
    todo = networks.todo(networks.rows(given), ledger.read(short).rows)
    assert len(todo) == 2
    monkeypatch.setattr(task, "TRAIN", dataclasses.replace(task.TRAIN, lr=0.123))
    with pytest.raises(ValueError, match="expected networks of settings"):
        networks.load(given)


def test_runs_are_kept_and_not_run_twice(stored, tmp_path, monkeypatch):
    asked = []

    def made_up(given, known, budget, seed):
        asked.append((budget, seed))
        return searchers.Found(
            int(np.flatnonzero(known.allowed)[seed]), 10.0, known.truth
        )

    monkeypatch.setattr(run, "SEARCHERS", {"made_up": made_up})
    config = EnumeratedConfig(
        budgets=(1, 2), seeds=(0, 1), file=tmp_path / "runs.jsonl"
    )
    first = run.run(config, Progress())
    assert len(asked) == 4
    again = run.run(dataclasses.replace(config, seeds=(0, 1, 2)), Progress())
    assert asked[4:] == [(1, 2), (2, 2)]
    assert first["rows"][0]["kendall_tau"] == [1.0, 1.0]
    assert again["rows"][0]["seeds"] == [0, 1, 2]


def test_recorded_prints_the_stored_runs_and_their_commit(tmp_path, capsys):
    file = tmp_path / "recorded.json"
    assert bench_command.main(["enumerated", "--recorded", "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    assert set(result["mean_rank_percentile"]) == set(searchers.SEARCHERS)
    assert all(0 <= p <= 100 for p in result["mean_rank_percentile"].values())
    assert 0 < result["random_rank_percentile"] < 100
    for cell in result["rows"]:
        assert len(cell["seeds"]) == 5
        assert cell["steps"] <= cell["budget"] * searchers.TRAINING_STEPS
    assert len({cell["budget"] for cell in result["rows"]}) == 3
    assert result["commit"] == ledger.read(run.RECORDED).provenance["commit"]
    assert result["commit"] in capsys.readouterr().out
