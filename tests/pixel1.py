"""Google Pixel 1 as a cost of the paper's space.

`data/pixel1_means.json` holds the means of the table that the reference downloads (ms;
origin inside).
"""

import json
from pathlib import Path

import numpy as np

from nas_jax import space

MEANS = json.loads(
    (Path(__file__).parent / "data" / "pixel1_means.json").read_text(encoding="utf-8")
)["mean_ms"]
PAPER = space.imagenet_mobile()


def shape(size, channels):
    return f"{size}x{size}x{channels}"


def block_key(block):
    """The reference's name of a block."""
    return (
        f"expanded_conv-input:{shape(block.input_size, block.in_channels)}-output:"
        f"{shape(block.output_size, block.out_channels)}-expand:{block.op.expansion}-"
        f"kernel:{block.op.kernel}-stride:{block.stride}-idskip:{int(block.shortcut)}"
    )


def costs():
    """Milliseconds of the candidates, Float `[L K]`, and of the fixed parts."""
    costs = np.zeros(PAPER.mask.shape)
    for row, layer in enumerate(PAPER.layers):
        for op in layer.candidates:
            if op.kind != "zero":
                column = PAPER.candidates.index(op)
                costs[row, column] = MEANS[block_key(layer.block(op))]
    fixed = [
        "Conv-input:224x224x3-output:112x112x32",
        block_key(PAPER.first_block),
        "Conv_1-input:7x7x320-output:7x7x1280",
        "Logits-input:7x7x1280-output:1000",
    ]
    return costs, sum(MEANS[key] for key in fixed)
