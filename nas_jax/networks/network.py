"""The plain network of one architecture, as pure functions.

Parameters and batch statistics are `{"stem", "blocks": [...], "head", "classifier"}`,
with further fixed parts by their names; a zero block owns an empty dict.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nas_jax.base import Images, Logits, PRNGKey, PyTree
from nas_jax.networks import parts
from nas_jax.spaces.architecture import Architecture


def init(key: PRNGKey, architecture: Architecture) -> tuple[PyTree, PyTree]:
    """Initial parameters and batch statistics."""
    made = assemble_parts(architecture, parts.init_all(key, architecture.parts))
    return jax.device_put(made, may_alias=False)


def shapes(architecture: Architecture) -> tuple[PyTree, PyTree]:
    """Shapes of the parameters and of the batch statistics."""
    return assemble_parts(
        architecture, [parts.shapes(part) for part in architecture.parts]
    )


def zero_stats(architecture: Architecture) -> PyTree:
    """Batch statistics of 0, from which a running value shows what one batch adds."""
    return jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes(architecture)[1]
    )


def assemble_parts(
    architecture: Architecture, pairs: list[tuple[PyTree, PyTree]]
) -> tuple[PyTree, PyTree]:
    """Both trees of a network from those of its parts, in their order."""
    params, batch_stats = (
        assemble(dict(zip(architecture.slots, trees, strict=True)))
        for trees in zip(*pairs, strict=True)
    )
    return params, batch_stats


def assemble(by_slot: dict[str | int, PyTree]) -> PyTree:
    """The tree of a network from what its slots own."""
    fixed = {slot: own for slot, own in by_slot.items() if isinstance(slot, str)}
    return {**fixed, "blocks": [by_slot[i] for i in range(len(by_slot) - len(fixed))]}


def apply(
    architecture: Architecture,
    params: PyTree,
    batch_stats: PyTree,
    images: Images,
    *,
    train: bool,
    kept: Float[Array, "B features"] | None = None,
) -> tuple[Logits, PyTree]:
    """Logits `[B classes]` of images `[B H W C]`, and the batch statistics.

    With `train`, batch normalisation uses the batch and its running values move;
    otherwise it uses the running values and they come back unchanged. What the linear
    layer of the classifier reads is multiplied by `kept`, if it is given: dropout.
    """
    updated: dict[str | int, PyTree] = {}
    conventions = architecture.conventions

    def run(slot: str | int, x: Array) -> Array:
        own, stats = (
            tree["blocks"][slot] if isinstance(slot, int) else tree[slot]
            for tree in (params, batch_stats)
        )
        part = architecture.slots[slot]
        more = {"kept": kept} if slot == "classifier" else {}
        y, updated[slot] = parts.apply(part, own, stats, x, train, conventions, **more)
        return y

    logits = architecture.forward(run, jnp.asarray(images))
    return logits, assemble(updated)


@functools.partial(jax.jit, static_argnums=0)
def predict(
    architecture: Architecture, params: PyTree, batch_stats: PyTree, images: Images
) -> Logits:
    """Logits `[B classes]` with the running statistics."""
    return apply(architecture, params, batch_stats, images, train=False)[0]
