"""Schedules for the hours that there are."""

import dataclasses
import math

import pytest

from nas_jax import cli
from nas_jax.config import SearchConfig, TrainConfig
from nas_jax.runs import budget, first_experiment, plan, probe
from nas_jax.runs.budget import Pace
from nas_jax.training.progress import Progress
from tests.small_run import EXPERIMENT

TRAINED = dataclasses.replace(
    EXPERIMENT,
    search=dataclasses.replace(EXPERIMENT.search, warmup_epochs=10, joint_epochs=5),
    train=TrainConfig(epochs=20, batch=40, warmup_epochs=2.0, ema_epochs=1.0),
)


def test_epochs_fill_what_is_left_by_hand():
    """(1 h - 0.1 h) / 0.02 h = 45 epochs, and the search in proportion: 2.25 times."""
    found = budget.fitted(TRAINED, 1.0, Pace(0.1, 0.02))
    made = found.experiment
    assert made.train.epochs == 45
    assert (made.train.warmup_epochs, made.train.ema_epochs) == (4.5, 2.25)
    assert (made.search.warmup_epochs, made.search.joint_epochs) == (22, 11)
    assert found.note == (
        "about 1 h of 1 h: about 6 min to compile, measure and export, the rest for "
        "trainings of 45 epochs and 33 of the search"
    )


def test_phases_of_no_epochs_stay_so_and_others_keep_one():
    search = SearchConfig(warmup_epochs=0, joint_epochs=1, batch=20, arch_batch=20)
    made = budget.lasting(dataclasses.replace(TRAINED, search=search), 4)
    assert (made.search.warmup_epochs, made.search.joint_epochs) == (0, 1)


@pytest.mark.parametrize("hours", [0, -1, math.nan, math.inf])
def test_hours_that_are_none_are_refused(hours):
    with pytest.raises(ValueError, match=r"--hours: expected a number above 0, got"):
        budget.fitted(TRAINED, hours, Pace(0.1, 0.02))


def test_too_few_hours_say_how_many_are_enough():
    """4 epochs: 0.1 + 4 * 0.0213 = 0.1852 h; a fifth more, rounded up."""
    with pytest.raises(
        ValueError, match=r"--hours 0\.15: expected about 0\.23 or more"
    ):
        budget.fitted(TRAINED, 0.15, Pace(0.1, 0.0213))
    least = budget.fitted(TRAINED, 0.19, Pace(0.1, 0.0213))
    assert least.experiment.train.epochs == 4
    # the machine at other work, a fifth slower
    enough = budget.fitted(TRAINED, 0.23, Pace(0.12, 0.0256))
    assert enough.experiment.train.epochs == 4


def test_too_few_hours_say_how_many_trials_fit():
    """Of 1.3 h 0.8 h are left for 4 epochs of 0.25 h of all trainings, which are 7:
    with 8 trials they are 5, 20 / 28 of the hour."""
    one = dataclasses.replace(
        TRAINED,
        space=first_experiment._space("p", 28, 3, 2),
        data=dataclasses.replace(TRAINED.data, name="folder", path="p"),
        search=SearchConfig(
            *(0, 0), finalists=32, trials=16, target_ratio=0.5, batch=20, arch_batch=20
        ),
        train=TrainConfig(epochs=1600, batch=40),
        scaled_networks=2,
    )
    assert plan.trainings(one) == 7
    with pytest.raises(
        ValueError, match=r"--hours 1\.3: expected about 1\.8 or more"
    ) as told:
        budget.fitted(one, 1.3, Pace(0.5, 0.25))
    assert str(told.value).endswith(
        "; give more, or take smaller images, or compare fewer networks: nas_jax "
        "search FILE --hours 1.3 --search.trials 8, FILE of nas_jax start without "
        "--hours"
    )
    with pytest.raises(ValueError, match=r"or take smaller images$"):
        budget.fitted(one, 0.5, Pace(0.5, 0.25))


def test_the_pace_is_that_of_the_plan(monkeypatch):
    """20 epochs of 0.5 h in all; three programs compiled in 30 s."""

    def of_run(setup, compiler):
        compiler.seconds = 30.0
        programs = ("weight step", "architecture step", plan.TRAINING)
        return [plan.Forecast(name, 1000, 1, 600.0, 0, 0) for name in programs]

    monkeypatch.setattr(plan, "of_run", of_run)
    stored = dataclasses.replace(TRAINED.latency, table="a table")
    found = budget.pace(dataclasses.replace(TRAINED, latency=stored), Progress())
    assert found.per_epoch == pytest.approx(3 * 600 / 3600 / 20)
    # searched, hand-designed, cheapest and one drawn, 10 s of compiling each
    seconds = 30 - 10 + 4 * 10 + 4 * budget.PER_NETWORK_S
    assert found.fixed == pytest.approx(seconds / 3600)


@pytest.fixture
def timed(monkeypatch):
    """What a run takes, without looking; and nothing is tried on the pictures."""

    def set_pace(at_64_h):
        def pace(experiment, progress):
            per_epoch = at_64_h * (experiment.space.input_size / 64) ** 2
            return Pace(0.05, per_epoch)

        monkeypatch.setattr(budget, "pace", pace)

    monkeypatch.setattr(
        probe,
        "augmentation",
        lambda made, progress: probe.Probed(made.data, ("probed",)),
    )
    return set_pace


@pytest.mark.parametrize(
    ("hours", "side", "epochs"),
    [
        (0.1, 28, 13),  # 0.05 h / 0.0038 h, too few for any larger side
        (0.65, 48, 53),  # 64 pixels would leave 30 epochs of 0.02 h
        (1.05, 48, 88),
    ],
)
def test_images_are_as_large_as_time_and_pictures_allow(
    hours, side, epochs, timed, monkeypatch, tmp_path
):
    def of_pictures(path, largest=64, **reading):
        found = min(largest, 48)  # no picture is larger
        space = first_experiment._space("p", found, 3, 4)
        experiment = dataclasses.replace(
            TRAINED,
            space=space,
            search=SearchConfig(warmup_epochs=0, joint_epochs=0),
            data=dataclasses.replace(TRAINED.data, name="folder", path="p"),
        )
        return first_experiment.FirstExperiment(experiment, {}, ("seen",))

    monkeypatch.setattr(first_experiment, "of_pictures", of_pictures)
    timed(0.02)
    made = first_experiment.in_hours(tmp_path, hours, Progress())
    assert made.experiment.space.input_size == side
    assert made.experiment.train.epochs == epochs
    assert made.notes[:2] == ("seen", "probed")
    assert made.notes[2].endswith(f"trainings of {epochs} epochs")


def test_no_hours_are_one_line(tmp_path, capsys):
    words = ["start", str(tmp_path), "--out", str(tmp_path / "m.py"), "--hours", "0"]
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert err == "nas_jax: --hours: expected a number above 0, got 0\n"


def test_hours_and_several_targets_are_refused(capsys):
    words = ["search", "digits_cpu", "--hours", "1", "--targets", "0.5,0.6"]
    assert cli.main(words) == 2
    assert "--hours: expected one target and one process" in capsys.readouterr().err
