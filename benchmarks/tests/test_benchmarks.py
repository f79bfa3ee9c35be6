"""The exact gradient, the statistics of draws, and which estimators are unbiased.

The draws use fixed keys, so nothing here is left to chance; the bounds are such that
another key would do as well: at 20,000 draws an unbiased estimator's largest of nine
deviations passes 4.5 standard errors once in 15,000 keys.
"""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import command as bench_command
from benchmarks import estimator_gradients as bench
from benchmarks import estimators as comparison
from benchmarks.settings import EstimatorsConfig
from nas_jax.config import SearchConfig
from nas_jax.data.batches import Batch
from nas_jax.search import estimators, schedule, search_state
from nas_jax.spaces import builders
from nas_jax.training import losses
from nas_jax.training.progress import Progress
from tests import tiny_spaces
from tests.search.test_own_estimator import (
    GET_CONFIG,
    GUMBEL,
    registry,  # noqa: F401
)

SPACE = builders.mobile(tiny_spaces.THREE_LAYERS)
PATHS = bench.all_paths(SPACE)
NUMBERS = np.random.default_rng(0)
LOSSES = NUMBERS.normal(2, 1, len(PATHS))
ALPHAS = NUMBERS.normal(0, 0.7, SPACE.mask.shape)
EXACT = bench.exact_gradient(ALPHAS, SPACE.mask, PATHS, LOSSES)
BOUND, DRAWS = 4.5, 20_000


# --- the exact gradient --------------------------------------------------------------


def test_exact_gradient_by_hand():
    # p = (1/4, 3/4), losses 1 and 5: J = 4; dJ = 1/4 (3/4, -3/4) + 15/4 (-1/4, 1/4)
    alphas, mask = np.log([[1.0, 3.0]]), np.ones((1, 2), bool)
    paths, losses = np.array([[0], [1]]), np.array([1.0, 5.0])
    assert bench.expected_loss(alphas, mask, paths, losses) == pytest.approx(4)
    found = bench.exact_gradient(alphas, mask, paths, losses)
    np.testing.assert_allclose(found, [[-0.75, 0.75]])


def test_all_networks_are_enumerated_once():
    assert len(PATHS) == SPACE.architectures == 18
    assert len(set(map(tuple, PATHS))) == 18
    assert SPACE.mask[np.arange(3), PATHS].all()


def test_exact_gradient_is_the_slope_of_the_expected_loss():
    step = 1e-5
    for layer, k in np.argwhere(SPACE.mask):
        shift = np.zeros(ALPHAS.shape)
        shift[layer, k] = step
        up, down = (
            bench.expected_loss(ALPHAS + sign * shift, SPACE.mask, PATHS, LOSSES)
            for sign in (1, -1)
        )
        slope = (up - down) / (2 * step)
        np.testing.assert_allclose(EXACT[layer, k], slope, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(EXACT[~SPACE.mask], 0)


def test_losses_are_those_of_each_path_alone():
    config = SearchConfig(alpha_init_std=0.3)
    txs = schedule.search_weights(config, 1), schedule.search_alphas(config)
    state = search_state.init(jax.random.key(0), SPACE, config, *txs)
    images = NUMBERS.normal(size=(6, 8, 8, 1)).astype(np.float32)
    batch = Batch(images, np.array([0, 1, 2, 0, 1, 2], np.int32))
    found = bench.path_losses(SPACE, state, PATHS, batch)
    alone = jax.jit(lambda path: estimators.path_logits(SPACE, state, path, batch))
    expected = [losses.cross_entropy(alone(path), batch.labels) for path in PATHS]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.ptp(found) > 0.01


# --- the statistics of draws ---------------------------------------------------------


def test_quality_by_hand():
    # mean (3, 0), variance (2, 0); exact (2, 0)
    found = bench.quality(np.array([[[2.0, 0.0]], [[4.0, 0.0]]]), np.array([[2.0, 0]]))
    assert found.scale == pytest.approx(1.5)
    assert found.cosine == pytest.approx(1)
    assert found.bias == pytest.approx(0.5)
    assert found.sd == pytest.approx(2**0.5 / 2)
    assert found.bias_error == pytest.approx(0.5)
    assert found.z == pytest.approx(1)  # off by 1 at a standard error of 1


def test_quality_of_a_gradient_across_the_exact_one():
    found = bench.quality(np.array([[[0.0, 1.0]], [[0.0, 3.0]]]), np.array([[1.0, 0]]))
    assert (found.scale, found.cosine) == (0, 0)
    assert found.bias == pytest.approx(5**0.5)


# --- bias ----------------------------------------------------------------------------


def reinforce_quality(baseline, samples, seed=0):
    config = SearchConfig(
        estimator="reinforce",
        expectation="full",
        objective="none",
        reinforce_baseline=baseline,
        reinforce_samples=samples,
    )
    alphas, key = jnp.asarray(ALPHAS, jnp.float32), jax.random.key(seed)
    draws = bench.reinforce_draws(SPACE, config, alphas, PATHS, LOSSES, key, DRAWS)
    return bench.quality(draws, EXACT)


@pytest.mark.parametrize("samples", [2, 10])
def test_reinforce_against_the_other_samples_is_unbiased(samples):
    found = reinforce_quality("leave_one_out", samples)
    assert found.z < BOUND
    assert found.scale == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("samples", [2, 10])
def test_the_references_baseline_is_found_biased(samples):
    """The expected gradient is (1 - 0.99 / M) of the exact one."""
    found = reinforce_quality("reference", samples)
    assert found.z > 2 * BOUND
    assert found.scale == pytest.approx(1 - 0.99 / samples, abs=0.03)
    assert found.cosine > 0.99


def test_leave_one_out_has_less_noise_than_no_baseline():
    """The rewards are all negative, so without a baseline every path is pushed."""
    probs = bench.probabilities(ALPHAS, SPACE.mask)
    chances = probs[np.arange(3), PATHS].prod(axis=1)
    single = (-LOSSES)[:, None, None] * (probs - np.eye(3)[PATHS])
    mean = np.tensordot(chances, single, axes=1)
    np.testing.assert_allclose(mean, EXACT, atol=1e-12)  # unbiased as well
    variance = (chances @ ((single - mean) ** 2).reshape(len(PATHS), -1)).sum() / 10
    without = np.sqrt(variance) / np.linalg.norm(EXACT)
    assert reinforce_quality("leave_one_out", 10).sd < 0.75 * without


# --- the command ---------------------------------------------------------------------


@pytest.mark.slow
def test_estimators_compared():
    result = comparison.run(EstimatorsConfig(draws=200), Progress())
    rows = {row["estimator"]: row for row in result["rows"]}
    assert list(rows) == list(comparison.CONFIGS)
    assert result["networks"] == 48
    # an untrained classifier of ten classes has a loss of 2.3
    assert result["losses"][0] < result["expected_loss"] < result["losses"][1] < 2.3
    for row in rows.values():
        assert row["cosine"] > 0.7
        assert row["time"] > 0
    assert rows["reinforce, leave_one_out"]["z"] < BOUND
    json.dumps(result, allow_nan=False)


def test_command_prints_the_table_and_writes_the_numbers(tmp_path, monkeypatch, capsys):
    row = {
        **dict.fromkeys(("scale", "cosine", "bias", "bias_error", "sd"), 0.5),
        **{"estimator": "full", "step_ms": 2.0, "time": 1.25},
    }
    monkeypatch.setattr(comparison, "run", lambda *_: {"rows": [row]})
    file = tmp_path / "bench.json"
    assert bench_command.main(["estimators", "--json", str(file)]) == 0
    header, line, reading = capsys.readouterr().out.splitlines()
    assert " ".join(header.split()) == "estimator scale cosine bias ± error sd time"
    assert " ".join(line.split()) == "full 0.500 0.500 0.500 ± 0.500 0.50 1.25"
    assert reading == comparison.HOW_TO_READ
    assert json.loads(file.read_text()) == {"rows": [row]}
    # a second run would overwrite it
    assert bench_command.main(["estimators", "--json", str(file)]) == 2
    assert "expected a new file" in capsys.readouterr().err


def test_setting_can_be_enumerated_and_has_every_estimator():
    searched = builders.mobile(comparison.SPACE)
    assert searched.architectures == len(bench.all_paths(searched)) == 48
    named = {config.estimator for config in comparison.CONFIGS.values()}
    assert named == {"two_path", "full", "reinforce"}
    for config in comparison.CONFIGS.values():
        # alike but for the estimator, so that the columns compare
        same = dataclasses.replace(
            config, estimator="two_path", reinforce_baseline="leave_one_out"
        )
        assert same == comparison.CONFIGS["two_path"]


@pytest.mark.slow
def test_pruning_bench_shows_what_falls_and_what_does_not(tmp_path, capsys):
    """Five of seven candidates gone: at most a third of the stored numbers is left."""
    file = tmp_path / "pruning.json"
    assert bench_command.main(["pruning", "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    assert result["candidates"] == {"before": 27, "after": 8}
    rows = {row["quantity"]: row for row in result["rows"]}
    assert rows["stored, MiB"]["after"] < rows["stored, MiB"]["before"] / 3
    memory = [row for name, row in rows.items() if "memory" in name]
    assert len(memory) == 3
    assert all(row["after"] <= 1.01 * row["before"] for row in memory)
    assert "arch step, full: time, ms" in capsys.readouterr().out


def test_mine_are_compared_with_ours(tmp_path):
    (tmp_path / "mine.py").write_text(GUMBEL + GET_CONFIG)
    compared = comparison.configs(str(tmp_path / "mine.py"))
    assert list(compared) == [*comparison.CONFIGS, "gumbel"]
    for config in compared.values():
        assert estimators.of(config).name == config.estimator
    draws = estimators.of(compared["gumbel"]).sample(
        jax.random.key(0),
        jnp.zeros((2, 3)),
        jnp.array([[True, True, False]] * 2),
        compared["gumbel"],
    )
    assert bool(jnp.isneginf(draws[:, 2]).all())


def test_ours_alone_are_no_experiment_to_compare():
    with pytest.raises(ValueError, match="--with-file digits_cpu: expected an exper"):
        comparison.configs("digits_cpu")
