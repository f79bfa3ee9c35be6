"""Kills at a moment in the files of a run."""

import random
import subprocess

import pytest

from tests.runs import kills


def test_moments_are_drawn_from_every_phase_alike():
    phases = ["warmup"] * 3 + ["joint"] * 4 + ["train"] * 5
    drawn, again, other = (
        kills.draw(random.Random(seed), 10, phases, 0.1) for seed in (0, 0, 1)
    )
    assert drawn == again != other
    assert sorted(one.phase for one in drawn) == sorted(2 * kills.PHASES)
    assert [one.phase for one in drawn] != [*kills.PHASES, *kills.PHASES]
    for phase, lines, delay_s in drawn:
        assert phase in ("saving", phases[lines - 1]) or lines == len(phases)
        assert 0 <= delay_s <= 0.1
    assert len({one.lines for one in drawn}) > 5


@pytest.mark.parametrize(
    ("moment", "before", "there"),
    [
        (kills.Moment("joint", 2, 0.0), "{}\n", "{}\n{}\n"),
        (
            kills.Moment("saving", 1, 0.0),
            "{}\n",
            "snapshots/search/8.orbax-checkpoint-tmp",
        ),
        (kills.Moment("saving", 1, 0.0), "{}\n", "trials/.one.partial"),
        (kills.Moment("evaluation", 1, 0.0), "{}\n{}\n", "export"),
    ],
)
def test_a_process_is_killed_when_its_files_are_that_far(
    tmp_path, moment, before, there
):
    (tmp_path / "metrics.jsonl").write_text(before)
    assert not kills.has_come(moment, tmp_path)
    if there.startswith("{"):
        (tmp_path / "metrics.jsonl").write_text(there)
    else:
        (tmp_path / there).mkdir(parents=True)
    endless = subprocess.Popen(["sleep", "1000"])
    assert kills.kill_at(moment, tmp_path, endless)
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert not kills.kill_at(moment, tmp_path, ended)
