"""`metrics.jsonl`, read: the curves of search and retraining.

One JSON object a line. A last line cut short by a crash is left out with a note; every
other line must be whole. Where a resumed run repeats an epoch, the later line holds.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from typing_extensions import TypedDict

from nas_jax.config import files
from nas_jax.config.checks import require
from nas_jax.config.from_json import from_json

_PROBS = "search/probs"


class _Line(TypedDict):
    phase: Literal["warmup", "joint", "train"]


class _OfTraining(_Line):
    network: str


@dataclass(frozen=True)
class Curves:
    """Lines of the search in order, lines of retraining by network, notes."""

    search: list[dict[str, Any]] = field(default_factory=list)
    retraining: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def first_epoch(self) -> int:
        """Number of the first line's epoch, from 1; later than that after a warm-up
        that several targets share."""
        return 1 + int(self.search[0].get("epoch", 0)) if self.search else 1

    @property
    def warmup_epochs(self) -> int:
        return sum(line["phase"] == "warmup" for line in self.search)

    def series(self, name: str) -> np.ndarray:
        """One value of the search per epoch, Float `[epochs]`, NaN where absent."""
        return as_series(self.search, name)

    def probs(self) -> tuple[np.ndarray, np.ndarray]:
        """Epochs `[T]` (counted from 1) and path probabilities there, `[T L K]`."""
        rows = [
            (epoch, line[_PROBS])
            for epoch, line in enumerate(self.search, start=self.first_epoch)
            if _PROBS in line
        ]
        epochs = np.array([epoch for epoch, _ in rows], dtype=int)
        return epochs, np.array([probs for _, probs in rows], dtype=float)


def as_series(lines: list[dict[str, Any]], name: str) -> np.ndarray:
    """One value per line, Float `[lines]`, NaN where absent or not finite."""
    values = np.array([line.get(name, np.nan) for line in lines], dtype=float)
    return np.where(np.isfinite(values), values, np.nan)


def parse(content: bytes, probs_shape: tuple[int, ...] | None) -> Curves:
    """The curves in the file; `probs_shape` is (L, K) of the space if that is known."""
    lines = [
        (place, line)
        for place, line in enumerate(content.split(b"\n"), start=1)
        if line.strip()
    ]
    search: dict[object, dict[str, Any]] = {}
    retraining: dict[str, dict[object, dict[str, Any]]] = {}
    notes = []
    for place, text in lines:
        where = f"metrics.jsonl line {place}"
        try:
            document = files.parse(text, where)
        except ValueError:
            if place == lines[-1][0]:
                notes.append(
                    f"The last line of metrics.jsonl (line {place}) is cut short and "
                    "was left out."
                )
                continue
            raise
        line = _checked(document, f"{where}: ", probs_shape)
        probs_shape = line[_PROBS].shape if _PROBS in line else probs_shape
        key = (line["phase"], line.get("epoch", line.get("step", place)))
        if line["phase"] == "train":
            retraining.setdefault(line["network"], {})[key] = line
        else:
            search[key] = line
    return Curves(
        search=list(search.values()),
        retraining={name: list(rows.values()) for name, rows in retraining.items()},
        notes=tuple(notes),
    )


def _checked(
    document: Any, where: str, probs_shape: tuple[int, ...] | None
) -> dict[str, Any]:
    """A line with its values checked; absent and null values are left out."""
    line = from_json(_Line, document, where, extra="ignore")
    if line["phase"] == "train":
        line = from_json(_OfTraining, document, where, extra="ignore")
    numbers = {
        name: value
        for name, value in sorted(document.items())
        if name in ("step", "epoch", "seconds") or ("/" in name and name != _PROBS)
    }
    numbers = from_json(dict[str, float | None], numbers, where)
    line |= {name: value for name, value in numbers.items() if value is not None}
    if document.get(_PROBS) is not None:
        line[_PROBS] = _probs(document[_PROBS], where, probs_shape)
    return line


def _probs(value: Any, where: str, shape: tuple[int, ...] | None) -> np.ndarray:
    expected = "numbers in [0, 1], one row per layer and one column per candidate"
    if shape is not None:
        expected += f" ({shape[0]} x {shape[1]})"
    try:
        probs = np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        probs = np.zeros(())
    is_valid = probs.ndim == 2 and probs.size > 0 and shape in (None, probs.shape)
    is_valid = is_valid and bool(((probs >= -1e-6) & (probs <= 1 + 1e-6)).all())
    require(is_valid, f"{where}{_PROBS}", expected, value)
    return probs
