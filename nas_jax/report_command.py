"""The verb `report`: the page of a run, of several, of one that goes on."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from nas_jax import files

_LOOK_S = 2.0
"""Between two looks at a run that is watched."""


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb is told."""
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", type=Path, help="run folders")
    add("--out", type=Path, metavar="FILE", help="the page (one run: report.html)")
    add("--watch", action="store_true", help="write it again until the run is finished")
    add(
        "--tensorboard",
        type=Path,
        metavar="DIR",
        help="write event files to a new folder instead (needs tensorboardX)",
    )


def run(options: argparse.Namespace, rest: list[str], words: Sequence[str]) -> int:
    """Writes what was asked for; raises `ValueError` for flags that do not fit."""
    _require_fitting(options)
    from nas_jax import report
    from nas_jax.report import folder, live, tensorboard

    if options.tensorboard is not None:
        count = tensorboard.write(
            folder.read(options.runs[0]),
            options.tensorboard,
            tensorboard.writer_class(),
        )
        print(f"{options.tensorboard}: {count} numbers")
    elif options.watch:
        watched = options.runs[0]

        def write(refresh_s: int | None) -> Path:
            return report.write(watched, options.out, refresh_s)

        for place, path in enumerate(
            live.follow(watched, write, lambda: time.sleep(_LOOK_S))
        ):
            if place == 0:
                print(path, flush=True)
                print("watching until the run is finished; Ctrl-C", file=sys.stderr)
    elif len(options.runs) > 1:
        print(report.write_several(options.runs, options.out))
    else:
        print(report.write(options.runs[0], options.out))
    return 0


def _require_fitting(options: argparse.Namespace) -> None:
    files.require_new("--out", options.out)
    count = len(options.runs)
    for flag in ("watch", "tensorboard"):
        if getattr(options, flag) and count > 1:
            raise ValueError(f"--{flag}: expected one run, got {count}; name one")
    if options.tensorboard is not None and (options.watch or options.out):
        raise ValueError(
            "--tensorboard: expected neither --watch nor --out beside it; the event "
            "files go to its own folder"
        )
    if count > 1 and options.out is None:
        raise ValueError(
            f"report: expected --out FILE.html for a page about {count} runs, got none"
        )
