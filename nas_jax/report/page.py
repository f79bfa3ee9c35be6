"""The page of one run: sections in reading order, each able to say what is missing."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from nas_jax.report import (
    charts,
    classes,
    comparison,
    drawing,
    finalists,
    milliseconds,
    preferences,
    provenance,
    rendering,
    scatter,
    summary,
)
from nas_jax.report import quantities as q
from nas_jax.report.heatmap import heatmap
from nas_jax.report.run_files import FILES, RunFiles
from nas_jax.spaces.architecture import Architecture
from nas_jax.training import scores

Known = TypeVar("Known")


def render(run: RunFiles, refresh_s: int | None = None) -> str:
    """The whole document; it loads itself again every `refresh_s` seconds, if set."""
    title = None if run.experiment is None else run.experiment.name
    searched, baseline = run.result_of("searched"), run.result_of("baseline")
    shown = _by_network(run, lambda _, network: network)
    if shown and baseline.architecture is not None:
        shown[f"{run.reference.capitalize()} baseline"] = baseline.architecture
    captioned = {_caption(run, name): one for name, one in run.targets.items()}
    timed = (one.measured_ms for one in run.finalists)
    tried_ms = [ms for ms in timed if ms is not None]
    is_finished = searched.test_accuracy is not None and not run.result.targets
    return rendering.render(
        "run.html",
        title=run.name if title is None else f"{title} · {run.name}",
        refresh_s=refresh_s,
        run=run,
        searched=searched,
        baseline=baseline,
        speed=q.quotient(baseline.measured_ms, searched.measured_ms),
        progress=None if is_finished else summary.progress(run),
        lead=summary.lead(run),
        notes=notes(run),
        question=summary.question(run),
        drawings=drawings(shown, run),
        compared=comparison.table(run.networks),
        has_intervals=any(one.prediction for one in run.networks.values()),
        has_int8=comparison.has_int8(run.networks.values()),
        targets=comparison.targets(run),
        derivation=summary.derivation(run),
        trade_off=scatter.accuracy_against_latency(
            run.networks, run.target_ms, tried_ms
        ),
        has_tried=bool(tried_ms),
        use=summary.use(run),
        around="runs" if run.is_in_runs else "the run",
        by_class=_by_network(run, lambda name, _: classes.section(run.result_of(name))),
        search=_search(run, ""),
        searches={
            caption: (one, _search(one, f"target{place}-"))
            for place, (caption, one) in enumerate(captioned.items(), start=1)
        },
        bars=_by_network(
            run,
            lambda name, found: milliseconds.bars(
                run, found, run.result_of(name).measured_ms
            ),
        ),
        stages=_by_network(run, lambda _, found: preferences.stages(run, found)),
        finalists={
            name: (
                finalists.summary(one.finalists, one.taken),
                finalists.tables(one.finalists, one.whole, one.taken),
            )
            for name, one in (captioned or {"": run}).items()
            if one.finalists
        },
        retraining=list(charts.retraining_curves(run.curves)),
        origin=provenance.provenance(run),
    )


def notes(run: RunFiles) -> list[str]:
    """What is missing of a run, in one note, what was left out, what misleads."""
    lacking = " ".join(
        f"{name} is missing; it will hold {FILES[name]}." for name in run.missing
    )
    remarks = scores.remarks(run.networks)
    return [*([lacking] if lacking else []), *run.curves.notes, *remarks]


def drawings(
    shown: Mapping[str, Architecture], run: RunFiles
) -> dict[str, object] | None:
    """Networks in one scale by their captions, and what the pictures show.

    None if there are no networks. `conditions` are those of the table that predicts
    the times, None where there are no times.
    """
    if not shown:
        return None
    units = drawing.scale(list(shown.values()))
    return {
        "drawn": {
            name: drawing.draw(network, run.part_ms, units)
            for name, network in shown.items()
        },
        "ops": {block.op for network in shown.values() for block in network.blocks},
        "conditions": provenance.conditions(run) if run.part_ms else None,
    }


def _caption(run: RunFiles, name: str) -> str:
    """`Searched`, or which of several and for which target."""
    if name not in run.targets:
        return "Searched"
    target = run.targets[name].target_ms
    return name if target is None else f"{name}, target {q.milliseconds(target)}"


def _by_network(
    run: RunFiles, of: Callable[[str, Architecture], Known | None]
) -> dict[str, Known]:
    """What is known of each searched network, under its caption."""
    found = {
        _caption(run, name): of(name, network) for name, network in run.searched.items()
    }
    return {name: one for name, one in found.items() if one is not None}


def _search(run: RunFiles, prefix: str) -> dict[str, object]:
    """Charts and probabilities of one search."""
    return {
        "charts": list(charts.search_curves(run.curves, prefix)),
        "map": heatmap(run),
    }
