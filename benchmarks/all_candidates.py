"""A step that runs every candidate, for comparison: what sampling paths saves.

As in DARTS (Liu et al., ICLR 2019): a layer's output is the sum of all candidates'
outputs, weighted, and autodiff keeps what each of them needs.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks import programs
from nas_jax.base import Images, PyTree
from nas_jax.data.batches import Batch
from nas_jax.networks import parts
from nas_jax.spaces.space import LayerSpec, SearchSpace
from nas_jax.supernet import paths
from nas_jax.training import losses


def shapes(searched: SearchSpace) -> tuple[PyTree, PyTree]:
    """Shapes of the parameters and of the batch statistics.

    Fixed parts by name; under "layers", for each run of R equal layers, a list with one
    tree per candidate, its arrays `[R ...]`.
    """
    found = []
    for kind in (0, 1):
        tree = {name: parts.shapes(part)[kind] for name, part in searched.fixed.items()}
        tree["layers"] = [
            [
                _times(parts.shapes(layer.block(op))[kind], len(run))
                for op in layer.candidates
            ]
            for run in searched.runs
            for layer in [searched.layers[run.start]]
        ]
        found.append(tree)
    return found[0], found[1]


def _times(tree: PyTree, count: int) -> PyTree:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), tree
    )


def forward(
    searched: SearchSpace,
    params: PyTree,
    batch_stats: PyTree,
    probs: list[jax.Array],
    images: Images,
) -> tuple[jax.Array, PyTree]:
    """Logits `[B classes]` with every layer sum_k p_k o_k(x), and the new statistics.

    `params` and `batch_stats` are as `shapes` tells; `probs` holds for each run the
    weights `[R N]` of its layers' candidates.
    """

    def weighted_sum(
        layer: LayerSpec, x: jax.Array, operand: Any
    ) -> tuple[jax.Array, PyTree]:
        own_params, own_stats, weights = operand
        total, new_stats = jnp.zeros(()), []
        for k, op in enumerate(layer.candidates):
            y, stats = parts.apply(
                layer.block(op), own_params[k], own_stats[k], x, True
            )
            total += weights[k] * y
            new_stats.append(stats)
        return total, new_stats

    by_run = params["layers"], batch_stats["layers"], probs
    logits, new_stats, layers = paths.through_layers(
        searched, (params, batch_stats), images, weighted_sum, by_run
    )
    return logits, {**new_stats, "layers": layers}


@functools.cache
def program(searched: SearchSpace, images: int) -> programs.Program:
    """Compiles the weight step of all candidates: (state, probs, batch) -> state."""
    tx = programs.WEIGHTS_TX

    def step(state: Any, probs: list[jax.Array], batch: Batch) -> Any:
        params, batch_stats, opt = state

        def loss_fn(params: PyTree) -> tuple[jax.Array, PyTree]:
            logits, stats = forward(searched, params, batch_stats, probs, batch.images)
            smoothing = programs.CONFIG.label_smoothing
            return losses.cross_entropy(logits, batch.labels, smoothing), stats

        grads, new_stats = jax.grad(loss_fn, has_aux=True)(params)
        updates, opt = tx.update(grads, opt, params)
        return optax.apply_updates(params, updates), new_stats, opt

    params, batch_stats = shapes(searched)
    state = (params, batch_stats, jax.eval_shape(tx.init, params))
    probs = [
        jax.ShapeDtypeStruct((len(run), len(candidates)), jnp.float32)
        for run, candidates in zip(searched.runs, params["layers"], strict=True)
    ]
    batch = programs.batch_shapes(searched, images)
    return programs.compiled(jax.jit(step, donate_argnums=0), state, probs, batch)
