"""Traced programs on disk, so that a run that begins again need not trace them.

Tracing a supernet takes longer than reading what XLA made of it. JAX's own cache keeps
the latter, but finds it by the traced program alone; here that is kept too, exported
(`jax.export`) and found by `program_key`.

    <compile cache>/programs/<key>   its SHA-256, which arguments are donated, StableHLO

Nothing in such a file is code of Python. Still the folder belongs to the user alone: a
program that somebody else wrote could compute anything.
"""

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax
from jax import export

from nas_jax.config import checks, files
from nas_jax.training import host

FOLDER = "programs"
_DIGEST_BYTES = 32


def register(kind: type) -> type:
    """Makes states of this kind part of what a kept program may return.

    A class decorator, of dataclasses that JAX knows as trees, and named tuples.
    """
    name = f"{kind.__module__}.{kind.__qualname__}"
    if hasattr(kind, "_fields"):
        export.register_namedtuple_serialization(kind, serialized_name=name)
    else:
        export.register_pytree_node_serialization(
            kind,
            serialized_name=name,
            serialize_auxdata=lambda _: b"",
            deserialize_auxdata=lambda _: (),
        )
    return kind


for _kind in (
    *(optax.EmptyState, optax.TraceState, optax.ScaleByScheduleState),
    *(optax.ScaleByAdamState, optax.MaskedState, optax.MaskedNode),
):
    register(_kind)


class Program:
    """A compiled program that takes and gives trees; XLA's own takes their leaves."""

    def __init__(self, compiled: Any, taken: Any) -> None:
        self._compiled, self._taken = compiled, taken

    def __call__(self, *arguments: Any) -> Any:
        leaves, tree = jax.tree.flatten(arguments)
        if tree != self._taken:
            raise TypeError(
                f"expected arguments of the structure {self._taken}, got {tree}"
            )
        return self._compiled(*leaves)

    def memory_analysis(self) -> Any:
        return self._compiled.memory_analysis()


class Kept(NamedTuple):
    """A program as exported: of the leaves of its arguments."""

    exported: export.Exported
    donated: list[int]
    """Numbers of the leaves whose memory the results take."""
    file: Path | None
    """Where it is kept."""
    is_new: bool

    def compile(self) -> Any:
        """XLA's program, found by JAX's cache, or compiled."""
        step = jax.jit(self.exported.call, donate_argnums=tuple(self.donated))
        return step.lower(*self.exported.in_avals).compile()


def read(key: str) -> Kept | None:
    """The program of a key; None if none is kept.

    A file that is damaged, or of another user, is told and not used.
    """
    folder = _folder()
    return None if folder is None else of_file(folder / key)


def of_file(file: Path) -> Kept | None:
    """As `read`, of the file itself."""
    try:
        content = _own(file)
        digest, rest = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(rest).digest() != digest:
            raise ValueError("other bytes than were written")
        donated, _, program = rest.partition(b"\n")
        exported = export.deserialize(bytearray(program))
        os.utime(file)  # the least recently used go first
        return Kept(exported, json.loads(donated), file, is_new=False)
    except FileNotFoundError:
        return None
    # whatever a library of another day makes of it, tracing is right
    except Exception as error:
        host.warn(
            f"{file}: expected a program as it was kept, got {checks.reason(error)}; "
            "it is traced anew"
        )
        return None


def traced(key: str, function: Any, arguments: Sequence[Any]) -> Kept:
    """A jitted function, traced for these arguments, and kept.

    JAX's cache tells programs apart by their text: what is compiled now is the exported
    form, as it will be in the next run.
    """
    tree = jax.tree.structure(tuple(arguments))

    @jax.jit
    def of_leaves(*leaves: Any) -> Any:
        return function(*jax.tree.unflatten(tree, leaves))

    infos = jax.tree.leaves(function.trace(*arguments).args_info)
    donated = [place for place, info in enumerate(infos) if info.donated]
    exported = export.export(of_leaves)(*jax.tree.leaves(tuple(arguments)))
    folder, file = _folder(), None
    try:
        if folder is not None:
            rest = json.dumps(donated).encode() + b"\n" + exported.serialize()
            file = folder / key
            files.write(file, hashlib.sha256(rest).digest() + rest)
    except OSError as error:
        host.warn(f"{folder}: programs are not kept: {checks.reason(error)}")
        file = None
    return Kept(exported, donated, file, is_new=True)


def _folder() -> Path | None:
    """The folder, made if need be; None without a cache, or where it is not private."""
    cache = host.cache_folder()
    if cache is None or not cache.is_dir() or not hasattr(os, "getuid"):
        return None
    folder = cache / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise ValueError("got what is no folder of this user")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ValueError("got one that others can write")
    except (OSError, ValueError) as error:
        host.warn(
            f"{folder}: expected a folder that this user alone can write, {error}; "
            "programs are traced anew at every start"
        )
        return None
    return folder


def _own(file: Path) -> bytes:
    """The content of a file of this user in the private folder; no link elsewhere."""
    with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW), "rb") as opened:
        if os.fstat(opened.fileno()).st_uid != os.getuid():
            raise ValueError("got that of another user")
        return opened.read()
