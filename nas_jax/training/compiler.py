"""Compiling ahead: seen, timed, and checked against the memory before anything runs."""

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

from nas_jax.config import checks
from nas_jax.training import allocator, host, memory
from nas_jax.training.calls import Call
from nas_jax.training.progress import Progress

_HIT = "/jax/compilation_cache/cache_hits"


class _Ready(NamedTuple):
    program: Any
    seconds: float
    cache: str


class Compiler:
    """A `calls.Compile` that tells `watch` what it does; `seconds` adds up.

    Python traces one program after the other; XLA, which holds no lock of Python's,
    compiles those that are traced beside it. On a CPU it spends most of its time on one
    core, so two programs on two cores take little longer than the longer of them.
    Several processes compile theirs in the same order, one by one: what they find out
    together must meet.

    Raises:
      ValueError: if one would not fit in memory, before any runs.
    """

    def __init__(self, watch: Progress) -> None:
        self.seconds = 0.0
        self._watch = watch
        self._needed: dict[str, int | None] = {}
        self._knobs: dict[str, str] = {}

    def __call__(self, calls: Mapping[str, Call]) -> dict[str, Callable[..., Any]]:
        start = time.perf_counter()
        self._needed = dict.fromkeys(calls)
        self._knobs = {name: call.knob for name, call in calls.items()}
        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(1 if jax.process_count() > 1 else cores) as pool:
            begun = {}
            for name, call in calls.items():
                self._watch.note(compiling=name)
                traced = time.perf_counter()
                lowered = call.function.lower(*call.arguments)
                traced = time.perf_counter() - traced
                begun[name] = pool.submit(_compiled, lowered, traced)
            compiled = {}
            for name, one in begun.items():
                ready = one.result()
                compiled[name] = ready.program
                self._watch.line(
                    f"compiled {name} in {ready.seconds:.1f} s (cache: {ready.cache})"
                )
        self.seconds += time.perf_counter() - start
        allocator.settle_heap()
        needed = {name: memory.needed_bytes(one) for name, one in compiled.items()}
        self._needed |= needed
        memory.require_fit(needed, self._knobs, memory.available_bytes())
        return compiled

    @contextmanager
    def within_memory(self) -> Iterator[None]:
        """Here the newest programs run; `ValueError` if a device has no room for them.

        What was free may have been taken since, or be in pieces.
        """
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not (self._knobs and checks.is_exhausted(error)):
                raise
            raise memory.exhausted(error, self._needed, self._knobs) from error


def _compiled(lowered: Any, traced_seconds: float) -> _Ready:
    """Compiles in the thread that calls, where JAX tells of its cache, too."""
    start, own = time.perf_counter(), threading.get_ident()
    hits = cache_hits().count(own)
    program = lowered.compile()
    seconds = traced_seconds + time.perf_counter() - start
    cache = "hit" if cache_hits().count(own) > hits else "miss"
    return _Ready(program, seconds, "off" if host.cache_folder() is None else cache)


@functools.cache
def cache_hits() -> list[int]:
    """Grows from the first call on, by one per program that JAX finds in its cache.

    The threads that asked for them.
    """
    heard: list[int] = []

    def hear(event: str, **_: Any) -> None:
        if event == _HIT:
            heard.append(threading.get_ident())

    jax.monitoring.register_event_listener(hear)
    return heard
