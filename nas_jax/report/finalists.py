"""The finalists: what was compared when the search had ended, and which was taken.

Weights of a supernet rank networks roughly, a full training ranks them well, so the
report shows both where both were done.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from nas_jax.config import files
from nas_jax.report import quantities as q
from nas_jax.report.metrics import number, require
from nas_jax.report.table import Row, Table
from nas_jax.spaces.space import SearchSpace

_COLUMNS = (
    "by probability",
    "operations",
    "unspent",
    "log-probability given up",
    "accuracy, supernet",
    "loss, trained in full",
)
_FIRST = 3


class Finalist(NamedTuple):
    """One network that was compared; None is for what was not done with it."""

    path: tuple[int, ...]
    valid_accuracy: float | None
    """Share right of validation images, with the weights of the supernet."""
    trained_valid_loss: float | None
    """Loss on validation images after a full training."""
    slack: float | None
    """Share of the tightest target or limit left unspent."""
    log_prob_given_up: float | None


def parse(content: bytes, shape: tuple[int, ...] | None) -> tuple[Finalist, ...]:
    """Reads `finalists.json`, the most probable first; `shape` is (L, K) if known.

    Raises `ValueError` naming the place and what was expected.
    """
    where = "finalists.json"
    document = files.parse(content, where)
    require(isinstance(document, list), where, "a list", document)
    return tuple(
        _finalist(entry, f"{where}: number {place}", shape)
        for place, entry in enumerate(document, start=1)
    )


def _finalist(entry: Any, where: str, shape: tuple[int, ...] | None) -> Finalist:
    require(isinstance(entry, dict), where, "a JSON object", entry)
    path = entry.get("path")
    expected = "candidate indices, one per layer"
    if shape is not None:
        expected += f" ({shape[0]} of them, each below {shape[1]})"
    is_path = isinstance(path, list) and all(type(k) is int and k >= 0 for k in path)
    if is_path and shape is not None:
        is_path = len(path) == shape[0] and max(path, default=0) < shape[1]
    require(is_path, f"{where}: path", expected, path)
    slack = entry.get("slack") or {}
    require(isinstance(slack, dict), f"{where}: slack", "a JSON object", slack)
    left = [number(slack, name, f"{where}: slack") for name in slack]
    return Finalist(
        tuple(path),
        number(entry, "valid_accuracy", where),
        number(entry, "trained_valid_loss", where),
        min((one for one in left if one is not None), default=None),
        number(entry, "log_prob_given_up", where),
    )


def tables(
    found: Sequence[Finalist], space: SearchSpace | None, taken: Sequence[int] | None
) -> list[Table]:
    """One row per finalist, the most probable first; that of `taken` stands out.

    Of many, a first table has only the first, those trained in full and the one taken.
    """
    path = None if taken is None else tuple(taken)
    # of no use where nothing was trained
    count = 6 if any(one.trained_valid_loss is not None for one in found) else 5
    rows, shown = [], []
    for place, one in enumerate(found, start=1):
        is_taken = one.path == path
        cells = (
            _ops(one.path, space),
            q.percent(one.slack),
            q.fixed(one.log_prob_given_up, 2),
            q.percent(one.valid_accuracy),
            q.fixed(one.trained_valid_loss, 4),
        )
        name = f"{place}, taken" if is_taken else str(place)
        rows.append(Row(name, cells[: count - 1], is_taken))
        if place <= _FIRST or is_taken or one.trained_valid_loss is not None:
            shown.append(rows[-1])
    kept = [shown] if len(shown) == len(rows) else [shown, rows]
    return [Table(_COLUMNS[:count], tuple(one), _COLUMNS[1]) for one in kept]


def summary(found: Sequence[Finalist], taken: Sequence[int] | None) -> str:
    """How the network was chosen among them, in a sentence or two."""
    trained = sum(one.trained_valid_loss is not None for one in found)
    text = f"{len(found)} networks, the most probable within the target, were compared "
    text += "on validation images with the weights of the supernet. "
    if trained:
        text += f"{trained} of them were trained in full; the smallest loss on "
        text += "validation images decides."
    else:
        text += "None was trained in full before the choice; the accuracy decides."
    if taken is not None and tuple(taken) not in {one.path for one in found}:
        text += " The network of architecture.json is none of them."
    return text


def _ops(path: Sequence[int], space: SearchSpace | None) -> str:
    names = path if space is None else [space.candidates[k].name for k in path]
    return " ".join(map(str, names))
