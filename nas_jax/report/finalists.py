"""The finalists: what was compared when the search had ended, and which was taken.

Weights of a supernet rank networks roughly, a full training ranks them well, so the
report shows both where both were done.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nas_jax import files
from nas_jax.report import quantities as q
from nas_jax.report.markup import Html, element
from nas_jax.report.metrics import number, require
from nas_jax.space import SearchSpace

_COLUMNS = (
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


def _finalist(entry: object, where: str, shape: tuple[int, ...] | None) -> Finalist:
    require(isinstance(entry, dict), where, "a JSON object", entry)
    assert isinstance(entry, dict)
    path: Any = entry.get("path")
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
    known = [one for one in left if one is not None]
    return Finalist(
        tuple(path),
        number(entry, "valid_accuracy", where),
        number(entry, "trained_valid_loss", where),
        min(known, default=None),
        number(entry, "log_prob_given_up", where),
    )


def tables(
    found: Sequence[Finalist], space: SearchSpace | None, chosen: np.ndarray | None
) -> list[Html]:
    """One row per finalist, the most probable first; the row of `chosen` stands out.

    Of many only the first, those trained in full and the chosen one are shown at once.
    """
    taken = None if chosen is None else tuple(chosen.tolist())
    numbered = list(enumerate(found, start=1))
    shown = [
        (place, one)
        for place, one in numbered
        if place <= _FIRST or one.path == taken or one.trained_valid_loss is not None
    ]
    if len(shown) == len(numbered):
        return [_table(numbered, space, taken)]
    every = element(
        "details",
        element("summary", f"All {len(numbered)}"),
        _table(numbered, space, taken),
    )
    return [_table(shown, space, taken), every]


def _table(
    numbered: Sequence[tuple[int, Finalist]],
    space: SearchSpace | None,
    taken: tuple[int, ...] | None,
) -> Html:
    # of no use where nothing was trained
    is_trained = any(one.trained_valid_loss is not None for _, one in numbered)
    columns = _COLUMNS if is_trained else _COLUMNS[:-1]
    head = (
        element("th", text, scope="col", class_=_look(text))
        for text in ("by probability", *columns)
    )
    rows = []
    for place, one in numbered:
        is_taken = one.path == taken
        name = f"{place}, taken" if is_taken else str(place)
        cells = (
            _ops(one.path, space),
            q.percent(one.slack),
            q.ABSENT
            if one.log_prob_given_up is None
            else f"{one.log_prob_given_up:.2f}",
            q.percent(one.valid_accuracy),
            q.ABSENT
            if one.trained_valid_loss is None
            else f"{one.trained_valid_loss:.4f}",
        )
        rows.append(
            element(
                "tr",
                element("th", name, scope="row"),
                *(
                    element(
                        "td",
                        element("span", text),
                        data_label=label,
                        class_=_look(label),
                    )
                    for label, text in zip(columns, cells, strict=False)
                ),
                class_="first" if is_taken else None,
            )
        )
    return element(
        "table", element("thead", element("tr", *head)), element("tbody", *rows)
    )


def _look(column: str) -> str | None:
    return "words" if column == _COLUMNS[0] else None


def summary(found: Sequence[Finalist], chosen: np.ndarray | None) -> str:
    """How the network was chosen among them, in a sentence or two."""
    trained = sum(one.trained_valid_loss is not None for one in found)
    text = f"{len(found)} networks, the most probable within the target, were compared "
    text += "on validation images with the weights of the supernet. "
    if trained:
        text += f"{trained} of them were trained in full; the smallest loss on "
        text += "validation images decides."
    else:
        text += "None was trained in full before the choice; the accuracy decides."
    if chosen is not None and tuple(chosen.tolist()) not in {one.path for one in found}:
        text += " The network of architecture.json is none of them."
    return text


def _ops(path: Sequence[int], space: SearchSpace | None) -> str:
    if space is None:
        return " ".join(map(str, path))
    return " ".join(space.candidates[k].name for k in path)
