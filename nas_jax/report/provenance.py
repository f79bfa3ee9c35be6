"""Where a run comes from: what is needed to trust and to repeat it."""

import json
from dataclasses import dataclass
from typing import Any

from nas_jax.report import quantities as q
from nas_jax.report.run_files import RunFiles


@dataclass(frozen=True)
class Provenance:
    """Facts by name, times of the phases, command and settings, as far as known."""

    facts: dict[str, str]
    phases: dict[str, tuple[float, str]]
    """Per cent of the longest, and the time in words."""
    differences: str
    commit: str
    command: str
    settings: str


def provenance(run: RunFiles) -> Provenance:
    """What the files say of the origin of a run."""
    result = run.result
    facts = {
        "seed": result.get("seed", run.config.get("seed")),
        **{key: result.get(key) for key in ("device", "commit")},
        "versions": result.get("versions") or None,
        "latency table": run.table.provenance or None,
    }
    differences = {
        name: f"{found.onnx_max_abs_difference:.1e}"
        for name, found in run.networks.items()
        if found.onnx_max_abs_difference is not None
    }
    return Provenance(
        {name: _plain(value) for name, value in facts.items() if value is not None},
        _phases(result.get("seconds_per_phase")),
        _plain(differences),
        _plain(result.get("commit", "unknown")),
        _plain(result.get("command") or ""),
        json.dumps(run.config, indent=1, ensure_ascii=False) if run.config else "",
    )


def conditions(run: RunFiles) -> str:
    """Batch, threads, runtime and device of the table, as far as it states them."""
    stated = run.table.provenance
    words = []
    if "batch" in stated:
        words.append(f"batch {stated['batch']}")
    if "threads" in stated:
        threads = stated["threads"]
        words.append(f"{threads} thread" if threads == 1 else f"{threads} threads")
    words += [str(stated[key]) for key in ("runtime", "device") if key in stated]
    return ", ".join(words)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(found)}" for key, found in value.items())
    return str(value)


def _phases(seconds: Any) -> dict[str, tuple[float, str]]:
    """The time that every phase took."""
    known = {
        name: float(value)
        for name, value in (seconds if isinstance(seconds, dict) else {}).items()
        if isinstance(value, int | float) and 0 <= value < float("inf")
    }
    longest = max(known.values(), default=0) or 1
    return {
        name: (100 * value / longest, q.duration(value))
        for name, value in known.items()
    }
