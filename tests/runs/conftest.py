"""One small run, made once: every test gets its folder, or a copy to damage."""

import json
import shutil
from contextlib import contextmanager

import pytest

from nas_jax import cli
from nas_jax.latency.runtimes import onnx_runtime
from tests import small_run


@pytest.fixture(scope="package")
def home(tmp_path_factory):
    """A folder with an experiment file and a latency table, written by hand."""
    home = tmp_path_factory.mktemp("home")
    small_run.write(home)
    return home


@contextmanager
def without_spread():
    """Whole networks are timed without spreading the rounds over seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_runtime.timing, "SPREAD_S", 0.0)
        measure = onnx_runtime.measure_networks
        patch.setattr(
            onnx_runtime,
            "measure_networks",
            lambda *args, **given: measure(*args, **given, spread_s=0.0),
        )
        yield


@pytest.fixture
def quick():
    with without_spread():
        yield


@pytest.fixture(scope="package")
def arguments(home):
    return ["search", str(home / "small.py"), "--latency.table", f"{home}/table.json"]


@pytest.fixture(scope="package")
def finished(home, arguments):
    """The folder of the run."""
    with without_spread():
        assert cli.main([*arguments, "--out", str(home / "run")]) == 0
    return home / "run"


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.fixture(scope="package")
def result(finished):
    return json.loads((finished / "result.json").read_text())
