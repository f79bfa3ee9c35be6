"""The searched network against the others, in tables."""

from collections.abc import Iterable, Mapping, Sequence

from nas_jax.report import quantities as q
from nas_jax.report.run_files import NetworkResult, RunFiles
from nas_jax.report.scatter import Measured
from nas_jax.report.styles import kind
from nas_jax.report.table import Cell, Row, Table
from nas_jax.training import scores

_SIZES = ("parameters", "multiply-adds")
_MEMORY = ("flash", "peak memory")
_TIMES = ("predicted", "measured", "measured / predicted")


def table(networks: Mapping[str, NetworkResult]) -> Table:
    """One row per network; a balanced accuracy where it says something else.

    Where networks were tested in 8 bits, that accuracy stands beside the float one.
    """
    columns = _columns(networks)
    rows = (
        Row(name, _cells(found, columns), is_first=name == "searched", mark=name)
        for name, found in networks.items()
    )
    return Table(("network", *columns), tuple(rows))


def has_int8(networks: Iterable[NetworkResult]) -> bool:
    """Whether some were tested in 8 bits."""
    return any(one.test_accuracy_int8 is not None for one in networks)


def _accuracies(networks: Mapping[str, NetworkResult]) -> tuple[str, ...]:
    """The kinds of accuracy that a table has, the float one first."""
    kinds = ["test accuracy", *["in 8 bits"] * has_int8(networks.values())]
    if scores.is_balance_telling(networks):
        kinds.append("balanced accuracy")
    return tuple(kinds)


def table_of_runs(found: Sequence[Measured]) -> Table:
    """One row per network of several runs, those of a run together."""
    networks = {f"{one.run} {one.name}": one.network for one in found}
    columns = _columns(networks)
    rows = (
        Row(
            one.name,
            (one.run, *_cells(one.network, columns)),
            kind(one.name) == "searched",
        )
        for one in found
    )
    return Table(("network", "run", *columns), tuple(rows))


def _columns(networks: Mapping[str, NetworkResult]) -> tuple[str, ...]:
    """What is told of every network; an older run does not know the memory."""
    is_known = any(found.flash_bytes is not None for found in networks.values())
    memory = _MEMORY if is_known else ()
    return (*_accuracies(networks), *_SIZES, *memory, *_TIMES)


def targets(run: RunFiles) -> Table | None:
    """A row per target where there are several: what was asked for, and what it gave.

    The speed-up is that over the hand-designed network of equal accuracy, as
    `result.json` states it.
    """
    if not run.result.targets:
        return None
    rows = [
        Row(
            name,
            (
                f"{target.target}: {q.milliseconds(target.target_ms)}",
                q.milliseconds(run.result_of(name).predicted_ms),
                q.ratio(target.speed_up),
            ),
            mark=name,
        )
        for name, target in run.result.targets.items()
    ]
    columns = ("network", "target", "predicted", "speed-up at equal accuracy")
    return Table(columns, tuple(rows))


def predicted_interval(found: NetworkResult) -> tuple[float, float] | None:
    """Where 80 % of such networks are, by those that were held against the table."""
    return None if found.prediction is None else found.prediction.interval()


def interval(found: NetworkResult) -> tuple[float, float] | None:
    """The 95 % interval of the accuracy that counts, if images were counted."""
    return _wilson(found.shipped_accuracy, found.test_images)


def _wilson(accuracy: float | None, images: int | None) -> tuple[float, float] | None:
    return None if accuracy is None or not images else q.wilson(accuracy, images)


def _cells(found: NetworkResult, columns: tuple[str, ...]) -> tuple[Cell, ...]:
    predicted = None if found.predicted_ms is None else predicted_interval(found)
    flash, peak = found.flash_bytes, found.peak_memory_bytes
    cells = {
        "test accuracy": _share(found.test_accuracy, found.test_images),
        "in 8 bits": _share(found.test_accuracy_int8, found.test_images),
        "balanced accuracy": Cell(q.percent(found.balanced_accuracy)),
        "parameters": Cell(q.count(found.params), title=found.params),
        "multiply-adds": Cell(q.count(found.macs), title=found.macs),
        "flash": Cell(q.size(flash), title=flash),
        "peak memory": Cell(q.size(peak), title=peak),
        "predicted": Cell(q.milliseconds(found.predicted_ms), _span(predicted)),
        "measured": Cell(q.milliseconds(found.measured_ms), _span(found.quartiles_ms)),
        "measured / predicted": Cell(q.fixed(found.measured_over_predicted, 2)),
    }
    return tuple(cells[column] for column in columns)


def _share(accuracy: float | None, images: int | None) -> Cell:
    bounds = _wilson(accuracy, images) or ()
    return Cell(q.percent(accuracy), "–".join(f"{100 * bound:.1f}" for bound in bounds))


def _span(bounds: tuple[float, float] | None) -> str:
    return "–".join(map(q.decimals, bounds or ()))
