"""A folder of its own for every command, a refused one, a made-up table."""

import json

import pytest

from nas_jax import cli
from nas_jax.config import shipped
from nas_jax.latency import tables
from nas_jax.search import loop
from nas_jax.spaces import builders


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """Commands run in a folder of their own, and none may begin a search."""

    def fail(*args, **given):
        raise AssertionError("the search began")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "run", fail)


@pytest.fixture
def refused(empty_folder, tmp_path, capsys):
    """Runs a command that must be refused; returns its one line."""

    def run(*words):
        before = contents(tmp_path)
        assert cli.main(words) == 2
        out, err = capsys.readouterr()
        assert contents(tmp_path) == before
        assert out == ""
        assert err.startswith("nas_jax: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        return err.removeprefix("nas_jax: ").removesuffix("\n")

    return run


def contents(folder):
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def document():
    """A table of the digits space: the fixed parts take 0.3 ms, any candidate 0.1."""
    parts = tables.required_parts(
        builders.mobile(shipped.load_experiment("digits_cpu").space)
    )
    numbers = dict.fromkeys(("mean_ms", "std_ms", "median_ms", "q25_ms", "q75_ms"), 0.1)
    values = {str: "made up", int: 1}
    return {
        "format": tables.FORMAT,
        "version": tables.VERSION,
        "provenance": {
            **{key: values[kind] for key, kind in tables.PROVENANCE.items()},
            "method": "operations",
            "input_size": 16,
        },
        "fixed_ms": 0.0,
        "entries": {part.key: {**numbers, "count": 2} for part in parts},
        "validation": None,
    }


@pytest.fixture
def table(document, tmp_path):
    """Writes the table, changed, and names it to a search."""

    def write(change=lambda document: None):
        changed = json.loads(json.dumps(document))
        change(changed)
        (tmp_path / "table.json").write_text(json.dumps(changed))
        return ("search", "digits_cpu", "--latency.table", "table.json")

    return write
