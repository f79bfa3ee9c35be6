"""Programs on disk: found again without tracing, and never trusted too far."""

import dataclasses
import functools
import hashlib
import os
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.config import SearchConfig, TrainConfig
from nas_jax.config.data import DataConfig
from nas_jax.data import augment
from nas_jax.data.batches import Batch, shift
from nas_jax.networks import network, parts
from nas_jax.search import baselines, estimators
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_ops
from nas_jax.training import (
    compile_apart,
    compiler,
    host,
    kept_programs,
    loop,
    program_key,
)
from nas_jax.training.compiler import Call, Compiler
from nas_jax.training.progress import Progress
from tests import small_run


class Heard(Progress):
    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder of the cache, of small programs as well, and what is warned of."""
    warned = []
    monkeypatch.setattr(host, "warn", warned.append)
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    name = "jax_persistent_cache_min_compile_time_secs"
    before, least = host.cache_folder(), jax.config.values[name]
    host.set_cache(str(tmp_path))
    jax.config.update(name, 0)
    yield tmp_path, warned
    jax.config.update(name, least)
    host.set_cache(None if before is None else str(before))


@pytest.fixture
def call():
    """A call that donates its argument, and how often it was traced."""
    traced = []

    def twice(state, x):
        traced.append(1)
        return {"sum": state["sum"] + x, "key": state["key"]}

    state = {"sum": jnp.ones(3), "key": jax.random.key(0)}
    function = jax.jit(twice, donate_argnums=0)
    return Call(function, (state, np.float32(2)), "batch", ("twice", 1)), traced


def ready(call):
    heard = Heard()
    return Compiler(heard)({"twice": call})["twice"], heard.lines


def results(program):
    state = {"sum": jnp.full(3, 5.0), "key": jax.random.key(1)}
    found = program(state, np.float32(7))
    return [float(value) for value in found["sum"]]


def test_a_kept_program_is_not_traced_again(cache, call):
    made, traced = call
    first, lines = ready(made)
    assert lines[0].startswith("compiled twice in ")
    second, lines = ready(made)
    assert lines[0].startswith("loaded twice in ") and len(traced) == 1
    assert results(first) == results(second) == [12.0] * 3
    # both still take their argument's memory, and say how much they need
    for program in (first, second):
        state = {"sum": jnp.ones(3), "key": jax.random.key(0)}
        program(state, np.float32(2))
        assert state["sum"].is_deleted()
        assert program.memory_analysis().temp_size_in_bytes >= 0
        with pytest.raises(TypeError):
            program({"sum": jnp.ones(4), "key": jax.random.key(0)}, np.float32(2))
        with pytest.raises(TypeError, match="expected arguments of the structure"):
            program({"sum": jnp.ones(3)}, np.float32(2))


def damage(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


class Hostile:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def link(file):
    file.rename(file.parents[1] / "kept")
    file.symlink_to(file.parents[1] / "kept")


SPOILT = {
    "damaged": damage,
    "cut": lambda file: file.write_bytes(file.read_bytes()[:100]),
    "empty": lambda file: file.write_bytes(b""),
    "a pickle alone": lambda file: file.write_bytes(
        pickle.dumps(Hostile(file.parents[1] / "mark"))
    ),
    "a link": link,
    "a folder": lambda file: file.unlink() or file.mkdir(),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_not_as_it_was_kept_is_compiled_anew_with_a_line(cache, call, spoil):
    folder, warned = cache
    made, traced = call
    ready(made)
    (file,) = (folder / kept_programs.FOLDER).iterdir()
    spoil(file)
    program, lines = ready(made)
    assert not lines[0].startswith("loaded") and len(traced) <= 2
    assert results(program) == [12.0] * 3
    assert not (folder / "mark").exists()
    line, *_ = warned
    assert line.startswith(f"{file}: expected a program as it was kept, got ")
    assert line.endswith("; it is traced anew") and "\n" not in line


@pytest.mark.parametrize("payload", [b"", b"[0]\nno program", b"no list\n", b"\n\n"])
def test_a_right_digest_of_what_is_no_program_is_told_too(cache, call, payload):
    folder, warned = cache
    made, _ = call
    ready(made)
    (file,) = (folder / kept_programs.FOLDER).iterdir()
    file.write_bytes(hashlib.sha256(payload).digest() + payload)
    assert results(ready(made)[0]) == [12.0] * 3
    (line,) = warned
    assert "\n" not in line


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_is_not_read(cache, call, mode):
    folder, warned = cache
    made, _ = call
    ready(made)
    (folder / kept_programs.FOLDER).chmod(mode)
    assert not ready(made)[1][0].startswith("loaded")
    assert "others can write" in warned[-1] and "\n" not in warned[-1]


def test_it_is_made_for_this_user_alone(cache, call):
    folder, _ = cache
    before = os.umask(0)
    try:
        ready(call[0])
    finally:
        os.umask(before)
    assert (folder / kept_programs.FOLDER).stat().st_mode & 0o777 == 0o700


def test_another_user_s_files_are_not_read(cache, call, monkeypatch):
    _, warned = cache
    ready(call[0])
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert not ready(call[0])[1][0].startswith("loaded")
    assert "no folder of this user" in warned[-1]


def test_without_a_cache_nothing_is_kept(call, monkeypatch, tmp_path):
    monkeypatch.setattr(host, "cache_folder", lambda: None)
    assert ready(call[0])[1][0].startswith("compiled")
    assert ready(call[0])[1][0].startswith("compiled")


def test_kept_programs_count_when_the_cache_is_cut(tmp_path):
    (tmp_path / "programs").mkdir()
    old, new = tmp_path / "programs" / "a", tmp_path / "b-cache"
    for file, time in ((old, 1), (new, 2)):
        file.write_bytes(b"12345678")
        os.utime(file, (time, time))
    host.trim(tmp_path, 8)
    assert not old.exists() and new.exists()


def test_a_process_of_its_own_compiles_for_a_tuned_heap(cache, monkeypatch):
    """What it leaves in the cache is what this process looks for there."""
    folder, _ = cache
    monkeypatch.setattr(host, "_is_tuned", True)
    monkeypatch.setattr(host, "settle_heap", lambda: 0)
    recipe = loop.Recipe(CONFIG, IMAGES, functools.partial(shift, pixels=1))
    hits, run = len(compiler.cache_hits()), []
    apart = compile_apart.run
    monkeypatch.setattr(
        compile_apart, "run", lambda file: run.append(apart(file)) or run[-1]
    )
    key, heard = jax.random.key(0), Heard()
    calls = loop.programs(key, NETWORK, recipe)
    Compiler(heard)(calls)
    assert run == [True]
    assert len(compiler.cache_hits()) == hits + 1
    assert heard.lines[0].endswith("(cache: miss)")
    assert len([*folder.glob("jit_call-*-cache")]) == 1


def test_it_ends_with_the_process_that_asked(tmp_path):
    """Its work would take minutes and gigabytes for nobody."""
    file = tmp_path / "fifo"
    os.mkfifo(file)  # it waits here for its program
    words = [sys.executable, "-m", compile_apart.__name__, str(file), str(tmp_path)]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with open(file, "wb"):  # opens when it reads
        assert other.poll() is None
        other.stdin.close()
        assert other.wait(timeout=60) == 1


def test_a_process_that_dies_leaves_the_work_to_this_one(cache, call, monkeypatch):
    monkeypatch.setattr(host, "_is_tuned", True)
    monkeypatch.setattr(host, "settle_heap", lambda: 0)
    monkeypatch.setattr(compile_apart.sys, "executable", "/bin/false")
    program, lines = ready(call[0])
    assert results(program) == [12.0] * 3
    assert lines[0].endswith("(cache: miss)")


# --- keys ----------------------------------------------------------------------------


SPACE = builders.build(small_run.EXPERIMENT.space)
NETWORK = baselines.hand_designed(SPACE)
IMAGES = Batch(np.zeros((8, *SPACE.input_shape), np.float32), np.arange(8) % 10)
CONFIG = TrainConfig(epochs=8, batch=4, warmup_epochs=1, ema_epochs=2)


def of_training(config=CONFIG, architecture=NETWORK, data=IMAGES, **changes):
    augmented = changes.pop("augment", functools.partial(shift, pixels=1))
    recipe = loop.Recipe(config, data, augmented, **changes)
    (made,) = loop.programs(jax.random.key(0), architecture, recipe).values()
    return program_key.of("training step", made.made_of, made.arguments)


def test_trainings_of_other_lengths_share_a_program():
    assert of_training(CONFIG.lasting(3)) == of_training() is not None


@pytest.mark.parametrize("epochs", [1, 3, 8])
def test_and_that_program_is_right_for_each(epochs):
    """Its lengths are the state's, not those of the recipe that it was made with."""
    recipes = [
        loop.Recipe(config, IMAGES, functools.partial(shift, pixels=1))
        for config in (CONFIG, CONFIG.lasting(epochs))
    ]
    key = jax.random.key(3)
    found = []
    for recipe in recipes:
        step = loop.make_train_step(NETWORK, recipe)
        state = loop.init(key, NETWORK, recipes[1])
        for number in range(3):
            state, metrics = step(state, recipe.batches(key)(number))
        found.append((state.params, state.average, metrics))
    jax.tree.map(np.testing.assert_array_equal, *found)


OTHERS = {
    "rate": lambda: of_training(dataclasses.replace(CONFIG, lr=0.1)),
    "average": lambda: of_training(dataclasses.replace(CONFIG, ema_epochs=0.0)),
    "network": lambda: of_training(
        architecture=from_ops(
            SPACE, [layer.candidates[0] for layer in SPACE.layers], "network"
        )
    ),
    "augmentation": lambda: of_training(augment=functools.partial(shift, pixels=2)),
    "shapes": lambda: of_training(dataclasses.replace(CONFIG, batch=2)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_decides_a_program_is_in_its_key(other):
    assert other() not in (None, of_training())


def test_names_play_no_part():
    renamed = dataclasses.replace(NETWORK, name="renamed")
    assert of_training(architecture=renamed) == of_training()


def test_labels_count_where_classes_are_weighted_by_them():
    balanced = dataclasses.replace(CONFIG, class_weights="balanced")
    skewed = IMAGES._replace(labels=np.array([0, 0, 0, 1, 1, 2, 3, 4]))
    assert of_training(data=skewed) == of_training()
    assert of_training(balanced, data=skewed) != of_training(balanced)


def test_settings_of_jax_and_of_xla_are_in_the_key(monkeypatch):
    before = of_training()
    with jax.default_matmul_precision("highest"):
        assert of_training() != before
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", "") + " --xla_x=1")
    assert of_training() != before


@pytest.mark.parametrize("what", [program_key, host])
def test_sources_and_machine_are_in_the_key(monkeypatch, what):
    before = of_training()
    name = "_sources" if what is program_key else "machine"
    monkeypatch.setattr(what, name, lambda: "another")
    assert of_training() != before


def test_code_from_elsewhere_has_no_key():
    """It may change where no digest sees it."""
    assert of_training(augment=lambda key, images: images) is None
    assert program_key.of("step", (np.random.default_rng(),), ()) is None
    assert program_key.of("step", None, ()) is None


@pytest.mark.parametrize("name", sorted(estimators.ESTIMATORS))
def test_every_estimator_of_the_package_can_be_told(name):
    found = estimators.ESTIMATORS[name]
    if found.sample.__module__.startswith("nas_jax."):
        assert program_key.of("step", found, ())


def test_a_function_that_holds_itself_has_no_key():
    def again(count):
        return count and again(count - 1)

    again.__module__ = "nas_jax.none"
    assert program_key.of("step", again, ()) is None


def test_every_augmentation_can_be_told_apart():
    folder = DataConfig(name="fashion_mnist")
    made = [
        augment.of(folder),
        augment.of(folder, "trivial"),
        augment.of(folder, "strong_jitter"),
        augment.of(DataConfig()),
    ]
    keys = {program_key.of("step", one, ()) for one in made}
    assert len(keys) == len(made) and None not in keys


def test_operations_of_ones_own_have_no_key():
    class Mine:
        pass

    found = parts.implementations([NETWORK.blocks[-1].op])
    assert program_key.of("step", found, ())
    assert program_key.of("step", (Mine,), ()) is None


AGAIN = """
import sys
from tests.training import test_kept_programs as here
print(here.of_training())
"""


def test_another_process_finds_the_same_key():
    def key(seed):
        return subprocess.run(
            [sys.executable, "-c", AGAIN],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert len(key("1")) == 64
    assert key("1") == key("2")


def test_a_search_s_settings_can_be_told():
    made_of = (SPACE, parts.implementations(SPACE.candidates), SearchConfig())
    assert program_key.of("weight step", made_of, ())


def test_shapes_stand_for_arrays():
    arrays = network.init(jax.random.key(0), NETWORK)
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), NETWORK))
    assert program_key.of("x", (), arrays) == program_key.of("x", (), shapes)
