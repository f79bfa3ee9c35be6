"""Notebooks: the Python file and its .ipynb are one, and run from top to bottom."""

import json
import re
import runpy

import pytest

from tests.documents import ROOT
from tests.report.made_up_run import make_run

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
NAMES = {
    *("quickstart", "own_space", "own_device", "reading_a_run", "accelerator"),
    "pretrained",
}


def percent_cells(text):
    """(kind, source) of every cell of a file in percent format."""
    cells = []
    for cell in re.split(r"^# %%", text, flags=re.MULTILINE)[1:]:
        mark, _, body = cell.partition("\n")
        lines = body.strip("\n").splitlines()
        if mark.strip() == "[markdown]":
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        kind = "markdown" if mark.strip() == "[markdown]" else "code"
        cells.append((kind, "\n".join(lines)))
    return cells


def notebook(path):
    return json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))


def test_all_notebooks_are_there():
    assert {path.stem for path in NOTEBOOKS} == NAMES
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == NAMES


def test_cells_of_a_percent_file():
    text = "# header\n\n# %% [markdown]\n# # A\n#\n# b\n\n# %%\nx = 1\n\n\ny = 2\n"
    assert percent_cells(text) == [
        ("markdown", "# A\n\nb"),
        ("code", "x = 1\n\n\ny = 2"),
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_pair_agrees(path):
    """`make notebooks` writes the .ipynb from the Python file."""
    found = [
        (cell["cell_type"], "".join(cell["source"])) for cell in notebook(path)["cells"]
    ]
    assert found == percent_cells(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_has_no_outputs(path):
    code = [cell for cell in notebook(path)["cells"] if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_as_python(path, tmp_path, monkeypatch, own_operations):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs" / "digits_cpu-seed0-000")
    runpy.run_path(str(path), run_name="__main__")


@pytest.mark.slow
def test_quickstart_draws_in_jupyter(tmp_path, monkeypatch):
    """A few epochs of it in a real kernel: the figure comes, and is replaced."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    document = nbformat.read(ROOT / "notebooks/quickstart.ipynb", as_version=4)
    schedule = (
        "warmup_epochs=200, joint_epochs=100",
        "warmup_epochs=2, joint_epochs=2",
    )
    training = ("epochs=60", "epochs=1")
    for before, after in (schedule, training):
        assert sum(before in cell.source for cell in document.cells) == 1
        for cell in document.cells:
            cell.source = cell.source.replace(before, after)
    client = nbclient.NotebookClient(
        document,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    searching = next(cell for cell in document.cells if "search.run(" in cell.source)
    pictures = [one for one in searching.outputs if "image/png" in one.get("data", {})]
    assert len(pictures) == 1
