"""Where a run comes from: what is needed to trust and to repeat it."""

import json
from dataclasses import asdict, dataclass
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
    result, experiment = run.result, run.experiment
    facts = {
        "seed": result.seed if experiment is None else experiment.seed,
        "device": result.device,
        "commit": result.commit,
        "versions": result.versions or None,
        "latency table": run.table.provenance or None,
    }
    differences = {
        name: f"{found.onnx_max_abs_difference:.1e}"
        for name, found in run.networks.items()
        if found.onnx_max_abs_difference is not None
    }
    return Provenance(
        {name: _plain(value) for name, value in facts.items() if value is not None},
        _phases(result.seconds_per_phase),
        _plain(differences),
        result.commit or "unknown",
        result.command,
        ""
        if experiment is None
        else json.dumps(asdict(experiment), indent=1, ensure_ascii=False),
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


def _phases(seconds: dict[str, float]) -> dict[str, tuple[float, str]]:
    """The time that every phase took."""
    longest = max(seconds.values(), default=0) or 1
    return {
        name: (100 * value / longest, q.duration(value))
        for name, value in seconds.items()
    }
