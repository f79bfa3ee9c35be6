"""`make fuzz`: every reader, thousands of cases each, and a table of the outcomes.

python -m fuzz [--cases 20000] [--seed 0] [--only NAME ...] [--jobs 2]
"""

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

from fuzz import campaign, readers
from nas_jax.config import provenance


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=list(readers.READERS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    os.environ.setdefault("NAS_JAX_CACHE", "off")
    print(f"seed {options.seed}, commit {provenance.commit()}", flush=True)
    print(f"{'reader':32}{'cases':>8}{'refused':>9}{'faults':>8}{'seconds':>9}")
    spawn = multiprocessing.get_context("spawn")
    faulty = 0
    with ProcessPoolExecutor(options.jobs, mp_context=spawn) as pool:
        running = {
            # of another module: a child process does not import this one
            pool.submit(campaign.run, name, options.cases, options.seed): name
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
