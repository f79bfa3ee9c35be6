"""The tensors of a network in what a training script saved.

All of a file is seen as dotted names: keys of dicts, attributes of objects and names of
tensors, as `ema.module.first_conv.conv.weight`. The network's *root* is the name below
which its own names begin, here `ema.module`. So a key of the file, the prefix of a
wrapper and a model that was saved whole are one thing.
"""

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nas_jax.config.naming import few
from nas_jax.networks.pretrained import torch_file
from nas_jax.networks.pretrained.inert_pickle import BFLOAT16, StandIn

_COUNTERS = ("num_batches_tracked", "total_ops", "total_params")  # the last two: thop's
_AVERAGES = ("ema", "averag", "swa", "shadow")
_MODULE = ("_parameters", "_buffers", "_modules")
_CONVERTED = (np.dtype("<f2"), np.dtype("<f8"), BFLOAT16)
# what PyTorch puts around a part of a model, and so into the middle of its names
_WRAPPER = re.compile(
    r"(?<=\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_MOST_CHARACTERS = 2 * 10**7  # of all names; a dict that holds itself has no end

Shapes = Mapping[str, tuple[int, ...]]
"""Of a network's tensors by name, in PyTorch's layout."""


class StateDict(NamedTuple):
    """Tensors by the network's names, floats as float32."""

    tensors: dict[str, np.ndarray]
    origin: str
    """File and root, for messages."""
    notes: list[str]
    """What was taken, left out and converted, a line each."""


class _Leaf(NamedTuple):
    value: np.ndarray | StandIn
    holder: str
    """The dict or whole model that it is listed with."""

    @property
    def is_plain(self) -> bool:
        return isinstance(self.value, np.ndarray)


_Leaves = dict[str, _Leaf]


def read(path: str | Path, shapes: Shapes, key: str | None = None) -> StateDict:
    """The tensors of a file that a network most likely has.

    Those are below the root that has most of its names and shapes. Among equals, one
    that is not called an average goes first, then the first in the file. Counters, and
    tensors beside the root, are left out. That all names and shapes agree is for the
    caller to check.

    Args:
      path: a file of `torch_file.load`.
      shapes: of the network.
      key: the root, or a name above it; None looks everywhere.

    Raises:
      ValueError: naming the file, if it is damaged; without tensors; for a key that has
        none or several networks below it; for a tensor that is no plain one, or that
        float32 cannot hold.
    """
    leaves = _leaves(torch_file.load(path), path)
    held = Counter(leaf.holder for leaf in leaves.values() if leaf.is_plain)
    if key is None:
        roots = _roots(leaves, shapes) or [root for root, _ in held.most_common(1)]
    else:
        roots = _roots_of_key(leaves, shapes, key.removesuffix("."), path)
    if not roots:
        raise ValueError(
            f"{path}: expected tensors by name, got none; save model.state_dict()"
        )
    root, *others = roots
    below = _below(leaves, root)
    origin = f"{path} at {root!r:.100}" if root else str(path)
    for name in shapes:
        if name in below and not below[name].is_plain:
            raise ValueError(
                f"{origin}: {name}: expected a tensor of plain numbers, got "
                f"{below[name].value!r:.80}; save it dense, of float32"
            )
    holders = {below[name].holder for name in shapes if name in below} or {root}
    arrays = {
        name: leaf.value
        for name, leaf in below.items()
        if isinstance(leaf.value, np.ndarray) and leaf.holder in holders
    }
    tensors = {
        name: _as_float32(array, f"{origin}: {name}")
        for name, array in arrays.items()
        if not _is_counter(name)
    }
    others = [f"{one!r:.100} fits as well: --key {one:.100} takes it" for one in others]
    weights, *notes = _notes(leaves, root, holders, arrays)
    return StateDict(tensors, origin, [weights, *others, *notes])


def shapes(path: str | Path, key: str | None = None) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors of a file, by dotted name; with a key, of those below it.

    Raises `ValueError` as `read`.
    """
    inside = "" if key is None else key.removesuffix(".")
    return {
        _WRAPPER.sub("", name): leaf.value.shape
        for name, leaf in _leaves(torch_file.load(path), path).items()
        if isinstance(leaf.value, np.ndarray) and _is_below(name, inside)
    }


def _notes(
    leaves: _Leaves, root: str, holders: set[str], arrays: Mapping[str, np.ndarray]
) -> list[str]:
    """What was taken first; then what was left out and converted."""
    beside = [
        name
        for name, leaf in leaves.items()
        if leaf.is_plain and leaf.holder in holders and not _is_below(name, root)
    ]
    counters = {name for name in arrays if _is_counter(name)}
    count = len(arrays) - len(counters)
    notes = [f"weights: {count} tensors{_place(root, min(holders, key=len))}"]
    wraps = {
        wrap
        for name in leaves
        if _is_below(name, root)
        for wrap in _WRAPPER.findall(name, len(root))
    }
    if wraps:
        notes.append(f"left out of names: {', '.join(sorted(wraps))}")
    if beside:
        notes.append(f"tensors beside them left out: {len(beside)} ({few(beside, 3)})")
    if counters:
        kinds = {name.rpartition(".")[2] for name in counters}
        notes.append(f"counters left out: {len(counters)} ({', '.join(sorted(kinds))})")
    dtypes = Counter(one.dtype for name, one in arrays.items() if name not in counters)
    notes += [
        f"made float32: {dtypes[one]} of {one}" for one in _CONVERTED if dtypes[one]
    ]
    return notes


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] in _COUNTERS


def _place(root: str, holder: str) -> str:
    """A root in words: the key of a dict, and what all its names begin with."""
    if not _is_below(root, holder):
        holder = root
    prefix = root[len(holder) :].removeprefix(".")
    key = f" of {holder!r:.100}" if holder else ""
    return key + (f", without the prefix '{prefix:.100}.'" if prefix else "")


def _as_float32(tensor: np.ndarray, where: str) -> np.ndarray:
    """Floats of another size as float32; what else there is, as it is."""
    if tensor.dtype not in _CONVERTED:
        return tensor
    with np.errstate(over="ignore"):
        found = tensor.astype(np.float32)
    if (np.isinf(found) & ~np.isinf(tensor)).any():
        raise ValueError(
            f"{where}: expected numbers that float32 holds, got up to "
            f"{np.abs(tensor).max():.3g} in {tensor.dtype}"
        )
    return found


# --- the file as dotted names --------------------------------------------------------


def _leaves(found: Any, path: str | Path) -> _Leaves:
    """All tensors by dotted name, and all that may stand where a tensor should.

    Level by level, in the order of the file. Entries without a name, as of an
    optimiser's state by number, are passed over.
    """
    leaves: _Leaves = {}
    waiting = deque([("", "", found)])
    characters, seen = 0, set()
    while waiting:
        place, holder, value = waiting.popleft()
        if isinstance(value, StandIn):  # objects refer to each other in circles
            if id(value) in seen:
                continue
            seen.add(id(value))
        for part, child in _children(value):
            name = f"{place}.{part}" if place else part
            if (characters := characters + len(name)) > _MOST_CHARACTERS:
                raise ValueError(
                    f"{path}: expected dicts of tensors, got more names than any "
                    "training has; save model.state_dict() alone"
                )
            if isinstance(child, np.ndarray | StandIn):
                leaves.setdefault(name, _Leaf(child, holder))
            if not isinstance(child, np.ndarray):
                # parts of a model are listed with it, as its state_dict would do
                is_part = isinstance(value, StandIn) and isinstance(child, StandIn)
                waiting.append((name, holder if is_part else name, child))
    return leaves


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    """What lies in something by name, if tensors may be there or further below."""
    if isinstance(value, StandIn) and _MODULE[0] in value.state:
        for part in _MODULE:
            yield from _children(value.state.get(part))
        return
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items += value.items()
    if isinstance(value, StandIn):
        items += value.state.items()
        value = value.arguments
    if isinstance(value, list | tuple):
        items += [(str(i), one) for i, one in enumerate(value) if isinstance(one, dict)]
    for key, child in items:
        if isinstance(key, str) and isinstance(child, np.ndarray | dict | list | tuple):
            yield key, child


def _roots(leaves: _Leaves, shapes: Shapes) -> list[str]:
    """The roots with most of a network's names and shapes, the first to take first."""
    most = max(name.count(".") for name in shapes)
    points: Counter[str] = Counter()
    for name, (value, _) in leaves.items():
        parts = name.rsplit(".", most + 3)  # it may be wrapped twice
        for first in range(len(parts)):
            tail = ".".join(parts[first:])
            if (own := _WRAPPER.sub("", tail)) in shapes:
                is_like = isinstance(value, StandIn) or value.shape == shapes[own]
                points[name.removesuffix(tail).removesuffix(".")] += 1 + is_like
    best = max(points.values(), default=0)
    roots = [root for root, count in points.items() if count == best]
    return sorted(roots, key=lambda root: any(word in root for word in _AVERAGES))


def _roots_of_key(
    leaves: _Leaves, shapes: Shapes, key: str, path: str | Path
) -> list[str]:
    """The one root that a user means; `ValueError` with the choice, if it is none."""
    got = f"{path}: --key: expected the key of one network, got {key!r:.100}"
    inside = {name: leaf for name, leaf in leaves.items() if _is_below(name, key)}
    roots = _roots(inside, shapes)
    if not inside:
        held = Counter(leaf.holder for leaf in leaves.values() if leaf.is_plain)
        raise ValueError(f"{got}; tensors are in {_listed_keys(held)}")
    if key in roots or not roots:
        return [key]
    if len(roots) > 1:
        counts = {root: len(_below(leaves, root)) for root in roots}
        raise ValueError(f"{got} with {len(roots)} in it: {_listed_keys(counts)}")
    return roots


def _listed_keys(counts: Mapping[str, int]) -> str:
    """Keys and how many tensors they hold, the largest first."""
    order = sorted(counts, key=counts.__getitem__, reverse=True)
    return few((f"{name!r:.100} ({counts[name]} tensors)" for name in order), 3)


def _is_below(name: str, place: str) -> bool:
    return name == place or not place or name.startswith(f"{place}.")


def _below(leaves: _Leaves, root: str) -> _Leaves:
    """What lies below a root, by the network's own names."""
    return {
        _WRAPPER.sub("", name[len(root) :].removeprefix(".")): leaf
        for name, leaf in leaves.items()
        if _is_below(name, root)
    }
