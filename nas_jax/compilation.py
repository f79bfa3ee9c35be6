"""Compiling ahead: seen, timed, and checked against the memory before anything runs."""

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax

from nas_jax import allocator, memory, process
from nas_jax.calls import Call
from nas_jax.watch import Watch

_HIT = "/jax/compilation_cache/cache_hits"


class Compiler:
    """A `calls.Compile` that tells `watch` what it does; `seconds` adds up.

    One program after the other: XLA compiles the parts of one side by side already,
    and several at once take the memory of all.

    Raises:
      ValueError: if one would not fit in memory, before any runs.
    """

    def __init__(self, watch: Watch) -> None:
        self.seconds = 0.0
        self._watch = watch
        self._needed: dict[str, int | None] = {}
        self._knobs: dict[str, str] = {}

    def __call__(self, calls: Mapping[str, Call]) -> dict[str, Callable[..., Any]]:
        compiled = {}
        self._needed = dict.fromkeys(calls)
        self._knobs = {name: call.knob for name, call in calls.items()}
        for name, call in calls.items():
            self._watch.note(compiling=name)
            start, hits = time.perf_counter(), len(cache_hits())
            compiled[name] = call.function.lower(*call.arguments).compile()
            seconds = time.perf_counter() - start
            cache = "hit" if len(cache_hits()) > hits else "miss"
            if process.cache_folder() is None:
                cache = "off"
            self._watch.line(f"compiled {name} in {seconds:.1f} s (cache: {cache})")
            self.seconds += seconds
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
            if not (self._knobs and memory.is_exhausted(error)):
                raise
            raise memory.exhausted(error, self._needed, self._knobs) from error


@functools.cache
def cache_hits() -> list[str]:
    """Grows from the first call on, by one per program that JAX finds in its cache."""
    heard: list[str] = []

    def hear(event: str, **_: Any) -> None:
        if event == _HIT:
            heard.append(event)

    jax.monitoring.register_event_listener(hear)
    return heard
