"""The report of a run: one self-contained HTML page, made from the run's files alone.

It works while a run is still going on, and says what is missing. The page fetches
nothing and runs no script; the same folder always gives the same bytes.
"""

import os
from pathlib import Path

from nas_jax.report import folder, page

__all__ = ["write"]


def write(run_folder: Path) -> Path:
    """Writes `report.html` into a run folder and returns its path.

    Raises `ValueError` naming the file and the place if a file cannot be understood.
    """
    document = page.render(folder.read(run_folder))
    path = run_folder / "report.html"
    # replaced in one step: a reader never sees half a page
    partial = path.with_suffix(".html.partial")
    partial.write_text(document, encoding="utf-8", errors="replace")
    os.replace(partial, path)
    return path
