"""The commit of the checkout, and what an installed package says in its place."""

import shutil
import subprocess
from pathlib import Path

import pytest

from nas_jax.config import provenance


def test_commit_is_that_of_the_checkout():
    git = ["git", "rev-parse", "--short=12", "HEAD"]
    here = Path(__file__).parent
    try:
        head = subprocess.run(git, cwd=here, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a checkout of git")
    assert provenance.commit().removesuffix("-dirty") == head.stdout.strip()


def test_commit_of_an_installed_package_is_unknown(tmp_path, monkeypatch):
    """Also inside somebody else's repository."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "provenance.py").touch()
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    assert provenance.commit() == "unknown"
