"""Forecasts: how often a step is called, what a call takes, when it is told."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import cli
from nas_jax.data.batches import Batch
from nas_jax.runs import plan, setup
from nas_jax.training import compiler
from nas_jax.training.compiler import Call
from nas_jax.training.progress import Progress
from tests.small_run import EXPERIMENT


class Heard(Progress):
    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)


@pytest.fixture(scope="module")
def given():
    return setup.load(EXPERIMENT)


def test_the_schedule_by_hand(given):
    """40 images in batches of 20: 2 weight steps an epoch, 3 epochs, of which 2 joint
    and 2 watched.

    The hand-designed network is trained for 2 epochs on 80 images in batches of 40, and
    three networks at 0.7 of its latency: 3.1 trainings, 6.2 epochs.
    """
    assert plan.schedule(given) == {
        "weight step": 6,
        "architecture step": 4,
        "validation": 2,
        "training step": 12,
    }


@pytest.mark.parametrize(
    ("start_epoch", "every", "arch_steps"), [(1, 1, 2), (0, 2, 2), (5, 1, 0)]
)
def test_architecture_steps_by_hand(given, start_epoch, every, arch_steps):
    own = dataclasses.replace(
        EXPERIMENT.search, arch_start_epoch=start_epoch, arch_every=every
    )
    found = plan.schedule(
        dataclasses.replace(
            given, experiment=dataclasses.replace(EXPERIMENT, search=own)
        )
    )
    assert found["architecture step"] == arch_steps


@pytest.fixture
def two():
    """A step that donates its state, and a look at it; how often each was run."""
    batch = Batch(np.ones((4, 2, 2, 1), np.float32), np.zeros(4, np.int32))
    state = {"total": jnp.zeros(1000), "key": jax.random.key(0)}

    def step(state, batch):
        return {**state, "total": state["total"] + batch.images.sum()}, {}

    def look(state, batch):
        return state["total"].sum() + batch.images.sum()

    return {
        "weight step": Call(jax.jit(step, donate_argnums=0), (state, batch), "b"),
        "validation": Call(jax.jit(look), (state, batch), "b"),
    }


def compiled(calls):
    return {
        name: call.function.lower(*call.arguments).compile()
        for name, call in calls.items()
    }


def test_programs_are_run_on_a_copy_of_their_state(two):
    counts = {"weight step": 1000, "validation": 10}
    weight, validation = plan.forecasts(two, compiled(two), counts)
    assert (weight.name, weight.calls, weight.images) == ("weight step", 1000, 4)
    assert validation.calls == 10
    assert weight.ms > 0
    # 1,000 numbers, a key of 2, 16 pixels, and labels that only shapes need
    assert 4 * (1000 + 2 + 16) <= weight.argument_bytes <= 4 * (1000 + 2 + 16 + 4)
    state = two["weight step"].arguments[0]
    assert float(state["total"].sum()) == 0  # still there, still as it was


def forecast(name, calls, ms):
    return plan.Forecast(name, calls, 50, ms, 2_000_000, 3_000_000)


def test_hours_and_throughput_by_hand():
    """7,200 calls of 5 ms are 36 s, 0.6 min; 50 images in 5 ms are 10,000 a second."""
    first, last = plan.lines((forecast("weight step", 7200, 5.0),), 8)
    assert first == (
        "7,200 x weight step of 50 images: 5 ms, 10,000 images/s; memory on each "
        "device: 2 MB of state and images, and 3 MB while it computes"
    )
    rest = "; measuring, compiling and exporting come on top"
    assert last == f"in all 0.6 min of steps on 8 devices{rest}"
    assert plan.lines((), 1) == [f"in all 0 min of steps on 1 device{rest}"]
    days = plan.lines((forecast("weight step", 7_200_000, 18.0),), 1)
    assert days[-1] == f"in all 36 h of steps on 1 device{rest}"


def test_the_sum_counts_the_rest_of_a_run_where_it_is_known():
    """36 s of steps and 180 s beside are 3.6 min."""
    *_, last = plan.lines((forecast("weight step", 7200, 5.0),), 1, rest_hours=0.05)
    assert last == (
        "in all about 3.6 min: 0.6 min of steps on 1 device, and about 3 min for "
        "measuring, compiling and exporting"
    )


@pytest.mark.parametrize(("ms", "told"), [(1e9, 3), (1.0, 0)])
def test_only_a_long_search_says_so_and_only_once(monkeypatch, given, two, ms, told):
    def measured(calls, ready, counts):
        return [forecast(name, counts[name], ms) for name in calls]

    monkeypatch.setattr(plan, "forecasts", measured)
    heard = Heard()
    compile = plan.before(compiled, given, heard)
    assert list(compile(two)) == list(two)
    assert list(compile(two)) == list(two)
    assert len(heard.lines) == told


@pytest.mark.slow
def test_plan_makes_no_run(arguments, tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.main([*arguments, "--plan", "--out", str(out)]) == 0
    assert not out.exists()
    told = capsys.readouterr().out.splitlines()
    names = ("6 x weight", "4 x architecture", "2 x validation", "12 x training")
    *programs, total, share = told
    for line, name in zip(programs, names, strict=True):
        assert line.startswith(name)
    assert (
        total.startswith("in all about ") and " min of steps on 1 device, and" in total
    )
    assert share.startswith("networks within the target count 0.7 of a training step")


def test_the_search_finds_the_plans_programs_in_the_cache(
    monkeypatch,
    arguments,
    tmp_path,
):
    """The same types of all arguments, weak ones told from strong, so the same code."""
    seen = []

    def note(self, calls):
        def kinds(call):
            return [
                (kind.shape, kind.dtype, kind.weak_type)
                for kind in map(jax.typeof, jax.tree.leaves(call.arguments))
            ]

        seen.append({name: kinds(call) for name, call in calls.items()})
        raise ValueError("far enough")

    monkeypatch.setattr(compiler.Compiler, "__call__", note)
    for words in (["--plan"], ["--out", str(tmp_path / "run")]):
        assert cli.main([*arguments, *words]) == 2
    planned, searched = seen
    assert planned == searched and "architecture step" in planned
