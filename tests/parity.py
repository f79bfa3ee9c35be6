"""What the comparisons with the reference (mit-han-lab/proxylessnas) share.

`data/parity_supernet_a.npz` holds numbers computed with the reference in PyTorch 2.13
(float32, CPU) for one tiny supernet: inputs, gradients, momentum, architecture steps.
The complete file, where it lies beside the checkout, is used instead. Bound for every
array: max|ours - stored| <= 1e-4 max|stored| + 1e-6 (1e-7 for gates and alphas).
"""

import dataclasses
import functools
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nas_jax import supernet
from nas_jax.config import SearchConfig, SpaceConfig
from nas_jax.data.batches import Batch
from nas_jax.search import cost, schedule, search_state
from nas_jax.spaces import builders
from nas_jax.training import optim
from tests.fixtures import FIXTURES

HERE = Path(__file__).resolve().parent
COMPLETE = HERE.parents[1] / "shared" / "parity" / "supernet_a.npz"
STORED = np.load(COMPLETE if COMPLETE.exists() else FIXTURES / "parity_supernet_a.npz")
REFERENCE_COST = 28.59884262084961  # `ref` of both penalties
SPACE = builders.mobile(
    SpaceConfig(
        name="parity",
        input_size=16,
        classes=10,
        stage_widths=(8, 16),
        cells=(2, 2),
        strides=(1, 2),
    )
)
EDGES = range(1, 5)
FIXED = {"stem": "stem", "first_block": "block0/op0", "head": "head"}
WORST: dict[str, float] = defaultdict(float)
COUNT: dict[str, int] = defaultdict(int)


def print_worst_errors() -> None:
    """The worst error of every group since the last call."""
    for group, error in WORST.items():
        print(f"{group:24s} {COUNT[group]:5d} arrays, worst error {error:.1e}")
    WORST.clear()
    COUNT.clear()


def check(group: str, name: str, ours, absolute: float = 1e-6) -> None:
    stored = STORED[name].astype(np.float64)
    ours = np.asarray(ours, np.float64)
    assert ours.shape == stored.shape, name
    scale = np.abs(stored).max()
    error = np.abs(ours - stored).max()
    relative = max(error - absolute, 0.0) / scale if scale else error
    WORST[group] = max(WORST[group], relative)
    COUNT[group] += 1
    assert error <= 1e-4 * scale + absolute, (name, error, scale)


def stored_tree(prefix: str, part: str, like):
    def leaf(path, value):
        name = "/".join(key.key for key in path)
        return jnp.asarray(STORED[f"{prefix}/{part}/{name}"])

    return jax.tree.map_with_path(leaf, like)


@functools.cache
def initial(config: SearchConfig) -> search_state.SearchState:
    """The state that every case starts from."""
    weights_tx, alphas_tx = optimisers(config)
    state = search_state.init(jax.random.key(0), SPACE, config, weights_tx, alphas_tx)
    trees = []
    for tree in (state.params, state.batch_stats):
        tree = dict(tree)
        for ours, theirs in {**FIXED, "classifier": "classifier"}.items():
            tree[ours] = stored_tree("init", theirs, tree[ours])
        trees.append(tree)
    for edge, layer in enumerate(SPACE.layers):
        for k, op in enumerate(layer.candidates):
            if op.kind == "zero":
                continue
            own = supernet.candidate(SPACE, state.params, state.batch_stats, edge, op)
            for index, like in enumerate(own):
                values = stored_tree("init", f"block{edge + 1}/op{k}", like)
                trees[index] = supernet.insert(
                    SPACE, trees[index], edge, op, values, batch_stats=bool(index)
                )
    alphas = np.zeros(SPACE.mask.shape, np.float32)
    for edge in EDGES:
        stored = STORED[f"alpha/block{edge}"]
        alphas[edge - 1, : len(stored)] = stored
    return dataclasses.replace(
        state, params=trees[0], batch_stats=trees[1], alphas=jnp.array(alphas)
    )


def optimisers(config: SearchConfig):
    constant = optim.sgd(
        optax.constant_schedule(0.025), momentum=0.9, weight_decay=4e-5
    )
    return constant, schedule.search_alphas(config)


def cost_model() -> cost.CostModel:
    """The made-up latencies."""
    costs = np.zeros(SPACE.mask.shape, np.float32)
    for edge in EDGES:
        stored = STORED[f"latency/block{edge}"]
        costs[edge - 1, : len(stored)] = stored
    return cost.CostModel(jnp.array(costs), float(STORED["latency/fixed"].sum()))


def train_batch(step: int) -> Batch:
    return Batch(
        jnp.asarray(STORED["data/train_images"][step]),
        jnp.asarray(STORED["data/train_labels"][step]),
    )


VALID = Batch(
    jnp.asarray(STORED["data/valid_images"]), jnp.asarray(STORED["data/valid_labels"])
)
