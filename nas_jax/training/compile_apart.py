"""XLA's work on a kept program, in a process of its own.

Compiling leaves more than a gigabyte of holes in the heap that it uses, and the heap
that makes steps fast (`host.tune_allocator`) makes compiling twice as slow: a weight
step of the ImageNet supernet compiled in 41 s instead of 69 and then ran in 168 ms
instead of 195. So another process compiles, and leaves its program in JAX's cache.
"""

import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path

from nas_jax.training import host


def run(file: Path | None) -> bool:
    """Compiles the program in a file into this process's cache; returns whether.

    Whatever goes wrong there: who finds nothing in the cache compiles.
    """
    cache = host.cache_folder()
    if cache is None or file is None:
        return False
    with subprocess.Popen(
        [sys.executable, "-m", __name__, str(file), str(cache)],
        stdin=subprocess.PIPE,  # its end tells the other process that this one is gone
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a stop request is for this process alone
    ) as other:
        return other.wait() == 0


def main(file: str, cache: str) -> None:
    """What the other process does, as long as the one that asked for it lives."""
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    from nas_jax.training import kept_programs

    for states in ("nas_jax.search.search_state", "nas_jax.training.loop"):
        importlib.import_module(states)  # which registers what programs return
    host.set_cache(cache)
    kept = kept_programs.of_file(Path(file))
    if kept is None:
        sys.exit(f"{file}: expected a kept program")
    kept.compile()


def _end_with_the_caller() -> None:
    os.read(0, 1)  # returns at its end; the buffered reader cannot be left alone
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
