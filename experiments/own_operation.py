"""A space of your own with an operation of your own, in one file: copy and change it.

Command: nas_jax search own_operation --seed 0
Hardware: two CPU cores; latency in ONNX Runtime, one thread, batch 64.
Obtained: not yet run.

The operation is the fused inverted bottleneck (Gupta and Tan, 2020; EfficientNetV2): a
dense 3x3 convolution takes the place of the expansion and the depthwise convolution. It
costs more multiply-adds and may be faster where depthwise convolutions are slow, which
a search against measured latency finds out.
"""

import dataclasses

import flax.linen as nn

from nas_jax import layers, onnx_parts, ops, shipped
from nas_jax.config import Experiment, SpaceConfig
from nas_jax.parts import Block, Stem

EXPANSION = 3


def _inner(block: Block) -> int:
    return EXPANSION * block.in_channels


def _macs(block: Block) -> int:
    inner, pixels = _inner(block), block.output_size**2
    return (9 * block.in_channels + block.out_channels) * inner * pixels


def _to_onnx(graph, path, block, value):
    inner = _inner(block)
    convolutions = [
        onnx_parts.Folded("expand", (3, 3, block.in_channels, inner), block.stride),
        onnx_parts.Folded("project", (1, 1, inner, block.out_channels), relu6=False),
    ]
    return onnx_parts.folded_convolutions(graph, path, convolutions, value)


@ops.register("fused3_k3", macs=_macs, to_onnx=_to_onnx)
class FusedMBConv(nn.Module):
    """Dense 3x3 to three times the width, BN, ReLU6; 1x1 back, BN."""

    block: Block

    @nn.compact
    def __call__(self, x, train):
        block = self.block
        expand = Stem(block.in_channels, _inner(block), block.stride, block.input_size)
        x = layers.StemConv(expand, name="expand")(x, train)
        return layers.Pointwise(block.out_channels, False, name="project")(x, train)


def get_config() -> Experiment:
    experiment = shipped.load_experiment("digits_cpu")
    space = SpaceConfig(
        name="digits_fused",
        input_size=16,
        input_channels=1,
        classes=10,
        stem_channels=8,
        first_block_channels=None,
        stage_widths=(8, 16, 32),
        cells=(2, 2, 2),
        strides=(1, 2, 2),
        candidates=("mb3_k3", "mb6_k3", "mb3_k5", "mb6_k5", "fused3_k3", "zero"),
        head_channels=64,
    )
    return dataclasses.replace(experiment, name="own_operation", space=space)
