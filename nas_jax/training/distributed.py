"""Several processes as one run: their connection and their common settings.

JAX's own service (`jax.distributed`) connects them; every process then sees the devices
of all. All run the same program on the same configuration, which is compared here.
"""

import atexit
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

LAST_STAGE_SECONDS = 24 * 3600
"""How long processes that have finished wait for the one that tests and exports."""


def start(
    coordinator: str | None = None,
    processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Joins the other processes; to be called before JAX computes anything.

    `coordinator` is HOST:PORT of process 0, `process_id` counts from 0. Without all
    three JAX asks its environment: Slurm, a TPU slice, GKE.

    Raises:
      ValueError: if only some are given, the environment states none, or the other
        processes do not come.
    """
    given = {
        "--coordinator": coordinator,
        "--processes": processes,
        "--process-id": process_id,
    }
    missing = [flag for flag, value in given.items() if value is None]
    if 0 < len(missing) < len(given):
        raise ValueError(
            f"--distributed: expected {', '.join(given)} all three, or none of them "
            f"under Slurm, on a TPU slice or in GKE; missing: {', '.join(missing)}"
        )
    if None not in (processes, process_id) and process_id not in range(processes or 0):
        raise ValueError(
            f"--process-id: expected 0 to {(processes or 0) - 1} with --processes "
            f"{processes}, got {process_id}"
        )
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process_id,
            shutdown_timeout_seconds=LAST_STAGE_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        if missing:
            raise ValueError(
                "--distributed: expected an environment that tells JAX its processes "
                f"(Slurm, TPU slice, GKE), found none ({error}); give --coordinator "
                "HOST:PORT --processes N --process-id I"
            ) from error
        raise ValueError(
            f"--distributed: process {process_id} of {processes} did not reach the "
            f"others at {coordinator} ({error}); are all started, and is the port open?"
        ) from error


@contextmanager
def leaving() -> Iterator[None]:
    """A context in which a failure or stop ends this process without the others.

    JAX would wait for them at the end, and they for its part of a step. They end once
    it is gone.
    """
    try:
        yield
    except BaseException as error:
        if jax.process_count() > 1:
            is_refusal = isinstance(error, ValueError | OSError)
            is_interrupt = isinstance(error, KeyboardInterrupt)
            code = 130 if is_interrupt else 2 if is_refusal else 1
            atexit.register(_end, getattr(error, "exit_code", code))
        raise


def _end(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def require_same(settings: Mapping[str, Any]) -> None:
    """Refuses settings, ready for JSON, that differ from those of process 0.

    Every process calls it and, if one differs, every process raises `ValueError` with
    the first five processes, fields and values.
    """
    flat = dict(_flat(json.loads(json.dumps(settings))))
    first, *others = _gathered(json.dumps(flat))
    expected = json.loads(first)
    differing = []
    for process, text in enumerate(others, start=1):
        got = json.loads(text)
        differing += [
            f"process {process}: {name} {_value(got, name)}, expected "
            f"{_value(expected, name)}"
            for name in sorted(expected.keys() | got.keys())
            if _value(expected, name) != _value(got, name)
        ]
    if differing:
        more = f", and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise ValueError(
            "expected the settings of process 0 in every process, got "
            f"{'; '.join(differing[:5])}{more}; start all with the same command"
        )


def _value(flat: Mapping[str, Any], name: str) -> str:
    return json.dumps(flat[name]) if name in flat else "absent"


def _flat(document: Any, prefix: str = "") -> Any:
    """Pairs of a dotted name and a value.

    >>> dict(_flat({"search": {"lr": 0.1}, "seed": 0}))
    {'search.lr': 0.1, 'seed': 0}
    """
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _gathered(text: str) -> list[str]:
    """The texts of all processes, in their order."""
    local = np.frombuffer(text.encode(), np.uint8)
    gather = multihost_utils.process_allgather
    sizes = np.ravel(gather(np.array(local.size)))
    padded = np.pad(local, (0, sizes.max() - local.size))
    rows = np.reshape(gather(padded), (len(sizes), -1))
    return [bytes(row[:size]).decode() for row, size in zip(rows, sizes, strict=True)]
