"""`benchmarks soak`: what it counts, and that a short search holds still."""

import json
import os

import numpy as np
import pytest

from benchmarks import command as bench_command
from benchmarks import soak
from benchmarks.settings import SoakConfig


def test_handles_and_memory_are_seen():
    files = soak.open_files()
    with open(os.devnull), open(os.devnull):
        assert soak.open_files() == files + 2
    before = soak.resident_bytes()
    held = np.ones(2**25)  # 256 MiB, touched; what was free before may go meanwhile
    assert 0.5 * held.nbytes < soak.resident_bytes() - before < 1.5 * held.nbytes


def test_quarters_by_hand():
    samples = [9.0, 9.0, 9.0, 1.0, 2.0, 8.0, 7.0, 7.0, 7.0, 3.0, 3.0, 4.0]
    found = soak._quarters(np.array(samples), np.median)
    assert found == {"second": 2.0, "last": 3.0, "growth": 0.5}
    found = soak._quarters(np.array(samples), np.min)
    assert found == {"second": 1.0, "last": 3.0, "growth": 2.0}


def test_rows_say_whether_the_goals_are_met():
    flat = {"second": 2.0**20, "last": 2.0**20, "growth": 0.0}
    grown = {"second": 10.0, "last": 11.0, "growth": 0.1}
    result = {"steps": 10, "seconds": 1.0, "resident": flat, "open_files": grown}
    rows = soak.table(result)
    assert [row[-1] for row in rows[1:3]] == ["met", "missed"]
    assert rows[2][3] == "+10.00%"


def test_too_few_steps_are_refused():
    with pytest.raises(ValueError, match="steps: expected at least 160, got 10"):
        SoakConfig(steps=10)


@pytest.mark.slow
def test_search_of_some_hundred_steps_leaks_no_handle(tmp_path, capsys):
    file = tmp_path / "soak.json"
    words = ["soak", "--steps", "400", "--checkpoint-every-s", "0.5"]
    assert bench_command.main([*words, "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    assert result["steps"] == 400
    assert len(result["resident_bytes"]) == len(result["open_files_each"]) == 20
    assert result["checkpoints_left"] >= 1
    assert result["open_files"]["last"] <= result["open_files"]["second"]
    assert result["resident"]["growth"] < 0.1
    assert "open files" in capsys.readouterr().out
