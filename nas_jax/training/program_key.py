"""The key of a compiled program: everything that decides it, without tracing it.

Two calls of equal keys have equal programs: made of equal values, for arguments of
equal shapes, by the same sources and libraries, on the same machine and backend.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nas_jax.config import provenance
from nas_jax.training import host

_PACKAGE = Path(__file__).resolve().parents[1]
_ELSEWHERE = ("cache", "log", "traceback")
"""In the names of JAX's settings that change no program."""


def of(name: str, made_of: Any, arguments: tuple[Any, ...]) -> str | None:
    """The key, 64 hexadecimal digits; None for what cannot be told.

    That is code from outside this package (it may change unseen), and a program for
    several devices or processes.

    Args:
      name: of the function.
      made_of: all values that the function has besides its arguments; None if unknown.
      arguments: arrays, or their shapes.
    """
    if made_of is None:
        return None
    digest = hashlib.sha256()
    try:
        for word in (name, *_told(made_of), *_shapes(arguments), *_surroundings()):
            digest.update(f"{len(word)}:{word}\n".encode())
    except (_Untold, RecursionError):  # a function may hold itself
        return None
    return digest.hexdigest()


class _Untold(Exception):
    """A value whose repetition in another process cannot be recognised."""


def _told(value: Any) -> Iterator[str]:
    """A value as words, equal for equal values alone."""
    match value:
        case None | bool() | int() | float() | complex() | str() | bytes() | Path():
            yield repr(value)
        case np.ndarray() | np.generic():
            yield f"{value.dtype}{value.shape}{value.tobytes().hex()}"
        case functools.partial():
            yield "partial"
            yield from _told((value.func, value.args, value.keywords))
        case Mapping():
            yield f"mapping of {len(value)}"
            for key in sorted(value):
                yield from _told((key, value[key]))
        case list() | tuple():
            yield f"{_name(type(value))} of {len(value)}"
            for each in value:
                yield from _told(each)
        case type() if "<locals>" not in value.__qualname__:
            yield _name(value)
        case _ if dataclasses.is_dataclass(value):
            yield _name(type(value))
            for field in dataclasses.fields(value):
                yield from _told((field.name, getattr(value, field.name)))
        case types.FunctionType():
            yield f"{_name(value)} {value.__code__.co_firstlineno}"
            cells = value.__closure__ or ()
            yield from _told([cell.cell_contents for cell in cells])
        case _:
            raise _Untold


def _name(code: Any) -> str:
    """Where a class or function of this package stands."""
    if code.__module__.partition(".")[0] not in ("nas_jax", "builtins"):
        raise _Untold
    return f"{code.__module__}.{code.__qualname__}"


def _shapes(arguments: tuple[Any, ...]) -> Iterator[str]:
    leaves, tree = jax.tree.flatten(jax.eval_shape(lambda *each: each, *arguments))
    yield str(tree)
    for leaf in leaves:
        yield f"{leaf.dtype}{leaf.shape}{leaf.weak_type}"


def _surroundings() -> Iterator[str]:
    """What a program depends on beyond its own definition."""
    if jax.process_count() > 1:
        raise _Untold
    backend = jax.local_devices()[0].client
    yield _sources()
    yield host.machine()
    yield f"{backend.platform} {backend.platform_version} {backend.device_count()}"
    yield jax.local_devices()[0].device_kind
    yield from (f"{name} {version}" for name, version in provenance.versions().items())
    yield importlib.metadata.version("jaxlib")
    yield os.environ.get("XLA_FLAGS", "")
    for name, value in sorted(jax.config.values.items()):
        if not any(part in name for part in _ELSEWHERE):
            # the attribute is of this thread, within a context of the setting
            yield f"{name} {getattr(jax.config, name, value)}"


@functools.cache
def _sources() -> str:
    """The digest of this package's sources."""
    digest = hashlib.sha256()
    for file in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{file.relative_to(_PACKAGE)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
