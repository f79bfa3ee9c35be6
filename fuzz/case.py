"""What must hold for whatever is read: a result, or one clear line.

Nothing else may be raised, nothing may take seconds or gigabytes, be written outside
of a folder, start a process, connect, or look up a name for a pickle.
"""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

SECONDS = 10
"""One case may take at most this; most take a millisecond."""
BYTES = 1 << 30
"""A case may take at most so much more memory than there was before."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = (
    *("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink"),
    *("os.truncate", "os.chmod", "os.chown", "shutil.rmtree", "os.utime"),
)
_RUNS = (
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"),
    *("socket.connect", "socket.bind", "pickle.find_class"),
)


class Reader(NamedTuple):
    """`make(folder)` gives the contents that `file` may have; `read(folder)` reads."""

    file: str
    form: str
    make: Callable[[Path], list[bytes]]
    read: Callable[[Path], object]
    share: float = 1.0
    """Of the cases, where more than reading is done, and takes long."""


READERS: dict[str, Reader] = {}


def reader(name, file, form, make, share=1.0):
    """Adds the function below it to the table."""

    def add(read):
        READERS[name] = Reader(file, form, make, read, share)
        return read

    return add


def texts(*contents):
    """Makes files of these texts."""
    return lambda folder: [content.encode() for content in contents]


class _TooSlow(BaseException):
    """No reader may catch it as an error of its file."""


class _Watch:
    """Hears of what a case does to the world; an audit hook cannot be taken off."""

    def __init__(self):
        self.folder, self.heard, self.installed = None, [], False

    def __call__(self, event, args):
        if self.folder is None:
            return
        if event in _RUNS and args[0] != "git":  # asked for the commit of the package
            self.heard.append((event, str(args)[:200]))
        elif event == "open" and args[2] & _WRITES:
            self._written(event, args[:1])
        elif event in _CHANGES:
            inside = args[-1]  # the folder that a path counts from, if not this one
            if event != "shutil.rmtree" and isinstance(inside, int) and inside >= 0:
                base = Path(os.readlink(f"/proc/self/fd/{inside}"))
                args = tuple(base / one for one in args[:2] if isinstance(one, str))
            self._written(event, args[:2])

    def _written(self, event, paths):
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                full = os.path.realpath(os.fsdecode(path))
                inside = f"{full}{os.sep}".startswith(f"{self.folder}{os.sep}")
                if full != os.devnull and not inside:
                    caller = sys._getframe(2).f_code.co_filename
                    self.heard.append((event, full, caller))


_WATCH = _Watch()


@contextlib.contextmanager
def _limited_memory():
    """While it lasts, an allocation of gigabytes is a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(
        resource.RLIMIT_AS, (pages * resource.getpagesize() + BYTES, hard)
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def check(read, folder):
    """Calls `read(folder)`; the line that refuses, None for a result.

    Raises `AssertionError` if anything else comes of it.
    """
    if not _WATCH.installed:
        sys.addaudithook(_WATCH)
        _WATCH.installed = True
    before = signal.signal(signal.SIGALRM, _ring)
    _WATCH.folder, _WATCH.heard = os.path.realpath(folder), []
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with _limited_memory():
            read(folder)
        line = None
    except (ValueError, OSError) as error:
        # a library's own kinds say nothing of the file and what to do
        if type(error) is not ValueError and not isinstance(error, OSError):
            raise AssertionError(f"no clear line: {error!r}"[:500]) from error
        line = " ".join(str(error).split())
        assert line, "an empty line"
    except _TooSlow:
        raise AssertionError(f"more than {SECONDS} s") from None
    except Exception as error:
        raise AssertionError(f"no line: {error!r}"[:500]) from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        _WATCH.folder = None
    assert not _WATCH.heard, _WATCH.heard[:3]
    return line


def _ring(*_):
    raise _TooSlow
