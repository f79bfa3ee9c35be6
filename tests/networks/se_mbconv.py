"""An experiment with an operation of its own: MBConv with squeeze-and-excitation.

Swish, hard, in place of ReLU6 (MobileNetV3). Tests read this file as a user's.
"""

import dataclasses

from nas_jax.networks.layers import ConvBNAct, Sequential, SqueezeExcite
from nas_jax.spaces import operations
from tests import small_run


def macs(block):
    inner, reduced = block.inner_channels, block.inner_channels // 4
    expand = block.in_channels * inner * block.input_size**2
    after = (block.op.kernel**2 + block.out_channels) * inner * block.output_size**2
    return expand + 2 * inner * reduced + after


@operations.register("se{expansion}_k{kernel}", macs=macs).module
class SEMBConv(Sequential):
    """Expand, depthwise, squeeze and excite, project; hard swish."""

    def layers(self):
        block, inner, swish = self.block, self.block.inner_channels, "hard_swish"
        k, stride = block.op.kernel, block.stride
        return [
            ConvBNAct(inner, activation=swish, name="expand"),
            ConvBNAct(
                *(inner, k, stride), depthwise=True, activation=swish, name="depthwise"
            ),
            SqueezeExcite(inner // 4, name="se"),
            ConvBNAct(block.out_channels, activation="none", name="project"),
        ]


def get_config():
    experiment = small_run.EXPERIMENT
    space = dataclasses.replace(
        experiment.space, candidates=("mb6_k3", "se3_k3", "zero"), cells=(1,)
    )
    return dataclasses.replace(
        experiment, name="se_mbconv", space=space, random_networks=0
    )
