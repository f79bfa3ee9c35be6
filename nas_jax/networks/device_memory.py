"""Bytes that a network takes on a device: weights (`flash`) and activations at once.

Each in float32 and in 8 bits, by the names under which it may be limited.
"""

from collections.abc import Callable

from nas_jax.networks import activation_memory, flash, parts
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.parts import Part

FLASH: dict[str, Callable[[Part], int]] = {
    "flash": flash.float32_bytes,
    "flash_int8": flash.int8_bytes,
}
"""Bytes of the weights of a part; those of a network are their sum."""
ACTIVATION_BYTES = {"peak_memory": 4, "peak_memory_int8": 1}
"""Bytes of one number that is alive; see `activation_memory`."""


def describe(architecture: Architecture) -> dict[str, int | None]:
    """`flash_bytes`, `peak_memory_bytes` and the same of int8, ready for JSON.

    None of a network with an operation without a form in ONNX, from which they follow.
    """
    try:
        for block in architecture.blocks:
            parts.require_onnx(block.op)
    except ValueError:
        return dict.fromkeys(f"{name}_bytes" for name in (*FLASH, *ACTIVATION_BYTES))
    numbers = activation_memory.of_network(architecture)
    weights = {name: sum(map(of, architecture.parts)) for name, of in FLASH.items()}
    alive = {name: size * numbers for name, size in ACTIVATION_BYTES.items()}
    return {f"{name}_bytes": size for name, size in (weights | alive).items()}
