"""The tests on the oldest and the newest versions that setup.cfg allows; a table.

    make test-versions
    make test-versions ARGS="--only oldest tests/search/test_gates.py"

Makes an environment each below build/versions with uv: the oldest direct dependencies
(`constraints-oldest.txt`, which --renew writes) and the newest ones on Python 3.11,
and the newest on 3.12 where uv finds such an interpreter.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OLDEST = ROOT / "constraints-oldest.txt"
PLACE = ROOT / "build" / "versions"
SHOWN = ("jax", "flax", "numpy")


class Versions(NamedTuple):
    name: str
    python: str
    is_oldest: bool = False


ALL = (
    Versions("oldest", "3.11", is_oldest=True),
    Versions("newest", "3.11"),
    Versions("newest-3.12", "3.12"),
)


def uv(*words: str | Path, **given: Any) -> subprocess.CompletedProcess:
    return subprocess.run(["uv", *map(str, words)], cwd=ROOT, text=True, **given)


def renew() -> None:
    """Writes `constraints-oldest.txt`: the least that setup.cfg names."""
    resolve = ("--python-version", "3.11", "--resolution", "lowest-direct")
    form = ("--no-header", "--no-annotate", "--quiet", "--upgrade")
    words = ("pip", "compile", "setup.cfg", "--extra", "test", *resolve, *form)
    uv(*words, "--output-file", OLDEST, check=True)


def made(one: Versions) -> Path:
    """The interpreter of an environment with these versions."""
    folder = PLACE / one.name
    own = folder / "bin" / "python"
    uv("venv", "--clear", "--quiet", "--python", one.python, folder, check=True)
    limits = ("--constraint", OLDEST) if one.is_oldest else ("--upgrade",)
    words = ("pip", "install", "--quiet", "--python", own, *limits)
    uv(*words, "--editable", ".[test]", check=True)
    return own


def outcome(one: Versions, tests: list[str]) -> tuple[str, ...]:
    """A row of the table: what there is, how the tests end, minutes."""
    found = uv("python", "find", one.python, capture_output=True)
    if found.returncode:
        how = f"no interpreter: uv python install {one.python}"
        return (one.name, one.python, *("-" for _ in SHOWN), how, "-")
    own = made(one)
    code = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"
    versions = subprocess.run(
        [own, "-c", code, *SHOWN], capture_output=True, text=True, check=True
    ).stdout.split()
    begun = time.monotonic()
    words = [
        str(own),
        "-m",
        "pytest",
        "-n",
        "auto",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
    ]
    run = subprocess.run([*words, *tests], cwd=ROOT, capture_output=True, text=True)
    said = (run.stdout.strip().splitlines() or ["nothing"])[-1]
    print(run.stdout if run.returncode else said, file=sys.stderr)
    minutes = f"{(time.monotonic() - begun) / 60:.1f}"
    return (one.name, one.python, *versions, re.sub(r" in .*", "", said), minutes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renew", action="store_true", help="only constraints-oldest")
    parser.add_argument("--only", choices=[one.name for one in ALL])
    parser.add_argument("tests", nargs="*", help="files (default: all)")
    options = parser.parse_args()
    if shutil.which("uv") is None:
        print("test-versions: expected uv, found none; pip install uv", file=sys.stderr)
        return 2
    if options.renew:
        renew()
        return 0
    chosen = [one for one in ALL if options.only in (None, one.name)]
    rows: list[tuple[str, ...]] = [("versions", "Python", *SHOWN, "tests", "minutes")]
    rows += [outcome(one, options.tests) for one in chosen]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        print("  ".join(cell.ljust(width) for cell, width in cells).rstrip())
    is_bad = [row for row in rows[1:] if re.search(r"failed|error", row[-2])]
    return 1 if is_bad else 0


if __name__ == "__main__":
    sys.exit(main())
