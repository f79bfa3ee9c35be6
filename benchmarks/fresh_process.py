"""A function called in a fresh interpreter: nothing is traced, compiled or allocated.

Function and arguments travel pickled on standard input, the answer as JSON in the last
line of standard output (libraries print before it). The interpreter, the checkout and
the environment are those of the caller.
"""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_PACKAGE_ROOT = str(Path(__file__).resolve().parents[1])


def call(
    function: Callable[..., Any],
    *arguments: Any,
    environment: Mapping[str, str] | None = None,
) -> Any:
    """The answer of a module's function, with `environment` on top of the caller's.

    Raises:
      ValueError: if the process dies, with its last line and what may help.
    """
    search_path = [_PACKAGE_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    run = subprocess.run(
        [sys.executable, "-m", __name__],
        input=pickle.dumps((function, arguments)),
        capture_output=True,
        env={
            **os.environ,
            # the caller may hold most of an accelerator's memory already
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            **(environment or {}),
            "PYTHONPATH": os.pathsep.join(search_path),
        },
    )
    if run.returncode != 0:
        lines = run.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(
            f"{function.__name__} in a fresh process: expected an answer, got exit "
            f"code {run.returncode} ({lines[-1] if lines else 'no message'}); a "
            "negative one is a signal, -9 mostly for want of memory"
        )
    return json.loads(run.stdout.splitlines()[-1])


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
    print(json.dumps(called(*given)))
