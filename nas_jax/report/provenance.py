"""Where a run comes from: what is needed to trust and to repeat it."""

import json
from dataclasses import asdict
from typing import Any

from nas_jax.report import quantities as q
from nas_jax.report.run_files import RunFiles


def provenance(run: RunFiles) -> dict[str, Any]:
    """What the files say of the origin of a run, as far as they do.

    Facts by name; of every phase per cent of the longest and the time in words; the
    differences to ONNX; commit, command and settings.
    """
    result, experiment = run.result, run.experiment
    facts = {
        "seed": result.seed if experiment is None else experiment.seed,
        "device": result.device,
        "commit": result.commit,
        "versions": result.versions or None,
        "latency table": run.table.provenance or None,
    }
    differences = {
        name: f"{network.onnx_max_abs_difference:.1e}"
        for name, network in run.networks.items()
        if network.onnx_max_abs_difference is not None
    }
    settings = ""
    if experiment is not None:
        settings = json.dumps(asdict(experiment), indent=1, ensure_ascii=False)
    seconds = result.seconds_per_phase
    longest = max(seconds.values(), default=0) or 1
    return {
        "facts": {key: _plain(fact) for key, fact in facts.items() if fact is not None},
        "phases": {
            name: (100 * value / longest, q.duration(value))
            for name, value in seconds.items()
        },
        "differences": _plain(differences),
        "commit": result.commit or "unknown",
        "command": result.command,
        "settings": settings,
    }


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
