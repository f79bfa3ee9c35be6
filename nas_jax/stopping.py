"""A wish to stop, from the system (SIGTERM) or the user (Ctrl-C).

It is heard at once, but while steps are taken only between two of them, when the state
can be saved. Asked again, everything is left as it is.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
        if not self._is_held or self._asked is not None:
            raise Stopped(number)
        self._asked = number
