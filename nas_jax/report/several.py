"""Several runs on one page: all their networks, and in which settings they differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from nas_jax.report import comparison, page, rendering, scatter
from nas_jax.report import quantities as q
from nas_jax.report.run_files import RunFiles
from nas_jax.report.scatter import Measured
from nas_jax.report.styles import kind, run_look
from nas_jax.report.table import Row, Table

_NAMES = ("name", "seed")
"""Settings that are listed for every run, whether or not they differ."""


def render(runs: Sequence[RunFiles]) -> str:
    """The whole document; the runs are named by their folders.

    Raises `ValueError` for fewer than two runs, or two folders of one name.
    """
    named = {run.name: run for run in runs}
    if len(runs) < 2 or len(named) < len(runs):
        raise ValueError(
            "report: expected two or more run folders of different names, got "
            f"{', '.join(run.name for run in runs)}"
        )
    found = [
        Measured(run_name, name, network)
        for run_name, run in named.items()
        for name, network in run.networks.items()
    ]
    settings, same = _settings(named)
    return rendering.render(
        "several.html",
        title=f"{len(runs)} runs",
        refresh_s=None,
        devices=sorted(
            {str(one.result["device"]) for one in runs if "device" in one.result}
        ),
        notes=[(name, note) for name, run in named.items() for note in page.notes(run)],
        found=found,
        trade_off=scatter.trade_off(found, list(named)),
        looks={name: run_look(place) for place, name in enumerate(named)},
        kinds=list(dict.fromkeys(kind(one.name) for one in found)),
        intervals_from=comparison.source(
            {f"{one.run} {one.name}": one.network for one in found}
        ),
        compared=comparison.table_of_runs(found),
        settings=settings,
        same=same,
        drawings={
            name: page.drawings(run.searched, run) for name, run in named.items()
        },
    )


def _settings(named: Mapping[str, RunFiles]) -> tuple[Table, int]:
    """Settings, device and commit that differ, and how many are the same."""
    flat = {name: _flat(run.config) | _origin(run) for name, run in named.items()}
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    found = {
        key: tuple(values.get(key, q.ABSENT) for values in flat.values())
        for key in keys
    }
    rows = tuple(
        Row(key, cells)
        for key, cells in found.items()
        if key in _NAMES or len(set(cells)) > 1
    )
    return Table(("setting", *named), rows), len(keys) - len(rows)


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`search.target_ratio` and the like, as texts."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            found[f"{prefix}{key}"] = " ".join(map(str, value)) or "none"
        else:
            found[f"{prefix}{key}"] = str(value)
    return found


def _origin(run: RunFiles) -> dict[str, str]:
    found = {key: run.result.get(key) for key in ("device", "commit")}
    if run.targets:
        found["targets"] = ", ".join(one.name for one in run.targets.values())
    return {key: str(value) for key, value in found.items() if value is not None}
