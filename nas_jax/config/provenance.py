"""Origin of a number: this machine, library versions, commit. Imports no JAX."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LIBRARIES = ("nas_jax", "jax", "flax", "optax", "numpy", "onnx", "onnxruntime")


def cpu() -> Mapping[str, str]:
    """What /proc/cpuinfo says of the first CPU; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = [line.partition(":") for line in text.split("\n\n")[0].splitlines()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def user_cache() -> Path:
    """The user's folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def device() -> str:
    """Model name of the CPU, or what the platform calls it."""
    named = cpu().get("model name")
    return next(filter(None, [named, platform.processor()]), platform.machine())


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape a result."""
    libraries = {name: _version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **libraries}


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        # a checkout that is run as it is, or a machine without the runtime of ONNX
        return "not installed"


def commit() -> str:
    """Commit of the checkout the package runs from, `-dirty` with changes on top.

    "unknown" for an installed package, which knows its version only.
    """
    folder = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # an installed package may lie inside somebody else's repository
        if not git("ls-files", "provenance.py"):
            return "unknown"
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def record() -> dict[str, Any]:
    """What a result states about its origin: versions, device, commit."""
    return {"versions": versions(), "device": device(), "commit": commit()}
