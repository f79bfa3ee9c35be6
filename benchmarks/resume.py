"""`benchmarks resume`: searches killed at random moments, then resumed.

A short search of the digits, warm-up to report, runs to its end twice; then again and
again it is killed (SIGKILL) at a drawn moment (`tests/runs/kills.py`) and resumed. The
results are compared bit by bit. Every run is a process of its own.
"""

import dataclasses
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.settings import ResumeConfig
from nas_jax.config import provenance
from nas_jax.runs import search
from nas_jax.training.progress import Progress
from tests.runs import kills

HOW_TO_READ = (
    "A row per kill: the phase that was waited for, what the run was doing when it "
    "died (ended: it had ended before), after how many lines of metrics, the step of "
    "the checkpoint it went on from (- where there was none yet: the search, or the "
    "training of that network, begins anew), and whether weights, alphas, optimiser, "
    "metrics but for their seconds, finalists and networks are those of the run that "
    "was left alone."
)
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[1])
_GOES_ON = re.compile(r"goes on from the checkpoint of step (\d+)")


def run(config: ResumeConfig, watch: Progress) -> dict[str, Any]:
    """Kills and resumes, ready for JSON.

    Raises:
      ValueError: if a run fails that nobody killed.
    """
    with tempfile.TemporaryDirectory() as root:
        home = Path(root)
        watch.phase("a run to its end, which fills the compile cache")
        expected = kills.digests(_begun(config, home / "first"))
        watch.phase("a second one")
        control = kills.digests(_begun(config, home / "second"))
        watch.line(_told(control == expected))
        phases = [line["phase"] for line in kills.metrics(home / "second")]
        numbers = random.Random(config.seed)
        moments = kills.draw(numbers, config.kills, phases, config.delay_s)
        rows = []
        watch.phase(f"{config.kills} runs, killed and resumed")
        for number, moment in enumerate(moments):
            row = _killed(config, home / f"kill-{number}", moment, expected)
            watch.line("  ".join(_shown(row)))
            rows.append(row)
    return {
        "name": "resume",
        "kills": config.kills,
        "alive": sum(row["alive"] for row in rows),
        "identical": sum(row["identical"] for row in rows),
        "is_control_identical": control == expected,
        "lines": len(phases),
        "rows": rows,
        "config": dataclasses.asdict(config),
        **provenance.record(),
    }


def _killed(
    config: ResumeConfig,
    folder: Path,
    moment: kills.Moment,
    expected: Mapping[str, str],
) -> dict[str, Any]:
    """Kills a run at a moment and goes on with it."""
    with (folder.parent / "stderr").open("w") as log:
        process = _start(_words(config, folder), log)
        is_alive = kills.kill_at(moment, folder, process)
    phase, lines, step = kills.doing(folder), len(kills.metrics(folder)), None
    if phase != "finished":
        if search.has_snapshots(folder):
            heard = _finish(["--resume", str(folder)], folder)
            found = _GOES_ON.search(heard)
            step = int(found[1]) if found else None
        else:  # nothing to go on from: as the command says, with a new folder
            folder = _begun(config, folder.with_name(folder.name + "-again"))
    own = kills.digests(folder)
    differing = [name for name in expected if own.get(name) != expected[name]]
    return {
        "aim": moment._asdict(),
        "alive": is_alive,
        "phase": phase,
        "lines": lines,
        "from_step": step,
        "identical": own == expected,
        "differing": differing,
    }


def _words(config: ResumeConfig, folder: Path) -> list[str]:
    return [
        *(config.experiment, "--latency.table", config.table, "--out", str(folder)),
        *("--search.warmup-epochs", str(config.warmup_epochs)),
        *("--search.joint-epochs", str(config.joint_epochs)),
        *("--train.epochs", str(config.train_epochs), "--random-networks", "0"),
        *("--checkpoint-every-s", str(config.checkpoint_every_s)),
    ]


def _begun(config: ResumeConfig, folder: Path) -> Path:
    _finish(_words(config, folder), folder)
    return folder


def _start(words: list[str], log: Any) -> subprocess.Popen:
    search_path = [_PACKAGE_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "nas_jax", "search", *words],
        stdout=subprocess.DEVNULL,
        stderr=log,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(search_path)},
    )


def _finish(words: list[str], folder: Path) -> str:
    """Runs a search to its end; what it said on standard error."""
    log = folder.parent / "stderr"
    with log.open("w") as file:
        code = _start(words, file).wait()
    heard = log.read_text(errors="replace")
    if code != 0:
        last = (heard.strip().splitlines() or ["no message"])[-1]
        raise ValueError(
            f"bench resume: expected a search to finish, got exit code {code} ({last})"
        )
    return heard


def table(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Header, a row per kill, and their count, as text."""
    return [
        ("waited for", "killed in", "after line", "from step", "identical"),
        *map(_shown, result["rows"]),
        (
            "all",
            f"{result['alive']} of {result['kills']} were running",
            *("", "", f"{result['identical']} of {result['kills']}"),
        ),
        ("not killed", "", "", "", _told(result["is_control_identical"])),
    ]


def _shown(row: Mapping[str, Any]) -> tuple[str, ...]:
    aim = row["aim"]
    step = "-" if row["from_step"] is None else str(row["from_step"])
    is_same = "yes" if row["identical"] else f"no: {', '.join(row['differing'])}"
    return (
        f"{aim['phase']} {aim['lines']} + {1e3 * aim['delay_s']:.0f} ms",
        row["phase"] if row["alive"] else "ended",
        *(str(row["lines"]), step, is_same),
    )


def _told(is_same: bool) -> str:
    return "identical" if is_same else "not identical"
