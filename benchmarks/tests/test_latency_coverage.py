"""`benchmarks latency_coverage`: what it counts, and a small one in earnest."""

import json

import pytest

from benchmarks import command as bench_command
from benchmarks import latency_coverage
from benchmarks.settings import LatencyCoverageConfig
from nas_jax.config import shipped
from nas_jax.latency import tables
from nas_jax.runs import pipeline


def row(measured, interval, at_tables_pace):
    return {
        "measured_ms": {"mean": measured, "median": measured + 0.15},
        "interval_ms": interval,
        "at_tables_pace_ms": at_tables_pace,
    }


ROWS = [
    row(1.1, (1.0, 1.2), (0.8, 1.0)),
    row(1.2, (1.0, 1.2), (0.9, 1.3)),  # an end is inside
    row(1.3, (1.0, 1.2), (0.9, 1.2)),
    row(0.9, (1.0, 1.5), (0.9, 1.0)),
]


def test_coverage_by_hand():
    assert latency_coverage.covered(ROWS) == {
        "networks": 4,
        "inside": 0.5,
        "medians_inside": 0.25,
        "inside_at_tables_pace": 0.5,
        "width": 1.2,
    }


@pytest.mark.parametrize(
    ("inside", "verdict"),
    [(0.69, "missed"), (0.7, "met"), (0.9, "met"), (0.91, "missed")],
)
def test_rows_say_whether_the_goal_is_met(inside, verdict):
    found = latency_coverage.covered(ROWS) | {"inside": inside}
    rows = latency_coverage.table({"coverage": {"quiet": found}})
    assert rows[1][2] == f"{inside:.0%}" and rows[1][-1] == verdict


def test_other_work_ends_with_its_session():
    with latency_coverage.other_work(True) as process:
        assert process.poll() is None
    assert process.poll() is not None
    with latency_coverage.other_work(False) as process:
        assert process is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tables": 0}, "tables: expected 1 or more, got 0"),
        ({"per_session": 0}, "per_session: expected 1 or more, got 0"),
        ({"networks": 7}, "networks: expected at least 8, two sessions, got 7"),
        ({"seed": -1}, "seed: expected 0 or more, got -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        LatencyCoverageConfig(**fields)


def test_a_table_without_held_out_networks_is_refused(monkeypatch, capsys):
    stored = shipped.folder("latency_tables") / "digits_cpu_onnxruntime.json"
    monkeypatch.setattr(pipeline, "measure", lambda *_: tables.load(stored))
    assert bench_command.main(["latency_coverage"]) == 2
    assert "expected a validated table, but the table was" in capsys.readouterr().err


@pytest.mark.slow
def test_a_small_one_in_earnest(tmp_path, capsys):
    file = tmp_path / "coverage.json"
    words = ["latency_coverage", "--experiment", "digits_cpu", "--tables", "1"]
    small = ["--networks", "2", "--per-session", "1", "--json", str(file)]
    assert bench_command.main([*words, *small]) == 0
    result = json.loads(file.read_text())
    assert [one["is_loaded"] for one in result["sessions"]] == [False, True]
    assert len(result["networks"]) == 2
    assert result["validations"][0]["networks"] == 20
    assert "beside other work" in capsys.readouterr().out
