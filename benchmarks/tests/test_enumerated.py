"""The enumerated benchmark: one program trains all; figures are those of the runs."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import command as bench_command
from benchmarks.enumerated import enumeration, networks, run, searchers, task
from benchmarks.estimator_gradients import all_paths
from nas_jax import supernet
from nas_jax.config import SpaceConfig, TrainConfig
from nas_jax.data.batches import Batch
from nas_jax.networks import network
from nas_jax.spaces import architecture, builders
from nas_jax.training import loop

TINY = builders.mobile(
    SpaceConfig(
        name="tiny",
        input_size=8,
        input_channels=1,
        classes=3,
        stem_channels=8,
        stem_stride=2,
        first_block_channels=None,
        stage_widths=(8,),
        cells=(2,),
        strides=(1,),
        candidates=("mb1_k3", "zero", "mb2_k3"),
        head_channels=8,
    )
)
RECIPE = TrainConfig(epochs=2, batch=4, lr=0.1)
BASE = searchers.base(RECIPE)


def images(number, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.normal(size=(number, 8, 8, 1)).astype(np.float32)
    return Batch(pixels, (np.arange(number) % 3).astype(np.int32))


SPLITS = {"train": images(14, 0), "valid": images(6, 1), "test": images(12, 2)}


@pytest.fixture(scope="module")
def train_path():
    return enumeration.make_train_path(TINY, RECIPE, evaluation_batch=6)


# --- training all networks -----------------------------------------------------------


def test_a_path_is_trained_as_the_plain_network_is():
    """Same start, same order: after 6 steps the weights of `loop.run`."""
    path, key = np.array([0, 2]), jax.random.key(3)
    params, stats = supernet.init(jax.random.key(4), TINY)
    rows = supernet.rows_of(TINY, path)
    start = supernet.gather(params, rows), supernet.gather(stats, rows)
    found, moved = enumeration.trained(
        TINY, RECIPE, key, start, rows, Batch(*map(jnp.asarray, SPLITS["train"]))
    )
    plain = architecture.from_path(TINY, path, "plain")
    own = supernet.extract(TINY, params, stats, plain)
    recipe = loop.Recipe(RECIPE, SPLITS["train"], lambda key, images: images)
    first = loop.init(key, plain, recipe, own)
    *_, last = loop.run(key, plain, recipe, after=loop.Reached(first))
    trained = supernet.extract(
        TINY,
        supernet.scatter(params, found, rows),
        supernet.scatter(stats, moved, rows),
        plain,
    )
    expected = last.state.params, last.state.batch_stats
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=2e-5), trained, expected
    )
    moves = jax.tree.map(lambda x, y: jnp.abs(x - y).max(), trained[0], own[0])
    assert max(jax.tree.leaves(moves)) > 0.01


def test_accuracy_is_that_of_the_plain_network_on_each_full_batch():
    path, data = np.array([2, 1]), SPLITS["test"]
    params, stats = supernet.init(jax.random.key(0), TINY)
    rows = supernet.rows_of(TINY, path)
    gathered = supernet.gather(params, rows), supernet.gather(stats, rows)
    # five images of twelve do not fill a batch of seven
    found = enumeration.accuracy(TINY, *gathered, rows, data, batch=7)
    plain = architecture.from_path(TINY, path, "plain")
    own = supernet.extract(TINY, params, stats, plain)
    logits, _ = network.apply(plain, *own, data.images[:7], train=True)
    assert float(found) == pytest.approx((logits.argmax(1) == data.labels[:7]).mean())


def test_seeds_side_by_side_do_not_touch_each_other(train_path):
    path = jnp.array([0, 2], jnp.int32)
    one, swapped, other = (
        train_path(path, keys, enumeration.starts(TINY, keys), SPLITS)
        for seeds in ((0, 1), (1, 0), (0, 2))
        for keys in [enumeration.keys_of([0, 2], seeds)]
    )
    for part in range(2):
        np.testing.assert_array_equal(one[part], swapped[part][::-1])
        np.testing.assert_array_equal(one[part][0], other[part][0])


def test_every_network_and_seed_has_a_key_of_its_own():
    keys = [enumeration.keys_of(path, (0, 1)) for path in ([1, 12], [11, 2], [1, 1])]
    data = np.concatenate([jax.random.key_data(key) for key in keys])
    assert len(np.unique(data, axis=0)) == 6


def test_one_program_trains_every_network(train_path):
    wanted = [{"path": path.tolist(), "macs": 7} for path in all_paths(TINY)[::4]]
    rows = list(enumeration.train_all(TINY, train_path, wanted, (0, 1), SPLITS))
    assert train_path._cache_size() == 1  # all tests of this file together
    for row, asked in zip(rows, wanted, strict=True):
        assert {name: row[name] for name in asked} == asked
        assert np.shape(row["valid"]) == np.shape(row["test"]) == (2,)
        assert all(0 <= value <= 1 for value in (*row["valid"], *row["test"]))


# --- budgets -------------------------------------------------------------------------


def test_cost_of_architecture_steps_by_hand():
    config = BASE
    assert searchers.arch_step_cost(config, candidates=4) == 1
    full = dataclasses.replace(config, estimator="full")
    assert searchers.arch_step_cost(full, candidates=4) == pytest.approx(5 / 3)
    large = dataclasses.replace(config, arch_batch=2 * config.batch)
    assert searchers.arch_step_cost(large, candidates=4) == 2


def test_schedule_fills_the_budget_by_hand():
    # a joint epoch: 50 weight steps and 50 architecture steps of cost 1; half of 1250
    # holds 6 of them, 650 steps are left for 13 epochs of warm-up
    own, steps = searchers.scheduled(BASE, 4, 50, 1250)
    assert (own.warmup_epochs, own.joint_epochs, steps) == (13, 6, 1250)


@pytest.mark.parametrize("budget", [400, 1234, 5000])
@pytest.mark.parametrize("estimator", ["two_path", "full"])
def test_schedules_stay_within_the_budget(budget, estimator):
    config = dataclasses.replace(BASE, estimator=estimator)
    own, steps = searchers.scheduled(config, 4, 50, budget)
    assert budget - 50 < steps <= budget
    assert min(own.warmup_epochs, own.joint_epochs) >= 1


def test_a_budget_too_small_is_an_error():
    with pytest.raises(ValueError, match="budget: expected steps for an epoch of each"):
        searchers.scheduled(BASE, 4, 50, 120)


@pytest.mark.slow
@pytest.mark.parametrize("asked", task.TASKS)
@pytest.mark.parametrize("name", searchers.SEARCHERS)
def test_searchers_find_an_allowed_network_within_the_budget(name, asked):
    """Live, at the smallest budget, on the real task with made-up truth."""
    given = task.load(asked)
    rows = networks.rows(given)
    latency_ms = np.array([row["latency_ms"] for row in rows])
    nothing = np.zeros((len(rows), 2))
    known = networks.Networks(
        paths=np.array([row["path"] for row in rows], np.int32),
        valid=nothing,
        test=nothing,
        latency_ms=latency_ms,
        target_ms=task.target_ms(latency_ms),
    )
    found = searchers.SEARCHERS[name](given, known, 1, 0)
    assert known.allowed[found.network]
    assert given.task.steps / 2 < found.steps <= given.task.steps
    assert found.supernet.shape == (len(rows),)
    assert found.supernet.max() > 3 / given.space.classifier.classes


# --- figures -------------------------------------------------------------------------

# Latencies 1 to 5; a target of 4 leaves out the last, which is the most accurate.
MADE_UP = networks.Networks(
    paths=np.arange(5)[:, None],
    valid=np.array([[0.1, 0.1], [0.5, 0.2], [0.4, 0.4], [0.6, 0.6], [0.9, 0.9]]),
    test=np.array([[0.2, 0.2], [0.3, 0.3], [0.4, 0.4], [0.4, 0.6], [0.9, 0.9]]),
    latency_ms=np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    target_ms=4.0,
)


def made_up_run(searcher, budget, seed, network, tau=0.5):
    return {
        **{"budget": budget, "searcher": searcher, "seed": seed, "network": network},
        **{"latency_ms": 1.0, "steps": 100.0, "kendall_tau": tau},
    }


def test_figures_by_hand():
    rows = [
        made_up_run("a", 1, 0, 3),  # the best allowed: 0 %
        made_up_run("a", 1, 1, 2),  # second of four: 33 %
        made_up_run("b", 1, 0, 0),  # the worst: 100 %
        made_up_run("a", 4, 0, 3),
    ]
    found = run.summary(rows, MADE_UP, task.FASHION)
    assert found["task"] == "fashion"
    assert (found["networks"], found["allowed"]) == (5, 4)
    means = found["mean_rank_percentile"]
    assert means == pytest.approx({"a": 100 / 9, "b": 100})
    # sd over seeds: one network of five has variance 0.02
    sd = (0.02 / 5) ** 0.5
    first = found["rows"][0]
    assert first["regret_sd"] == pytest.approx([0, 0.1 / sd])
    assert (first["searcher"], first["budget"], first["seeds"]) == ("a", 1, [0, 1])
    # one of four at random: the mean rank; all four: the best by validation
    assert found["random"]["1"]["rank_percentile"] == pytest.approx(50)
    assert found["random"]["4"]["rank_percentile"] == pytest.approx(0)
    json.dumps(found, allow_nan=False)


def test_searches_and_the_ceiling_are_ranked_by_the_same_truth():
    """By hand: of four allowed, seed 0 of the truth has network 2 and 3 alike."""
    found = run.summary([made_up_run("a", 1, 0, 2)], MADE_UP, task.LETTERS)
    # seed 0: 0.4 and 0.4 share the first two ranks, 100 / 6 each; seed 1: 0.4 is second
    # of four behind 0.6, 100 / 3
    expected = (100 / 6 + 100 / 3) / 2
    assert found["rows"][0]["one_seed_less"] == pytest.approx([expected])
    assert found["mean_one_seed_less"] == pytest.approx({"a": expected})
    # both seeds choose network 3 by validation: the best of both, with all the truth;
    # by the seed that did not choose, first (seed 1) or one of two firsts (seed 0)
    of_each = found["one_training_of_each"]
    assert of_each["rank_percentile"] == 0
    assert of_each["one_seed_less"] == pytest.approx((0 + 100 / 6) / 2)


def test_table_has_a_line_per_searcher_and_budget():
    rows = [made_up_run("a", 1, 0, 3), made_up_run("a", 1, 1, 2)]
    lines = run.table(run.summary(rows, MADE_UP, task.LETTERS) | {"commit": "abc"})
    assert lines[1][:4] == ("a", "1", "100", "16.7 ± 23.6")
    assert lines[1][5:] == ("0.8 ± 1.1", "0.50 ± 0.00")
    assert {len(line) for line in lines} == {7}
    rest = [line[0] for line in lines[2:]]
    assert rest == ["random", "one training of each", "commit abc"]


def test_a_network_above_the_target_is_refused():
    with pytest.raises(ValueError, match=r"'a': expected networks of at most 4 ms"):
        run.summary([made_up_run("a", 1, 0, 4)], MADE_UP, task.LETTERS)


# --- the command ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--task digits", "task"),
        ("--searchers two", "searchers: expected names among two_path, full, reinforc"),
        ("--budgets 0", "budgets: expected distinct positive integers"),
        ("--seeds 1,1", "seeds: expected distinct numbers from 0"),
    ],
)
def test_wrong_settings_are_refused(words, message, capsys):
    assert bench_command.main(["enumerated", *words.split()]) == 2
    assert message in capsys.readouterr().err
