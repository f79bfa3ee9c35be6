"""Each table of the paper: its numbers, and ours where there are any.

Ours are computed when the table is printed (parameters, multiply-adds), read from a
record of a run with its commit, or "not yet run" with the command that runs them.
Nothing is guessed.
"""

from collections.abc import Callable
from typing import NamedTuple

from nas_jax.networks import counts
from nas_jax.paper import figures, records
from nas_jax.paper.figures import Figure
from nas_jax.spaces import published

ABSENT = "-"
NOT_RUN = "not yet run"
_LEFT_OUT = (
    "the paper has more rows: those that no two public texts confirm are left out"
)


class Table(NamedTuple):
    """A table ready for printing: a header, rows of as many cells, notes below."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: tuple[str, ...]


def cifar10() -> Table:
    """Test error and parameters on CIFAR-10; our count of the published network."""
    rows = []
    for row in figures.CIFAR10:
        is_ours = row.name == figures.PROXYLESS_CIFAR
        params, _ = _counts("proxyless_cifar" if is_ours else None)
        error = NOT_RUN if is_ours else ABSENT
        rows.append((*_paper(row, "params", "error"), params, error))
    return Table(
        "CIFAR-10 test error",
        ("model", "paper params", "paper error %", "here params", "here error %"),
        rows,
        (
            _LEFT_OUT,
            _not_run("nas_jax search cifar10_tree --data.path cifar-10-binary.tar.gz"),
        ),
    )


def imagenet_mobile() -> Table:
    """ImageNet on the phone; our counts."""
    ours = {
        figures.MOBILENET_V2: "mobilenet_v2",
        figures.PROXYLESS_MOBILE: "proxyless_mobile",
    }
    searches = (figures.WITH_LATENCY, figures.WITHOUT_LATENCY, figures.PROXYLESS_MOBILE)
    rows = []
    for row in figures.IMAGENET_MOBILE:
        paper = _paper(row, "top1", "top5", "ms", "hours")
        ms = NOT_RUN if row.name in ours else ABSENT
        top1 = NOT_RUN if row.name in searches else ABSENT
        rows.append((*paper, *_counts(ours.get(row.name)), ms, top1))
    return Table(
        "ImageNet, under a latency on the phone",
        (
            *("model", "paper top-1", "paper top-5", "paper ms", "paper GPU hours"),
            *("here params", "here MACs", "here ms", "here top-1"),
        ),
        rows,
        (
            "milliseconds on a Google Pixel 1, batch 1; the shipped Pixel-1 table has "
            "other widths than the published networks and cannot predict them",
            _not_run("nas_jax measure imagenet_mobile --runtime phone"),
            _not_run("nas_jax search imagenet_mobile --data.path DATA"),
        ),
    )


def imagenet_gpu() -> Table:
    """ImageNet on the GPU; our counts."""
    ours = {
        figures.MOBILENET_V2: "mobilenet_v2",
        figures.PROXYLESS_GPU: "proxyless_gpu",
    }
    rows = []
    for row in figures.IMAGENET_GPU:
        paper = _paper(row, "top1", "top5", "ms", ms=".1f")
        ms = NOT_RUN if row.name in ours else ABSENT
        rows.append((*paper, *_counts(ours.get(row.name)), ms))
    return Table(
        "ImageNet, under a latency on the GPU",
        (
            *("model", "paper top-1", "paper top-5", "paper ms"),
            *("here params", "here MACs", "here ms"),
        ),
        rows,
        (
            "milliseconds on a V100 at batch 8",
            _LEFT_OUT,
            _not_run("nas_jax paper cross-hardware, on a machine with a GPU"),
        ),
    )


def ablation() -> Table:
    """What the latency in the loss is worth."""
    chosen = (figures.WITHOUT_LATENCY, figures.WITH_LATENCY)
    flags = ("--search.objective none", "--search.objective add_linear")
    rows = [
        (*_paper(row, "top1", "ms"), NOT_RUN, NOT_RUN)
        for row in figures.IMAGENET_MOBILE
        if row.name in chosen
    ]
    return Table(
        "The latency in the loss, left out and put in",
        ("model", "paper top-1", "paper ms", "here top-1", "here ms"),
        rows,
        tuple(
            _not_run(f"nas_jax search imagenet_mobile --data.path DATA {flag}")
            for flag in flags
        ),
    )


def trade_off() -> Table:
    """Accuracy against latency; ours on the digits, where a curve was recorded."""
    paper = [(*_paper(row, "ms", "top1"), ABSENT, ABSENT) for row in figures.TRADE_OFF]
    rows, note = records.trade_off()
    return Table(
        "Accuracy against latency",
        ("model", "paper ms", "paper top-1", "here ms", "here test accuracy"),
        [*paper, *((name, ABSENT, ABSENT, ms, top1) for name, ms, top1 in rows)],
        (
            "the paper: ImageNet on a Google Pixel 1, read off its figure; 1.83 times "
            "faster than MobileNetV2 at equal top-1",
            note,
            _not_run(
                "nas_jax search imagenet_mobile --data.path DATA --targets 0.4,0.6,0.8"
            ),
        ),
    )


def cost() -> Table:
    """What a search takes, against training one network and against other searches."""
    one, every, note = records.memory()
    here = {figures.PROXYLESS_COST: one, figures.ALL_PATHS: every}
    rows = [
        (
            *_paper(row, "hours", "gb"),
            NOT_RUN if row.name == figures.PROXYLESS_COST else ABSENT,
            here.get(row.name, ABSENT),
        )
        for row in figures.COST
    ]
    return Table(
        "The cost of a search",
        (
            *("approach", "paper GPU hours", "paper GB", "here GPU hours"),
            "here memory, of a training step",
        ),
        rows,
        (
            "the paper's are read off a figure with a logarithmic axis; its table says "
            "200 GPU hours",
            note,
            _not_run("nas_jax search imagenet_mobile --data.path DATA, on a GPU"),
        ),
    )


def latency_model() -> Table:
    """How well latencies are predicted that the model was not fitted to."""
    paper = figures.LATENCY_MODEL.numbers
    numbers = (f"{paper[key]:g}" for key in ("rmse_ms", "fitted", "held_out"))
    rows = [("paper", "Pixel 1", ABSENT, *numbers)]
    ours, note = records.latency_models()
    return Table(
        "Predicted latency of networks that fitted nothing",
        ("", "device", "mean ms", "RMSE ms", "fitted to", "held-out networks"),
        [*rows, *ours],
        (note,),
    )


TABLES: dict[str, Callable[[], Table]] = {
    "cifar10": cifar10,
    "imagenet-mobile": imagenet_mobile,
    "imagenet-gpu": imagenet_gpu,
    "ablation": ablation,
    "trade-off": trade_off,
    "cost": cost,
    "latency-model": latency_model,
}
"""What can be printed without measuring anything."""


def _paper(row: Figure, *columns: str, ms: str = ",.0f") -> tuple[str, ...]:
    """Name and cells of a row of the paper; `ms` is the format of milliseconds."""
    forms = {"error": ".2f", "top1": ".1f", "top5": ".1f", "ms": ms}
    cells = {
        key: format(number, forms.get(key, ",.0f"))
        for key, number in row.numbers.items()
    }
    if "params" in cells:
        cells["params"] = millions(row.numbers["params"])
    return (row.name, *(cells.get(column, ABSENT) for column in columns))


def _counts(name: str | None) -> tuple[str, str]:
    """Parameters and multiply-adds of a published network."""
    if name is None:
        return ABSENT, ABSENT
    size = counts.describe(published.get(name))
    return millions(size["params"]), millions(size["macs"])


def millions(number: float) -> str:
    """
    >>> millions(4_080_512)
    '4.08 M'
    """
    return f"{number / 1e6:.2f} M"


def _not_run(command: str) -> str:
    return f"{NOT_RUN}: {command}"
