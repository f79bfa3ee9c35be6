"""The verb `report`: the page of a run, of several together, of one that still runs."""

import functools
import sys
import time
from pathlib import Path

from nas_jax.cli.terminal import Answer
from nas_jax.config import files, on_disk

_LOOK_S = 2.0
"""Between two looks at a run that is watched."""


def report(
    runs: tuple[Path, ...],
    *,
    out: Path | None = None,
    watch: bool = False,
    tensorboard: Path | None = None,
) -> Answer:
    """The page of a run again, of several together, or of one that still runs.

    Args:
      runs: run folders
      out: the page to write (of one run: its report.html)
      watch: write it again until the run is finished
      tensorboard: write event files to this new folder instead (needs tensorboardX)
    """
    files.require_new("--out", out)
    for flag, is_given in (("watch", watch), ("tensorboard", tensorboard)):
        if is_given and len(runs) > 1:
            raise ValueError(f"--{flag}: expected one run, got {len(runs)}; name one")
    if tensorboard is not None and (watch or out):
        raise ValueError(
            "--tensorboard: expected neither --watch nor --out beside it; the event "
            "files go to its own folder"
        )
    if len(runs) > 1 and out is None:
        raise ValueError(
            f"report: expected --out FILE.html for a page about {len(runs)} runs, got "
            "none"
        )
    for run in runs:
        on_disk.require_run(run)
    from nas_jax import report as pages
    from nas_jax.report import live, run_files
    from nas_jax.report import tensorboard as events

    if tensorboard is not None:
        found, writer = run_files.read(runs[0]), events.writer_class()
        count = events.write(found, tensorboard, writer)
        answer = {"folder": str(tensorboard), "numbers": count}
        return Answer(answer, f"{tensorboard}: {count} numbers")
    if len(runs) > 1 and out is not None:
        page = pages.write_several(runs, out)
    elif watch:
        write = functools.partial(pages.write, runs[0], out)
        written = live.follow(runs[0], write, lambda: time.sleep(_LOOK_S))
        page = next(written)
        print(f"{page}: written until the run is finished; Ctrl-C", file=sys.stderr)
        for _ in written:
            continue
    else:
        page = pages.write(runs[0], out)
    return Answer({"page": str(page)}, str(page))
