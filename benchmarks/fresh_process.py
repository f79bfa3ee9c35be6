"""A function called in a fresh interpreter: nothing is traced, compiled or allocated.

Function and arguments travel pickled on standard input, the answer as JSON in the last
line of standard output (libraries print before it). The interpreter, the checkout and
the environment are those of the caller.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas_jax.config import checks

_PACKAGE_ROOT = str(Path(__file__).resolve().parents[1])


def call(
    function: Callable[..., Any],
    *arguments: Any,
    environment: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> Any:
    """The answer of a module's function, with `environment` on top of the caller's.

    Raises:
      ValueError: if the process dies, with its last line and what may help, or if it
        has no answer after `timeout_s`; it is then stopped.
    """
    search_path = [_PACKAGE_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    named = f"{function.__name__} in a fresh process: expected an answer"
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            # the caller may hold most of an accelerator's memory already
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            **(environment or {}),
            "PYTHONPATH": os.pathsep.join(search_path),
        },
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(
                pickle.dumps((function, arguments)), timeout_s
            )
        except BaseException as error:
            # with its own children, which would hold its pipes open
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise ValueError(f"{named} within {timeout_s:.0f} s, got none") from None
    if process.returncode != 0:
        lines = stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(
            f"{named}, got exit code {process.returncode} "
            f"({lines[-1] if lines else 'no message'}); a negative one is a signal, "
            "-9 mostly for want of memory"
        )
    return json.loads(stdout.splitlines()[-1])


def peak_resident_bytes() -> int:
    """The most memory this process has held at any time."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would count what the caller held when it made this process
        line = next(
            line
            for line in status.read_text(encoding="ascii").splitlines()
            if line.startswith("VmHWM:")
        )
        return 1024 * int(line.split()[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    called, given = pickle.load(sys.stdin.buffer)
    try:
        found = called(*given)
    except Exception as error:
        # in a line: JAX puts a remark of its own behind a traceback
        sys.exit(f"{type(error).__name__}: {checks.reason(error)}")
    print(json.dumps(found))
