"""An estimator of a user's own, from one file of the user's own to a finished run."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest

from benchmarks import estimators as comparison
from nas_jax import cli
from nas_jax.config import SearchConfig
from nas_jax.config.search import ESTIMATORS
from nas_jax.runs import run_folder
from nas_jax.search import estimators
from tests import small_run

GUMBEL = '''
import jax, jax.numpy as jnp
from nas_jax.search import estimators, gates


def sample(key, alphas, mask, config):
    noise = jax.random.gumbel(key, alphas.shape, alphas.dtype)
    return jnp.where(mask, alphas + noise, -jnp.inf)


def estimate(problem, state, scores, batch):
    """Straight through a relaxed sample (Jang et al. 2017)."""
    path = jnp.argmax(scores, axis=1)
    seen, by_cost, metrics = estimators.gate_gradients(problem, state, path, batch)
    temperature = estimators.options(problem.config)["temperature"]
    relaxed = jax.nn.softmax(scores / temperature, axis=1)
    gradient = gates.alpha_gradient(relaxed, seen) / temperature
    return estimators.Estimate(gradient + by_cost, state.baseline, metrics)


gumbel = estimators.Estimator("gumbel", sample, estimate, options={"temperature": 1.0})
estimators.register(gumbel)
'''
SEARCH = dataclasses.replace(
    small_run.EXPERIMENT.search, estimator="gumbel", joint_epochs=1, finalists=1
)
EXPERIMENT = dataclasses.replace(
    small_run.EXPERIMENT,
    space=dataclasses.replace(small_run.EXPERIMENT.space, cells=(1,)),
    search=SEARCH,
    train=dataclasses.replace(small_run.EXPERIMENT.train, epochs=1),
    random_networks=0,
)
GET_CONFIG = f"""
from nas_jax.config import *

def get_config():
    return {EXPERIMENT!r}
"""


@pytest.fixture(autouse=True)
def registry():
    """Estimators registered in a test are forgotten after it."""
    before = dict(ESTIMATORS)
    yield
    ESTIMATORS.clear()
    ESTIMATORS.update(before)


@pytest.fixture
def search(tmp_path):
    """A search of seconds by an experiment's file; its exit code."""

    def run(source, *words):
        arguments = small_run.write(tmp_path)
        (tmp_path / "small.py").write_text(source + GET_CONFIG)
        return cli.main([*arguments, "--out", str(tmp_path / "run"), *words])

    return run


def changed(old, new):
    assert old in GUMBEL
    return GUMBEL.replace(old, new)


def test_the_example_is_short():
    assert len(GUMBEL.strip().splitlines()) <= 25


@pytest.mark.slow
def test_search_runs_from_the_file_and_names_its_estimator(search, tmp_path):
    words = ("--search.estimator-options", "temperature=0.5")
    assert search(GUMBEL, *words) == 0
    folder = tmp_path / "run"
    saved = json.loads((folder / "config.json").read_text())["search"]
    assert saved["estimator"] == "gumbel"
    assert saved["estimator_options"] == ["temperature=0.5"]
    ESTIMATORS.pop("gumbel")  # another process, which reads the run's own file
    assert run_folder.read_experiment(folder).search.estimator == "gumbel"
    assert ESTIMATORS["gumbel"].options == {"temperature": 1.0}


@pytest.mark.parametrize(
    ("source", "words", "said"),
    [
        (
            changed('"gumbel", sample', '"full", sample'),
            (),
            "estimator 'full': expected the one that has this name already, got an",
        ),
        (
            changed('"gumbel", sample', '"My own", sample'),
            (),
            "estimator 'My own': expected a name of small letters, digits and _",
        ),
        (
            GUMBEL,
            ("--search.estimator", "gumble"),
            "search.estimator: expected one of two_path, full, reinforce, gumbel, got "
            "'gumble'",
        ),
        (
            GUMBEL,
            ("--search.estimator-options", "temprature=1"),
            "search.estimator_options: expected NAME=NUMBER with NAME one of "
            "temperature=1 (estimator gumbel), got 'temprature=1'",
        ),
        (
            GUMBEL,
            ("--search.estimator-options", "temperature=cold"),
            "with NAME one of temperature=1 (estimator gumbel), got 'temperature=cold'",
        ),
        (
            GUMBEL,
            ("--search.objective", "tunas"),
            "search.objective: expected one of constrained, add_linear, mul_log, none "
            "with estimator gumbel, got 'tunas'",
        ),
        (
            changed("gradient + by_cost", "gradient[:, :2]"),
            (),
            "estimator 'gumbel': expected a gradient of shape (1, 3) (layers, "
            "candidates), got (1, 2)",
        ),
        (
            changed("gradient + by_cost", "gradient / 0"),
            (),
            # two steps of warm-up; the epoch with architecture steps is the second
            "the search diverged in epoch 1, weight step 2: expected finite numbers, "
            "got 3 non-finite numbers in the gradient of the alphas",
        ),
    ],
    ids=[
        *("name_taken", "no_name", "unknown", "unknown_option", "no_number"),
        *("objective", "shape", "not_finite"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(search, capsys, source, words, said):
    assert search(source, *words) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert said in line
    assert "Traceback" not in line


def test_a_file_read_twice_registers_once():
    first = estimators.register(ESTIMATORS["full"])
    assert estimators.register(first._replace(sample=first.sample)) == first
    with pytest.raises(ValueError, match="estimator 'full': expected the one that"):
        estimators.register(first._replace(options={"scale": 1.0}))


def test_options_have_defaults_and_values():
    one = ESTIMATORS["full"]._replace(name="mine", options={"a": 1.0, "b": 2.0})
    estimators.register(one)
    config = SearchConfig(estimator="mine", estimator_options=("b=0.5",))
    assert estimators.options(config) == {"a": 1.0, "b": 0.5}


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
