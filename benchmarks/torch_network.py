"""The over-parameterised network in PyTorch: what the peer of the engine bench runs.

Written after ProxylessNAS (section 3.1; details as in the reference implementation) in
PyTorch's own idiom: `nn.Conv2d` without bias and k//2 padding, `nn.BatchNorm2d`,
`nn.ReLU6(inplace=True)`. Modules are

    {"before": stem and first block, "layers": [{name of candidate: its MBConv}, ...],
     "after": head and classifier}

Zero owns no module: it stands where the shortcut is, so the block is the identity.
PyTorch is an optional extra and imported where it is needed.
"""

import importlib.util
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from nas_jax.networks.batch_norm import BN_MOMENTUM
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import BN_EPS, Classifier, Head, Part, Stem
from nas_jax.spaces.space import SearchSpace

# Of torch, which mypy may not find: nn.Module, Tensor.
Module = Any
Tensor = Any

RunBlock = Callable[[int, Tensor], Tensor]


def available() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def require() -> None:
    """Raises `ValueError` without PyTorch."""
    if not available():
        raise ValueError(
            "expected PyTorch, which is not installed; pip install 'nas_jax[torch]'"
        )


def check_space(searched: SearchSpace) -> None:
    """Raises `ValueError` unless the space is a chain of inverted bottlenecks."""
    if searched.cells:
        raise ValueError(
            f"space {searched.name!r}: expected a chain of blocks, got tree cells; "
            "the PyTorch peer does not have them, take a mobile space"
        )
    others = [
        op.name for op in searched.candidates if op.kind not in ("mbconv", "zero")
    ]
    if others:
        raise ValueError(
            f"space {searched.name!r}: expected candidates 'mb<expansion>_k<kernel>' "
            f"and 'zero', got {', '.join(others)}; the PyTorch peer does not have "
            "them, remove them"
        )


def build(
    searched: SearchSpace, candidates: Sequence[Sequence[OpSpec]], seed: int
) -> Module:
    """Modules of the fixed parts, and of the given candidates of every layer.

    All candidates make the supernet, one per layer a plain network. Initial values are
    the reference's: convolutions N(0, sqrt(2 / (k k out))), groups not divided out;
    linear weights uniform within 1/sqrt(in) (PyTorch's own), bias 0. PyTorch's global
    random state is left as it was.
    """
    import torch
    from torch import nn

    def fixed(*names: str) -> Module:
        own = [(name, modules(part)) for name, part in searched.fixed.items()]
        return nn.Sequential(OrderedDict(pair for pair in own if pair[0] in names))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [
            nn.ModuleDict(
                {op.name: modules(layer.block(op)) for op in ops if op.kind != "zero"}
            )
            for layer, ops in zip(searched.layers, candidates, strict=True)
        ]
        network = nn.ModuleDict(
            {
                "before": fixed("stem", "first_block"),
                "layers": nn.ModuleList(layers),
                "after": fixed("head", "classifier"),
            }
        )
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                k, _ = module.kernel_size
                std = (2 / (k * k * module.out_channels)) ** 0.5
                nn.init.normal_(module.weight, std=std)
            elif isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
    return network


def modules(part: Part) -> Module:
    """The modules of a part in order; `ValueError` for one the peer does not have."""
    from torch import nn

    match part:
        case Stem():
            return nn.Sequential(
                *_conv(part.in_channels, part.out_channels, part.kernel, part.stride)
            )
        case Block():
            return _mbconv(part)
        case Head():
            return nn.Sequential(*_conv(part.in_channels, part.out_channels))
        case Classifier():
            linear = nn.Linear(part.in_channels, part.classes)
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
        case other:
            raise ValueError(
                f"part {other.key!r}: expected stem, block, head or classifier; the "
                "PyTorch peer has no other"
            )


def _mbconv(block: Block) -> Module:
    from torch import nn

    inner, k = block.inner_channels, block.op.kernel
    expand = _conv(block.in_channels, inner) if block.op.expansion > 1 else []
    return nn.Sequential(
        *expand,
        *_conv(inner, inner, k, block.stride, groups=inner),
        *_conv(inner, block.out_channels)[:-1],  # no activation at the end
    )


def _conv(
    channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> list[Module]:
    """Convolution, BN, ReLU6."""
    from torch import nn

    return [
        nn.Conv2d(
            *(channels, out, kernel, stride, kernel // 2), groups=groups, bias=False
        ),
        nn.BatchNorm2d(out, eps=BN_EPS, momentum=BN_MOMENTUM),
        nn.ReLU6(inplace=True),
    ]


def forward(network: Module, run_block: RunBlock, images: Tensor) -> Tensor:
    """Logits `[B classes]` of images `[B C H W]`.

    `run_block(index, x)` runs a block with its shortcut.
    """
    x = network["before"](images)
    for index in range(len(network["layers"])):
        x = run_block(index, x)
    return network["after"](x)


def run_path(
    searched: SearchSpace, network: Module, ops: Sequence[OpSpec], images: Tensor
) -> Tensor:
    """Logits `[B classes]` along one path."""

    def run_block(index: int, x: Tensor) -> Tensor:
        y = run_candidate(network, index, ops[index], x)
        return join(searched, index, x, y)

    return forward(network, run_block, images)


def run_candidate(network: Module, index: int, op: OpSpec, x: Tensor) -> Tensor | None:
    """Output of a candidate, without the shortcut; None stands for the 0 of Zero."""
    return None if op.kind == "zero" else network["layers"][index][op.name](x)


def join(searched: SearchSpace, index: int, x: Tensor, y: Tensor | None) -> Tensor:
    """Output of a block: x + y, or y without a shortcut; Zero is never without one."""
    if y is None:
        return x
    return x + y if searched.layers[index].shortcut else y
