"""The paper's cross-hardware table, beside what is measured here.

Cai, Zhu, Han (ICLR 2019): networks specialised for GPU, CPU and phone on each of the
three; a V100 at batch 8, two Xeon E5-2640 v4 at batch 1, a Google Pixel 1 at batch 1
(figure `specialization`; MobileNetV2 from the tables for phone and GPU, which state no
CPU). Milliseconds of other hardware cannot be compared with ours, ratios to MobileNetV2
can, and whether a network specialised for a device is the fastest of them there.
"""

from typing import Any

import numpy as np

from nas_jax.latency.measurement.journal import Journal
from nas_jax.latency.measurement.timing import Device, Progress
from nas_jax.paper.tables import Table
from nas_jax.spaces import published

REFERENCE = "mobilenet_v2"
PAPER_MS: dict[str, dict[str, float]] = {
    "mobilenet_v2": {"gpu": 6.1, "mobile": 75.0},
    "proxyless_gpu": {"gpu": 5.1, "cpu": 204.9, "mobile": 124.0},
    "proxyless_cpu": {"gpu": 7.4, "cpu": 138.7, "mobile": 116.0},
    "proxyless_mobile": {"gpu": 7.2, "cpu": 164.1, "mobile": 78.0},
}
"""The paper's figures. It states no CPU time of MobileNetV2."""
PAPER_TOP1 = {
    "mobilenet_v2": 72.0,
    "proxyless_gpu": 75.1,
    "proxyless_cpu": 75.3,
    "proxyless_mobile": 74.6,
}
"""The paper's top-1 accuracy on ImageNet in per cent."""
TITLE = "Networks across devices"
BATCH = {"cpu": 1, "gpu": 8}
"""Images per inference on each kind of device, the paper's."""
_COMMAND = {
    "cpu": "nas_jax paper cross-hardware",
    "gpu": "nas_jax paper cross-hardware, on a machine with a GPU",
    "mobile": "nas_jax measure imagenet_mobile --runtime phone",
}


def measure(
    device: Device,
    input_size: int = 224,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Milliseconds of the networks on a device, all timed interleaved."""
    from nas_jax.latency.measurement import whole_networks  # SciPy: not to list tables

    networks = [published.get(name, input_size) for name in PAPER_MS]
    times = whole_networks.measure(device, networks, Journal(None, {}), progress)
    return dict(zip(PAPER_MS, np.asarray(times).tolist(), strict=True))


def table_of(here: dict[str, dict[str, Any]], commit: str | None) -> Table:
    """Per kind of device the paper's and our ms and ratios.

    `here` has for every kind of device ("cpu", "gpu") that was measured its `ms` by
    network and what they were measured on; `commit` is that of a stored measurement.
    """
    kinds = ("gpu", "cpu", "mobile")
    header = ["network", "paper top-1"]
    for kind in kinds:
        header += [f"{kind}: paper ms", "ratio", "here ms", "ratio"]
    rows = []
    for name, paper in PAPER_MS.items():
        cells = [name, f"{PAPER_TOP1[name]:.1f}"]
        for kind in kinds:
            cells += _pair(paper.get(kind), PAPER_MS[REFERENCE].get(kind))
            ours = here[kind]["ms"] if kind in here else {}
            cells += _pair(ours.get(name), ours.get(REFERENCE))
        rows.append(tuple(cells))
    where = "" if commit is None else f", commit {commit}"
    notes = [
        "paper: V100 batch 8, two Xeon E5-2640 v4 batch 1, Pixel 1 batch 1, as "
        f"published; ratios are to {REFERENCE}",
        *(
            f"{kind} here: {one['device']}, {one['runtime']}, batch {one['batch']}, "
            f"{one['threads']} thread(s), images of {one['input_size']}{where}"
            for kind, one in here.items()
        ),
    ]
    missing = sorted(set(kinds) - here.keys())
    notes += [f"{kind} here: not yet run: {_COMMAND[kind]}" for kind in missing]
    return Table(TITLE, tuple(header), rows, tuple(notes))


def _pair(ms: float | None, reference_ms: float | None) -> list[str]:
    if ms is None:
        return ["-", "-"]
    return [f"{ms:.4g}", "-" if reference_ms is None else f"{ms / reference_ms:.2f}"]
