"""The plain network of one architecture, as pure functions.

Parameters and batch statistics are `{"stem", "blocks": [...], "head", "classifier"}`;
a zero block owns an empty dict.
"""

import functools

import jax
import jax.numpy as jnp

from nas_jax import ops
from nas_jax.architecture import Architecture
from nas_jax.base import Images, Logits, PRNGKey, PyTree


@functools.partial(jax.jit, static_argnums=1)
def init(key: PRNGKey, architecture: Architecture) -> tuple[PyTree, PyTree]:
    """Initial parameters and batch statistics."""
    return _assemble_both(ops.init_all(key, architecture.parts))


def shapes(architecture: Architecture) -> tuple[PyTree, PyTree]:
    """Shapes of the parameters and of the batch statistics."""
    return _assemble_both([ops.shapes(part) for part in architecture.parts])


def _assemble_both(pairs: list[tuple[PyTree, PyTree]]) -> tuple[PyTree, PyTree]:
    params, batch_stats = zip(*pairs, strict=True)
    return _assemble(params), _assemble(batch_stats)


def _assemble(parts: tuple[PyTree, ...]) -> PyTree:
    stem, *blocks, head, classifier = parts
    return {"stem": stem, "blocks": blocks, "head": head, "classifier": classifier}


def _parts_of(tree: PyTree) -> list[PyTree]:
    return [tree["stem"], *tree["blocks"], tree["head"], tree["classifier"]]


def apply(
    architecture: Architecture,
    params: PyTree,
    batch_stats: PyTree,
    images: Images,
    *,
    train: bool,
) -> tuple[Logits, PyTree]:
    """Logits `[B classes]` of images `[B H W C]`, and the batch statistics.

    With `train`, batch normalisation uses the batch and its running values move;
    otherwise it uses the running values and they come back unchanged.
    """
    x, updated = jnp.asarray(images), []
    for part, part_params, part_stats in zip(
        architecture.parts, _parts_of(params), _parts_of(batch_stats), strict=True
    ):
        y, new_stats = ops.apply(
            part, part_params, part_stats, x, train, architecture.bn_eps
        )
        x = x + y if getattr(part, "shortcut", False) else y
        updated.append(new_stats)
    return x, _assemble(tuple(updated))
