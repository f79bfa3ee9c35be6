"""The numbers of the paper (Cai, Zhu, Han, ICLR 2019) and of those it compares with.

The paper's own text was not at hand. A row is here if its authors publish it elsewhere
(abstract, README and pictures of github.com/mit-han-lab/proxylessnas) or if two
independent public texts have all its numbers; these stand beside it. Rows of the paper
with less than that are left out.
"""

from typing import NamedTuple


class Figure(NamedTuple):
    """A row of the paper: what it is about, its numbers by column."""

    name: str
    numbers: dict[str, float]


PROXYLESS_CIFAR = "Proxyless-G + cutout"
CIFAR10 = (
    # [list], [DSO-NAS]
    Figure("DenseNet-BC", {"params": 25.6e6, "error": 3.46}),
    # README of github.com/jhkim89/PyramidNet (depth 272, alpha 200), [slides]
    Figure("PyramidNet", {"params": 26.0e6, "error": 3.31}),
    # [NASNet], [slides]
    Figure("Shake-Shake + cutout", {"params": 26.2e6, "error": 2.56}),
    # [list], [DSO-NAS]
    Figure("ENAS + cutout", {"params": 4.6e6, "error": 2.89}),
    # [DSO-NAS], gist.github.com/gngdb/70b8d6f6c2d838de7948d11128de037d
    Figure("DARTS + cutout", {"params": 3.4e6, "error": 2.83}),
    # [list], [NASNet]
    Figure("NASNet-A + cutout", {"params": 27.6e6, "error": 2.40}),
    # [list], README of github.com/han-cai/PathLevel-EAS, abstract of arXiv 1806.02639
    Figure("PathLevel EAS + cutout", {"params": 14.3e6, "error": 2.30}),
    # [list], README of github.com/prathik8794/BTP-RNAS-RNN
    Figure("AmoebaNet-B + cutout", {"params": 34.9e6, "error": 2.13}),
    # the paper's abstract
    Figure(PROXYLESS_CIFAR, {"params": 5.7e6, "error": 2.08}),
)
"""Test errors in per cent; without Proxyless-R and PyramidNet with ShakeDrop.

[list] README of github.com/YIWEI-CHEN/awesome-automated-machine-learning, [DSO-NAS]
table 1 of "Single shot neural architecture search via direct sparse optimization",
[NASNet] arXiv 1707.07012, its table for CIFAR-10, [slides] speakerdeck.com/satuma777 on
path-level network transformation.
"""

CIFAR10_HOURS = 96
"""GPU hours of the search: the 4 GPU days that table 2 of TE-NAS (ICLR 2021) states.

The abstract and the README of the paper's authors state none.
"""

WITHOUT_LATENCY = "Proxyless-G"
WITH_LATENCY = "Proxyless-G + latency loss"
PROXYLESS_MOBILE = "Proxyless-R"
MOBILENET_V2 = "MobileNetV2"
_MANUAL = "MobileNetV1"
_MNASNET_AGAIN = "MnasNet (the paper's own training)"
IMAGENET_MOBILE = (
    Figure(_MANUAL, {"top1": 70.6, "top5": 89.5, "ms": 113}),
    Figure(MOBILENET_V2, {"top1": 72.0, "top5": 91.0, "ms": 75}),
    Figure("NASNet-A", {"top1": 74.0, "top5": 91.3, "ms": 183, "hours": 48_000}),
    Figure("AmoebaNet-A", {"top1": 74.5, "top5": 92.0, "ms": 190, "hours": 75_600}),
    Figure("MnasNet", {"top1": 74.0, "top5": 91.8, "ms": 76, "hours": 40_000}),
    Figure(_MNASNET_AGAIN, {"top1": 74.0, "top5": 91.8, "ms": 79, "hours": 40_000}),
    Figure(WITHOUT_LATENCY, {"top1": 71.8, "top5": 90.3, "ms": 83, "hours": 200}),
    Figure(WITH_LATENCY, {"top1": 74.2, "top5": 91.7, "ms": 79, "hours": 200}),
    Figure(PROXYLESS_MOBILE, {"top1": 74.6, "top5": 92.2, "ms": 78, "hours": 200}),
)
"""Top-1 and top-5 in per cent, milliseconds on a Pixel 1, GPU hours of the search."""

PROXYLESS_GPU = "Proxyless (GPU)"
IMAGENET_GPU = (
    Figure(MOBILENET_V2, {"top1": 72.0, "top5": 91.0, "ms": 6.1}),
    Figure("ShuffleNetV2 (1.5)", {"top1": 72.6, "ms": 7.3}),
    Figure("ResNet-34", {"top1": 73.3, "top5": 91.4, "ms": 8.0}),
    Figure(_MNASNET_AGAIN, {"top1": 74.0, "top5": 91.8, "ms": 6.1}),
    Figure(PROXYLESS_GPU, {"top1": 75.1, "top5": 92.5, "ms": 5.1}),
)
"""Milliseconds on a V100 at batch 8; without NASNet-A and DARTS."""

TRADE_OFF = (
    Figure("Proxyless", {"ms": 30, "top1": 68.2}),
    Figure("Proxyless", {"ms": 78, "top1": 74.6}),
    Figure("Proxyless", {"ms": 147, "top1": 76.7}),
    Figure(MOBILENET_V2, {"ms": 29, "top1": 65.4}),
    Figure(MOBILENET_V2, {"ms": 75, "top1": 72.0}),
    Figure(MOBILENET_V2, {"ms": 143, "top1": 74.7}),
)
"""Read off the figure, but for 78 and 75 ms; on a Pixel 1."""

PROXYLESS_COST = "Proxyless"
ALL_PATHS = "DARTS, one-shot"
ONE_NETWORK = "training one network"
COST = (
    Figure(ONE_NETWORK, {"hours": 100, "gb": 10}),
    Figure("NAS with a meta controller", {"hours": 1.8e4, "gb": 10}),
    Figure(ALL_PATHS, {"hours": 950, "gb": 87}),
    Figure(PROXYLESS_COST, {"hours": 140, "gb": 14}),
)
"""Read off the figure, whose axis is logarithmic; the table says 200 hours."""

LATENCY_MODEL = Figure("Pixel 1", {"rmse_ms": 0.75, "fitted": 4000, "held_out": 1000})
