"""The report of a run that goes on: written again whenever there is more to show."""

from collections.abc import Callable, Iterator
from pathlib import Path

REFRESH_S = 5
"""The page loads itself again after so many seconds, until its run has finished."""


def follow(
    run_folder: Path,
    write: Callable[[int | None], Path],
    wait: Callable[[], None],
) -> Iterator[Path]:
    """Writes the report whenever metrics have grown, until `result.json` is there.

    The last page does not refresh itself any more, be it that the run has finished or
    that the generator is closed or interrupted.

    Args:
      run_folder: the run.
      write: writes the report with a refresh after so many seconds, or none; returns
        its path.
      wait: is called between two looks at the folder.

    Yields:
      The path of the report, every time that it was written.
    """
    seen: int | None = None
    refreshes = False
    try:
        while not (run_folder / "result.json").exists():
            size = metrics_bytes(run_folder)
            if size != seen:
                path, seen, refreshes = write(REFRESH_S), size, True
                yield path
            wait()
        refreshes = False
        yield write(None)
    finally:
        if refreshes:
            write(None)


def metrics_bytes(run_folder: Path) -> int:
    """Size of what the run has logged, that of its targets included."""
    patterns = ("metrics.jsonl", "targets/*/metrics.jsonl")
    files = [file for pattern in patterns for file in run_folder.glob(pattern)]
    return sum(file.stat().st_size for file in files)
