"""Snapshots: states of a search or training on disk, to resume from after any stop.

Orbax writes them in the background, each all or nothing. It does not notice a flipped
bit: digests of every array and of the notes are checked on reading, and a damaged
snapshot is passed over for the one before.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from nas_jax.base import PyTree
from nas_jax.config.checks import reason
from nas_jax.networks.checkpoint import alone, digests, folders_first

Notes = dict[str, Any]
"""Facts about a state, as JSON."""


class Snapshot(NamedTuple):
    """A state after so many steps, and its notes."""

    step: int
    state: PyTree
    notes: Notes


class _Damaged(Exception):
    """A snapshot that is not what was written."""


def steps(folder: Path) -> list[int]:
    """Steps of the whole snapshots in a folder, the newest last."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(path.name) for path in found if path.name.isdecimal())


class Snapshots:
    """Snapshots of one search or training: the `kept` newest, and the most accurate.

    A context: on leaving it, what is being written is finished.
    """

    def __init__(self, folder: Path, kept: int) -> None:
        self.folder = folder.absolute()
        self._kept = kept
        self._opened: ocp.CheckpointManager | None = None
        self._accuracies: dict[int, float | None] = {}

    def __enter__(self) -> "Snapshots":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.finish()
        except ValueError:
            if kind is None:  # otherwise the first error counts
                raise
        finally:
            opened, self._opened = self._opened, None
            if opened is not None:
                with suppress(ValueError), self._writing():  # its error is raised above
                    opened.close()

    def save(
        self, step: int, state: PyTree, notes: Notes, accuracy: float | None = None
    ) -> None:
        """Copies a state and begins to write it, unless that step is there.

        Raises `ValueError` if this one, or the one before, cannot be written. Those
        that are whole stay.
        """
        self.finish()
        if step in steps(self.folder):
            return
        leaves = [np.array(_plain(leaf)) for leaf in jax.tree.leaves(state)]
        pairs = zip(_names(state), digests(leaves).values(), strict=True)
        named = [list(pair) for pair in pairs]
        record = {"notes": notes, "digests": named, "accuracy": accuracy}
        with self._writing():
            is_begun = self._manager().save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(leaves),
                    record=ocp.args.JsonSave(record | {"digest": _digest(record)}),
                ),
            )
        if not is_begun:
            raise ValueError(
                f"{self.folder}: expected to write a snapshot of step {step}, Orbax "
                f"refused it after {steps(self.folder)}; remove those that are newer"
            )
        self._accuracies[step] = accuracy

    @property
    def is_writing(self) -> bool:
        """Whether the newest one is still being written."""
        return self._opened is not None and self._opened.is_saving_in_progress()

    def finish(self) -> None:
        """Waits until all is written; `ValueError` if it cannot be."""
        if self._opened is not None:
            with self._writing():
                self._opened.wait_until_finished()

    def newest(
        self, like: Callable[[Notes], PyTree], tell: Callable[[str], None]
    ) -> Snapshot | None:
        """The newest snapshot that is undamaged; None if there is none.

        Damaged ones are reported by `tell`, a line each, and moved away, so that the
        step can be saved again. `like` gives the shapes of a state from its notes, as
        `jax.eval_shape` does. Raises `ValueError` for snapshots of something else.
        """
        there = steps(self.folder)
        for step in reversed(there):
            try:
                return self._read(step, like)
            except _Damaged as error:
                tell(f"checkpoint of step {step} is damaged ({error}): passed over")
                aside = self.folder / f"damaged-{step}"
                shutil.rmtree(aside, ignore_errors=True)
                (self.folder / str(step)).rename(aside)
        if there:
            tell("no whole checkpoint is left: it begins anew")
        return None

    def digests(self, step: int) -> dict[str, str]:
        """Digests of the arrays of a snapshot, by name, as they were saved."""
        return dict(self._record(step)["digests"])

    def _read(self, step: int, like: Callable[[Notes], PyTree]) -> Snapshot:
        record = self._record(step)
        notes, saved = record["notes"], record["digests"]
        expected = like(notes)
        names, (leaves, structure) = _names(expected), jax.tree.flatten(expected)
        if [name for name, _ in saved] != names:
            raise ValueError(
                f"{self.folder}, step {step}: expected the {len(names)} arrays of this "
                f"run's configuration, found {len(saved)} others; it belongs to "
                "another run"
            )
        shapes = [jax.eval_shape(_plain, leaf) for leaf in leaves]
        empty = [np.empty(shape.shape, shape.dtype) for shape in shapes]
        values = self._restore(step, state=ocp.args.StandardRestore(empty))
        read = zip(saved, digests(values).values(), strict=True)
        if wrong := [name for (name, before), now in read if now != before]:
            raise _Damaged(f"{len(wrong)} arrays differ from their digest: {wrong[0]}")
        # copies: steps donate what they are given, and this memory is NumPy's
        arrays = [
            jax.random.wrap_key_data(jnp.array(value))
            if _is_key(leaf)
            else jnp.array(value)
            for leaf, value in zip(leaves, values, strict=True)
        ]
        return Snapshot(step, jax.tree.unflatten(structure, arrays), notes)

    def _record(self, step: int) -> dict[str, Any]:
        record = self._restore(step, record=ocp.args.JsonRestore())
        known = {"notes", "digests", "accuracy", "digest"}
        is_record = isinstance(record, dict) and record.keys() == known
        if not is_record or record.pop("digest") != _digest(record):
            raise _Damaged("its notes differ from their digest")
        return record

    def _restore(self, step: int, **item: Any) -> Any:
        """The one item of a snapshot; without the manager, which looks at all."""
        (name,) = item
        options = ocp.CompositeOptions(multiprocessing_options=alone())
        handler = ocp.CompositeCheckpointHandler(composite_options=options)
        with ocp.Checkpointer(handler, multiprocessing_options=alone()) as reader:
            try:
                args = ocp.args.Composite(**item)
                return reader.restore(self.folder / str(step), args=args)[name]
            except Exception as error:  # of many kinds; all mean the same to a user
                raise _Damaged(reason(error)) from error

    def _manager(self) -> ocp.CheckpointManager:
        if self._opened is None:
            for step in steps(self.folder):
                with suppress(_Damaged):
                    self._accuracies[step] = self._record(step)["accuracy"]
            self.folder.mkdir(parents=True, exist_ok=True)
            options = ocp.CheckpointManagerOptions(
                create=False,  # Orbax wants it so of one process of several
                preservation_policy=_NewestAndBest(self._kept, self._accuracies),
                lightweight_initialize=True,
                cleanup_tmp_directories=True,  # of saves that were killed
                async_options=folders_first(),
                multiprocessing_options=alone(),
            )
            self._opened = ocp.CheckpointManager(self.folder, options=options)
        return self._opened

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # as in `_restore`, and from another thread
            whole = steps(self.folder)
            last = f"that of step {whole[-1]} is whole" if whole else "none is whole"
            raise ValueError(
                f"{self.folder}: a checkpoint cannot be written ({reason(error)}); "
                f"{last}; make room"
            ) from error


class _NewestAndBest(checkpoint_managers.PreservationPolicy):
    """Which snapshots stay; `accuracies` by step, None where none was given."""

    def __init__(self, kept: int, accuracies: dict[int, float | None]) -> None:
        self._kept, self._accuracies = kept, accuracies

    def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
        there = sorted(checkpoint.step for checkpoint in checkpoints)
        pairs = ((self._accuracies.get(step), step) for step in there)
        rated = [(accuracy, step) for accuracy, step in pairs if accuracy is not None]
        best = [step for _, step in sorted(rated)[-1:]]
        return [
            checkpoint.step in {*there[-self._kept :], *best}
            for checkpoint in checkpoints
        ]


def _names(state: PyTree) -> list[str]:
    return [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(state)]


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(leaf: Any) -> Any:
    """Numbers in place of a random key."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf
