"""The package from a notebook: a search step by step, and a whole run in a call."""

import dataclasses
import subprocess
import sys

import jax
import pytest

import nas_jax as nas
from nas_jax.config import TrainConfig
from nas_jax.latency import tables
from nas_jax.runs import result, search
from nas_jax.runs.setup import resolve_targets
from nas_jax.training import loop
from tests import small_run


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    small_run.write(home)
    latency = dataclasses.replace(
        small_run.EXPERIMENT.latency, table=str(home / "table.json")
    )
    return dataclasses.replace(
        nas.load_experiment(str(home / "small.py")),
        latency=latency,
        train=TrainConfig(epochs=1, batch=40),
        random_networks=0,
    )


def test_import_takes_no_jax():
    code = "import sys, nas_jax; nas_jax.load_experiment; exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        nas.nothing  # noqa: B018
    assert {"load", "load_experiment", "load_model", "run"} <= set(dir(nas))


def test_search_step_by_step(experiment):
    setup = nas.load(experiment)
    table = tables.load(experiment.latency.table)
    targets = resolve_targets(setup, table)
    for epoch in search.epochs(setup, targets, key=jax.random.key(0)):
        assert epoch.metrics["search/expected_latency_ms"] > 0
    best = search.derived(setup.space, epoch.probs, targets)[0]
    assert tables.predict_ms(table, best.architecture) <= targets.target
    assert best.cost.slack["latency"] >= 0
    model = loop.fit(setup, best.architecture, key=jax.random.key(1))
    assert 0 <= loop.accuracy(model, setup.splits["test"]) <= 1


@pytest.mark.slow
def test_whole_run_in_a_call(experiment, tmp_path):
    run = nas.run(experiment, target="0.9x", out=tmp_path / "mine")
    assert run.folder == tmp_path / "mine" and run.report.is_file()
    assert {"searched", "baseline"} <= run.networks.keys()
    model = run.model()
    assert model.architecture.name == "searched"
    (axes,) = run.plot().axes
    assert len(axes.lines) == len(run.networks)
    assert result.load(run.folder) == run


def test_what_does_not_fit_is_refused_before_a_folder_is_made(experiment, tmp_path):
    with pytest.raises(ValueError, match="expected ratios or milliseconds above 0"):
        nas.run(experiment, target="fast", out=tmp_path / "mine")
    with pytest.raises(ValueError, match=r"target_ratio = 0.001 .* out of reach"):
        nas.run(experiment, target="0.001x", out=tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    with pytest.raises(ValueError, match=r"expected a finished run with result.json"):
        result.load(tmp_path)
