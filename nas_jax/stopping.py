"""A wish to stop, from the system (SIGTERM) or the user (Ctrl-C).

It is heard at once, but while steps are taken only between two of them, when the state
can be saved. Asked again, everything is left as it is.

An exception that a signal raises may come anywhere, also where libraries swallow it or
make another of it. `process` ends a process in a line with the shell's code regardless.
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
_HEARD: list[int] = []
"""Signals that were told to this process, the newest last."""


class Stopped(KeyboardInterrupt):
    """The wish is fulfilled; `exit_code` is the shell's for that signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Stop:
    """Whether somebody wants a run to stop."""

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
        """Here a first wish waits for `obey`."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        self.obey()

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Hears the signals of the process, if this is its main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        is_first, self._asked = self._asked is None, number
        _HEARD.append(number)
        if not (self._is_held and is_first):
            raise Stopped(number)


def process(main: Callable[[], int]) -> int:
    """Runs the command of this process; returns its exit code.

    Told to stop, the process ends in one line, whatever it is doing. While it begins
    and ends there is nothing to save, and it is left on the spot.
    """
    atexit.register(_ignore)  # the first to register is the last to be called
    for number in SIGNALS:
        signal.signal(number, _leave)
    sys.unraisablehook = _swallowed_before(sys.unraisablehook)
    try:
        with Stop().listening():
            code = main()
    except BaseException:
        if _HEARD:  # as itself, or as what a library made of it
            _leave(_HEARD[-1])
        raise
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if _HEARD and code:  # all is said; threads of libraries would complain at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(code))
    return code


def _ignore() -> None:
    """After this Python takes its handlers off, and a signal would end the process in
    the system's way; one that is ignored stays so."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _leave(number: int, frame: FrameType | None = None) -> None:
    os.write(2, b"nas_jax: stopped\n")
    os._exit(128 + number)


def _swallowed_before(hook: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Ends the process at a wish that came where nothing can be raised, as in a
    finaliser; `hook` hears of all else."""

    def swallowed(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt) and _HEARD:
            _leave(_HEARD[-1])
        hook(unraisable)

    return swallowed
