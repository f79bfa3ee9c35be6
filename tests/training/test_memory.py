"""Memory of a step: what the compiler says it needs, and what there is.

One path costs one path: the temporary memory of the compiled steps is measured against
the training step of the plain network that needs most (7x7 kernels, expansion 6), with
`memory_analysis().temp_size_in_bytes`; `pytest -s` prints the sizes. Free memory is
read from files as Linux writes them.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.config import SearchConfig, SpaceConfig, TrainConfig, shipped
from nas_jax.config.space import MBCONV_CANDIDATES
from nas_jax.data.batches import Batch
from nas_jax.search import arch_step, cost, schedule, search_state
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_ops
from nas_jax.spaces.operations import OpSpec
from nas_jax.supernet import paths
from nas_jax.training import loop, memory
from tests.supernet.plain_candidate import output

LARGEST = "mb6_k7"
# Two candidates at least: a switch of one is no switch.
FEW = ("mb6_k5", LARGEST)
BOUNDS = {"two_path": 1.3, "full": 1.15}


def digits(candidates=MBCONV_CANDIDATES, **changes):
    config = shipped.load_experiment("digits_cpu").space
    changed = dataclasses.replace(config, candidates=candidates, **changes)
    return builders.mobile(changed), 50


def first_stage(candidates=MBCONV_CANDIDATES):
    """Two layers of the digits space, which compile in seconds."""
    return digits(candidates, stage_widths=(8,), cells=(2,), strides=(1,))


def imagenet(candidates=MBCONV_CANDIDATES):
    """The paper's, at 224x224; the steps are compiled and not run."""
    return builders.mobile(SpaceConfig(candidates=candidates)), 8


def batch_shapes(searched, images):
    return Batch(
        jax.ShapeDtypeStruct((images, *searched.input_shape), jnp.float32),
        jax.ShapeDtypeStruct((images,), jnp.int32),
    )


def temporary_bytes(step, *arguments):
    return step.lower(*arguments).compile().memory_analysis().temp_size_in_bytes


@functools.cache
def arch_step_bytes(make, estimator, candidates=MBCONV_CANDIDATES):
    searched, images = make(candidates)
    config = SearchConfig(estimator=estimator, expectation="full")
    tx = schedule.search_alphas(config)
    model = cost.CostModel(jnp.ones(searched.mask.shape), 1.0)
    ascent = schedule.multipliers(config, steps_per_epoch=5)
    step = arch_step.make_arch_step(tx, ascent=ascent)
    state = jax.eval_shape(
        lambda key: search_state.init(
            key, searched, config, schedule.search_weights(config, 1), tx
        ),
        jax.random.key(0),
    )
    batch = batch_shapes(searched, images)
    problem = search_state.SearchProblem(searched, config, model, 5.0)
    return temporary_bytes(step, state, batch, problem)


@functools.cache
def plain_bytes(make):
    searched, images = make()
    ops = [OpSpec.parse(LARGEST)] * len(searched.layers)
    plain = from_ops(searched, ops, "largest")
    one = Batch(np.zeros((1, *plain.input_shape)), np.zeros(1, int))
    recipe = loop.Recipe(TrainConfig(batch=1), one, lambda key, images: images)
    step = loop.make_train_step(plain, recipe)
    state = jax.eval_shape(lambda key: loop.init(key, plain, recipe), jax.random.key(0))
    return temporary_bytes(step, state, batch_shapes(searched, images))


SPACES = [
    first_stage,
    pytest.param(digits, marks=pytest.mark.slow),
    pytest.param(imagenet, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("make", SPACES)
@pytest.mark.parametrize("estimator", BOUNDS)
@pytest.mark.slow
def test_architecture_step_takes_the_memory_of_one_path(estimator, make):
    ours, plain = arch_step_bytes(make, estimator), plain_bytes(make)
    print(f"\n{make.__name__}: {estimator} {ours:,}, plain {plain:,} bytes", end=" ")
    print(f"= {ours / plain:.2f}")
    assert 0 < ours <= BOUNDS[estimator] * plain


@pytest.mark.parametrize("make", SPACES)
@pytest.mark.parametrize("estimator", BOUNDS)
@pytest.mark.slow
def test_memory_does_not_grow_with_the_candidates(estimator, make):
    few, all_seven = (
        arch_step_bytes(make, estimator, candidates)
        for candidates in (FEW, MBCONV_CANDIDATES)
    )
    print(f"\n{make.__name__}: {estimator} {few:,} bytes at 2 candidates, ", end="")
    print(f"{all_seven:,} at 7")
    assert 0 < all_seven <= 1.1 * few


@pytest.mark.slow
def test_memory_bound_tells_all_candidates_under_autodiff(monkeypatch):
    """The reference's mode `full`: all outputs are kept for the backward pass."""
    used = []

    def weighted_sum(layer, gates, i, table, x):
        used.append(layer)
        return sum(
            gates[k] * output(layer, op, table[k], x)
            for k, op in enumerate(layer.candidates)
        )

    def own_space(candidates=MBCONV_CANDIDATES):
        # of no other test: what is jitted inside would be found again
        return digits(candidates, stage_widths=(16,), cells=(2,), strides=(1,))

    monkeypatch.setattr(paths, "full_op", weighted_sum)
    few = arch_step_bytes(own_space, "full", FEW)
    all_seven = arch_step_bytes(own_space, "full")
    print(f"\nall under autodiff: {few:,} bytes at 2 candidates, {all_seven:,} at 7")
    assert len(used) == 4  # the replacement did run: two layers, two spaces
    assert all_seven > 1.5 * few
    assert all_seven > BOUNDS["full"] * plain_bytes(own_space)


# --- what there is -------------------------------------------------------------------

GIB = 1024**3
MEMINFO = """MemTotal:       16000000 kB
MemFree:         1000000 kB
MemAvailable:    8000000 kB
HugePages_Total:       0
"""
STAT = "cache 500\ninactive_file {inactive}\ntotal_inactive_file {total}\n"


@pytest.fixture
def machine(tmp_path):
    """Writes files of /proc and /sys below a folder; returns the folder."""

    def made(files):
        for name, text in {"proc/meminfo": MEMINFO, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return made


def group(folder, limit, used, version=2):
    """Files of a control group that holds 1 GiB of file copies it could drop."""
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        2: ("memory.max", "memory.current"),
    }[version]
    stat = STAT.format(
        inactive=GIB if version == 2 else 0, total=GIB if version == 1 else 0
    )
    texts = (f"{limit}\n", f"{used}\n", stat)
    files = (*names, "memory.stat")
    return {
        f"sys/fs/cgroup/{folder}{file}": text
        for file, text in zip(files, texts, strict=True)
    }


WHOLE = 8_000_000 * 1024


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, WHOLE),
        # v2: the limit of the group itself, of one around it, and none
        (
            {"proc/self/cgroup": "0::/a/b\n", **group("a/b/", 4 * GIB, 2 * GIB)},
            3 * GIB,
        ),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                **group("a/b/", "max", 2 * GIB),
                **group("a/", 3 * GIB, 2 * GIB),
            },
            2 * GIB,
        ),
        ({"proc/self/cgroup": "0::/a\n", **group("a/", "max", GIB)}, WHOLE),
        # in a container the mount is the group, whatever its path outside
        ({"proc/self/cgroup": "0::/x/y\n", **group("", 2 * GIB, GIB)}, 2 * GIB),
        # v1
        (
            {
                "proc/self/cgroup": "5:devices:/\n4:memory:/a\n0::/\n",
                **group("memory/a/", 2 * GIB, GIB, version=1),
                **group("memory/", 2**63 - 4096, 9 * GIB, version=1),
            },
            2 * GIB,
        ),
        # the machine may be the narrower one
        ({"proc/self/cgroup": "0::/a\n", **group("a/", 64 * GIB, GIB)}, WHOLE),
    ],
)
def test_free_memory_is_the_least_of_machine_and_groups(machine, files, expected):
    assert memory.host_bytes(machine(files)) == expected


def test_where_nobody_tells_nothing_is_known(tmp_path):
    assert memory.host_bytes(tmp_path) is None


def test_this_machine_has_memory():
    found = memory.host_bytes()
    assert found is None or 0 < found < 2**50


class Device:
    platform = "gpu"

    def __init__(self, stats):
        self.stats = stats

    def memory_stats(self):
        return self.stats


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        ({"bytes_limit": 100, "bytes_in_use": 30, "num_allocs": 1}, 70),
        ({}, None),
        (None, None),
    ],
)
def test_a_device_tells_its_own(monkeypatch, stats, expected):
    monkeypatch.setattr(memory.jax, "local_devices", lambda: [Device(stats)])
    assert memory.available_bytes() == expected


def test_simulated_devices_share_the_main_memory(monkeypatch):
    monkeypatch.setattr(memory, "host_bytes", lambda: 801)
    monkeypatch.setattr(memory.jax, "local_device_count", lambda: 8)
    assert memory.available_bytes() == 100
    monkeypatch.setattr(memory, "host_bytes", lambda: None)
    assert memory.available_bytes() is None


def test_need_is_temporaries_and_outputs_but_not_donated_ones():
    def step(state, x):
        # the sort needs a copy of its own
        return state + 1, jnp.sort(x * 2)[::-1][:10]

    state, x = np.zeros(3000, np.float32), np.zeros(100_000, np.float32)
    kept = memory.needed_bytes(jax.jit(step).lower(state, x).compile())
    donated = jax.jit(step, donate_argnums=0).lower(state, x).compile()
    assert kept - memory.needed_bytes(donated) == state.nbytes
    assert 0.9 * x.nbytes < memory.needed_bytes(donated) < 5 * x.nbytes


def test_what_does_not_fit_is_one_line_with_the_knob():
    needed = {"small": 10**9, "large": 14_200_000_000}
    knobs = {"small": "a", "large": "search.batch"}
    memory.require_fit(needed, knobs, 14_200_000_000)
    memory.require_fit(needed, knobs, None)
    with pytest.raises(ValueError) as refused:
        memory.require_fit(needed, knobs, 9_900_000_000)
    assert str(refused.value) == (
        "large: expected at most 9.9 GB of memory, which is free, got an estimate of "
        "14.2 GB; lower search.batch"
    )
