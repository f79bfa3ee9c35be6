"""Whole runs against what a user would do instead: rows, ranks, intervals."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from benchmarks import command, promise
from benchmarks.quality_settings import PromiseConfig
from nas_jax.config import shipped
from nas_jax.data import idx
from nas_jax.networks import checkpoint, parts
from nas_jax.networks.network import assemble_parts
from nas_jax.runs import budget, finalists, pipeline, run_folder
from nas_jax.spaces import architecture_json, elastic, published
from nas_jax.spaces.architecture import homogeneous
from nas_jax.spaces.operations import OpSpec
from nas_jax.training.progress import Progress
from nas_jax.training.scores import Scores
from tests import small_elastic


def row(searched, random, scaled=None, search=0.5):
    return {
        "task": "letters",
        "seed": 0,
        "searched": searched,
        "random": random,
        "random_search": search,
        "scaled": scaled,
        "measured_over_target": 1.0,
        "seconds": 90.0,
        "planned_seconds": 60.0,
    }


def test_differences_and_their_intervals_by_hand():
    """Gains of 4 and 2 points: mean 3, standard error 1, t(0.975, 1) = 12.706."""
    rows = [row(0.84, [0.7, 0.9], 0.8), row(0.62, [0.5, 0.7], None, 0.6)]
    found = promise.summary(rows)
    mean, half = found["the random networks' mean"]
    assert mean == pytest.approx(0.03)
    assert half == pytest.approx(0.12706, rel=1e-3)
    assert found["the scaled hand-designed"] == (pytest.approx(0.04), 0.0)
    assert found["random search"][0] == pytest.approx((0.34 + 0.02) / 2)
    # of a deviation of 0.1414 each
    assert found["their mean, in deviations"][0] == pytest.approx(
        0.03 / 0.02**0.5 / 100
    )
    assert [promise.rank(one) for one in rows] == [1 / 3, 1 / 3]
    table = promise.table({"rows": rows, "summary": found})
    assert table[1][2:5] == ("84.00%", "80.00%", "14.14%")
    assert table[1][-1] == "1.50"
    assert table[2][7] == "-"


def test_letters_are_written_once_as_idx(tmp_path, monkeypatch):
    monkeypatch.setattr(promise, "LETTERS", (52, 26))
    promise._letters(tmp_path)
    images = idx.read(tmp_path / "train-images-idx3-ubyte.gz")
    assert images.shape == (52, 28, 28) and images.max() == 255
    labels = idx.read(tmp_path / "t10k-labels-idx1-ubyte.gz")
    assert sorted(labels) == list(range(26))
    monkeypatch.setattr(promise.glyphs, "draw", None)
    assert promise._letters(tmp_path) == tmp_path


def test_a_run_becomes_a_row_and_is_not_repeated(tmp_path, monkeypatch):
    """With a made-up pipeline: plan, the best of the random ones by loss, the pace."""
    monkeypatch.setattr(promise, "LETTERS", (26 * 40, 26 * 4))
    monkeypatch.setattr(budget, "pace", lambda *_: budget.Pace(0.01, 0.01))
    runs = []

    def run(experiment, folder, *, command, progress):
        runs.append(experiment)
        network = {"test_images": 104, "architecture": {"input_size": 28}}
        measured = {"median": 1.0, "mean": 1.1}
        (folder / finalists.FINALISTS).write_text(
            json.dumps(
                [
                    {
                        "path": [0],
                        "trial": "trial_1",
                        "rung": 2,
                        "trained_valid_loss": 0.5,
                        "valid_accuracy": 0.1,
                    },
                    {"path": []},
                ]
            )
        )
        accuracies = {
            "searched": 0.9,
            "baseline": 0.8,
            "random_1": 0.7,
            "random_2": 0.95,
        }
        return {
            "networks": {
                name: network
                | {"test_accuracy": one, "measured_ms": measured}
                | {"measured_over_predicted": 1.1, "balanced_accuracy": one / 2}
                for name, one in accuracies.items()
            },
            "target_ms": 1.0,
            "seconds_per_phase": {"search": 50.0, "retrain": 22.0},
        }

    monkeypatch.setattr(pipeline, "run", run)
    monkeypatch.setattr(promise, "_valid_losses", lambda *_: [0.3, 0.2])
    config = PromiseConfig(
        tasks=("letters",),
        seeds=(3,),
        file=tmp_path / "p.jsonl",
        folder=tmp_path / "p",
        hours=0.1,
        random_networks=2,
    )
    (found,) = promise.run(config, Progress())["rows"]
    assert runs[0].seed == 3 and runs[0].train.epochs == 9
    assert (found["random"], found["random_search"]) == ([0.7, 0.95], 0.95)
    assert found["measured_over_target"] == pytest.approx(1.0)
    assert found["scaled"] is None
    assert found["balanced"]["searched"] == 0.45
    assert not {"from_nothing", "taught"} & found.keys()
    assert found["rungs"] == [
        {"trial": "trial_1", "rung": 2, "trained_valid_loss": 0.5}
    ]
    assert (found["seconds"], found["planned_seconds"]) == (
        72.0,
        pytest.approx(3600 * 0.1),
    )
    assert len(promise.run(config, Progress())["rows"]) == len(runs) == 1
    assert np.isfinite(promise.summary([found])["random search"][0])


def test_weights_give_the_space_and_may_be_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(promise, "LETTERS", (26 * 40, 26 * 4))
    network = published.get("mobilenet_v2", 64)
    weights = [parts.init_all(jax.random.key(0), network.parts)]
    model = checkpoint.Model(network, *assemble_parts(network, *weights))
    checkpoint.save_model(tmp_path / "weights", model)
    config = PromiseConfig(
        tasks=("letters",),
        folder=tmp_path / "p",
        weights=tmp_path / "weights",
        train_images=400,
    )
    given = promise._made(config, "letters")
    assert given.space.cells == (2, 3, 4, 3, 3, 1)
    assert given.train.start == str(tmp_path / "weights")
    assert (given.data.train_weights, given.data.train_alphas) == (300, 100)
    alone = promise._made(dataclasses.replace(config, scratch=True), "letters")
    assert alone.space == given.space
    assert (alone.train.start, alone.train.lr) == ("scratch", 0.15)


def test_a_network_found_from_weights_is_trained_from_nothing_and_taught(
    tmp_path, monkeypatch
):
    words = small_elastic.write(tmp_path)
    made = shipped.load_experiment(words[1])
    train = dataclasses.replace(made.train, start="given", epochs=7)
    made = dataclasses.replace(made, train=train)
    folder = run_folder.create(made, tmp_path / "p" / "run", tmp_path)
    one = homogeneous(elastic.build(made.space).shapes[0], OpSpec.parse("mb3_k3"))
    (folder / "architecture.json").write_text(architecture_json.to_json(one))
    trained = []

    def train_network(experiment, network, place, *, progress):
        trained.append((experiment.train, network.name, place.name))
        return place, Scores(test_accuracy=0.5 + len(trained) / 8)

    monkeypatch.setattr(pipeline, "train_network", train_network)
    for _ in range(2):  # as one that was stopped goes on
        found = promise._otherwise(made, folder, Progress())
    (alone, *names), (taught, *_) = trained[:2]
    assert names == ["from_nothing", "run-from_nothing"]
    assert (alone.start, alone.epochs) == ("scratch", 7)
    assert (taught.start, taught.epochs) == ("given", 7)
    assert taught.teacher == str(folder / "checkpoints" / "baseline")
    assert found == {"from_nothing": 0.875, "taught": 1.0}
    rows = [row(0.9, [0.7, 0.9]) | found, row(0.8, [0.7, 0.9]) | found]
    mean, _ = promise.summary(rows)["itself from nothing"]
    assert mean == pytest.approx(-0.025)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            "promise --tasks faces",
            "tasks: expected some of fashion_mnist, letters, pic",
        ),
        (
            "promise --scratch",
            "scratch: expected False without weights, which",
        ),
        ("promise --random-networks 1", "random_networks: expected 2 or more, got 1"),
        (
            "promise --tasks pictures --seeds 0 --file {}/p.jsonl --folder {}/p",
            "path: expected a folder of pictures for the task pictures, got None",
        ),
    ],
)
def test_wrong_settings_are_one_line(words, line, capsys, tmp_path):
    assert command.main(words.format(tmp_path, tmp_path).split()) == 2
    assert line in capsys.readouterr().err
