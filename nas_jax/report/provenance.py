"""Where a run comes from: what is needed to trust and to repeat it."""

import json
import shlex
from typing import Any

from nas_jax.report import quantities as q
from nas_jax.report.folder import Run
from nas_jax.report.markup import Html, element, join


def content(run: Run) -> list[Html]:
    """Facts, times, command and settings, as far as they are known."""
    result = run.result
    rows: list[tuple[str, str]] = []
    seed = result.get("seed", run.config.get("seed"))
    facts = {"seed": seed, **{key: result.get(key) for key in ("device", "commit")}}
    rows += [(key, _plain(value)) for key, value in facts.items() if value is not None]
    if result.get("versions"):
        rows.append(("versions", _plain(result["versions"])))
    if run.table.provenance:
        rows.append(("latency table", _plain(run.table.provenance)))
    phases = _phases(result.get("seconds_per_phase"))
    if phases:
        rows.append(("time", phases))
    differences = {
        name: f"{found.onnx_max_abs_difference:.1e}"
        for name, found in run.networks.items()
        if found.onnx_max_abs_difference is not None
    }
    if differences:
        rows.append(("largest difference to ONNX", _plain(differences)))
    if result.get("command"):
        rows.append(("reproduce", element("pre", _commands(run))))
    entries = join(
        join([element("dt", name), element("dd", value)]) for name, value in rows
    )
    found = [element("dl", entries)] if rows else []
    if run.config:
        settings = json.dumps(run.config, indent=1, ensure_ascii=False)
        summary = element("summary", "All settings (config.json)")
        found.append(element("details", summary, element("pre", settings)))
    return found


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(found)}" for key, found in value.items())
    return str(value)


def conditions(run: Run) -> list[str]:
    """Batch, threads, runtime and device of the table, as far as it states them."""
    stated = run.table.provenance
    words = []
    if "batch" in stated:
        words.append(f"batch {stated['batch']}")
    if "threads" in stated:
        threads = stated["threads"]
        words.append(f"{threads} thread" if threads == 1 else f"{threads} threads")
    return words + [str(stated[key]) for key in ("runtime", "device") if key in stated]


def _commands(run: Run) -> str:
    """What makes the run again, and what makes its last stages again from its files."""
    lines = []
    commit = _plain(run.result.get("commit", "unknown"))
    if commit.endswith("-dirty"):
        lines.append(f"# commit {commit.removesuffix('-dirty')} with changes on top")
    elif commit != "unknown":
        lines.append(f"git checkout {commit}")
    lines.append(_plain(run.result["command"]))
    folder = shlex.quote(run.name)
    lines.append(f"nas_jax evaluate {folder}  # tests and times its networks again")
    lines.append(f"nas_jax report {folder}  # this page again")
    return "\n".join(lines)


def _phases(seconds: Any) -> Html | None:
    """Bars of the time every phase took."""
    if not isinstance(seconds, dict):
        return None
    known = {
        name: float(value)
        for name, value in seconds.items()
        if isinstance(value, int | float) and 0 <= value < float("inf")
    }
    longest = max(known.values(), default=0) or 1
    return join(
        element(
            "div",
            element("span", name),
            element("div", element("i", style=f"width:{100 * value / longest:.1f}%")),
            element("span", q.duration(value)),
            class_="bar",
        )
        for name, value in known.items()
    )
