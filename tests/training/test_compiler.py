"""Compiling ahead: what is told, what comes back, what is refused."""

import secrets

import jax
import numpy as np
import pytest

from nas_jax.config import SearchConfig, SpaceConfig, TrainConfig
from nas_jax.data.batches import Batch
from nas_jax.search import baselines, cost
from nas_jax.search import loop as search_loop
from nas_jax.search.search_state import SearchProblem
from nas_jax.spaces import builders
from nas_jax.training import compiler as compilation
from nas_jax.training import loop as training_loop
from nas_jax.training.compiler import Call
from nas_jax.training.progress import Progress


class Heard(Progress):
    def __init__(self):
        self.lines, self.notes = [], []

    def line(self, text):
        self.lines.append(text)

    def note(self, **values):
        self.notes.append(values)


@pytest.fixture
def two():
    """Two calls; how often each function was traced."""
    traced = {"double": 0, "sum": 0}

    def double(x):
        traced["double"] += 1
        return 2 * x

    def total(x, y):
        traced["sum"] += 1
        return x + y.sum()

    x, y = np.arange(3.0, dtype=np.float32), np.ones(2, np.float32)
    made = {
        "double": Call(jax.jit(double), (x,), "search.batch"),
        "sum": Call(jax.jit(total), (x, y), "data.valid"),
    }
    return made, traced


def test_every_program_is_compiled_once_told_and_timed(two, monkeypatch):
    monkeypatch.setattr(compilation.host, "cache_folder", lambda: None)
    made, traced = two
    heard = Heard()
    compiler = compilation.Compiler(heard)
    ready = compiler(made)
    assert list(ready) == ["double", "sum"]
    for _ in range(2):
        np.testing.assert_array_equal(
            ready["double"](*made["double"].arguments), [0, 2, 4]
        )
        np.testing.assert_array_equal(ready["sum"](*made["sum"].arguments), [2, 3, 4])
    assert traced == {"double": 1, "sum": 1}
    assert heard.notes == [{"compiling": "double"}, {"compiling": "sum"}]
    assert [line.split(" in ")[0] for line in heard.lines] == [
        "compiled double",
        "compiled sum",
    ]
    assert all(line.endswith(" s (cache: off)") for line in heard.lines)
    before = compiler.seconds
    assert before > 0
    compiler(made)
    assert compiler.seconds > before


def test_lines_tell_what_the_cache_knew(two, tmp_path, monkeypatch):
    made, _ = two
    hits = compilation.cache_hits()
    before = len(hits)
    monkeypatch.setattr(compilation.host, "cache_folder", lambda: tmp_path)
    heard = Heard()
    # JAX may have a cache by a test before this one: programs that none can hold
    number = secrets.randbits(23)
    new = jax.jit(lambda *arrays: sum(array.sum() for array in arrays) + number)
    compilation.Compiler(heard)({"double": made["double"]._replace(function=new)})
    assert heard.lines[-1].endswith("(cache: miss)")

    class Found:
        def lower(self, *arguments):
            self.lowered = new.lower(*arguments)
            return self

        def compile(self):
            jax.monitoring.record_event_duration_secs(compilation.SAVED, 3.5)
            return self.lowered.compile()

    compiler = compilation.Compiler(heard)
    compiler({"sum": made["sum"]._replace(function=Found())})
    assert heard.lines[-1].endswith("(cache: hit)")
    assert len(hits) == before + 1
    assert compiler.saved_seconds == 3.5


def test_what_does_not_fit_is_refused_before_it_runs(two, monkeypatch):
    made, _ = two
    monkeypatch.setattr(compilation.memory, "available_bytes", lambda: 5)
    with pytest.raises(ValueError, match=r"^double: .* 5e-09 GB .* search\.batch$"):
        compilation.Compiler(Progress())(made)


def test_without_a_compiler_the_functions_are_as_they_are(two):
    made, traced = two
    ready = compilation.on_first_call(made)
    assert ready == {name: call.function for name, call in made.items()}
    assert traced == {"double": 0, "sum": 0}


class Stop(Exception):
    """Raised where compiling would begin."""


@pytest.fixture
def asked():
    """Runs a generator up to its first compilation; returns the calls it hands over."""

    def until(run, *arguments):
        heard = []

        def compile(given):
            heard.append(given)
            raise Stop

        with pytest.raises(Stop):
            next(run(*arguments, compile=compile))
        return heard[0]

    return until


def images(count):
    return Batch(np.zeros((count, 8, 8, 1), np.float32), np.zeros(count, np.int32))


SMALL = builders.mobile(
    SpaceConfig(
        input_size=8,
        input_channels=1,
        classes=10,
        stem_channels=8,
        stem_stride=1,
        first_block_channels=None,
        stage_widths=(8,),
        cells=(1,),
        strides=(1,),
        candidates=("mb3_k3", "mb6_k3"),
        head_channels=16,
    )
)


def test_search_hands_over_its_steps_with_the_batches_they_will_get(asked):
    config = SearchConfig(
        warmup_epochs=1, joint_epochs=1, arch_start_epoch=0, batch=4, arch_batch=6
    )
    model = cost.CostModel(jax.numpy.ones(SMALL.mask.shape), 1.0)
    splits = images(20), images(24), images(5)
    key = jax.random.key(0)
    problem = SearchProblem(SMALL, config, model, 5.0)
    data = search_loop.SearchData(*splits, lambda key, x: x)
    given = asked(search_loop.run, key, problem, data)
    assert {
        name: (len(batch.labels), call.knob)
        for name, call in given.items()
        for batch in call.arguments
        if isinstance(batch, Batch)
    } == {
        "weight step": (4, "search.batch or space.input_size"),
        "architecture step": (6, "search.arch_batch or space.input_size"),
        "validation": (5, "data.valid or space.input_size"),
    }


def test_training_hands_over_its_step(asked):
    network = baselines.hand_designed(SMALL)
    config = TrainConfig(epochs=1, batch=4)
    key = jax.random.key(0)
    recipe = training_loop.Recipe(config, images(9), lambda key, x: x)
    given = asked(training_loop.run, key, network, recipe)
    assert list(given) == ["training step"]
    call = given["training step"]
    assert len(call.arguments[1].labels) == 4
    assert call.knob == "train.batch or space.input_size"
