"""The steps as they are handed to the compilers of CPU, GPU and TPU, without running.

Nothing here needs an accelerator: a step is traced as on that backend and lowered for
it. What XLA makes of it there is not seen.
"""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from nas_jax.config import SpaceConfig
from nas_jax.config.search import SearchConfig
from nas_jax.data.batches import Batch
from nas_jax.search import arch_step, schedule, search_state, weight_step
from nas_jax.search.cost import CostModel
from nas_jax.search.search_state import SearchProblem
from nas_jax.spaces import builders

# two runs: one layer at stride 2, two equal ones behind it
SPACE = builders.mobile(
    SpaceConfig(
        input_size=8,
        stem_channels=8,
        first_block_channels=None,
        stage_widths=(16,),
        cells=(3,),
        strides=(2,),
        classes=3,
        head_channels=32,
    )
)
RUNS = 2
CONFIG = SearchConfig(objective="add_linear", expectation="pair")
PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}
"""Names of backends, and those that programs are lowered for."""


class Lowered(NamedTuple):
    """The StableHLO of both steps for a backend."""

    backend: str
    weight: str
    arch: str


@pytest.fixture(scope="module", params=PLATFORMS)
def program(request) -> Lowered:
    jax.clear_caches()  # what was traced for one backend is not for another
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: request.param)
        found = Lowered(request.param, weight(request.param), arch(request.param))
    jax.clear_caches()
    return found


def lowered(step, backend, *arguments):
    """The StableHLO of a step on shapes alone."""
    traced = step.trace(*arguments)
    return traced.lower(lowering_platforms=(PLATFORMS[backend],)).as_text()


def shapes():
    """State and batch, and what moves weights and alphas."""
    txs = schedule.search_weights(CONFIG, 10), schedule.search_alphas(CONFIG)
    state = jax.eval_shape(
        lambda key: search_state.init(key, SPACE, CONFIG, *txs), jax.random.key(0)
    )
    images = jax.ShapeDtypeStruct((4, *SPACE.input_shape), jnp.float32)
    return state, Batch(images, jax.ShapeDtypeStruct((4,), jnp.int32)), txs


def weight(backend):
    state, batch, (tx, _) = shapes()
    step = weight_step.make_weight_step(
        SPACE, CONFIG, tx=tx, augment=lambda key, images: images
    )
    return lowered(step, backend, state, batch)


def arch(backend):
    state, batch, (_, tx) = shapes()
    costs = CostModel(jnp.ones(SPACE.mask.shape), 0)
    step = arch_step.make_arch_step(tx)
    return lowered(
        step, backend, state, batch, SearchProblem(SPACE, CONFIG, costs, 1.0)
    )


def cases(text):
    """How many results every conditional of a program has."""
    found = re.findall(r'%\d+(?::(\d+))? = "stablehlo.case"', text)
    return [int(results or 1) for results in found]


def test_a_weight_step_switches_twice_in_every_run_of_layers(program):
    # forward: output, what is kept, statistics, moments; backward: row and input. No
    # residuals of branches that were not sampled.
    assert sorted(cases(program.weight)) == [2] * RUNS + [4] * RUNS
    assert "stablehlo.all_reduce" not in program.weight


def test_an_architecture_step_switches_three_times_in_every_run(program):
    # forward; the input's gradient with that of its gate; the other candidate
    assert len(cases(program.arch)) == 3 * RUNS
    assert max(cases(program.arch)) <= 4


def test_forms_are_those_of_the_backend(program):
    text, is_cpu = program.weight, program.backend == "cpu"
    assert ("optimization_barrier" in text) == is_cpu
    assert ('inlineable = "false"' in text) == is_cpu
    grouped = re.findall(r"feature_group_count = (\d+)", text)
    assert any(int(groups) > 1 for groups in grouped) != is_cpu
