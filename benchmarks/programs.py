"""The steps as compiled programs: what they cost to compile, and their memory.

A program is compiled once per process, from shapes alone, whoever asks for it.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from nas_jax.base import PathPair, PRNGKey
from nas_jax.config.experiment import TrainConfig
from nas_jax.config.search import SearchConfig
from nas_jax.data.batches import Batch
from nas_jax.networks import network
from nas_jax.search import arch_step, schedule, search_state, weight_step
from nas_jax.search.cost import CostModel
from nas_jax.search.search_state import SearchProblem, SearchState
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import loop, optim

# The paper's loss, as the peers of the benches have it.
CONFIG = SearchConfig(objective="add_linear", expectation="pair")
# so many steps per epoch that no schedule ends within a bench
WEIGHTS_TX = schedule.search_weights(CONFIG, steps_per_epoch=1000)
ALPHAS_TX = schedule.search_alphas(CONFIG)


class Program(NamedTuple):
    """A compiled step; seconds it took to trace and to compile, and its memory."""

    run: Any
    trace_s: float
    compile_s: float
    temp_bytes: int
    """What the step needs besides its inputs and outputs, by the compiler."""


def compiled(step: Any, *shapes: Any) -> Program:
    """Traces and compiles a jitted step for arguments of these shapes."""
    start = time.perf_counter()
    lowered = step.lower(*shapes)
    traced = time.perf_counter()
    run = lowered.compile()
    end = time.perf_counter()
    temp_bytes = run.memory_analysis().temp_size_in_bytes
    return Program(run, traced - start, end - traced, temp_bytes)


@contextlib.contextmanager
def no_compile_cache() -> Iterator[None]:
    """Compiles afresh inside, so that seconds are those of compiling."""
    settings: Any = jax.config  # its fields are made at run time
    was_enabled = settings.jax_enable_compilation_cache
    settings.update("jax_enable_compilation_cache", False)
    # whether there is a cache is looked up once and kept
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        settings.update("jax_enable_compilation_cache", was_enabled)
        compilation_cache.reset_cache()


def _once(make: Callable[[Any, int, str], Program]) -> Callable[..., Program]:
    """`make` of the same arguments once, whether or not the last one is given."""
    kept = functools.cache(make)

    @functools.wraps(make)
    def made(of: Any, images: int, dtype: str = "float32") -> Program:
        return kept(of, images, dtype)

    return made


@_once
def weight(searched: SearchSpace, images: int, dtype: str) -> Program:
    """The weight step at a path: (state, path, batch) -> (state, metrics).

    Activations of this step, and of the others, are of the images' `dtype`.
    """

    def step(state: SearchState, path: jax.Array, batch: Batch) -> Any:
        grads, stats, metrics = weight_step.path_gradients(
            searched, CONFIG, state, path, batch
        )
        state = weight_step.apply_path_gradients(
            searched, WEIGHTS_TX, state, path, grads, stats
        )
        return state, metrics

    return compiled(
        jax.jit(step, donate_argnums=0),
        _search_shapes(searched),
        path_shape(searched),
        batch_shapes(searched, images, dtype),
    )


@_once
def arch(searched: SearchSpace, images: int, dtype: str) -> Program:
    """The architecture step at a pair: (state, pair, batch) -> (state, metrics)."""
    model = CostModel(jnp.ones(searched.mask.shape), 0.0)
    problem = SearchProblem(searched, CONFIG, model, 1.0)

    def step(state: SearchState, pair: PathPair, batch: Batch) -> Any:
        found = arch_step.estimate(problem, state, pair, batch)
        return arch_step.update_alphas(problem, state, pair, found, tx=ALPHAS_TX)

    path = path_shape(searched)
    return compiled(
        jax.jit(step, donate_argnums=0),
        _search_shapes(searched),
        PathPair(path, path),
        batch_shapes(searched, images, dtype),
    )


@_once
def plain(architecture: Architecture, images: int, dtype: str) -> Program:
    """The training step of one network: (state, batch) -> (state, metrics)."""
    zeros = np.zeros((1, *architecture.input_shape), np.float32), np.zeros(1, np.int32)
    one = TrainConfig(batch=1)
    recipe = loop.Recipe(one, Batch(*zeros), lambda key, images: images)
    step = loop.make_train_step(architecture, recipe)

    def init(key: PRNGKey) -> loop.TrainState:
        return plain_state(key, *network.init(key, architecture))

    state = jax.eval_shape(init, jax.random.key(0))
    return compiled(step, state, batch_shapes(architecture, images, dtype))


def init(key: PRNGKey, searched: SearchSpace) -> SearchState:
    """A fresh state for `weight` and `arch`."""
    return search_state.init(key, searched, CONFIG, WEIGHTS_TX, ALPHAS_TX)


def plain_state(key: PRNGKey, params: Any, batch_stats: Any) -> loop.TrainState:
    """A fresh state for `plain`."""
    start, opt = jnp.zeros((), jnp.int32), WEIGHTS_TX.init(params)
    lengths = optim.lengths(TrainConfig(batch=1), steps_per_epoch=1000)
    of_step = lengths.as_arrays()
    return loop.TrainState(start, key, params, batch_stats, opt, lengths=of_step)


def batch_shapes(
    searched: SearchSpace | Architecture, images: int, dtype: str = "float32"
) -> Batch:
    """Shapes of a batch for a space or a network."""
    classes: Any = jax.ShapeDtypeStruct((images,), jnp.int32)
    pixels: Any = jax.ShapeDtypeStruct((images, *searched.input_shape), dtype)
    return Batch(pixels, classes)


def path_shape(searched: SearchSpace) -> Any:
    """Shape of a path, Int `[L]`."""
    return jax.ShapeDtypeStruct((len(searched.layers),), jnp.int32)


def _search_shapes(searched: SearchSpace) -> Any:
    return jax.eval_shape(functools.partial(init, searched=searched), jax.random.key(0))
