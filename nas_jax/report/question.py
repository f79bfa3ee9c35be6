"""The question that a run answers: which space, on which data, how fast, on what."""

import math
from typing import Any

from nas_jax.report import provenance
from nas_jax.report import quantities as q
from nas_jax.report.folder import Run
from nas_jax.report.markup import Html, element, join
from nas_jax.report.metrics import require

_SPLITS = {
    "train_weights": "for the weights",
    "train_alphas": "for the architecture",
    "valid": "for validation",
    "test": "for the test",
}
_UNITS = {"target_ms": "ms", "target_macs": "MACs", "target_params": "parameters"}


def content(run: Run) -> list[Html]:
    """Space, data, target and device, as far as they are known."""
    rows = {
        "space": _space(run),
        "data": _data(run.config.get("data")),
        "target": _target(run),
        "device": ", ".join(provenance.conditions(run)),
    }
    known = [
        join([element("dt", name), element("dd", text)])
        for name, text in rows.items()
        if text
    ]
    return [element("dl", *known)] if known else []


def _space(run: Run) -> str:
    space = run.space
    if space is None:
        return ""
    digits = math.log10(space.architectures)
    size = str(space.architectures) if digits < 6 else f"about 10^{digits:.0f}"
    names = ", ".join(op.name for op in space.candidates)
    height, width, channels = space.input_shape
    return (
        f"{space.name}: {len(space.layers)} layers with up to {len(space.candidates)} "
        f"candidates each ({names}), {size} networks; images of {height}×{width}×"
        f"{channels}, {space.classifier.classes} classes"
    )


def _data(config: Any) -> str:
    if not isinstance(config, dict) or "name" not in config:
        return ""
    splits = [f"{config[key]} {use}" for key, use in _SPLITS.items() if key in config]
    name = str(config["name"])
    return f"{name}; images: {', '.join(splits)}" if splits else name


def _target(run: Run) -> str:
    """The targets as they were set, and the time that each came to."""
    if run.targets:
        return "; ".join(
            f"{name}: {found}"
            for name, one in run.targets.items()
            if (found := _target(one))
        )
    search = run.config.get("search")
    if not isinstance(search, dict):
        return ""
    parts = []
    if search.get("target_ratio") is not None:
        of = f"{search['target_ratio']} of the hand-designed network's "
        parts.append(of + str(search.get("cost", "latency")))
    parts += [
        f"{search[key]} {unit}"
        for key, unit in _UNITS.items()
        if search.get(key) is not None
    ]
    if search.get("objective") == "none":
        parts = ["none: accuracy alone"]
    elif run.target_ms is not None and search.get("target_ms") is None:
        parts.append(q.milliseconds(run.target_ms))
    limits = search.get("limits")
    if limits is not None:
        where = "config.json: search: limits"
        require(isinstance(limits, list), where, "a list", limits)
    if limits:
        parts.append(f"limits {', '.join(map(str, limits))}")
    return ", ".join(parts)
