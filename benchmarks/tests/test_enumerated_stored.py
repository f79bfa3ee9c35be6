"""What ships with the enumerated benchmark: every network of its spaces, trained."""

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


@pytest.fixture(scope="module", params=task.TASKS)
def stored(request):
    given = task.load(request.param)
    return given, networks.load(given)


def test_stored_table_has_every_network_and_signal(stored):
    given, known = stored
    assert 300 <= len(known.paths) == given.space.architectures <= 700
    assert known.test.shape[1] >= 2
    ratio = ranking.spread(known.test).ratio
    # the garments' seeds differ by more: more of them make the truth
    assert ratio >= (5 if given.task is task.LETTERS else 3.5)
    assert ratio * known.test.shape[1] ** 0.5 >= 7
    chance = 1 / given.space.classifier.classes
    assert known.truth.min() > 5 * chance
    assert known.latency_ms.min() < known.target_ms < known.latency_ms.max()
    assert known.allowed.mean() == pytest.approx(task.TARGET_QUANTILE, abs=0.01)
    provenance = ledger.read(networks.stored(given.task)).provenance
    assert {"commit", "device", "versions"} <= set(provenance)


def test_costs_of_paths_are_those_of_their_networks(stored):
    given, known = stored
    table = tables.load(shipped.folder("latency_tables") / given.task.table)
    rows = networks.rows(given)
    for n in range(0, len(known.paths), 97):
        one = architecture.from_path(given.space, rows[n]["path"], "one")
        assert rows[n]["macs"] == counts.describe(one)["macs"]
        expected = tables.predict_ms(table, one)
        assert known.latency_ms[n] == pytest.approx(expected, rel=1e-5)


def test_a_table_with_a_network_missing_or_of_another_task_is_refused(stored, tmp_path):
    given, _ = stored
    lines = networks.stored(given.task).read_text().splitlines(keepends=True)
    short = tmp_path / "short.jsonl"
    short.write_text("".join(lines[:-2]))
    with pytest.raises(ValueError, match=r"2 are missing, among them \["):
        networks.load(given, short)
    todo = networks.todo(networks.rows(given), ledger.read(short).rows)
    assert len(todo) == 2
    train = dataclasses.replace(given.task.train, lr=0.123)
    other = given._replace(task=given.task._replace(train=train))
    with pytest.raises(ValueError, match="expected networks of settings"):
        networks.load(other)


def test_runs_are_kept_and_not_run_twice(stored, tmp_path, monkeypatch):
    asked = []

    def made_up(given, known, budget, seed):
        asked.append((budget, seed))
        return searchers.Found(
            int(np.flatnonzero(known.allowed)[seed]), 10.0, known.truth
        )

    monkeypatch.setattr(run, "SEARCHERS", {"made_up": made_up})
    config = EnumeratedConfig(
        task=stored[0].task.name,
        budgets=(1, 2),
        seeds=(0, 1),
        file=tmp_path / "runs.jsonl",
    )
    first = run.run(config, Progress())
    assert len(asked) == 4
    again = run.run(dataclasses.replace(config, seeds=(0, 1, 2)), Progress())
    assert asked[4:] == [(1, 2), (2, 2)]
    assert first["rows"][0]["kendall_tau"] == [1.0, 1.0]
    assert again["rows"][0]["seeds"] == [0, 1, 2]


@pytest.mark.parametrize("name", task.TASKS)
def test_recorded_prints_the_stored_runs_and_their_commit(name, tmp_path, capsys):
    file, asked = tmp_path / "recorded.json", task.TASKS[name]
    words = ["enumerated", "--task", name, "--recorded", "--json", str(file)]
    assert bench_command.main(words) == 0
    result = json.loads(file.read_text())
    assert set(result["mean_rank_percentile"]) == set(searchers.SEARCHERS)
    for figure in ("mean_rank_percentile", "mean_one_seed_less"):
        assert all(0 <= p <= 100 for p in result[figure].values())
    for cell in result["rows"]:
        assert len(cell["seeds"]) == 5
        assert cell["steps"] <= cell["budget"] * asked.steps
    budgets = {cell["budget"] for cell in result["rows"]}
    assert budgets == {2, 4, 8}
    assert result["commit"] == ledger.read(run.recorded(asked)).provenance["commit"]
    assert result["commit"] in capsys.readouterr().out
