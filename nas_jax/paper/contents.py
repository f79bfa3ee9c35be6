"""Each table and figure of the paper: what of it is here, what is missing, its cost.

Hours are the paper's own, of `figures`; no run here has filled such a gap yet.
"""

from typing import NamedTuple

from nas_jax.paper import cross_hardware, figures, records, tables
from nas_jax.paper.tables import ABSENT, NOT_RUN, Table

NUMBERS = (
    "Figures 1 and 2 are numbered as in the paper; the numbers of the others are not "
    "known here."
)
"""The texts: the paper's introduction names Figure 1, study notes quote Figure 2."""


class Item(NamedTuple):
    """A table or figure of the paper; an empty text where there is nothing to say."""

    name: str
    """of `nas_jax paper NAME`"""
    paper: str
    title: str
    here: str
    missing: str
    takes: str


def contents() -> list[Item]:
    """Schematics first, then what has numbers, then the networks that are drawn."""
    method = "not here; docs/method.md has it in words and equations"
    networks = ", ".join(
        name for name in cross_hardware.PAPER_MS if name != cross_hardware.REFERENCE
    )
    return [
        Item("", "Figure 1", "search with and without a proxy", "not here", "", ""),
        Item("", "Figure 2", "weights and gates trained in turns", method, "", ""),
        Item("", "figure", "the expected latency in the loss", method, "", ""),
        *map(_of_table, tables.TABLES),
        _across_devices(),
        Item(
            *("", "figure", "the networks found for GPU, CPU and phone"),
            *(f"nas_jax describe NAME, of {networks}", "", ""),
        ),
    ]


def _hours(rows: tuple[figures.Figure, ...], name: str) -> int:
    return int(next(row.numbers["hours"] for row in rows if row.name == name))


SEARCH_HOURS = _hours(figures.IMAGENET_MOBILE, figures.PROXYLESS_MOBILE)
"""GPU hours of a search, of the paper's table."""
TRAIN_HOURS = _hours(figures.COST, figures.ONE_NETWORK)
"""GPU hours of training one network, read off the paper's figure."""
_EACH = (
    f"{SEARCH_HOURS} GPU hours a search and about {TRAIN_HOURS} a training in the paper"
)
_TAKES = {
    "cifar10": (
        f"a GPU and CIFAR-10: {figures.CIFAR10_HOURS} GPU hours a search, as TE-NAS "
        "(ICLR 2021) states for the paper; of the training no hours are stated"
    ),
    "imagenet-mobile": f"top-1: GPUs and ImageNet, {_EACH}; ms: a Google Pixel 1",
    "imagenet-gpu": "a GPU, in the paper a V100; two networks are timed, none searched",
    "ablation": (
        f"top-1: GPUs and ImageNet, {_EACH}, the two without and with latency of "
        "imagenet-mobile; ms: a Google Pixel 1"
    ),
    "trade-off": f"GPUs and ImageNet: {_EACH}; a Google Pixel 1",
    "cost": (
        f"GPUs and ImageNet: one search, {SEARCH_HOURS} GPU hours in the paper's "
        f"table, about {_hours(figures.COST, figures.PROXYLESS_COST)} in its figure"
    ),
    "latency-model": (
        "a Google Pixel 1; the paper times "
        f"{sum(figures.LATENCY_MODEL.numbers[key] for key in ('fitted', 'held_out')):,}"
        " networks"
    ),
}
_FIGURES = ("trade-off", "cost", "latency-model")
"""Those that the paper draws; the ablation is two rows of the table for the phone."""
_BEYOND = {
    "trade-off": "the same on ImageNet (here: the digits)",
    "latency-model": "the same on a Pixel 1 (here: a CPU)",
}
"""What is missing though no row of the table has a gap."""


def _of_table(name: str) -> Item:
    table = tables.TABLES[name]()
    here, missing = _counted(table)
    gaps = missing or _BEYOND.get(name, "")
    return Item(
        *(name, "figure" if name in _FIGURES else "table", table.title, here),
        f"{gaps}: {NOT_RUN}" if gaps else "",
        _TAKES[name] if gaps else "",
    )


def _counted(table: Table) -> tuple[str, str]:
    """How many cells of our columns are filled and not yet run, by column.

    The latency model has rows of ours in place of columns.
    """
    here, missing = [], []
    for title, *cells in zip(table.header, *table.rows, strict=True):
        if title.startswith("here "):
            gaps = cells.count(NOT_RUN)
            filled = len(cells) - gaps - cells.count(ABSENT)
            column = title.removeprefix("here ")
            here += [f"{column} ({filled})"] if filled else []
            missing += [f"{column} ({gaps})"] if gaps else []
    ours = [row for row in table.rows if row[0] == "here"]
    here += [f"RMSE ms ({len(ours)})"] if ours else []
    return "; ".join(here), "; ".join(missing)


def _across_devices() -> Item:
    runs = [run["here"] for run in records.every("cross-hardware-*.json")]
    measured = [kind for here in runs for kind in here]
    kinds = ("gpu", "cpu", "mobile")
    rows = len(cross_hardware.PAPER_MS)
    here = [
        f"ms, {kind} ({rows * measured.count(kind)})"
        for kind in kinds
        if kind in measured
    ]
    gaps = [f"ms, {kind} ({rows})" for kind in kinds if kind not in measured]
    return Item(
        *("cross-hardware", "table", cross_hardware.TITLE, "; ".join(here)),
        f"{'; '.join(gaps)}: {NOT_RUN}" if gaps else "",
        "a GPU, in the paper a V100; a Google Pixel 1; nothing is searched"
        if gaps
        else "",
    )
