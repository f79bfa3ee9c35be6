"""Stop requests: SIGTERM from the system, Ctrl-C from the user.

A request takes effect at once, or during a stage between two steps, when the state can
be saved; a second one does not wait. Libraries may swallow or change the exception that
a signal raises: `process` ends a process in one line with the shell's code even so.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_RECEIVED: list[int] = []
"""Signals of this process, the newest last."""


class Stopped(KeyboardInterrupt):
    """The run has stopped; `exit_code` is the shell's for that signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Stop:
    """The request to stop a run, if there is one."""

    def __init__(self) -> None:
        self._asked: int | None = None
        self._is_held = False

    @property
    def is_asked(self) -> bool:
        return self._asked is not None

    def obey(self) -> None:
        """Raises `Stopped` if asked."""
        if self._asked is not None:
            raise Stopped(self._asked)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Here a first request waits for `obey`."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        self.obey()

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Here the signals of the process are requests, if this is its main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        is_first, self._asked = self._asked is None, number
        _RECEIVED.append(number)
        if not (self._is_held and is_first):
            raise Stopped(number)


def process(main: Callable[[], int]) -> int:
    """Runs the command of this process; returns its exit code.

    Before and after the command there is nothing to save: a signal ends the process.
    """
    # the first to register is called last: after it Python takes its handlers off, and
    # only a signal that is ignored cannot change the exit code any more
    atexit.register(_handle, signal.SIG_IGN)
    sys.unraisablehook = _unraisable
    _handle(_leave)
    try:
        with Stop().listening():
            code = main()
    except BaseException:
        if _RECEIVED:  # as itself, or as another exception of a library
            _leave(_RECEIVED[-1])
        raise
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if _RECEIVED and code:  # threads of libraries would complain at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _handle(lambda *_: os._exit(code))
    return code


def _handle(handler: Any) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None = None) -> None:
    os.write(2, b"nas_jax: stopped\n")
    os._exit(128 + number)


def _unraisable(unraisable: Any) -> None:
    """Ends the process at a request where nothing can be raised, as in a finaliser."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt) and _RECEIVED:
        _leave(_RECEIVED[-1])
    # Orbax raises this in reads that outlive a failed one
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)
