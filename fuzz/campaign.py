"""A campaign against one reader: files drawn by seed, and what came of them."""

import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from fuzz import case, mutations, readers
from nas_jax.training import host


class Outcome(NamedTuple):
    """Result of a campaign; `faults` are lines, one per kind."""

    cases: int
    refused: int
    faults: tuple[str, ...]
    seconds: float


def run(name, cases, seed):
    """Draws `cases` files for a reader by `seed`, and reads them."""
    reader = readers.READERS[name]
    count = [0, 0]
    start = time.monotonic()
    # Orbax closes its event loop while other reads than the failed one still run
    sys.unraisablehook = lambda _: None
    # a cache of programs is written outside of the case's folder
    with host.without_cache(), tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        seeds = reader.make(folder)

        @hypothesis.seed(seed)
        @settings(
            max_examples=max(1, round(cases * reader.share)),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
            print_blob=False,
        )
        @given(mutations.changed(seeds, reader.form))
        def read(content):
            (folder / reader.file).write_bytes(content)
            count[0] += 1
            count[1] += case.check(reader.read, folder) is not None

        faults: tuple[str, ...] = ()
        try:
            lines = []
            for content in seeds:
                (folder / reader.file).write_bytes(content)
                lines.append(case.check(reader.read, folder))
            assert None in lines, f"what its writer made is refused: {lines[0]}"
            read()
        except BaseExceptionGroup as group:
            faults = tuple(map(_fault, group.exceptions))
        except (
            Exception
        ) as error:  # also one of the harness: the other readers still run
            faults = (_fault(error),)
    read_files, refused = count
    return Outcome(read_files, refused, faults, time.monotonic() - start)


def _fault(error):
    cause = error.__cause__ or error
    frames = traceback.extract_tb(cause.__traceback__)
    ours = [frame for frame in frames if "/nas_jax/" in frame.filename]
    where = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    notes = " ".join(getattr(error, "__notes__", ()))
    return f"{str(error)[:300]}{where}\n    {notes[:600]}"
