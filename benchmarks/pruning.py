"""`benchmarks pruning`: what a supernet costs before and after it is pruned.

A space of seven candidates per layer, of which two have nearly all the probability; the
same state goes on with those two. Paths are the same on both sides, so that the step
times differ by the pruning alone.
"""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.estimators import repeated
from nas_jax.base import stream
from nas_jax.config import provenance
from nas_jax.config.search import SearchConfig
from nas_jax.config.space import SpaceConfig
from nas_jax.data.batches import Batch
from nas_jax.latency.measurement import timing
from nas_jax.search import arch_step, prune, schedule, search_state, weight_step
from nas_jax.search.cost import CostModel
from nas_jax.search.search_state import SearchProblem, SearchState
from nas_jax.spaces import builders
from nas_jax.spaces.space import SearchSpace

SPACE = SpaceConfig(
    name="bench_pruning",
    input_size=16,
    input_channels=1,
    classes=10,
    stem_channels=16,
    stem_stride=1,
    first_block_channels=None,
    stage_widths=(16, 32),
    cells=(2, 2),
    strides=(1, 2),
    head_channels=64,
)
KEPT = ("mb3_k3", "mb6_k5")
_CONFIG = SearchConfig(batch=50, arch_batch=50, expectation="full", objective="none")
_STEPS = ("weight step", "arch step, two_path", "arch step, full")
HOW_TO_READ = (
    "before: seven candidates per layer, after: two, the same sampled paths. A step of "
    "one path (weight, two_path) takes the time and memory of that path however many "
    "candidates there are; full evaluates all, so its time falls with them. What falls "
    "everywhere is what is stored (weights, momentum, statistics) and the compilation."
)


def run() -> dict[str, Any]:
    """The measurement, ready for JSON: a row per quantity, and provenance."""
    before = builders.mobile(SPACE)
    key = stream(jax.random.key(0), "bench")
    tx, alphas_tx = schedule.search_weights(_CONFIG, 1), schedule.search_alphas(_CONFIG)
    state = search_state.init(key, before, _CONFIG, tx, alphas_tx)
    is_kept = np.array([op.name in KEPT for op in before.candidates])
    alphas = np.broadcast_to(np.where(is_kept, 10.0, 0.0), state.alphas.shape)
    state = dataclasses.replace(state, alphas=jnp.asarray(alphas, jnp.float32))
    after = prune.restrict(before, before.mask & is_kept)
    sides: dict[str, tuple[SearchSpace, SearchState]] = {
        "before": (before, state),
        "after": (after, prune.shrink(before, after, state)),
    }
    batch = _images(key)
    calls, rows = {}, {}
    for side, (searched, own) in sides.items():
        stored = jax.tree.leaves((own.params, own.batch_stats, own.weight_opt))
        rows["stored, MiB", side] = sum(leaf.nbytes for leaf in stored) / 2**20
        for name, step in _steps(searched).items():
            start = time.perf_counter()
            compiled = step.lower(own, batch).compile()
            rows[f"{name}: compile, s", side] = time.perf_counter() - start
            memory = compiled.memory_analysis().temp_size_in_bytes
            rows[f"{name}: memory, MiB", side] = memory / 2**20
            calls[name, side] = repeated(compiled, own, batch)
    for (name, side), values in _times(calls).items():
        rows[f"{name}: time, ms", side] = timing.steady(values)
    return {
        "name": "pruning",
        "candidates": {side: int(own[0].mask.sum()) for side, own in sides.items()},
        "rows": [
            {"quantity": name, **{side: rows[name, side] for side in sides}}
            for name in sorted({name for name, _ in rows})
        ],
        **provenance.record(),
    }


def _images(key: jax.Array) -> Batch:
    """Noise: nothing is learned here."""
    shape = (_CONFIG.batch, SPACE.input_size, SPACE.input_size, SPACE.input_channels)
    labels = jnp.arange(_CONFIG.batch, dtype=jnp.int32) % SPACE.classes
    return Batch(jax.random.normal(key, shape), labels)


def _steps(searched: SearchSpace) -> dict[str, Any]:
    model = CostModel(jnp.zeros(searched.mask.shape), 0.0)
    tx, alphas_tx = schedule.search_weights(_CONFIG, 1), schedule.search_alphas(_CONFIG)

    def arch(config: SearchConfig) -> Any:
        step = arch_step.make_arch_step(alphas_tx)
        problem = SearchProblem(searched, config, model, 1.0)
        return jax.jit(
            lambda state, batch: step(state, batch, problem), donate_argnums=0
        )

    full = dataclasses.replace(_CONFIG, estimator="full")
    made = (
        weight_step.make_weight_step(
            searched, _CONFIG, tx=tx, augment=lambda key, images: images
        ),
        arch(_CONFIG),
        arch(full),
    )
    return dict(zip(_STEPS, made, strict=True))


def _times(calls: dict[tuple[str, str], Any]) -> dict[tuple[str, str], np.ndarray]:
    """Interleaved, so that other work on the machine hits both sides alike."""
    named = {" / ".join(names): call for names, call in calls.items()}
    times = timing.time_calls(named, timing.Protocol(repeats=12, loop_ms=5.0))
    return {names: times[" / ".join(names)] for names in calls}


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows, as text."""
    return [
        ("quantity", "before", "after", "after / before"),
        *(
            (
                row["quantity"],
                f"{row['before']:.2f}",
                f"{row['after']:.2f}",
                f"{row['after'] / row['before']:.2f}",
            )
            for row in result["rows"]
        ),
    ]
