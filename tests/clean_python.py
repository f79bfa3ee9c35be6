"""Processes of a test: an interpreter without settings, and a free port."""

import os
import socket
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


def free_port():
    """A port of this machine on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
