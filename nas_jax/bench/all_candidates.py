"""A step that runs every candidate, for comparison: what sampling paths saves.

As in DARTS (Liu et al., ICLR 2019): a layer's output is the sum of all candidates'
outputs, weighted, and autodiff keeps what each of them needs.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nas_jax import objective, ops
from nas_jax.base import Images, PyTree
from nas_jax.batches import Batch
from nas_jax.bench import programs
from nas_jax.parts import Part
from nas_jax.space import SearchSpace


def parts(searched: SearchSpace) -> dict[str, Part]:
    """All parts: fixed ones by name, candidates by layer and place in its list."""
    layers = {
        _name(index, place): layer.block(op)
        for index, layer in enumerate(searched.layers)
        for place, op in enumerate(layer.candidates)
    }
    return {**searched.fixed, **layers}


def _name(layer: int, place: int) -> str:
    return f"layer_{layer}_{place}"


def forward(
    searched: SearchSpace,
    params: PyTree,
    batch_stats: PyTree,
    probs: list[jax.Array],
    images: Images,
) -> tuple[jax.Array, PyTree]:
    """Logits `[B classes]` with every layer sum_k p_k o_k(x), and the new statistics.

    `params` and `batch_stats` are by the names of `parts`; `probs` holds one weight per
    candidate for each layer.
    """
    own, new_stats = parts(searched), {}

    def run(name: str, x: jax.Array) -> jax.Array:
        y, new_stats[name] = ops.apply(
            own[name], params[name], batch_stats[name], x, True
        )
        return y

    def layer(index: int, x: jax.Array) -> jax.Array:
        outputs = (run(_name(index, place), x) for place in range(len(probs[index])))
        weighted = map(jnp.multiply, probs[index], outputs)
        return functools.reduce(jnp.add, weighted)

    return searched.forward(run, layer, jnp.asarray(images)), new_stats


@functools.cache
def program(searched: SearchSpace, images: int) -> programs.Program:
    """Compiles the weight step of all candidates: (state, probs, batch) -> state."""
    tx = programs.WEIGHTS_TX

    def step(state: Any, probs: list[jax.Array], batch: Batch) -> Any:
        params, batch_stats, opt = state

        def loss_fn(params: PyTree) -> tuple[jax.Array, PyTree]:
            logits, stats = forward(searched, params, batch_stats, probs, batch.images)
            smoothing = programs.CONFIG.label_smoothing
            return objective.cross_entropy(logits, batch.labels, smoothing), stats

        grads, new_stats = jax.grad(loss_fn, has_aux=True)(params)
        updates, opt = tx.update(grads, opt, params)
        return optax.apply_updates(params, updates), new_stats, opt

    shapes = {name: ops.shapes(part) for name, part in parts(searched).items()}
    params, batch_stats = (
        {name: both[index] for name, both in shapes.items()} for index in (0, 1)
    )
    state = (params, batch_stats, jax.eval_shape(tx.init, params))
    probs = [
        jax.ShapeDtypeStruct((len(layer.candidates),), jnp.float32)
        for layer in searched.layers
    ]
    batch = programs.batch_shapes(searched, images)
    return programs.compiled(jax.jit(step, donate_argnums=0), state, probs, batch)
