"""`make fuzz`: every reader, thousands of cases each, and a table of what came of it.

python tests/fuzz.py [--cases 20000] [--seed 0] [--only NAME ...] [--jobs 2]
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("NAS_JAX_CACHE", "off")


class Outcome(NamedTuple):
    """What came of a reader; `faults` are lines, one per kind."""

    cases: int
    refused: int
    faults: tuple[str, ...]
    seconds: float


def run(name, cases, seed):
    """Draws `cases` files for a reader by `seed`, and reads them."""
    import hypothesis
    from hypothesis import HealthCheck, Phase, given, settings

    from fuzz import case, mutations, readers

    one = readers.READERS[name]
    count = [0, 0]
    start = time.monotonic()
    # Orbax closes its event loop while reads beside the one that failed go on
    sys.unraisablehook = lambda _: None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        seeds = one.make(folder)

        @hypothesis.seed(seed)
        @settings(
            max_examples=max(1, round(cases * one.share)),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
            print_blob=False,
        )
        @given(mutations.changed(seeds, one.form))
        def read(content):
            (folder / one.file).write_bytes(content)
            count[0] += 1
            count[1] += case.check(one.read, folder) is not None

        faults = ()
        try:
            lines = []
            for content in seeds:
                (folder / one.file).write_bytes(content)
                lines.append(case.check(one.read, folder))
            assert None in lines, f"what its writer made is refused: {lines[0]}"
            read()
        except BaseExceptionGroup as group:
            faults = tuple(map(_fault, group.exceptions))
        except Exception as error:  # also one of the harness: the others go on
            faults = (_fault(error),)
    return Outcome(*count, faults, time.monotonic() - start)


def _fault(error):
    cause = error.__cause__ or error
    frames = traceback.extract_tb(cause.__traceback__)
    ours = [frame for frame in frames if "/nas_jax/" in frame.filename]
    where = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    notes = " ".join(getattr(error, "__notes__", ()))
    return f"{str(error)[:300]}{where}\n    {notes[:600]}"


def main():
    from fuzz import readers
    from nas_jax.config import provenance

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=list(readers.READERS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    print(f"seed {options.seed}, commit {provenance.commit()}", flush=True)
    print(f"{'reader':32}{'cases':>8}{'refused':>9}{'faults':>8}{'seconds':>9}")
    spawn = multiprocessing.get_context("spawn")
    faulty = 0
    with ProcessPoolExecutor(options.jobs, mp_context=spawn) as pool:
        running = {
            pool.submit(run, name, options.cases, options.seed): name
            for name in options.only
        }
        for future in as_completed(running):
            cases, refused, faults, seconds = future.result()
            numbers = f"{cases:8}{refused:9}{len(faults):8}{seconds:9.1f}"
            print(f"{running[future]:32}{numbers}", flush=True)
            for fault in faults:
                print(f"  {fault}", flush=True)
            faulty += len(faults)
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
