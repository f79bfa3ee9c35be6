"""`benchmarks latency_coverage`: how often the stated interval holds what is measured.

Tables are measured and held against networks as a run does it. Then other networks are
timed, a few at a time as at the end of a run, in sessions that are quiet and sessions
beside a process that works on the same machine. Each has its stated 80 % interval, at
the pace of its session; beside it stands the interval at the table's pace, which is all
that is known before a session is timed.
"""

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.settings import LatencyCoverageConfig
from nas_jax.config import provenance, shipped
from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency import risk
from nas_jax.latency.measurement import whole_networks
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.latency.tables import LatencyTable
from nas_jax.runs import assess, pipeline
from nas_jax.spaces import elastic
from nas_jax.spaces.architecture import Architecture
from nas_jax.training.progress import Progress

GOAL = (0.7, 0.9)
"""Of the share that a stated interval of 80 % holds."""
HOW_TO_READ = (
    "Share of networks whose latency lies inside the stated interval of 80 %: that of "
    "their fastest rounds, of which it is stated, at the pace of the session, by its "
    "reference network; their median likewise; and the first at the table's pace, "
    "which is not the machine's now. Wide is the end of the interval over its "
    "beginning, the median. The goal, of the first, is 70 to 90 %."
)
LOAD = "import numpy as np\na = np.ones((600, 600), np.float32)\nwhile True: a @ a\n"
"""Multiplies matrices in one thread, for as long as it is left."""
_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@contextlib.contextmanager
def other_work(is_there: bool) -> Iterator[subprocess.Popen | None]:
    """A context with a process that keeps a core busy, or without one."""
    if not is_there:
        yield None
        return
    with subprocess.Popen([sys.executable, "-c", LOAD], env=_THREAD) as process:
        try:
            yield process
        finally:
            process.kill()


def run(config: LatencyCoverageConfig, watch: Progress) -> dict[str, Any]:
    """Measures the tables and the networks, ready for JSON.

    Raises `ValueError` where a run would not hold its table against networks.
    """
    experiment = shipped.load_experiment(config.experiment)
    latency = dataclasses.replace(experiment.latency, table=None)
    space = elastic.whole(experiment.space)
    rows: list[dict[str, Any]] = []
    sessions: list[dict[str, Any]] = []
    validations = []
    for place in range(config.tables):
        watch.phase(f"latency table {place + 1} of {config.tables}")
        table = pipeline.measure(space, latency, watch)
        if (why := risk.unknown(table)) is not None:
            raise ValueError(
                f"bench latency_coverage: expected a validated table, but {why}; "
                "choose an experiment with a larger space or faster networks"
            )
        validations.append(table.validation)
        seed = config.seed + place + 1
        networks = whole_networks.draw(table, space, config.networks, seed)
        count = -(-config.networks // config.per_session)
        for session in range(count):
            is_loaded = session % 2 == 1
            watch.phase(f"session {session + 1} of {count}")
            with other_work(is_loaded):
                found = timed(table, networks[session::count], latency, watch)
            facts = {"table": place, "is_loaded": is_loaded}
            sessions.append(facts | found.pop("pace"))
            rows += [facts | row for row in found["networks"]]
    return {
        "name": "latency_coverage",
        "networks": rows,
        "sessions": sessions,
        "validations": validations,
        "coverage": {
            "quiet": covered([row for row in rows if not row["is_loaded"]]),
            "beside other work": covered([row for row in rows if row["is_loaded"]]),
            **{
                f"table {place + 1}": covered(
                    [row for row in rows if row["table"] == place]
                )
                for place in range(config.tables)
            },
            "all": covered(rows),
        },
        "config": dataclasses.asdict(config),
        **provenance.record(),
    }


def timed(
    table: LatencyTable,
    networks: Sequence[Architecture],
    latency: LatencyConfig,
    watch: Progress,
) -> dict[str, Any]:
    """The pace of a session and its `networks`, each with its intervals."""
    found = assess.timed(
        {one.name: onnx_runtime.drawn(one) for one in networks},
        {one.name: one.input_shape for one in networks},
        table,
        latency,
        watch,
    )
    if found.pace is None:
        raise ValueError(f"bench latency_coverage: no pace, {found.why_none}")
    rows = []
    for one in networks:
        now = risk.prediction(table, one, found.pace)
        ever = risk.prediction(table, one)
        assert now is not None and ever is not None  # validated
        rows.append(
            {
                "expected_ms": now.mean_ms,
                "measured_ms": found.measured_ms[one.name],
                "interval_ms": now.interval(),
                "at_tables_pace_ms": ever.interval(),
            }
        )
    return {"pace": found.pace._asdict(), "networks": rows}


def covered(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Shares of the networks inside their intervals, and how wide these are."""

    def share(interval: str, statistic: str = "mean") -> float:
        inside = [
            row[interval][0] <= row["measured_ms"][statistic] <= row[interval][1]
            for row in rows
        ]
        return sum(inside) / len(inside)

    widths = sorted(row["interval_ms"][1] / row["interval_ms"][0] for row in rows)
    return {
        "networks": len(rows),
        "inside": share("interval_ms"),
        "medians_inside": share("interval_ms", "median"),
        "inside_at_tables_pace": share("at_tables_pace_ms"),
        "width": widths[len(widths) // 2],
    }


def table(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Header, and a row for each kind of session and each table."""
    rows: list[tuple[str, ...]] = [
        ("sessions", "networks", "inside", "medians", "at the table's pace", "wide", "")
    ]
    for name, found in result["coverage"].items():
        is_kept = GOAL[0] <= found["inside"] <= GOAL[1]
        rows.append(
            (
                name,
                str(found["networks"]),
                f"{found['inside']:.0%}",
                f"{found['medians_inside']:.0%}",
                f"{found['inside_at_tables_pace']:.0%}",
                f"{found['width']:.2f}",
                "met" if is_kept else "missed",
            )
        )
    return rows
