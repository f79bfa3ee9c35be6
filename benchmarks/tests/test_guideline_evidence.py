"""Tasks, their measured difficulty, and the trainings behind the records."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import ledger
from benchmarks.guidelines import evidence, filing, ladder, sources, tasks
from benchmarks.guidelines.__main__ import main
from benchmarks.guidelines.sources import Places
from benchmarks.guidelines.tasks import EVALUATED
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
    for distinct in ("name", "seed"):
        assert len({getattr(one, distinct) for one in tasks.TASKS}) == len(tasks.TASKS)
    by_source = collections.Counter(task.source for task in tasks.TASKS)
    assert len(by_source) == 6 and min(by_source.values()) >= 4
    assert len(ladder.BUDGETS) >= 3


def pool(classes=3, groups=50, styles=2):
    """Pictures of which each says its group, in `styles` pictures a group."""
    group = np.repeat(np.arange(classes * groups), styles)
    images = np.zeros((len(group), 8, 8, 1), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = group % 256, group // 256
    images[:, 0, 2, 0] = np.tile(np.arange(styles), classes * groups)
    return sources.Pool(images, group // groups, group)


def groups_of(batch):
    return {(int(one[0, 0, 0]), int(one[0, 1, 0])) for one in batch.images}


@pytest.mark.parametrize("counts", [(30, 20, 60), (31, 7, 100)])
def test_no_group_is_in_two_splits_and_classes_are_even(counts):
    whole, kinds = pool(), np.array([2, 0, 1])
    found = tasks.split(whole, kinds, counts, np.random.default_rng(0))
    assert tuple(len(batch.labels) for batch in found) == counts
    for batch in found:
        sizes = np.bincount(batch.labels, minlength=3)
        assert sizes.max() - sizes.min() <= 1
        places = batch.images[:, 0, 0, 0] // 50
        np.testing.assert_array_equal(kinds[batch.labels], places)
        flat = batch.images.reshape(len(batch.images), -1)
        assert len(np.unique(flat, axis=0)) == len(flat)
    seen = [groups_of(batch) for batch in found]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_a_task_has_what_its_name_says(monkeypatch):
    monkeypatch.setattr(sources, "read", lambda source, places: pool(4, 130, 2))
    task = tasks.Task("emoji", 3, 20, 8, seed=0)
    assert task.name == "emoji_3x20_8px"
    found = tasks.load.__wrapped__(task, Places())
    # 260 a class, and 20 + 167 + 42 with 2 to spare; 500 is the most that fits
    assert found.test_images == 500
    sizes = {name: len(getattr(found, name).labels) for name in ("train", *EVALUATED)}
    assert sizes == {"train": 60, **EVALUATED}
    assert np.bincount(found.train.labels).tolist() == [20, 20, 20]
    np.testing.assert_array_equal(found.test.images[:500], found.test.images[1500:])
    np.testing.assert_array_equal(found.valid.images[:125], found.valid.images[375:])
    assert abs(found.train.images.mean()) < 1e-4
    assert found.train.images.std() == pytest.approx(1, abs=1e-3)


def test_a_seed_of_its_own_makes_another_choice(monkeypatch):
    monkeypatch.setattr(sources, "read", lambda source, places: pool(4, 200, 1))
    first, same, other = (
        tasks.load.__wrapped__(tasks.Task("emoji", 2, 20, 8, seed), Places()).train
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.images, same.images)
    assert not np.array_equal(first.images, other.images)


def test_too_few_pictures_are_refused(monkeypatch):
    monkeypatch.setattr(sources, "read", lambda source, places: pool(3, 40, 1))
    line = (
        "emoji_3x20_8px: expected 3 classes of 104 different pictures, got 0; the "
        r"largest have \[40, 40, 40\]"
    )
    with pytest.raises(ValueError, match=line):
        tasks.load.__wrapped__(tasks.Task("emoji", 3, 20, 8, seed=0), Places())


def test_letters_are_drawn_anew_by_every_seed():
    one, other = (
        tasks.load.__wrapped__(tasks.Task("letters", 3, 20, 8, seed), Places())
        for seed in (0, 1)
    )
    assert len(one.train.labels) == 60 and one.test_images == 2000
    assert not np.array_equal(one.train.images, other.train.images)
    flat = np.concatenate([one.train.images, one.valid.images, one.test.images])
    flat = flat.reshape(len(flat), -1)
    assert len(np.unique(flat, axis=0)) == len(flat) == 60 + 500 + 2000


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
    steps = Batch(grey.images[None], grey.labels[None])
    np.testing.assert_array_equal(evidence.padded(steps).images[0], padded.images)
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
    task = next(one for one in tasks.TASKS if one.source == "digits")
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
    found = [{"task": task.name, "descriptors": given, "test_images": 400}]
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
        "test_images": 400,
        "trainings": 2,
    }
    assert filed[0]["task"]["family"] == "digits"
    assert filed[0]["origin"]["seeds"] == [0, 1]
    chosen = filed[7:]
    third = filed[2]["network"]
    assert [one["target"]["value"] for one in chosen] == list(ladder.BUDGETS)
    # at 2 classes: rungs 0-2 below 10,000, 0-4 below 32,000, all below 128,000
    assert [one["search"]["networks"] for one in chosen] == [3, 5, 7]
    assert all(one["network"] == third for one in chosen)


@pytest.mark.slow
def test_making_stops_and_goes_on(tmp_path, monkeypatch):
    one = tasks.Task("letters", 2, 20, 8, seed=0)
    monkeypatch.setattr(tasks, "TASKS", (one,))
    monkeypatch.setattr(ladder, "RUNGS", ladder.RUNGS[:2])
    monkeypatch.setattr(evidence, "DRAWN", {})
    monkeypatch.setattr(evidence, "SEEDS", (0,))
    monkeypatch.setattr(evidence, "STEPS", 20)
    file = tmp_path / "evidence.jsonl"
    assert evidence.make(file, Places(), Progress()) == {"tasks": 1, "networks": 2}
    whole = file.read_text()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 1 + 1 + 2
    file.write_text("".join(lines[:3]))  # as if stopped before the last network
    evidence.make(file, Places(), Progress())
    assert file.read_text() == whole
    # two letters, 40 images seen 16 times: better than chance
    assert all(row["test"] > 0.55 for row in ledger.read(file).rows[1:])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            "",
            "expected --file, got none; usage: python -m benchmarks.guidelines --file ",
        ),
        ("--file x --out nowhere", "expected an existing folder"),
    ],
)
def test_command_refuses_in_one_line(capsys, words, line):
    assert main(words.split()) == 2
    heard = capsys.readouterr().err
    assert line in heard and heard.count("\n") == 1
