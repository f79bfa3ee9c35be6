"""XLA's work on a kept program, in a process of its own.

Compiling leaves more than a gigabyte of holes in the heap that it uses, and the heap
that makes steps fast (`host.tune_allocator`) makes compiling twice as slow: a weight
step of the ImageNet supernet compiled in 41 s instead of 69 and then ran in 168 ms
instead of 195. So another process compiles, and leaves its program in JAX's cache.
"""

import importlib
import subprocess
import sys
from pathlib import Path

from nas_jax.training import host


def run(file: Path | None) -> bool:
    """Compiles the program in a file into this process's cache; returns whether.

    Whatever goes wrong there: who finds nothing in the cache compiles.
    """
    cache = host.cache_folder()
    if cache is None or file is None:
        return False
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(file), str(cache)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,  # a stop request is for this process alone
    )
    return done.returncode == 0


def main(file: str, cache: str) -> None:
    """What the other process does."""
    from nas_jax.training import kept_programs

    for states in ("nas_jax.search.search_state", "nas_jax.training.loop"):
        importlib.import_module(states)  # which registers what programs return
    host.set_cache(cache)
    kept = kept_programs.of_file(Path(file))
    if kept is None:
        sys.exit(f"{file}: expected a kept program")
    kept.compile()


if __name__ == "__main__":
    main(*sys.argv[1:])
