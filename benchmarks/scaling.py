"""`benchmarks scaling`: what the steps cost as the space and the batch grow.

One size varies, the others stay: candidates, layers, batch, resolution. Beside the
steps of the supernet stand those of plain networks along the same paths, which is what
one path has to cost.
"""

import dataclasses
from typing import Any

from benchmarks import machine, programs, scaling_plot, turns, workload
from benchmarks.settings import FEW, Point, ScalingConfig
from benchmarks.workload import Call
from nas_jax.spaces import builders
from nas_jax.training import host
from nas_jax.training.progress import Progress

plot = scaling_plot.plot
STEPS = scaling_plot.STEPS
HOW_TO_READ = (
    "plain: training steps of the plain networks of the same paths, which is what one "
    "path has to cost; its memory and compilation are those of the largest network. "
    "ms per step, the minimum over rounds in turns; MiB besides inputs and outputs, by "
    "the compiler; seconds to compile after tracing. Paths run through the first two "
    "candidates, which all sets hold."
)


def run(config: ScalingConfig | None = None, watch: Progress | None = None) -> dict:
    """A row per axis and value, ready for JSON, and provenance.

    Takes the allocator's setting for the whole process, as the command line does.
    """
    config, watch = config or ScalingConfig(), watch or Progress()
    is_tuned = host.tune_allocator()
    axes = config.points()
    points = list(dict.fromkeys(point for own in axes.values() for point in own))
    calls: dict[str, Call] = {}
    costs: dict[str, dict[str, Any]] = {}
    with programs.no_compile_cache():
        for index, point in enumerate(points):
            sizes = ", ".join(f"{k} {v}" for k, v in dataclasses.asdict(point).items())
            watch.phase(f"compiling point {index + 1} of {len(points)}: {sizes}")
            for step, (call, program) in _steps(config, point).items():
                name = f"{index}: {step}"
                calls[name] = call
                costs[name] = {
                    "temp_bytes": program.temp_bytes,
                    "trace_s": program.trace_s,
                    "compile_s": program.compile_s,
                }
        watch.phase(f"timing {len(calls)} steps in {config.rounds} rounds")
        times = turns.in_turns(
            calls, rounds=config.rounds, steps=config.paths, watch=watch
        )

    def row(axis: str, point: Point) -> dict[str, Any]:
        index = points.index(point)
        names = {step: f"{index}: {step}" for step in STEPS}
        return {
            "axis": axis,
            "value": getattr(point, axis),
            "layers": point.cells * len(config.stage_widths),
            **{
                step: {"ms": times[name], **costs[name]} for step, name in names.items()
            },
        }

    return {
        "name": "scaling",
        "config": dataclasses.asdict(config),
        "rows": [row(axis, point) for axis, own in axes.items() for point in own],
        "machine": machine.record(is_tuned),
    }


def _steps(
    config: ScalingConfig, point: Point
) -> dict[str, tuple[Call, programs.Program]]:
    """The steps at one point, and the programs whose memory and compilation count."""
    searched = builders.mobile(config.space(point))
    work = workload.make(searched, point.batch, config.paths, config.seed, among=FEW)
    state = workload.start(work, config.seed)
    return {
        "plain_step": (
            workload.plain_step(work, state),
            programs.plain(workload.largest(searched), point.batch),
        ),
        "weight_step": (
            workload.weight_step(work, state),
            programs.weight(searched, point.batch),
        ),
        "arch_step": (
            workload.arch_step(work, state),
            programs.arch(searched, point.batch),
        ),
    }


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and a row per axis and value, as text."""
    quantities = scaling_plot.QUANTITIES
    columns = [
        f"{step.removesuffix('_step')}, {quantity.unit}"
        for quantity in quantities
        for step in STEPS
    ]
    return [
        ("axis", "value", *columns),
        *(
            (
                scaling_plot.AXIS_LABELS[row["axis"]],
                str(scaling_plot.position(row)),
                *(
                    f"{quantity.of(row[step]):.1f}"
                    for quantity in quantities
                    for step in STEPS
                ),
            )
            for row in result["rows"]
        ),
    ]
