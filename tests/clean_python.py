"""An interpreter, and an environment, in which nobody has set anything."""

import os
import subprocess
import sys


def python(code, **environment):
    """Output of a program with no settings but these; an error fails the test."""
    ours = ("NAS_JAX_CACHE", "XLA_FLAGS", "JAX_", "MALLOC_", "GLIBC_", "LD_PRELOAD")
    rest = {name: v for name, v in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=rest | environment,
        capture_output=True,
        text=True,
        check=True,
    )


def without(monkeypatch, *prefixes):
    for name in [name for name in os.environ if name.startswith(prefixes)]:
        monkeypatch.delenv(name)
