"""Writes every .ipynb from the Python file beside it, executed, with its outputs.

    make notebooks
    make notebooks ARGS="quickstart own_space"

Each runs in an empty folder, from top to bottom. What goes to standard error (progress,
warnings) is not kept; cells have numbers for names, so that a change shows as one.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def read(path: Path) -> nbformat.NotebookNode:
    """The notebook of a Python file in percent format, not yet executed."""
    document = jupytext.read(path)
    document.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    for place, cell in enumerate(document.cells):
        cell.id, cell.metadata = f"cell-{place}", nbformat.from_dict({})
    return document


def execute(document: nbformat.NotebookNode, folder: Path) -> None:
    """Runs all cells in a folder and keeps their outputs.

    Raises `nbclient.exceptions.CellExecutionError` for a cell that fails.
    """
    os.environ["PYTHONPATH"] = str(ROOT)  # of this checkout, whatever is installed
    NotebookClient(
        document,
        timeout=600,
        kernel_name=KERNEL["name"],
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    for cell in document.cells:
        if cell.cell_type == "code":
            kept = [one for one in cell.outputs if one.get("name") != "stderr"]
            cell.outputs = kept


def main(names: list[str]) -> None:
    for path in sorted(FOLDER.glob("*.py")):
        if names and path.stem not in names:
            continue
        start = time.perf_counter()
        document = read(path)
        with tempfile.TemporaryDirectory() as folder:
            execute(document, Path(folder))
        file = path.with_suffix(".ipynb")
        file.write_text(nbformat.writes(document) + "\n", encoding="utf-8")
        seconds = time.perf_counter() - start
        print(f"{file.name}: {seconds:.0f} s, {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
