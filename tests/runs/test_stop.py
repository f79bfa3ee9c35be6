"""Stop requests at any moment: one line, the shell's code, a valid run folder.

The rules while steps are taken: test_snapshots.py. Resuming: test_resume.py.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas_jax.runs import run_folder
from tests import small_run
from tests.runs import kills

SEED, MOMENTS = 11, 6
CASES = {
    "while it works": "signal.raise_signal({number}); time.sleep(9)",
    "where nothing can be raised": (
        "class One:\n"
        "  def __del__(self): signal.raise_signal({number})\n"
        "One(); time.sleep(9)"
    ),
    "where nothing can be raised, in a verb": (
        "import gc\n"
        "from nas_jax.cli.main import VERBS, main\n"
        "def report(run: str):\n"
        "  gc.callbacks.append(lambda *_: signal.raise_signal({number}))\n"
        "  gc.collect(); time.sleep(9)\n"
        "VERBS['report'] = report\n"
        "return main(['report', 'run'])"
    ),
    "where a library makes another of it": (
        "try: signal.raise_signal({number}); time.sleep(9)\n"
        "except KeyboardInterrupt as error: raise ImportError('x') from error"
    ),
}


def run(body):
    """A process whose command has this body."""
    indented = "\n ".join(body.splitlines())
    code = (
        "import atexit, signal, sys, time\nfrom nas_jax.runs import stopping\n"
        f"def main():\n {indented}\n return 0\nsys.exit(stopping.process(main))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_process_ends_in_a_line(case, name):
    number = int(signal.Signals[name])
    done = run(CASES[case].format(number=number))
    assert (done.returncode, done.stderr) == (128 + number, "nas_jax: stopped\n")


def test_what_goes_on_is_tidied_up_without_a_word():
    done = run(
        "import threading\n"
        "from nas_jax.cli.main import VERBS, main\n"
        "def complain():\n"
        "  threading.main_thread().join(); print('late', file=sys.stderr)\n"
        "def report(run: str):\n"
        "  atexit.register(print, 'tidied')\n"
        "  threading.Thread(target=complain).start()\n"
        "  signal.raise_signal(15); time.sleep(9)\n"
        "VERBS['report'] = report\n"
        "return main(['report', 'run'])"
    )
    expected = (143, "tidied\n", "nas_jax: stopped\n")
    assert (done.returncode, done.stdout, done.stderr) == expected


@pytest.mark.parametrize(
    "late",
    [
        "atexit.register(signal.raise_signal, 2)",
        "class One:\n"
        "  def __del__(self, tell=signal.raise_signal): tell(2)\n"
        "sys.kept = One()",
    ],
)
def test_finished_process_keeps_its_code(late):
    done = run(f"print('done')\n{late}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_errors_that_nobody_wished_stay():
    done = run("raise RuntimeError('ours')")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "RuntimeError: ours"


def listens(pid):
    """Whether a process has its handlers: before, Python's own end it."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    return bool(int(re.search(r"SigCgt:\s*(\w+)", text)[1], 16) >> 14 & 1)


def require_valid(folder):
    """Every file of a run that was stopped can be read."""
    if not (folder / "config.json").is_file():
        return
    run_folder.read_experiment(folder)
    assert kills.doing(folder)
    for path in folder.rglob("*.json"):
        if "snapshots" not in path.parts:
            json.loads(path.read_text())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux's /proc")
def test_search_ends_in_a_line_at_any_moment(tmp_path):
    """Imports, measuring, compiling, steps, checkpoints, retraining, report."""
    words = [*small_run.write(tmp_path), "--random-networks", "0"]
    environment = {**os.environ, "NAS_JAX_CACHE": str(tmp_path / "cache")}

    def start(name):
        command = [sys.executable, "-m", "nas_jax", *words, "--out", tmp_path / name]
        return subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    for name in ("cold", "warm"):
        begun = time.monotonic()
        with start(name) as child:
            _, said = child.communicate()
        assert child.returncode == 0, said
    duration = time.monotonic() - begun
    numbers = random.Random(SEED)
    for place in range(MOMENTS):
        at, number = numbers.uniform(0, duration), numbers.choice([2, 15])
        child = start(f"run-{place}")
        while not listens(child.pid):
            pass
        try:
            _, said = child.communicate(timeout=at)
        except subprocess.TimeoutExpired:
            child.send_signal(number)
            _, said = child.communicate()
        told = f"seed {SEED}, signal {number} after {at:.2f} s: {said}"
        assert "Traceback" not in said and "Exception ignored" not in said, told
        assert child.returncode in (0, 128 + number), told
        if child.returncode:
            assert said.splitlines()[-1].startswith("nas_jax: stopped"), told
        require_valid(tmp_path / f"run-{place}")
