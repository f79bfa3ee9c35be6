"""Where a number comes from: device, library versions, commit."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from nas_jax import process

_LIBRARIES = ("nas_jax", "jax", "flax", "optax", "numpy", "onnx", "onnxruntime")


def device() -> str:
    """Model name of the CPU, or what the platform calls it."""
    named = process.cpu().get("model name")
    return next(filter(None, [named, platform.processor()]), platform.machine())


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape a result."""
    found = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **found}


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
