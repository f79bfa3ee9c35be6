"""One process at a time works on a run folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = "lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, a file; the system takes it back when a process dies.

    Where there is no `fcntl` (Windows) nothing is locked.

    Raises:
      ValueError: if another process holds it, with its number.
    """
    with (folder / NAME).open("a+", encoding="utf-8") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise ValueError(
                    f"{folder}: expected a run folder that nobody works on, process "
                    f"{file.read().strip()} does; wait for it, or stop it"
                ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
