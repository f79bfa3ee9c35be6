"""The report of a run: one self-contained HTML page, made from the run's files alone.

It works while a run is still going on, and says what is missing. The page fetches
nothing and runs no script; the same folder always gives the same bytes.
"""

from collections.abc import Sequence
from pathlib import Path

from nas_jax.config import files
from nas_jax.report import page, run_files, several
from nas_jax.report.picture import Picture, draw

__all__ = ["Picture", "draw", "write", "write_several"]


def write(
    run_folder: Path, out: Path | None = None, refresh_s: int | None = None
) -> Path:
    """Writes the report of a run and returns its path.

    Args:
      run_folder: a run, finished or not, or one for several targets.
      out: the page; None for `report.html` in the run folder.
      refresh_s: the page loads itself again after so many seconds; None for never.

    Raises:
      ValueError: naming the file and the place if a file cannot be understood.
    """
    document = page.render(run_files.read(run_folder), refresh_s)
    target = run_folder / "report.html" if out is None else out
    # a name of a file may be no text
    files.write(target, document.encode(errors="replace"))
    return target


def write_several(run_folders: Sequence[Path], out: Path) -> Path:
    """Writes one page about several runs and returns its path.

    Raises:
      ValueError: for fewer than two runs or two of one name, and for a file that cannot
        be understood.
    """
    document = several.render([run_files.read(one) for one in run_folders])
    files.write(out, document.encode(errors="replace"))
    return out
