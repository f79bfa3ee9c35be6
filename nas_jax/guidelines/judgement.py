"""`nas_jax guidelines check`: how good the advice is on tasks it has not seen.

One source of pictures, a family of the records, is left out at a time with all its
tasks. The recommended network is looked up among those that were trained on the task,
so that nothing is trained: it hits if it reaches the largest network's accuracy less a
point.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nas_jax.guidelines import advice
from nas_jax.guidelines.advice import Wish
from nas_jax.guidelines.kinds import Kind

HIT_RATE, SAVING, COVERAGE = 0.8, 0.2, (0.7, 0.9)
"""What is asked for: hits, median saving, true accuracies inside the interval."""


def judge(known: Sequence[Kind], wish: Wish | None = None) -> dict[str, Any]:
    """A row per task, the figures by source and over all, and the naive rules beside.

    Tasks with a single network or with accuracies that others report are no evidence
    for sizes of this ladder and are left out; `not_answered` counts those for which
    nothing near remains without their family.

    Raises:
      ValueError: if there are fewer than two sources to judge.
    """
    wish = wish or Wish()
    judged = [
        kind
        for kind in known
        if len(kind.points) > 1
        and kind.points[0].record["origin"]["source"] == "trained here"
    ]
    if len({kind.family for kind in judged}) < 2:
        raise ValueError(
            "guidelines check: expected tasks of at least two sources of pictures, "
            "each with two networks or more; add some with `nas_jax guidelines add RUN`"
        )
    rows = []
    for kind in judged:
        others = [other for other in known if other.family != kind.family]
        rows.append(_row(kind, advice.advise(others, kind.descriptors, wish), wish))
    answered = [row for row in rows if row["params"] is not None]
    if not answered:
        raise ValueError(
            "guidelines check: expected tasks near each other, got none; no advice to "
            "judge"
        )
    savings = [row["saving"] for row in answered]
    families = dict.fromkeys(row["family"] for row in rows)
    largest = [kind.largest.params for kind in judged]
    return {
        "tasks": len(judged),
        "families": len(families),
        "not_answered": len(rows) - len(answered),
        **_figures(answered),
        "saving_quartiles": np.quantile(savings, [0.25, 0.75]).round(4).tolist(),
        "largest_params": [min(largest), max(largest)],
        "wanted": {
            "hit_rate": HIT_RATE,
            "median_saving": SAVING,
            "coverage": list(COVERAGE),
        },
        "by_source": [
            {"source": family}
            | {"tasks": sum(row["family"] == family for row in rows)}
            | _figures([row for row in answered if row["family"] == family])
            for family in families
        ],
        "rules": _rules(judged, wish.tolerance),
        "rows": rows,
    }


def _figures(answered: list[dict[str, Any]]) -> dict[str, Any]:
    """Hits, saving, and how many accuracies lie in how wide an interval.

    None where nothing was answered.
    """
    names = ("hit_rate", "median_saving", "coverage", "median_width")
    if not answered:
        return dict.fromkeys(names)
    widths = [row["interval"][1] - row["interval"][0] for row in answered]
    figures = (
        _mean([row["hit"] for row in answered]),
        _median([row["saving"] for row in answered]),
        _mean([row["inside"] for row in answered]),
        _median(widths),
    )
    return dict(zip(names, figures, strict=True))


def _row(kind: Kind, answer: dict[str, Any], wish: Wish) -> dict[str, Any]:
    row: dict[str, Any] = {
        "task": kind.name,
        "family": kind.family,
        "basis": answer["basis"],
        "largest_accuracy": round(kind.largest.accuracy, 4),
        "params": None,
    }
    if answer["size"] is None:
        return row
    point = kind.at_least(answer["size"]["params"])
    low, high = answer["accuracy_low"], answer["accuracy_high"]
    return row | {
        "params": point.params,
        "accuracy": round(point.accuracy, 4),
        "expected": answer["expected_accuracy"],
        "interval": [low, high],
        "inside": low <= point.accuracy <= high,
        "saving": kind.saving(point),
        "hit": kind.suffices(point, wish.tolerance),
    }


def _rules(judged: list[Kind], tolerance: float) -> list[dict[str, Any]]:
    """Always the same network, from the smallest on; and what the best choice saves."""
    by_design = [{point.design: point for point in kind.points} for kind in judged]
    shared = [one for one in by_design[0] if all(one in points for points in by_design)]
    names = [f"size {place} of {len(shared)}" for place in range(1, len(shared) + 1)]
    if shared:
        names[(len(shared) - 1) // 2] = "always the median size"
        names[-1] = "always the largest"
    chosen = {
        name: [points[design] for points in by_design]
        for name, design in zip(names, shared, strict=True)
    }
    chosen["the smallest that does, known afterwards"] = [
        next(point for point in kind.points if kind.suffices(point, tolerance))
        for kind in judged
    ]
    rules = []
    for name, points in chosen.items():
        pairs = list(zip(judged, points, strict=True))
        hits = [kind.suffices(point, tolerance) for kind, point in pairs]
        rules.append(
            {
                "rule": name,
                "params": int(np.median([point.params for point in points])),
                "hit_rate": _mean(hits),
                "median_saving": _median([kind.saving(point) for kind, point in pairs]),
            }
        )
    return rules


def _mean(hits: list[bool]) -> float:
    return round(float(np.mean(hits)), 4)


def _median(values: list[float]) -> float:
    return round(float(np.median(values)), 4)


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and a row per task, then the naive rules, as text."""
    header = ("left out", "task", "largest acc.", "params", "acc.", "interval")
    rows: list[tuple[str, ...]] = [(*header, "saving", "hit")]
    for row in result["rows"]:
        cells = (row["family"], row["task"], f"{row['largest_accuracy']:.1%}")
        if row["params"] is None:
            rows.append((*cells, row["basis"], "", "", "", ""))
            continue
        low, high = row["interval"]
        rows.append(
            (
                *cells,
                f"{row['params']:,}",
                f"{row['accuracy']:.1%}",
                f"{low:.1%} to {high:.1%}",
                f"{row['saving']:.0%}",
                "yes" if row["hit"] else "no",
            )
        )
    inside = f"{result['coverage']:.0%} inside"
    tasks = f"{result['tasks']} tasks"
    rows.append(("advice", tasks, "", "", "", inside, *_percents(result)))
    for rule in result["rules"]:
        params = f"{rule['params']:,}"
        rows.append((rule["rule"], "", "", params, "", "", *_percents(rule)))
    return rows


def sources(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and a row per source that was left out, then all, as text."""
    header = ("left out", "tasks", "hits", "median saving", "inside", "median width")
    return [header] + [
        (name, str(found["tasks"]), *_shares(found))
        for name, found in [
            *((one["source"], one) for one in result["by_source"]),
            ("all", result),
        ]
    ]


def _shares(figures: dict[str, Any]) -> list[str]:
    names = ("hit_rate", "median_saving", "coverage", "median_width")
    values = [figures[name] for name in names]
    return ["" if value is None else f"{value:.0%}" for value in values]


def _percents(figures: dict[str, Any]) -> tuple[str, str]:
    return f"{figures['median_saving']:.0%}", f"{figures['hit_rate']:.0%}"
