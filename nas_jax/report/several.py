"""Several runs on one page: all their networks, and in which settings they differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
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
        devices=sorted({run.result.device for run in runs if run.result.device}),
        notes=[(name, note) for name, run in named.items() for note in page.notes(run)],
        found=found,
        trade_off=scatter.trade_off(found, list(named)),
        looks={name: run_look(place) for place, name in enumerate(named)},
        kinds=list(dict.fromkeys(kind(one.name) for one in found)),
        has_intervals=any(one.network.prediction for one in found),
        has_int8=comparison.has_int8(one.network for one in found),
        compared=comparison.table_of_runs(found),
        settings=settings,
        same=same,
        drawings={
            name: page.drawings(run.searched, run) for name, run in named.items()
        },
    )


def _settings(named: Mapping[str, RunFiles]) -> tuple[Table, int]:
    """Settings, device and commit that differ, and how many are the same."""
    flat = {name: _flat(run) for name, run in named.items()}
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


def _flat(run: RunFiles) -> dict[str, str]:
    """Settings as `search.target_ratio` and the like, then the origin, as texts."""
    config = {} if run.experiment is None else asdict(run.experiment)
    flat = dict(_leaves(config))
    origin = {"device": run.result.device, "commit": run.result.commit}
    flat |= {key: value for key, value in origin.items() if value is not None}
    if run.targets:
        flat["targets"] = ", ".join(target.name for target in run.targets.values())
    return flat


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, tuple):
            yield f"{prefix}{key}", " ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{key}", str(value)
