"""Notebooks: the Python file and its .ipynb are one, run, and show what came of it."""

import ast
import base64
import importlib.util
import json
import re

import pytest

from tests.documents import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
NAMES = {
    *("quickstart", "your_pictures", "own_space", "own_estimator", "own_device"),
    *("pretrained", "reading_a_run", "accelerator"),
}
PICTURE, WHOLE = 100_000, 300_000
"""Bytes of a picture and of a notebook, at most."""
of_each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


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


def outputs(document):
    return [one for cell in document["cells"] for one in cell.get("outputs", ())]


def texts(document):
    """All that the outputs say, pictures aside."""
    for one in outputs(document):
        yield "".join(one.get("text", ""))
        for kind, content in one.get("data", {}).items():
            if kind != "image/png":
                yield "".join(content)


def test_all_notebooks_are_there_and_have_a_page():
    assert {path.stem for path in NOTEBOOKS} == NAMES
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == NAMES
    assert {path.stem for path in (ROOT / "docs/notebooks").glob("*.md")} == NAMES


def test_cells_of_a_percent_file():
    text = "# header\n\n# %% [markdown]\n# # A\n#\n# b\n\n# %%\nx = 1\n\n\ny = 2\n"
    assert percent_cells(text) == [
        ("markdown", "# A\n\nb"),
        ("code", "x = 1\n\n\ny = 2"),
    ]


@of_each
def test_pair_agrees(path):
    """`make notebooks` writes the .ipynb from the Python file."""
    found = [
        (cell["cell_type"], "".join(cell["source"])) for cell in notebook(path)["cells"]
    ]
    assert found == percent_cells(path.read_text(encoding="utf-8"))


@of_each
def test_notebook_says_how_to_install(path):
    first = notebook(path)["cells"][0]
    assert "`pip install .`" in "".join(first["source"])


@of_each
def test_notebook_imports_three_things_at_most(path):
    """What a stranger has to know the names of, before anything happens."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [one for one in ast.walk(tree) if isinstance(one, ast.Import)]
    names = [name.name for one in found for name in one.names]
    assert not [one for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)]
    assert "nas_jax" in names and len(names) <= 3


@of_each
def test_notebook_was_executed_and_is_small(path):
    document = notebook(path)
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)]
    assert any("".join(text).strip() for text in texts(document))
    pictures = [
        base64.b64decode("".join(one["data"]["image/png"]))
        for one in outputs(document)
        if "image/png" in one.get("data", {})
    ]
    assert pictures or path.stem in ("accelerator", "own_space")
    assert max(map(len, pictures), default=0) <= PICTURE
    assert path.with_suffix(".ipynb").stat().st_size <= WHOLE


@of_each
def test_outputs_are_clean(path):
    document = notebook(path)
    assert {one["output_type"] for one in outputs(document)} <= {
        *("stream", "display_data", "execute_result")
    }
    for text in texts(document):
        assert not re.search(r"(?<![\w.])/(tmp|home|root|work|Users|var)\b", text), text
        assert "Traceback" not in text and "\x1b" not in text


@pytest.mark.slow
@of_each
def test_notebook_runs(path, tmp_path):
    """In a real kernel, as `make notebooks` runs it."""
    for package in ("jupytext", "nbclient", "ipykernel"):
        pytest.importorskip(package)
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools/notebooks.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    document = tool.read(path)
    tool.execute(document, tmp_path)
    stored = notebook(path)
    kinds = [
        [one["output_type"] for one in cell.get("outputs", ())]
        for cell in stored["cells"]
    ]
    found = [
        [one["output_type"] for one in cell.get("outputs", ())]
        for cell in document.cells
    ]
    assert found == kinds
