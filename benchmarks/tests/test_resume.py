"""Runs that are killed and resumed, by the bench."""

import pytest

from benchmarks import resume
from benchmarks.settings import ResumeConfig
from nas_jax.training.progress import Progress
from tests import small_run


@pytest.mark.slow
def test_killed_runs_end_as_one_left_alone(tmp_path):
    _, name, _, table, *_ = small_run.write(tmp_path)
    config = ResumeConfig(
        kills=2,
        experiment=name,
        table=table,
        warmup_epochs=2,
        joint_epochs=2,
        train_epochs=2,
        checkpoint_every_s=0.001,
    )
    result = resume.run(config, Progress())
    assert result["is_control_identical"]
    assert (result["alive"], result["identical"], len(result["rows"])) == (2, 2, 2)
    for row in result["rows"]:
        assert row["lines"] >= row["aim"]["lines"]
        assert row["phase"] != "finished"
    assert resume.table(result)[-2][-1] == "2 of 2"
