"""Several processes: how they are started, and that they must agree."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from nas_jax import cli
from nas_jax.runs import stopping
from nas_jax.training import distributed
from tests.clean_python import free_port
from tests.runs import kills
from tests.runs.conftest import (
    arguments,  # noqa: F401
    home,  # noqa: F401
)
from tests.small_run import EXPERIMENT


@pytest.fixture
def never(monkeypatch):
    """JAX's own start, which must not be reached."""

    def reached(*_, **__):
        raise AssertionError("started")

    monkeypatch.setattr(distributed.jax.distributed, "initialize", reached)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("a:1", None, None), "missing: --processes, --process-id"),
        ((None, 2, 0), "missing: --coordinator"),
        (("a:1", 2, 2), "--process-id: expected 0 to 1 with --processes 2, got 2"),
        (("a:1", 2, -1), "--process-id: expected 0 to 1 with --processes 2, got -1"),
    ],
)
def test_flags_that_do_not_fit_are_refused(never, given, said):
    with pytest.raises(ValueError, match=said):
        distributed.start(*given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((None, None, None), "expected an environment that tells .*, found none"),
        (("a:1", 2, 1), "process 1 of 2 did not reach the others at a:1"),
    ],
)
def test_why_it_did_not_start_is_said(monkeypatch, given, said):
    def fails(*_, **__):
        raise RuntimeError("deadline")

    monkeypatch.setattr(distributed.jax.distributed, "initialize", fails)
    with pytest.raises(ValueError, match=said):
        distributed.start(*given)


def test_addresses_alone_are_refused(capsys):
    assert cli.main(["search", "digits_cpu", "--processes", "2"]) == 2
    assert "expected with --distributed" in capsys.readouterr().err


def gathered(monkeypatch, *documents):
    texts = [json.dumps(dict(distributed._flat(one))) for one in documents]
    monkeypatch.setattr(distributed, "_gathered", lambda text: texts)


def test_equal_settings_pass(monkeypatch):
    one = {"search": {"lr": 0.1}, "limits": ("a",), "name": None}
    gathered(monkeypatch, one, one, one)
    distributed.require_same(one)


def test_the_difference_is_shown(monkeypatch):
    one = {"search": {"lr": 0.1, "batch": 8}, "seed": 0}
    other = {"search": {"lr": 0.2, "batch": 8}, "more": 1}
    gathered(monkeypatch, one, one, other)
    with pytest.raises(ValueError) as refused:
        distributed.require_same(one)
    told = str(refused.value)
    assert "process 2: more 1, expected absent" in told
    assert "process 2: search.lr 0.2, expected 0.1" in told
    assert "process 2: seed absent, expected 0" in told
    assert "process 1" not in told and "batch" not in told


def test_a_long_difference_is_cut(monkeypatch):
    gathered(monkeypatch, {str(i): 0 for i in range(9)}, {str(i): 1 for i in range(9)})
    with pytest.raises(ValueError, match=r"process 1: 4 1, expected 0, and 4 more;"):
        distributed.require_same({})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("no"), 2),
        (OSError(28, "full"), 2),
        (KeyboardInterrupt(), 130),
        (stopping.Stopped(15), 143),
        (RuntimeError("no"), 1),
    ],
)
def test_a_process_that_fails_does_not_wait_for_the_others(monkeypatch, error, code):
    registered = []
    monkeypatch.setattr(
        distributed.atexit, "register", lambda *given: registered.append(given)
    )
    for processes, expected in ((1, []), (2, [(distributed._end, code)])):
        monkeypatch.setattr(distributed.jax, "process_count", lambda n=processes: n)
        with pytest.raises(type(error)), distributed.leaving():
            raise error
        assert registered == expected


# --- two real processes --------------------------------------------------------------


def begun(words, *own, devices, folder):
    """Two processes, each with flags of its own."""
    address = f"127.0.0.1:{free_port()}"
    environment = {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "NAS_JAX_CACHE": str(folder.parent / "cache"),
    }
    command = [sys.executable, "-m", "nas_jax", *words, "--distributed"]
    command += ["--coordinator", address, "--processes", "2", "--process-id"]
    return [
        subprocess.Popen(
            [*command, str(process), *more],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process, more in enumerate(own)
    ]


def both(words, *own, devices, folder):
    """Exit codes, outputs and errors of two processes, each with flags of its own."""
    started = begun(words, *own, devices=devices, folder=folder)
    ended = [one.communicate() for one in started]
    return [(one.returncode, *texts) for one, texts in zip(started, ended, strict=True)]


@pytest.fixture(scope="module")
def shared(arguments):  # noqa: F811
    """A search whose batches two processes of two devices can share."""
    return [*arguments, "--search.batch", "8", "--search.arch-batch", "8"]


@pytest.fixture(scope="module")
def together(shared, tmp_path_factory):
    """The folder in which two processes worked, and how they ended."""
    folder = tmp_path_factory.mktemp("two")
    return folder, both([*shared, "--out", "run"], [], [], devices=2, folder=folder)


@pytest.mark.slow
def test_two_processes_of_different_settings_are_refused(shared, tmp_path):
    found = both(shared, [], ["--search.lr", "0.07"], devices=1, folder=tmp_path)
    for code, _, err in found:
        assert code == 2
        assert "process 1: search.lr 0.07, expected 0.025" in err
    assert list(tmp_path.iterdir()) == []  # no run folder


@pytest.mark.slow
def test_two_processes_search_as_one_does(shared, together, tmp_path):
    """The same probabilities, network and files; the second process leaves none."""
    folder, found = together
    assert cli.main([*shared, "--out", str(tmp_path / "alone")]) == 0
    assert [code for code, *_ in found] == [0, 0], found
    (_, out, _), (_, other, _) = found
    assert "report: run/report.html" in out and "report" not in other
    assert [path.name for path in folder.iterdir()] == ["run"]

    def lines(run):
        text = (run / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in text]

    one, two = lines(tmp_path / "alone"), lines(folder / "run")
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        for name in a.keys() - {"seconds"}:
            if isinstance(a[name], str):
                assert a[name] == b[name]
            else:
                # a list of layers, or a number
                np.testing.assert_allclose(b[name], a[name], 1e-3, 1e-5, err_msg=name)
    results = [
        json.loads((run / "result.json").read_text())
        for run in (tmp_path / "alone", folder / "run")
    ]
    ours, theirs = (one["networks"]["searched"]["architecture"] for one in results)
    assert ours == theirs
    assert dataclasses.asdict(EXPERIMENT)["seed"] == results[1]["seed"]


@pytest.mark.slow
def test_two_processes_go_on_with_what_two_began(shared, together, tmp_path):
    """Stopped after the second epoch (SIGTERM); the same bit for bit as without."""
    often = ["--checkpoint-every-s", "1e-9", "--out", "run"]
    first, second = begun([*shared, *often], [], [], devices=2, folder=tmp_path)
    kills.await_moment(kills.Moment("joint", 2, 0.0), tmp_path / "run", first)
    first.terminate()
    _, err = first.communicate(timeout=120)  # it does not wait for the second
    assert first.returncode == 143, err
    assert err.splitlines()[-1].endswith("go on: nas_jax search --resume run")
    second.kill()
    second.communicate()
    words = ["search", "--resume", "run"]
    found = both(words, [], [], devices=2, folder=tmp_path)
    assert [code for code, *_ in found] == [0, 0], found
    (_, out, err), (_, other, _) = found
    assert "goes on from the checkpoint of step" in err
    assert "report: run/report.html" in out and "report" not in other
    assert kills.digests(tmp_path / "run") == kills.digests(together[0] / "run")
