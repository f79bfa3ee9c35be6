"""Several processes as one run: how they find each other, and that they agree.

JAX's own service (`jax.distributed`) connects them; every process then sees the devices
of all. All of them run the same program on the same configuration, which is compared
here before anything is computed.
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

    Args:
      coordinator: HOST:PORT of process 0, where it listens and the others call.
      processes: how many there are.
      process_id: which of them this one is, from 0.

    With none of the three given JAX asks its surroundings: Slurm, a TPU slice, GKE.

    Raises:
      ValueError: if only some are given, or if the surroundings do not tell, or if the
        others do not come.
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
    """If what is done here fails or is stopped, this process ends without the others.

    JAX would wait for them at the end, and they wait for its part of a step. Once it is
    gone they miss it and end as well.
    """
    try:
        yield
    except BaseException as error:
        if jax.process_count() > 1:
            is_refusal = isinstance(error, ValueError | OSError)
            code = (
                130 if isinstance(error, KeyboardInterrupt) else 2 if is_refusal else 1
            )
            atexit.register(_end, getattr(error, "exit_code", code))
        raise


def _end(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def require_same(settings: Mapping[str, Any]) -> None:
    """Refuses settings, ready for JSON, that differ from those of process 0.

    Every process calls it and, if one differs, every process raises.

    Raises:
      ValueError: naming processes, fields and values, the first five of them.
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
    own = np.frombuffer(text.encode(), np.uint8)
    sizes = np.asarray(multihost_utils.process_allgather(np.array(own.size)))
    padded = np.zeros(sizes.max(), np.uint8)
    padded[: own.size] = own
    every = np.asarray(multihost_utils.process_allgather(padded))
    rows = every.reshape(len(sizes.ravel()), -1)
    return [
        bytes(row[:size]).decode()
        for row, size in zip(rows, sizes.ravel().tolist(), strict=True)
    ]
