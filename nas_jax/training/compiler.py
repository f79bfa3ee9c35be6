"""Compilation ahead of the first step: reported, timed, checked against the memory."""

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
from nas_jax.training import (
    compile_apart,
    host,
    kept_programs,
    memory,
    program_key,
)
from nas_jax.training.kept_programs import Kept, Program
from nas_jax.training.progress import Progress

SAVED = "/jax/compilation_cache/compile_time_saved_sec"
"""The event by which JAX tells of a hit."""


class Call(NamedTuple):
    """A jitted function, arguments of the shapes it gets, and what sets their size.

    `knob` names the fields of the configuration that the size of the batch follows.
    `made_of` are all values that the function has besides its arguments, for
    `program_key`; without them it is traced in every process.
    """

    function: Any
    arguments: tuple[Any, ...]
    knob: str
    made_of: Any = None


Compile = Callable[[Mapping[str, Call]], dict[str, Callable[..., Any]]]
"""From calls by name to functions that take arguments of the same shapes.

A search or training hands its calls to one before its first step."""


def on_first_call(calls: Mapping[str, Call]) -> dict[str, Callable[..., Any]]:
    """The functions as they are: JAX compiles each at its first call."""
    return {name: call.function for name, call in calls.items()}


class Compiler:
    """A `Compile` that reports its progress; `seconds` is the time spent so far, and
    `saved_seconds` what XLA took for the programs that were in the cache.

    Python traces what is not kept (`kept_programs`), one program after the other; XLA
    compiles the traced ones in threads meanwhile, or apart. On a CPU it spends most of
    its time on one core, so two programs on two cores take little longer than the
    longer of them. Several processes compile in the same order, one by one, as XLA
    exchanges what it finds.

    Raises:
      ValueError: if one would not fit in memory, before any runs.
    """

    def __init__(self, watch: Progress) -> None:
        self.seconds, self.saved_seconds = 0.0, 0.0
        self._watch = watch
        self._needed: dict[str, int | None] = {}
        self._knobs: dict[str, str] = {}

    def __call__(self, calls: Mapping[str, Call]) -> dict[str, Callable[..., Any]]:
        start = time.perf_counter()
        self._needed = dict.fromkeys(calls)
        self._knobs = {name: call.knob for name, call in calls.items()}
        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(1 if jax.process_count() > 1 else cores) as pool:
            futures = {}
            for name, call in calls.items():
                self._watch.note(compiling=name)
                begun = time.perf_counter()
                traced = _traced(name, call)
                seconds = time.perf_counter() - begun
                futures[name] = pool.submit(_compiled, call, traced, seconds)
            compiled = {}
            for name, future in futures.items():
                compiled[name], line, saved = future.result()
                self.saved_seconds += saved
                self._watch.line(line.format(name))
        self.seconds += time.perf_counter() - start
        host.settle_heap()
        needed = {name: memory.needed_bytes(each) for name, each in compiled.items()}
        self._needed |= needed
        memory.require_fit(needed, self._knobs, memory.available_bytes())
        return compiled

    @contextmanager
    def within_memory(self) -> Iterator[None]:
        """The context of the newest programs: `ValueError` when memory runs out.

        What was free may have been taken since, or be in pieces.
        """
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not (self._knobs and checks.is_exhausted(error)):
                raise
            raise memory.exhausted(error, self._needed, self._knobs) from error


def _traced(name: str, call: Call) -> Any:
    """A program for XLA: a `Kept` one, or one that only this process knows."""
    key = program_key.of(name, call.made_of, call.arguments)
    if key is None or host.cache_folder() is None:
        return call.function.lower(*call.arguments)
    kept = kept_programs.read(key)
    return kept or kept_programs.traced(key, call.function, call.arguments)


def _compiled(call: Call, traced: Any, traced_seconds: float) -> tuple[Any, str, float]:
    """A program compiled in this thread, a line that tells of it, and the seconds that
    the cache saved."""
    start, thread = time.perf_counter(), threading.get_ident()
    before = len(cache_hits())
    is_kept, is_apart = isinstance(traced, Kept) and not traced.is_new, False
    if isinstance(traced, Kept):
        if traced.is_new and host.is_tuned():
            is_apart = compile_apart.run(traced.file)
        program: Any = Program(traced.compile(), jax.tree.structure(call.arguments))
    else:
        program = traced.compile()
    seconds = traced_seconds + time.perf_counter() - start
    # JAX reports a hit of its cache in the thread that compiles
    own = [hit for hit in cache_hits()[before:] if hit.thread == thread]
    # what was compiled apart a moment ago is read from the cache, too
    saved = 0.0 if is_apart else sum(hit.saved_s for hit in own)
    if is_kept and own:
        return program, f"loaded {{}} in {seconds:.1f} s", saved
    cache = "hit" if own and not is_apart else "miss"
    cache = "off" if host.cache_folder() is None else cache
    return program, f"compiled {{}} in {seconds:.1f} s (cache: {cache})", saved


class Hit(NamedTuple):
    """A program that JAX found in its cache."""

    thread: int
    saved_s: float
    """What compiling it took, without reading it."""


@functools.cache
def cache_hits() -> list[Hit]:
    """The hits since the first call; the list grows by one per program."""
    hits: list[Hit] = []

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event == SAVED:
            # JAX keeps whole seconds: less than nothing for a small program
            hits.append(Hit(threading.get_ident(), max(0.0, duration_secs)))

    jax.monitoring.register_event_duration_secs_listener(listen)
    return hits
