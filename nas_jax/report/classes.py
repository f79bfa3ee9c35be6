"""Right and wrong, class by class: tables and the confusion matrix of one network.

A cell is shaded by the square root of its share of the row: a class of few images is
seen as well as one of many, and a rare mistake as well. Small matrices have names and
counts; of larger ones a table names the pairs that were confused most.
"""

import math
from collections.abc import Mapping
from typing import Any

from nas_jax.report import quantities as q
from nas_jax.report.table import Cell, Row, Table
from nas_jax.training.scores import ClassScore, Scores

LETTERED = 12
"""Classes of a matrix with names and counts."""
_FIRST = 10  # classes shown at once, the worst
_LEVELS = 12  # steps of opacity
_LETTERS = 14  # of a name in the matrix


def section(found: Scores) -> dict[str, Any] | None:
    """What the section shows of a network; None if its result says nothing of classes.

    `tables` are one or two: of many classes the worst, then all. `confused` are the
    pairs where `matrix` does not name them.
    """
    if not found.per_class:
        return None
    matrix = _matrix(found)
    is_named = matrix is not None and matrix["names"]
    return {
        "tables": tables(found.per_class),
        "matrix": matrix,
        "confused": None if is_named else confused(found),
    }


def tables(per_class: Mapping[str, ClassScore]) -> list[Table]:
    """One row per class, the least accurate first and those without images last."""

    def rank(name: str) -> float:
        accuracy = per_class[name]["accuracy"]
        return math.inf if accuracy is None else accuracy

    rows = tuple(_row(name, per_class[name]) for name in sorted(per_class, key=rank))
    shown = [rows] if len(rows) <= LETTERED else [rows[:_FIRST], rows]
    columns = ("class", "test images", "accuracy", "precision")
    return [Table(columns, part) for part in shown]


def _row(name: str, one: ClassScore) -> Row:
    small = ""
    if one["accuracy"] is not None:
        low, high = q.wilson(one["accuracy"], one["images"])
        small = f"{100 * low:.0f}–{100 * high:.0f}"
    accuracy = Cell(q.percent(one["accuracy"]), small)
    return Row(name, (str(one["images"]), accuracy, q.percent(one["precision"])))


def confused(found: Scores) -> Table | None:
    """The pairs of classes with the most wrong images, if any is wrong."""
    rows = tuple(
        Row(
            pair["true"],
            (
                pair["guessed"],
                f"{pair['images']} of {found.per_class[pair['true']]['images']}",
            ),
        )
        for pair in found.largest_confusions
    )
    return Table(("class", "taken for", "images"), rows, "taken for") if rows else None


def _matrix(found: Scores) -> dict[str, Any] | None:
    """The cells as paths by opacity, apart for right and wrong; None without a matrix.

    A browser draws few paths, not ten thousand cells. `names` and `counts` are empty
    for more than `LETTERED` classes; a count is (row, column, text, tooltip).
    """
    if found.confusion is None:
        return None
    full, classes = list(found.per_class), len(found.confusion)
    paths: dict[tuple[bool, float], str] = {}
    counts = []
    for row, cells in enumerate(found.confusion):
        for column, count in enumerate(cells):
            if not count:
                continue
            opacity = math.ceil(_LEVELS * math.sqrt(count / sum(cells))) / _LEVELS
            key = row == column, opacity
            paths[key] = paths.get(key, "") + f"M{column} {row}h1v1h-1z"
            tooltip = f"{full[row]}, taken for {full[column]}: {count} of {sum(cells)}"
            text = str(count) if count < 10_000 else f"{count / 1000:.0f}k"
            counts.append((row, column, text, tooltip))
    is_lettered = classes <= LETTERED
    return {
        "classes": classes,
        "paths": paths,
        "names": [_short(name) for name in full] if is_lettered else [],
        "counts": counts if is_lettered else [],
        "right": f"{found.test_accuracy:.1%}",
    }


def _short(name: str) -> str:
    """Names of a data set often begin alike, or end alike."""
    half = _LETTERS // 2
    return name if len(name) <= _LETTERS else f"{name[: half - 1]}…{name[-half:]}"
