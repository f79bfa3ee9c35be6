"""Compiling ahead: seen, timed, and checked against the memory before anything runs."""

import functools
import time
from collections.abc import Callable, Mapping
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

    def __call__(self, calls: Mapping[str, Call]) -> dict[str, Callable[..., Any]]:
        compiled = {}
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
        memory.require_fit(
            {name: memory.needed_bytes(one) for name, one in compiled.items()},
            {name: call.knob for name, call in calls.items()},
            memory.available_bytes(),
        )
        return compiled


@functools.cache
def cache_hits() -> list[str]:
    """Grows from the first call on, by one per program that JAX finds in its cache."""
    heard: list[str] = []

    def hear(event: str, **_: Any) -> None:
        if event == _HIT:
            heard.append(event)

    jax.monitoring.register_event_listener(hear)
    return heard
