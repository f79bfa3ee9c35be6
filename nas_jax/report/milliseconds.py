"""Milliseconds layer by layer, by the table, against the measured whole."""

from typing import Any

from nas_jax.latency import tables
from nas_jax.report import quantities as q
from nas_jax.report.drawing import look
from nas_jax.report.run_files import RunFiles
from nas_jax.spaces.architecture import Architecture


def bars(
    run: RunFiles, network: Architecture, measured_ms: float | None
) -> dict[str, Any] | None:
    """A bar per part as `rows`: its name, per cent of the longest, text; and `totals`.

    None if the table does not know every part of the network, or no time.
    """
    if tables.missing(run.table, network.parts):
        return None
    timed = [part for part in network.parts if not tables.is_free(part)]
    costs = [(look(part).name, run.part_ms[part.key]) for part in timed]
    if run.table.fixed_ms:
        costs.append(("runtime", run.table.fixed_ms))
    predicted = tables.predict_ms(run.table, network)
    longest = max(ms for _, ms in costs)
    if longest <= 0:
        return None
    # the same number of decimals in all rows: three digits of the longest time
    digits = q.digits_for(longest)
    rows = []
    for name, ms in costs:
        text = f"{ms:.{digits}f}{q.NBSP}ms, {q.percent(ms / predicted, 0)}"
        rows.append((name, 100 * ms / longest, text))
    totals = {"predicted": q.milliseconds(predicted)}
    if measured_ms is not None:
        totals["measured"] = q.milliseconds(measured_ms)
    return {"rows": rows, "totals": totals}
