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

from nas_jax.config import Experiment, SpaceConfig, shipped
from nas_jax.networks.layers import ConvBNAct, Sequential
from nas_jax.spaces import operations
from nas_jax.spaces.operations import Block


def _macs(block: Block) -> int:
    weights = 9 * block.in_channels + block.out_channels
    return weights * block.inner_channels * block.output_size**2


@operations.register("fused{expansion}_k3", macs=_macs).module
class FusedMBConv(Sequential):
    """Dense 3x3 to `expansion` times the width, BN, ReLU6; 1x1 back, BN."""

    def layers(self) -> list[ConvBNAct]:
        block = self.block
        return [
            ConvBNAct(block.inner_channels, 3, block.stride, name="expand"),
            ConvBNAct(block.out_channels, activation="none", name="project"),
        ]


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
