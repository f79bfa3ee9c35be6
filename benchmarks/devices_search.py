"""A small search that tells what it sampled and computed, on all devices it finds.

`devices` runs it in fresh processes and compares.
"""

import collections
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from optax.tree_utils import tree_get

from benchmarks.devices_settings import DevicesBenchConfig
from nas_jax.base import PyTree, stream
from nas_jax.config.search import SearchConfig
from nas_jax.config.space import SpaceConfig
from nas_jax.data import batches
from nas_jax.data.batches import Batch
from nas_jax.search import (
    arch_step,
    cost,
    derivation,
    gates,
    schedule,
    search_state,
    weight_step,
)
from nas_jax.spaces import builders
from nas_jax.training import devices, distributed
from nas_jax.training.compiler import Call

SPACE = SpaceConfig(
    name="bench_devices",
    input_size=8,
    input_channels=1,
    classes=4,
    stem_channels=8,
    stem_stride=1,
    first_block_channels=None,
    stage_widths=(8,),
    cells=(3,),
    strides=(2,),
    candidates=("mb3_k3", "mb6_k3", "zero"),
    head_channels=16,
)
"""A layer of stride 2 and two equal ones, which are scanned."""
SEARCH = SearchConfig(
    objective="add_linear", arch_lr=0.02, weight_decay=0.0, label_smoothing=0.0
)
"""Without decay the momentum after one step is the gradient; Adam's, with beta1 = 0,
always is."""
COLLECTIVES = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"


class Place(NamedTuple):
    """One process of a search: how many there are, which one, where they meet."""

    processes: int = 1
    process: int = 0
    coordinator: str | None = None


def follow(config: DevicesBenchConfig, number: str, place: Place) -> dict[str, Any]:
    """One process of a search on all its devices, in `number`; to be called afresh.

    Weight and architecture steps in turn. What comes back is the same in every process.
    """
    if place.processes > 1:
        distributed.start(place.coordinator, place.processes, place.process)
    there = jax.devices()
    running = devices.PLAIN if len(there) == 1 else devices.on(there)
    searched = builders.mobile(SPACE)
    mask = jnp.asarray(searched.mask)
    weights_tx = schedule.search_weights(SEARCH, config.steps)
    alphas_tx = schedule.search_alphas(SEARCH)
    key = jax.random.key(config.seed)
    state = search_state.init(key, searched, SEARCH, weights_tx, alphas_tx)
    state, data = _in(number, state), _in(number, _images(config))
    # costs that tell the candidates apart, so that a network is derived
    costs = np.arange(mask.size, dtype=np.float32).reshape(mask.shape)
    model = running.whole(cost.CostModel(jnp.asarray(costs), jnp.float32(1)))
    goal = running.whole(jnp.asarray(costs.mean() * len(costs), jnp.float32))
    problem = search_state.SearchProblem(searched, SEARCH, model, goal)
    state = running.whole(state)

    orders = {
        name: batches.permutations(key, name, len(data.labels))
        for name in ("weight_order", "alpha_order")
    }

    def batch(name: str, step: int) -> Batch:
        part = batches.batch_at(data, orders[name], config.batch, step, running.shard)
        return running.shared(part)

    def augment(key: Any, images: Any) -> Any:
        return batches.shift(key, images, 2)

    ready = _compiled(
        {
            "weight": Call(
                weight_step.make_weight_step(
                    *(searched, SEARCH),
                    tx=weights_tx,
                    augment=augment,
                    devices=running,
                ),
                (state, batch("weight_order", 0)),
                "batch",
            ),
            "arch": Call(
                arch_step.make_arch_step(alphas_tx, devices=running),
                (state, batch("alpha_order", 0), problem),
                "batch",
            ),
        }
    )
    sampled, losses = [], []
    gradients: dict[str, list[float]] = {}
    for step in range(config.steps):
        now = running.local(state)
        path_key = stream(now.key, "path", now.step)
        sampled.append(gates.sample_path(path_key, now.alphas, mask).tolist())
        pair_key = stream(now.key, "pair", now.step + 1)
        pair = gates.sample_pair(pair_key, now.alphas, mask)
        sampled.append(pair.indices.tolist())
        state, seen = ready["weight"](state, batch("weight_order", step))
        state, arch_seen = ready["arch"](state, batch("alpha_order", step), problem)
        losses.append([float(seen["search/loss"]), float(arch_seen["search/arch_ce"])])
        if step == 0:
            first = running.local(state)
            gradients = {
                "weight gradients": _flat(tree_get(first.weight_opt, "trace")),
                "alpha gradients": _flat(tree_get(first.arch_opt, "mu")),
            }
    end = running.local(state)
    probs = np.asarray(gates.probabilities(end.alphas, mask))
    return {
        "devices": len(there),
        "sampled": sampled,
        "losses": losses,
        "first losses": losses[0],
        **gradients,
        "weights": _flat(end.params),
        "statistics": _flat(end.batch_stats),
        "alphas": _flat(end.alphas),
        "derived": derivation.most_probable(searched, probs, costs).tolist(),
        "collectives": _collectives(ready.values()),
    }


def _images(config: DevicesBenchConfig) -> Batch:
    """Noise with labels that it tells: which quarter of the image is brightest."""
    drawn = np.random.default_rng(config.seed)
    labels = drawn.integers(SPACE.classes, size=2 * config.batch).astype(np.int32)
    side = SPACE.input_size
    images = drawn.normal(size=(len(labels), side, side, SPACE.input_channels))
    half = side // 2
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[row * half :, column * half :][:half, :half] += 1
    return Batch(images.astype(np.float32), labels)


def _in(number: str, tree: PyTree) -> PyTree:
    """A tree with its floating-point numbers of another kind."""

    def cast(leaf: Any) -> Any:
        is_real = jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(number) if is_real else leaf

    return jax.tree.map(cast, tree)


def _flat(tree: PyTree) -> list[float]:
    leaves = [np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(tree)]
    return np.concatenate(leaves).astype(np.float64).tolist()


def _compiled(calls: Mapping[str, Call]) -> dict[str, Any]:
    return {
        name: call.function.lower(*call.arguments).compile()
        for name, call in calls.items()
    }


def _collectives(programs: Iterable[Any]) -> dict[str, int]:
    """How often each kind of exchange between devices stands in compiled programs."""
    text = "\n".join(program.as_text() for program in programs)
    found = re.findall(rf"\b({COLLECTIVES})(?:-start)?\(", text)
    return dict(collections.Counter(found))
