"""Faults from outside: disks, rights, killed children, clocks, memory.

Nothing that was finished is lost, and a user reads one line. Signals: test_stopping.py.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import pytest

from nas_jax import cli
from nas_jax.cli.main import VERBS
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import checkpoint
from nas_jax.runs import run_folder, sweep
from nas_jax.training import compiler
from tests import small_run
from tests.report import made_up_run
from tests.runs import kills

NOBODY = 65534


def refused(capsys, *words):
    """The line of a command that ends with exit code 2."""
    capsys.readouterr()
    assert cli.main([*map(str, words)]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err.splitlines()[-1]


# --- disks ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    words = small_run.write(tmp_path_factory.mktemp("home"))
    return [*words, "--random-networks", "0", "--train.epochs", "1"]


@pytest.fixture
def quick(monkeypatch):
    """Whole networks are timed without spreading the rounds over seconds."""
    measure = onnx_runtime.measure_networks
    monkeypatch.setattr(
        onnx_runtime,
        "measure_networks",
        lambda *args, **given: measure(*args, **given, spread_s=0.0),
    )


def full(path):
    """What is written to this path finds the disk full."""
    path.symlink_to("/dev/full")
    return path


def limited(write):
    """The same beyond 20,000 bytes of a file, whoever writes it in this process."""

    def limited(*given):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
        try:
            return write(*given)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited


@pytest.mark.slow
# a writer of Orbax's that fails late finds its event loop closed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_run_on_a_full_disk_loses_nothing(words, quick, tmp_path, monkeypatch, capsys):
    """Every file in turn; with room again the run goes on to the same end."""
    alone, run = tmp_path / "alone", tmp_path / "run"
    often = [*words, "--checkpoint-every-s", "1e-9"]
    assert cli.main([*often, "--out", str(alone)]) == 0
    append = run_folder.append_metrics

    def second_is_lost(folder, line):
        if line["step"] > 2:
            (folder / "metrics.jsonl").rename(tmp_path / "kept")
            full(folder / "metrics.jsonl")
        append(folder, line)

    monkeypatch.setattr(run_folder, "append_metrics", second_is_lost)
    line = refused(capsys, *often, "--out", run)
    assert "No space left on device" in line
    assert f"go on from its last checkpoint: nas_jax search --resume {run})" in line
    (tmp_path / "kept").replace(run / "metrics.jsonl")
    monkeypatch.setattr(run_folder, "append_metrics", append)
    for name in ("finalists.json", "architecture.json"):
        full(run / f".{name}.{os.getpid()}.partial")
        assert "No space left on device" in refused(capsys, "search", "--resume", run)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_model", limited(checkpoint.save_model))
        line = refused(capsys, "search", "--resume", run)
        assert "searched: the network cannot be written (" in line
        assert "make room" in line
    assert not (run / "checkpoints" / "searched").exists()
    for name in ("result.json", "report.html"):
        full(run / f".{name}.{os.getpid()}.partial")
        assert "No space left on device" in refused(capsys, "search", "--resume", run)
    assert cli.main(["search", "--resume", str(run)]) == 0
    assert kills.digests(run) == kills.digests(alone)
    assert (run / "report.html").is_file()


@pytest.fixture
def read_only():
    """A run folder that this process may only read, also as root."""
    home = Path(tempfile.mkdtemp())
    run = made_up_run.make_run(home / "run")
    for path in (home, *home.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield run
    finally:
        if is_root:
            os.seteuid(0)
        for path in (home, *home.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(home)


@pytest.mark.parametrize("verb", ["derive", "report"])
def test_folder_that_may_only_be_read_is_one_line(read_only, capsys, verb):
    line = refused(capsys, verb, read_only)
    assert line.startswith("nas_jax: [Errno 13] Permission denied: ")
    assert str(read_only) in line


def test_run_that_may_only_be_read_does_not_go_on(read_only):
    with pytest.raises(PermissionError), run_folder.held(read_only):
        pass


# --- two at once, killed children ----------------------------------------------------


@pytest.mark.parametrize("verb", ["train", "derive"])
def test_nobody_works_on_a_run_beside_another(verb, tmp_path, capsys):
    run = made_up_run.make_run(tmp_path / "run")
    before = (run / "architecture.json").read_bytes()
    with run_folder.held(run):
        line = refused(capsys, verb, run)
    assert (run / "architecture.json").read_bytes() == before
    assert f"nobody works on, process {os.getpid()} does; wait for it" in line


class Killed(subprocess.Popen):
    """A child that the system kills as soon as it is there."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.is_apart = os.getpgid(self.pid) != os.getpgid(0)
        assert self.is_apart  # Ctrl-C in a terminal reaches the launcher alone
        self.kill()


def test_killed_run_of_a_sweep_is_told_and_stops_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "command", lambda run, common: ["describe", "nothing"])
    monkeypatch.setattr(sweep.subprocess, "Popen", Killed)
    listed = sweep.listed(["a"], [0, 1], [], tmp_path)
    ended = list(sweep.local(listed, [], jobs=1))
    assert [one.code for one in ended] == [-9, -9]
    assert ended[0].reason.startswith("killed by SIGKILL (by the system for want of")


def test_run_of_a_sweep_without_a_checkpoint_begins_anew(tmp_path):
    run = sweep.Run("digits_cpu", 0, None, tmp_path / "run")
    sweep.clear(run)
    made_up_run.make_run(run.folder)
    sweep.clear(run)
    assert sweep.command(run, [])[1] == "--resume"  # it is finished
    (run.folder / "result.json").unlink()
    with run_folder.held(run.folder):
        sweep.clear(run)
    assert run.folder.exists()  # somebody works on it
    sweep.clear(run)
    assert not run.folder.exists()
    made_up_run.make_run(run.folder)
    (run.folder / "result.json").unlink()
    (run.folder / "snapshots" / "search" / "2").mkdir(parents=True)
    sweep.clear(run)
    assert run.folder.exists()


@pytest.mark.slow
def test_killed_measurement_goes_on(words, tmp_path):
    """SIGKILL after the first rounds; the same command measures only what is left."""
    table = tmp_path / "table.json"
    rounds = tmp_path / "table.json.rounds"
    command = [sys.executable, "-m", "nas_jax", "measure", words[1], "--out", table]
    command += ["--latency.repeats", "20"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as child:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if rounds.exists() and rounds.read_text().count("\n") > 3:
                break
        child.kill()
    before = rounds.read_text().splitlines()
    assert len(before) > 2
    assert not table.exists()
    subprocess.run(command, check=True, capture_output=True)
    assert set(json.loads(table.read_text())["entries"])
    assert not rounds.exists()


# --- clocks --------------------------------------------------------------------------


@pytest.mark.slow
def test_clock_that_jumps_back_changes_no_second(
    words, quick, tmp_path, monkeypatch, capsys
):
    """The time of day falls by a day whenever somebody looks."""
    now = [2e9]

    def earlier():
        now[0] -= 86_400
        return now[0]

    monkeypatch.setattr(time, "time", earlier)
    monkeypatch.chdir(tmp_path)
    assert cli.main([*words, "--checkpoint-every-s", "1e-9"]) == 0
    run = tmp_path / "runs" / "small-seed3-000"
    lines = (run / "metrics.jsonl").read_text().splitlines()
    seconds = [json.loads(line)["seconds"] for line in lines]
    assert min(seconds) >= 0
    assert seconds[:3] == sorted(seconds[:3])
    assert min(json.loads((run / "seconds.json").read_text()).values()) >= 0


# --- memory --------------------------------------------------------------------------

NO_ROOM = "RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.\nmore lines"


@pytest.mark.slow
def test_device_without_room_names_the_fields_that_lower_it(
    words, tmp_path, monkeypatch, capsys
):
    ready = compiler.Compiler.__call__

    def no_room(*given):
        raise jax.errors.JaxRuntimeError(NO_ROOM)

    def compiled(self, calls):
        return {name: no_room for name in ready(self, calls)}

    monkeypatch.setattr(compiler.Compiler, "__call__", compiled)
    monkeypatch.setattr("nas_jax.runs.plan.forecasts", lambda *given: [])
    line = refused(capsys, *words, "--out", tmp_path / "run")
    assert line.startswith("nas_jax: out of memory: expected room for ")
    assert " GB estimate; lower search.batch or space.input_size)" in line
    assert "architecture step (" in line
    assert "got RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes." in line


@pytest.mark.parametrize(
    "error", [MemoryError("Unable to allocate 3 GiB"), RuntimeError(NO_ROOM)]
)
def test_memory_that_is_exhausted_anywhere_is_one_line(error, monkeypatch, capsys):
    def fail(name: str):
        raise error

    monkeypatch.setitem(VERBS, "describe", fail)
    line = refused(capsys, "describe", "any")
    assert line.startswith("nas_jax: out of memory: ")
    with pytest.raises(type(error)):
        cli.main(["describe", "any", "--debug"])
