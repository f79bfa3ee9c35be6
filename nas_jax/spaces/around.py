"""The space around a network: what its weights can be cut to.

Widths of the stages, expansions, kernels and depth are choices that a given network is
one of, the largest; `networks.inherit` cuts weights for every network of the space.
It is also the network that those found are held against.
"""

from collections.abc import Sequence

from nas_jax.config.space import ElasticConfig
from nas_jax.config.widths import round_channels
from nas_jax.spaces import architecture, builders
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import MBCONV, Block

SHARES = (0.75, 1.0)
"""Of a stage's width; smaller ones would meet that of the stage before."""
EXPANSIONS = (2, 3, 4, 6)
KERNELS = (3, 5)


def space(
    network: Architecture,
    sides: Sequence[int],
    channels: int,
    classes: int,
    shares: Sequence[float] = SHARES,
) -> ElasticConfig:
    """The elastic space around a network, for images of other sides and classes.

    Raises `ValueError` for tree cells, other operations than MBConv and `zero`, and for
    widths that fall from stage to stage.

    >>> from nas_jax.spaces import published
    >>> found = space(published.get("mobilenet_v2"), (96, 128), 3, 10)
    >>> found.stage_choices[:3], found.cells, found.strides
    (((24,), (24, 32), (48, 64)), (2, 3, 4, 3, 3, 1), (2, 2, 2, 1, 2, 1))
    """
    blocks = list(network.blocks)
    if others := network.beside_mbconv:
        raise ValueError(
            f"network {network.name!r}: expected a chain of mbconv and zero, got "
            f"{others}"
        )
    first = None
    if blocks[0].op.kind == MBCONV.kind and blocks[0].op.expansion == 1:
        first = blocks.pop(0).out_channels
    stages: list[list[Block]] = []
    for block in blocks:
        if block.stride > 1 or not stages or block.out_channels != block.in_channels:
            stages.append([])
        stages[-1].append(block)
    widths = [stage[0].out_channels for stage in stages]
    ops = {one.op for one in blocks if not one.op.is_zero}
    kernels = sorted({*KERNELS, *(op.kernel for op in ops)})
    most = max(op.expansion for op in ops)
    expansions = sorted({*(e for e in EXPANSIONS if e <= most), most})
    return ElasticConfig(
        name=network.name,
        input_sizes=tuple(sides),
        input_channels=channels,
        classes=classes,
        stem_widths=(network.stem.out_channels,),
        stem_stride=network.stem.stride,
        first_block_channels=first,
        stage_choices=tuple(_choices(width, shares) for width in widths),
        cells=tuple(map(len, stages)),
        strides=tuple(stage[0].stride for stage in stages),
        candidates=(*(f"mb{e}_k{k}" for k in kernels for e in expansions), "zero"),
        head_channels=network.head.out_channels,
        bn_eps=network.bn_eps,
        padding=network.padding,
        hand_designed=tuple(block.op.name for block in blocks),
    )


def _choices(width: int, shares: Sequence[float]) -> tuple[int, ...]:
    rounded = {round_channels(share * width) for share in shares}
    return tuple(sorted({min(width, one) for one in rounded}))


def resized(
    network: Architecture, side: int, channels: int, classes: int
) -> Architecture:
    """The same network for images of another side and colour, of other classes.

    Raises `ValueError` as `space`, and for a network that no space of ours has.

    >>> from nas_jax.spaces import published
    >>> resized(published.get("mobilenet_v2"), 96, 3, 10).input_shape
    (96, 96, 3)
    """
    if (
        _of_space(network, *network.input_shape[1:], network.classifier.classes)
        != network
    ):
        raise ValueError(
            f"network {network.name!r}: expected a first block mb1_k3 or none, and a "
            "shortcut in every block of stride 1 and equal widths, got others"
        )
    return _of_space(network, side, channels, classes)


def _of_space(
    network: Architecture, side: int, channels: int, classes: int
) -> Architecture:
    """The network as one of the space around it."""
    config = space(network, (side,), channels, classes, (1.0,))
    ops = [block.op for block in network.blocks]
    if config.first_block_channels is not None:
        ops = ops[1:]
    return architecture.from_ops(builders.build(config), ops, network.name)
