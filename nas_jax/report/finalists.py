"""The finalists: what was compared when the search had ended, and which was taken.

Weights of a supernet rank networks roughly, trainings rank them well, so the report
shows both where both were done.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge

from nas_jax.config import files
from nas_jax.config.checks import require
from nas_jax.config.from_json import from_json
from nas_jax.report import quantities as q
from nas_jax.report.table import Row, Table
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.spaces.space import SearchSpace

_COLUMNS = (
    "by probability",
    "operations",
    "target unspent",
    "log-probability given up",
    "accuracy, supernet",
    "loss after training (rung)",
)
_DRAWN_COLUMNS = (
    "number",
    "side, widths, operations",
    "target unspent, by table",
    "measured before",
    *_COLUMNS[4:],
)
_FIRST = 3
Place = tuple[int, tuple[int, ...]]
"""A shape of the space and a path through it: which network one is."""


@dataclass(frozen=True)
class Finalist:
    """One network that was compared; None is for what was not done with it."""

    path: tuple[Annotated[int, Ge(0)], ...]
    shape: Annotated[int, Ge(0)] = 0
    """Which of the space's shapes the path leads through."""
    valid_accuracy: float | None = None
    """Share right of validation images, with the weights of the supernet."""
    trained_valid_loss: float | None = None
    """Loss on validation images after its last rung of trainings."""
    rung: Annotated[int, Ge(0)] = 0
    """The last rung that it was trained in, from 1; 0 for a training in full."""
    slack: dict[str, float] = field(default_factory=dict)
    """Share of each target or limit left unspent."""
    log_prob_given_up: float | None = None
    measured_ms: float | None = None
    """Where all were timed before the choice."""
    answers_lost: float | None = None
    """Of the network whose weights it starts from, before any training; from 0 on."""

    @property
    def place(self) -> Place:
        return self.shape, self.path


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
    space: SearchSpace | ElasticSpace | None,
    taken: Place | None,
) -> list[Table]:
    """One row per finalist, the first in order first; that of `taken` stands out.

    Of many, a first table has only the first, those trained and the one taken.
    """
    is_drawn = isinstance(space, ElasticSpace)
    columns: tuple[str, ...] = _DRAWN_COLUMNS if is_drawn else _COLUMNS
    is_kept = any(one.answers_lost is not None for one in finalists)
    if is_kept:
        columns = (*columns[:4], "answers lost", *columns[5:])
    elif is_drawn and any(one.valid_accuracy is not None for one in finalists):
        columns = ("by the supernet", *columns[1:])
    # what was done with none has no column
    is_trained = any(one.trained_valid_loss is not None for one in finalists)
    is_scored = is_kept or any(one.valid_accuracy is not None for one in finalists)
    told = (True, True, True, True, is_scored, is_trained)
    columns = tuple(itertools.compress(columns, told))
    rows, shown = [], []
    for place, finalist in enumerate(finalists, start=1):
        is_taken = finalist.place == taken
        timed = q.milliseconds(finalist.measured_ms)
        cells = (
            _named(finalist, space),
            q.percent(min(finalist.slack.values(), default=None)),
            timed if is_drawn else q.fixed(finalist.log_prob_given_up, 2),
            q.percent(finalist.answers_lost if is_kept else finalist.valid_accuracy),
            q.fixed(finalist.trained_valid_loss, 4) + _of_rung(finalist),
        )
        head = f"{place}, taken" if is_taken else str(place)
        rows.append(Row(head, tuple(itertools.compress(cells, told[1:])), is_taken))
        if place <= _FIRST or is_taken or finalist.trained_valid_loss is not None:
            shown.append(rows[-1])
    folded = [shown] if len(shown) == len(rows) else [shown, rows]
    return [Table(columns, tuple(part), columns[1]) for part in folded]


def _named(finalist: Finalist, space: SearchSpace | ElasticSpace | None) -> str:
    """The operations of a finalist, after its side and widths where these differ."""
    if space is None:
        return " ".join(map(str, finalist.path))
    shape = space.shapes[finalist.shape]
    names = " ".join(shape.candidates[k].name for k in finalist.path)
    if not isinstance(space, ElasticSpace):
        return names
    widths = dict.fromkeys((shape.stem.out_channels,))
    widths |= dict.fromkeys(layer.out_channels for layer in shape.layers)
    return f"{shape.stem.input_size} px, {'-'.join(map(str, widths))}: {names}"


def _of_rung(finalist: Finalist) -> str:
    return f" ({finalist.rung})" if finalist.rung else ""


def summary(finalists: Sequence[Finalist], taken: Place | None) -> str:
    """How the network was chosen among them, in a sentence or two."""
    trained = sum(one.trained_valid_loss is not None for one in finalists)
    is_drawn = any(one.measured_ms is not None for one in finalists)
    text = f"{len(finalists)} {'of the ' * is_drawn}networks"
    how = " drawn within" if is_drawn else ", the most probable within"
    text += f"{how} the target"
    if any(one.answers_lost is not None for one in finalists):
        text = f"{len(finalists)} networks within the target were compared that keep "
        text += "most of what the given network answers. "
    elif any(one.valid_accuracy is not None for one in finalists):
        text += " were compared on validation images with the weights of the supernet. "
    else:
        text += " were compared"
        text += ", timed before and again at the end. " if is_drawn else ". "
    if trained:
        how, last = " in full", ""
        # before one is taken, further rungs may follow
        if taken is None or any(one.rung > 1 for one in finalists):
            how = (
                " in rungs, each with the best quarter of the one before and for longer"
            )
            last = " in the last"
        text += f"{trained} of them were trained{how}; the smallest loss on validation "
        text += f"images{last} decides."
    else:
        text += "None was trained before the choice; the accuracy decides."
    if taken is not None and taken not in {one.place for one in finalists}:
        text += " The network of architecture.json is none of them."
    return text
