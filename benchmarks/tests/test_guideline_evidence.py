"""Tasks, their measured difficulty, and the trainings behind the records."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import ledger
from benchmarks.guidelines import evidence, filing, ladder, tasks
from benchmarks.guidelines.__main__ import main
from nas_jax import supernet
from nas_jax.data.batches import Batch
from nas_jax.guidelines import difficulty, records
from nas_jax.networks import network
from nas_jax.training.progress import Progress


def by_refitting(x, labels, ridge_share=0.1):
    """Leave-one-out accuracy, a regression for every image."""
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-6)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    y = 2.0 * np.eye(labels.max() + 1)[labels] - 1
    ridge = ridge_share * len(x) * np.eye(x.shape[1])
    correct = 0
    for i in range(len(x)):
        rest = np.arange(len(x)) != i
        gram = x[rest].T @ x[rest] + ridge
        weights = np.linalg.solve(gram, x[rest].T @ y[rest])
        correct += int(np.argmax(x[i] @ weights) == labels[i])
    return correct / len(x)


@pytest.mark.parametrize("width", [5, 60])  # fewer and more features than images
def test_leaving_out_is_leaving_out(width):
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=40)
    x = rng.normal(size=(40, width)) + labels[:, None] * rng.normal(size=width)
    expected = by_refitting(x, labels)
    assert difficulty.left_out_accuracy(x, labels) == expected
    assert 0.4 < expected < 1


def test_descriptors_of_a_data_set():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [10, 20, 30]).astype(np.int32)
    images = rng.normal(size=(60, 9, 9, 2)).astype(np.float32)
    images[labels == 0] += 2
    images[labels == 1, :, :4] += 2
    found = difficulty.measure(Batch(images, labels))
    assert (found.input_size, found.channels, found.classes) == (9, 2, 3)
    assert (found.images_per_class, found.balance) == (20.0, 0.3333)
    assert found.linear_accuracy == 1.0
    shuffled = difficulty.measure(Batch(images, rng.permutation(labels)))
    assert shuffled.linear_accuracy < 0.7
    assert shuffled.tiny_accuracy < 0.7


def test_a_difficulty_asks_for_square_images_of_all_classes():
    images = np.zeros((4, 8, 8, 1), np.float32)
    with pytest.raises(ValueError, match="every class from 0 up, at least two"):
        difficulty.measure(Batch(images, np.array([0, 0, 2, 2])))
    with pytest.raises(ValueError, match="square ones, got '8x4'"):
        difficulty.measure(Batch(images[:, :, :4], np.array([0, 0, 1, 1])))


def test_there_are_enough_kinds_of_tasks():
    assert len(tasks.TASKS) >= 24
    assert len({task.name for task in tasks.TASKS}) == len(tasks.TASKS)
    assert len({task.data for task in tasks.TASKS}) == len(tasks.TASKS)
    assert len({task.family for task in tasks.TASKS}) == 8
    assert len(ladder.BUDGETS) >= 3


def test_a_hidden_square_is_as_large_as_told():
    rng = np.random.default_rng(0)
    hidden = tasks.occluded(rng, np.ones((50, 16, 16, 1)), 0.25)
    assert ((hidden == 0).sum((1, 2, 3)) == 16).all()
    rows = (hidden == 0).any(axis=(2, 3))
    assert (rows.sum(1) == 4).all()
    assert rows.any(0).all()  # anywhere
    assert (tasks.occluded(rng, np.ones((2, 8, 8, 1)), 0.0) == 1).all()


def test_colours_are_those_named():
    rng = np.random.default_rng(0)
    grey = rng.normal(size=(20, 4, 4, 1)).astype(np.float32)
    assert tasks.coloured(rng, grey, "") is grey
    ink = tasks.coloured(rng, grey, "ink")
    factors = ink / grey
    np.testing.assert_allclose(factors, factors[:, :1, :1] + 0 * factors, rtol=1e-5)
    paper = tasks.coloured(rng, grey, "paper") - grey
    np.testing.assert_allclose(paper, paper[:, :1, :1] + 0 * paper, atol=1e-5)
    for one in (factors[:, 0, 0], paper[:, 0, 0]):
        assert np.abs(one).max() <= 1.0001
        assert len(np.unique(one.round(5))) == one.size


def test_splits_of_digits_are_repeated_whole():
    found = tasks.load(tasks.Digits(8, 20))
    assert {name: len(x.labels) for name, x in found.items()} == {
        "train": 200,
        **tasks.EVALUATED,
    }
    test = found["test"].images
    np.testing.assert_array_equal(test[:1000], test[3000:])
    assert tasks.distinct_test_images(tasks.Digits(8, 20)) == 1000


def test_splits_of_glyphs_are_different_draws():
    found = tasks.load(tasks.Glyphs(classes=3, input_size=8, images_per_class=20))
    assert len(found["train"].labels) == 60
    assert not np.array_equal(found["train"].images[:9], found["test"].images[:9])


def test_rungs_are_given_and_drawn_ones_are_of_the_task():
    first, second = (evidence.rungs(task) for task in tasks.TASKS[:2])
    assert first[:7] == list(ladder.RUNGS) == second[:7]
    assert len(first) == len(set(first)) == 7 + sum(evidence.DRAWN.values())
    assert first != second
    assert evidence.rungs(tasks.TASKS[0]) == first


def test_classes_and_channels_that_a_task_lacks_change_nothing():
    rung = ladder.RUNGS[0]
    wide = ladder.searched(8, evidence.CHANNELS, evidence.CLASSES, rung.width)
    params, stats = supernet.init(jax.random.key(0), wide)
    rows = supernet.rows_of(wide, jnp.array(rung.path))
    rng = np.random.default_rng(0)
    grey = Batch(rng.normal(size=(6, 8, 8, 1)).astype(np.float32), np.arange(6) % 5)
    padded = evidence.padded(grey)
    assert padded.images.shape == (6, 8, 8, 3)
    logits, _ = supernet.apply(
        wide,
        supernet.gather(params, rows),
        supernet.gather(stats, rows),
        rows,
        padded.images,
    )
    big = ladder.network(rung, 8, evidence.CHANNELS, evidence.CLASSES, "wide")
    taken, kept = supernet.extract(wide, params, stats, big)
    small = ladder.network(rung, 8, 1, 5, "small")
    shapes = network.shapes(small)[0]

    def cut(leaf, shape):
        return leaf[tuple(slice(n) for n in shape.shape)]

    own = jax.tree.map(cut, taken, shapes)
    expected, _ = network.apply(small, own, kept, grey.images, train=True)
    np.testing.assert_allclose(logits[:, :5], expected, rtol=1e-4, atol=1e-5)
    masked = jnp.where(jnp.arange(evidence.CLASSES) < 5, logits, -jnp.inf)
    log_probs = jax.nn.log_softmax(expected)
    by_hand = -np.mean([log_probs[i, label] for i, label in enumerate(grey.labels)])
    loss = evidence.picked_cross_entropy(masked, grey.labels)
    np.testing.assert_allclose(loss, by_hand, rtol=1e-4)


def row(task, rung, seed, valid, test):
    return {
        "task": task,
        "width": rung.width,
        "path": list(rung.path),
        "seed": seed,
        "valid": valid,
        "test": test,
    }


def test_records_of_the_evidence(tmp_path):
    task = tasks.TASKS[0]
    given = {
        "input_size": 16,
        "channels": 1,
        "classes": 2,
        "images_per_class": 100.0,
        "balance": 1.0,
        "linear_accuracy": 0.9,
        "tiny_accuracy": 0.95,
    }
    file = tmp_path / "evidence.jsonl"
    origin = {"versions": {"jax": "1"}, "device": "cpu", "commit": "abc"}
    ledger.begin(file, {}, origin)
    # valid prefers the third rung, test the seventh
    valids = (0.5, 0.6, 0.9, 0.8, 0.7, 0.85, 0.89)
    found = [{"task": task.name, "descriptors": given}]
    for rung, valid in zip(ladder.RUNGS, valids, strict=True):
        found += [
            row(task.name, rung, seed, valid, valid / 2 + seed / 10) for seed in (0, 1)
        ]
    list(ledger.extended(file, iter(found)))
    filed = filing.made(file)
    assert len(filed) == 7 + 3
    for one in filed:
        records.check_counts(one, "made")
    assert filed[0]["result"] == {
        "accuracy": 0.3,  # mean of 0.25 and 0.35
        "test_images": 4000,
        "trainings": 2,
    }
    assert filed[0]["origin"]["seeds"] == [0, 1]
    chosen = filed[7:]
    third = filed[2]["network"]
    assert [one["target"]["value"] for one in chosen] == list(ladder.BUDGETS)
    # at 2 classes: rungs 0-2 below 10,000, 0-4 below 32,000, all below 128,000
    assert [one["search"]["networks"] for one in chosen] == [3, 5, 7]
    assert all(one["network"] == third for one in chosen)


@pytest.mark.slow
def test_making_stops_and_goes_on(tmp_path, monkeypatch):
    one = tasks.Task("f", "small", tasks.Glyphs(2, 8, 20))
    monkeypatch.setattr(tasks, "TASKS", (one,))
    monkeypatch.setattr(tasks, "EVALUATED", {"valid": 500, "test": 500})
    monkeypatch.setattr(ladder, "RUNGS", ladder.RUNGS[:2])
    monkeypatch.setattr(evidence, "DRAWN", {})
    monkeypatch.setattr(evidence, "SEEDS", (0,))
    monkeypatch.setattr(evidence, "STEPS", 20)
    file = tmp_path / "evidence.jsonl"
    assert evidence.make(file, Progress()) == {"tasks": 1, "networks": 2}
    whole = file.read_text()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 1 + 1 + 2
    file.write_text("".join(lines[:3]))  # as if stopped before the last network
    evidence.make(file, Progress())
    assert file.read_text() == whole
    # two letters, 40 images seen 16 times: better than chance
    assert all(row["test"] > 0.55 for row in ledger.read(file).rows[1:])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "expected --file, got none; see python -m benchmarks.guidelines --help"),
        ("--file x --out nowhere", "expected an existing folder"),
    ],
)
def test_command_refuses_in_one_line(capsys, words, line):
    assert main(words.split()) == 2
    heard = capsys.readouterr().err
    assert line in heard and heard.count("\n") == 1
