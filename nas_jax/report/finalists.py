"""The finalists: what was compared when the search had ended, and which was taken.

Weights of a supernet rank networks roughly, trainings rank them well, so the report
shows both where both were done.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge

from nas_jax.config import files
from nas_jax.config.checks import require
from nas_jax.config.from_json import from_json
from nas_jax.report import quantities as q
from nas_jax.report.table import Row, Table
from nas_jax.spaces.space import SearchSpace

_COLUMNS = (
    "by probability",
    "operations",
    "unspent",
    "log-probability given up",
    "accuracy, supernet",
    "loss, trained (rung)",
)
_FIRST = 3


@dataclass(frozen=True)
class Finalist:
    """One network that was compared; None is for what was not done with it."""

    path: tuple[Annotated[int, Ge(0)], ...]
    valid_accuracy: float | None = None
    """Share right of validation images, with the weights of the supernet."""
    trained_valid_loss: float | None = None
    """Loss on validation images after its last rung of trainings."""
    rung: Annotated[int, Ge(0)] = 0
    """The last rung that it was trained in, from 1; 0 for a training in full."""
    slack: dict[str, float] = field(default_factory=dict)
    """Share of each target or limit left unspent."""
    log_prob_given_up: float | None = None


def parse(content: bytes, shape: tuple[int, ...] | None) -> tuple[Finalist, ...]:
    """The finalists of `finalists.json`, the most probable first.

    `shape` is (L, K) if known. Raises `ValueError` naming the place and what was
    expected.
    """
    name = "finalists.json: "
    finalists = []
    document = from_json(list[Any], files.parse(content, name[:-2]), name)
    for place, entry in enumerate(document, start=1):
        where = f"{name}number {place}: "
        finalist = from_json(Finalist, entry, where, extra="ignore")
        if shape is not None:
            layers, candidates = shape
            require(
                len(finalist.path) == layers and max(finalist.path) < candidates,
                f"{where}path",
                f"candidate indices, one per layer ({layers} of them, each below "
                f"{candidates})",
                list(finalist.path),
            )
        finalists.append(finalist)
    return tuple(finalists)


def tables(
    finalists: Sequence[Finalist],
    space: SearchSpace | None,
    taken: Sequence[int] | None,
) -> list[Table]:
    """One row per finalist, the most probable first; that of `taken` stands out.

    Of many, a first table has only the first, those trained and the one taken.
    """
    path = None if taken is None else tuple(taken)
    # of no use where nothing was trained
    count = 6 if any(one.trained_valid_loss is not None for one in finalists) else 5
    rows, shown = [], []
    for place, finalist in enumerate(finalists, start=1):
        is_taken = finalist.path == path
        names = [space.candidates[k].name if space else str(k) for k in finalist.path]
        cells = (
            " ".join(names),
            q.percent(min(finalist.slack.values(), default=None)),
            q.fixed(finalist.log_prob_given_up, 2),
            q.percent(finalist.valid_accuracy),
            q.fixed(finalist.trained_valid_loss, 4) + _of_rung(finalist),
        )
        head = f"{place}, taken" if is_taken else str(place)
        rows.append(Row(head, cells[: count - 1], is_taken))
        if place <= _FIRST or is_taken or finalist.trained_valid_loss is not None:
            shown.append(rows[-1])
    folded = [shown] if len(shown) == len(rows) else [shown, rows]
    return [Table(_COLUMNS[:count], tuple(part), _COLUMNS[1]) for part in folded]


def _of_rung(finalist: Finalist) -> str:
    return f" ({finalist.rung})" if finalist.rung else ""


def summary(finalists: Sequence[Finalist], taken: Sequence[int] | None) -> str:
    """How the network was chosen among them, in a sentence or two."""
    trained = sum(one.trained_valid_loss is not None for one in finalists)
    text = f"{len(finalists)} networks, the most probable within the target, were "
    text += "compared on validation images with the weights of the supernet. "
    if trained:
        text += f"{trained} of them were trained, the better half of each rung for "
        text += "longer; the smallest loss on validation images in the last decides."
    else:
        text += "None was trained before the choice; the accuracy decides."
    if taken is not None and tuple(taken) not in {one.path for one in finalists}:
        text += " The network of architecture.json is none of them."
    return text
