"""Advice, listings and verdicts as text."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nas_jax.cli.terminal import aligned
from nas_jax.guidelines import judgement
from nas_jax.guidelines.kinds import Kind


def text(answer: dict[str, Any]) -> str:
    """A recommendation, most important first."""
    evidence = answer["evidence"]
    nearest = "; ".join(
        f"{one['task']} at {one['distance']:.2f} ({one['networks']} networks)"
        for one in evidence["nearest"]
    )
    if answer["basis"] == "no evidence near this task":
        return (
            "no evidence near this task: no size is recommended\n"
            f"nearest: {nearest or 'there are no records'}"
        )
    stands_on = (
        f"evidence nearby: tasks {evidence['kinds']}, families {evidence['families']}, "
        f"networks {evidence['networks']}; by {answer['basis']}\n"
        f"nearest: {nearest}"
    )
    if answer["size"] is None:
        return f"{answer['reason']}\n{stands_on}"
    size, start = answer["size"], answer["start"]
    interval = (
        f"{answer['wish']['chance']:.0%} interval"
        if answer["basis"] == "regression"
        else "of one network, 95 % by its test images: other tasks may differ by more"
    )
    lines = [
        f"size: {size['params']:,} parameters ({size['params_low']:,} to "
        f"{size['params_high']:,}), {size['macs']:,} MACs at {size['input_size']} "
        f"pixels, {size['depth']} blocks, up to {size['width']} channels",
        f"expected accuracy: {answer['expected_accuracy']:.1%} "
        f"({answer['accuracy_low']:.1%} to {answer['accuracy_high']:.1%}, {interval})",
        f"saving: {answer['saving']:.0%} of the largest network's "
        f"{answer['largest_params']:,} parameters",
        f"start from: {start['architecture']['name']} on {start['task']}, "
        f"{start['accuracy_there']:.1%} there, {start['source']}, record "
        f"{start['record'][:12]}",
        *(
            f"  {one['ms']:g} ms on {one['device']}, batch {one['batch']}, "
            f"{one['source']}"
            for one in start["latencies"]
        ),
    ]
    return "\n".join([*lines, stands_on])


def summary(kind: Kind) -> dict[str, Any]:
    """A kind of task and its networks, ready for JSON."""
    return {
        "family": kind.family,
        "task": kind.name,
        "descriptors": asdict(kind.descriptors),
        "networks": [
            {
                "record": point.record["digest"],
                "params": point.params,
                "macs": point.macs,
                "accuracy": point.accuracy,
            }
            for point in kind.points
        ],
    }


def listing(known: Sequence[Kind]) -> str:
    """Kinds of tasks, one a line."""
    header = ("task", "family", "side", "classes", "per class", "networks")
    rows: list[tuple[str, ...]] = [(*header, "params", "accuracy")]
    for kind in known:
        task = kind.descriptors
        accuracies = [point.accuracy for point in kind.points]
        rows.append(
            (
                kind.name,
                kind.family,
                str(task.input_size),
                str(task.classes),
                f"{task.images_per_class:g}",
                str(len(kind.points)),
                f"{kind.points[0].params:,} to {kind.largest.params:,}",
                f"{min(accuracies):.1%} to {max(accuracies):.1%}",
            )
        )
    return aligned(rows)


def judged(result: dict[str, Any]) -> str:
    """The leave-one-family-out table and whether it holds what is asked for."""
    wanted = result["wanted"]
    low, high = wanted["coverage"]
    verdicts = (
        ("hit rate", result["hit_rate"], result["hit_rate"] >= wanted["hit_rate"]),
        (
            "median saving",
            result["median_saving"],
            result["median_saving"] >= wanted["median_saving"],
        ),
        (
            "inside the interval",
            result["coverage"],
            low <= result["coverage"] <= high,
        ),
    )
    lines = [
        f"{name}: {value:.0%}, {'as' if met else 'NOT as'} asked for"
        for name, value, met in verdicts
    ]
    lines.append(f"not answered, nothing near: {result['not_answered']}")
    return "\n".join([aligned(judgement.table(result)), *lines])
