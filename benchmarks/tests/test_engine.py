"""`benchmarks engine`: what is measured is what is said."""

import dataclasses
import importlib.util
import json
import math
import os
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import (
    all_candidates,
    engine,
    fresh_process,
    goals,
    programs,
    step_times,
    torch_peer,
    turns,
    workload,
)
from benchmarks import command as bench_command
from benchmarks.settings import CANDIDATES, EngineConfig, Point
from nas_jax import supernet
from nas_jax.config import SpaceConfig
from nas_jax.config.space import MBCONV_CANDIDATES
from nas_jax.latency.measurement import timing
from nas_jax.networks import network
from nas_jax.spaces import builders
from nas_jax.training import host
from nas_jax.training.progress import Progress
from tests.tiny_spaces import ONE_LAYER

# Large is as small, and so compiled once.
TINY = EngineConfig(
    space=ONE_LAYER, batch=2, paths=1, rounds=2, large_input_size=8, large_batch=2
)
# Layers that offer six and seven candidates.
PAPER = builders.mobile(
    dataclasses.replace(
        ONE_LAYER, candidates=MBCONV_CANDIDATES, cells=(3,), strides=(2,)
    )
)


@pytest.fixture(autouse=True)
def the_allocator_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(host, "tune_allocator", lambda: False)


# --- paths and candidates ------------------------------------------------------------


def test_candidate_sets_grow_around_the_largest_and_seven_are_the_papers():
    assert len(set(CANDIDATES)) == len(CANDIDATES) == 12
    assert CANDIDATES[0] == "mb6_k7"
    assert set(CANDIDATES[:7]) == set(MBCONV_CANDIDATES)
    assert "zero" not in CANDIDATES[:2]  # a layer that moves would have one left


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), paths=st.integers(1, 5))
def test_paths_are_pairs_of_offered_candidates_and_hold_zero(seed, paths):
    work = workload.make(PAPER, 1, paths, seed)
    layers = np.arange(3)
    for chosen in (work.active, work.inactive):
        assert chosen.shape == (paths, 3)
        assert chosen.dtype == np.int32
        assert PAPER.mask[layers, chosen].all()
    assert (work.active != work.inactive).all()
    assert (work.active == MBCONV_CANDIDATES.index("zero")).any()
    again = workload.make(PAPER, 1, paths, seed)
    np.testing.assert_array_equal(again.active, work.active)
    np.testing.assert_array_equal(again.inactive, work.inactive)


def test_paths_are_uniform_over_what_a_layer_offers():
    draws = 4000
    work = workload.make(PAPER, 1, draws, 0)
    for layer, offered in enumerate(PAPER.mask):
        for chosen in (work.active, work.inactive):
            shares = np.bincount(chosen[:, layer], minlength=7) / draws
            # five standard deviations of a share of 1/7 or 1/6 are below 0.03
            np.testing.assert_allclose(shares, offered / offered.sum(), atol=0.03)


def test_paths_among_the_first_two_are_the_same_in_a_larger_set():
    small, large = (
        workload.make(
            builders.mobile(
                dataclasses.replace(ONE_LAYER, candidates=CANDIDATES[:count])
            ),
            *(1, 6, 0),
            among=2,
        )
        for count in (2, 12)
    )
    assert {0, 1} == set(small.active.flat)
    for chosen in ("active", "inactive"):
        names = [
            [one.searched.candidates[k].name for k in getattr(one, chosen).flat]
            for one in (small, large)
        ]
        assert set(names[0]) == set(names[1]) == {"mb6_k7", "mb3_k3"}


def test_a_layer_of_one_candidate_has_no_pair():
    alone = dataclasses.replace(ONE_LAYER, cells=(2,), strides=(2,))
    with pytest.raises(ValueError, match=r"at least 2 candidates .* 'tiny', got 1"):
        workload.make(builders.mobile(alone), 1, 1, 0)


# --- the calls -----------------------------------------------------------------------


def test_calls_go_along_the_paths_in_turn(monkeypatch):
    """The programs are replaced by ones that note what they are given."""
    work = workload.make(PAPER, 2, 3, 0)
    seen = []

    def noting(name):
        def run(state, *sampled_and_batch):
            sampled = sampled_and_batch[:-1]
            seen.append((name, *jax.tree.map(np.asarray, sampled)))
            return state, {}

        return programs.Program(run, 0.0, 0.0, 0)

    monkeypatch.setattr(programs, "weight", lambda *_: noting("weight"))
    monkeypatch.setattr(programs, "arch", lambda *_: noting("arch"))
    monkeypatch.setattr(programs, "plain", lambda one, *_: noting(one))
    state = workload.start(work, 0)
    for make in (workload.weight_step, workload.arch_step, workload.plain_step):
        call = make(work, state)
        for _ in range(4):
            call()
    order = (0, 1, 2, 0)
    for index, (name, path) in zip(order, seen[:4], strict=True):
        assert name == "weight"
        np.testing.assert_array_equal(path, work.active[index])
    for index, (name, pair) in zip(order, seen[4:8], strict=True):
        assert name == "arch"
        np.testing.assert_array_equal(pair.active, work.active[index])
        np.testing.assert_array_equal(pair.inactive, work.inactive[index])
    plain = workload.networks(work)
    assert [one for (one,) in seen[8:]] == [plain[index] for index in order]


def test_turns_give_minimum_and_median_per_step(monkeypatch):
    """A clock that moves by what each call says it took."""
    now = 0.0
    took = iter([9.0, 9.0, 0.006, 0.002, 0.001, 0.001, 0.004, 0.008])
    order = []

    def call():
        nonlocal now
        order.append("call")
        now += next(took)

    clock = types.SimpleNamespace(perf_counter=lambda: now)
    monkeypatch.setattr(timing, "time", clock)
    found = turns.in_turns({"a": call}, rounds=3, steps=2, watch=Progress())
    # two warm-up steps, then rounds of 8, 2 and 12 ms for two steps each
    assert found["a"] == pytest.approx({"min": 1.0, "median": 4.0})
    assert len(order) == 8


def test_every_round_has_every_call(monkeypatch):
    seen = []
    calls = {name: lambda name=name: seen.append(name) for name in "abc"}
    found = turns.in_turns(calls, rounds=4, steps=1, watch=Progress())
    assert set(found) == set("abc")
    rounds = [seen[start : start + 3] for start in range(0, len(seen), 3)]
    assert len(rounds) == 5  # one to warm up
    assert all(sorted(one) == list("abc") for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1  # in changing order


@pytest.mark.parametrize(
    ("words", "pixels"),
    [
        (("engine",), 16 * 96**2),
        (("engine", "--batch", "3"), 3 * 96**2),
        (("scaling",), 16 * 64**2),
        (("estimators",), 0),
    ],
)
def test_process_is_prepared_for_the_largest_batch(words, pixels, monkeypatch):
    """The allocator is set before JAX computes, or its threads keep their own heaps."""

    class Prepared(Exception):
        pass

    def prepare(*, cache, pixels):
        raise Prepared(cache, pixels)

    monkeypatch.setattr(bench_command.host, "prepare", prepare)
    with pytest.raises(Prepared) as found:
        bench_command.main([*words, "--no-cache"])
    assert found.value.args == (False, pixels)


# --- all candidates ------------------------------------------------------------------


def test_all_candidates_at_one_hot_weights_are_the_plain_network():
    """Independent of it: parameters through `extract`, logits through `network`."""
    candidates = ("mb3_k3", "zero", "mb2_k5")
    own = dataclasses.replace(ONE_LAYER, candidates=candidates, cells=(2,))
    searched = builders.mobile(own)
    work = workload.make(searched, 4, 3, 1)
    state = workload.start(work, 0)
    params, stats = (
        {name: tree[name] for name in searched.fixed}
        for tree in (state.params, state.batch_stats)
    )
    layers = [
        [
            supernet.candidate(searched, state.params, state.batch_stats, layer, op)
            for op in searched.layers[layer].candidates
        ]
        for layer in range(2)
    ]
    # the two layers are equal, hence one run
    both = [jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)]
    for kind, tree in enumerate((params, stats)):
        tree["layers"] = [[candidate[kind] for candidate in run] for run in both]
    told = all_candidates.shapes(searched)
    assert jax.tree.map(jnp.shape, (params, stats)) == jax.tree.map(
        lambda leaf: leaf.shape, told
    )
    for path, plain in zip(work.active, workload.networks(work), strict=True):
        own = supernet.extract(searched, state.params, state.batch_stats, plain)
        expected, _ = network.apply(plain, *own, work.batch.images, train=True)
        found, _ = all_candidates.forward(
            searched, params, stats, [jnp.eye(3)[path]], work.batch.images
        )
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# --- figures and goals ---------------------------------------------------------------


def test_figures_are_ratios_of_the_best():
    def time(least):
        return {"min": least, "median": 10 * least}

    times = {
        **{"plain_step": time(2.0), "weight_step": time(3.0), "arch_step": time(1.0)},
        **{"torch, a: plain_step": time(4.0), "torch, b: plain_step": time(5.0)},
        **{"torch, a: weight_step": time(9.0), "torch, b: weight_step": time(6.0)},
        **{"torch, a: arch_step": time(4.0), "torch, b: arch_step": time(4.0)},
    }
    own = {"weight_step_over_plain": 1.5, "arch_step_over_plain": 0.5}
    theirs = {
        "plain_over_torch_plain": 0.5,
        "weight_step_over_torch": 0.5,
        "arch_step_over_torch": 0.25,
    }
    assert step_times.figures(times, "min", ("time", "torch")) == own | theirs
    assert step_times.figures(times, "median", ("torch",)) == theirs
    without = {name: own for name, own in times.items() if ":" not in name}
    assert step_times.figures(without, "min", ("time", "torch")) == own


def test_pytorch_is_tried_in_both_memory_formats():
    work = workload.make(PAPER, 2, 2, 0)
    made = []

    class Peer:
        def __init__(self, searched, batch, **how):
            assert searched is work.searched
            assert batch is work.batch
            made.append(how)

        def plain_step(self, paths):
            return ("plain", paths)

        def weight_step(self, paths):
            return ("weight", paths)

        def arch_step(self, pairs):
            return ("arch", pairs)

    calls = step_times.torch_calls(Peer, work, 3)
    same = {"seed": 3, "device": "cpu", "compiled": False}
    assert made == [{"channels_last": False, **same}, {"channels_last": True, **same}]
    for form in ("channels_first", "channels_last"):
        assert calls[f"torch, {form}: plain_step"] == ("plain", work.active)
        assert calls[f"torch, {form}: weight_step"] == ("weight", work.active)
        kind, pairs = calls[f"torch, {form}: arch_step"]
        assert kind == "arch"
        assert pairs[0] is work.active
        assert pairs[1] is work.inactive
    assert len(calls) == 6


def test_goals_are_met_or_missed_and_nothing_is_made_up():
    result = {figure.name: None for figure in goals.FIGURES}
    result |= {
        "weight_step_over_plain": 1.1,
        "arch_step_over_plain": 0.9501,
        "compile_seconds": 61.5,
        "compile_gib": 2.5,
        "all_paths_memory_over_ours": 4.0,
        "by_medians": {"weight_step_over_plain": 1.25},
        "not_run": {"torch": "PyTorch is not installed", "growth": "left out"},
    }
    # of these parts a figure is left that nobody measured
    result["not_run"] |= {"memory": "left out", "compile": "left out"}
    header, *lines = goals.rows(result)
    assert header == ("figure", "value", "by medians", "goal", "")
    rows = {name: rest for name, *rest in lines}
    assert list(rows) == [figure.name for figure in goals.FIGURES]
    assert rows["weight_step_over_plain"] == ["1.100", "1.250", "<= 1.1", "met"]
    assert rows["arch_step_over_plain"] == ["0.950", "", "<= 0.95", "missed"]
    assert rows["compile_seconds"] == ["61.500 s", "", "<= 40 s", "missed"]
    assert rows["compile_gib"] == ["2.500 GiB", "", "<= 3 GiB", "met"]
    assert rows["all_paths_memory_over_ours"] == ["4.000", "", "", ""]
    for name, goal in (("plain_over_torch_plain", 0.72), ("arch_step_over_torch", 1)):
        told = ["not run: PyTorch is not installed", "", f"<= {goal}", ""]
        assert rows[name] == told
    assert rows["growth_2_to_12"] == ["not run: left out", "", "<= 1.05", ""]


# --- fresh processes and the cache ---------------------------------------------------


def test_fresh_process_answers_with_its_own_environment_and_memory():
    added = {"NAS_JAX_ANY": "5"}
    assert fresh_process.call(os.getenv, "NAS_JAX_ANY", environment=added) == "5"
    assert fresh_process.call(os.getpid) != os.getpid()
    # the peak of this process, with JAX in it, is not inherited
    alone = fresh_process.call(fresh_process.peak_resident_bytes)
    assert 2**20 < alone < 2**27 < fresh_process.peak_resident_bytes()


def test_fresh_process_that_dies_is_reported_in_a_line():
    with pytest.raises(ValueError, match=r"sqrt in a fresh .* code 1 \(ValueError: "):
        fresh_process.call(math.sqrt, -1)
    with pytest.raises(ValueError, match=r"sleep in a fresh .* within 0 s, got none"):
        fresh_process.call(time.sleep, 1000, timeout_s=0.01)


def test_nothing_is_cached_or_found_in_a_cache_inside(tmp_path):
    before = {
        name: getattr(jax.config, name)
        for name in (
            "jax_compilation_cache_dir",
            "jax_persistent_cache_min_compile_time_secs",
            "jax_persistent_cache_min_entry_size_bytes",
        )
    }
    for name, value in zip(before, (str(tmp_path), 0, -1), strict=True):
        jax.config.update(name, value)
    shape = jax.ShapeDtypeStruct((3,), jnp.float32)
    try:
        with programs.no_compile_cache():
            programs.compiled(jax.jit(lambda x: 2 * x + 1), shape)
        assert list(tmp_path.iterdir()) == []
        programs.compiled(jax.jit(lambda x: 2 * x + 1), shape)
        assert list(tmp_path.iterdir()) != []
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        programs.compilation_cache.reset_cache()


# --- the whole -----------------------------------------------------------------------


def without_torch(monkeypatch):
    monkeypatch.setattr(torch_peer, "available", lambda: False)


def check(result, parts):
    """Figures of these parts are numbers, those of the others are None."""
    for name, part, _, _ in goals.FIGURES:
        if part in parts:
            assert math.isfinite(result[name]) and result[name] > 0, name
        else:
            assert result[name] is None, name
            assert part in result["not_run"]
    assert len(engine.table(result)) == 1 + len(goals.FIGURES)
    for named in (result["machine"], result["machine"]["versions"]):
        assert all(value is not None for value in named.values())
    json.dumps(result, allow_nan=False)


def test_without_pytorch_nothing_is_timed_for_it(monkeypatch):
    without_torch(monkeypatch)
    monkeypatch.setattr(workload, "make", None)
    result = engine.run(dataclasses.replace(TINY, parts=("torch",)))
    check(result, ())
    assert result["not_run"]["torch"] == "PyTorch is not installed"


def test_time_and_memory_of_a_tiny_space(monkeypatch):
    without_torch(monkeypatch)
    parts = ("time", "memory", "torch")
    result = engine.run(dataclasses.replace(TINY, parts=parts))
    check(result, ("time", "memory"))
    assert result["not_run"]["torch"] == "PyTorch is not installed"
    assert result["not_run"]["compile"] == "left out"
    times, medians = result["times_ms"], result["by_medians"]
    for step in ("weight_step", "arch_step"):
        for statistic, found in (("min", result), ("median", medians)):
            ratio = times[step][statistic] / times["plain_step"][statistic]
            assert found[f"{step}_over_plain"] == ratio
            assert times[step]["min"] <= times[step]["median"]
    memory = result["memory"]
    for size, suffix in (("usual", ""), ("large", "_224")):
        used = memory[size]["temp_bytes"]
        for step in ("weight", "arch"):
            ratio = used[step] / used["plain"]
            assert result[f"{step}_memory_over_plain{suffix}"] == ratio
    everything = memory["all_candidates"] / memory["usual"]["temp_bytes"]["weight"]
    assert result["all_paths_memory_over_ours"] == everything
    assert result["paths"] == [{"active": ["zero"], "inactive": ["mb6_k7"]}]


@pytest.mark.slow
def test_memory_at_the_larger_size_is_measured_there():
    config = dataclasses.replace(
        TINY, parts=("memory",), large_input_size=16, large_batch=3
    )
    memory = engine.run(config)["memory"]
    assert (memory["large"]["input_size"], memory["large"]["batch"]) == (16, 3)
    # six times the pixels; what belongs to the weights does not grow
    for step in ("plain", "weight", "arch"):
        small, large = (memory[size]["temp_bytes"][step] for size in ("usual", "large"))
        assert large > 2 * small


@pytest.mark.slow
def test_compilation_and_growth_of_a_tiny_space():
    parts = ("compile", "growth")
    result = engine.run(dataclasses.replace(TINY, parts=parts))
    check(result, parts)
    cold, warm = result["compile"]["cold"], result["compile"]["warm"]
    assert result["compile_seconds"] == cold["steps_s"] > 0
    assert result["compile_gib"] == cold["peak_resident_bytes"] / 2**30
    assert result["warm_start_seconds"] == warm["ready_s"]
    assert cold["ready_s"] > cold["steps_s"] + cold["initial_state_s"]
    assert warm["steps_s"] < cold["steps_s"]
    assert warm["cache_hits"] >= 2  # both steps at least
    grown = result["growth"]
    ratios = [
        grown["times_ms"]["12"]["min"] / grown["times_ms"]["2"]["min"],
        grown["temp_bytes"]["12"] / grown["temp_bytes"]["2"],
    ]
    assert result["growth_2_to_12"] == max(ratios)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason="the peer needs PyTorch",
)
def test_pytorch_beside_a_tiny_space():
    result = engine.run(dataclasses.replace(TINY, parts=("torch",)))
    check(result, ("torch",))
    times = result["times_ms"]
    for step, name in (
        ("plain_step", "plain_over_torch_plain"),
        ("weight_step", "weight_step_over_torch"),
        ("arch_step", "arch_step_over_torch"),
    ):
        best = min(
            times[f"torch, {form}: {step}"]["min"]
            for form in ("channels_first", "channels_last")
        )
        assert result[name] == times[step]["min"] / best
    assert result["torch"]["threads"] >= 1


# --- the command ---------------------------------------------------------------------


def test_command_hands_its_flags_on_and_writes_the_numbers(
    tmp_path, monkeypatch, capsys
):
    heard = []

    def run(config, watch):
        heard.append(config)
        watch.phase("measuring")
        return {"value": 3}

    monkeypatch.setattr(engine, "run", run)
    monkeypatch.setattr(engine, "table", lambda result: [("value",), ("3",)])
    file = tmp_path / "engine.json"
    words = "--parts time,memory --space.input-size 32 --space.cells 1 1 --rounds=5"
    stages = "--space.stage-widths 8 16 --space.strides 1 2"
    command = f"engine {words} {stages} --json {file}"
    assert bench_command.main(command.split()) == 0
    out, err = capsys.readouterr()
    assert heard == [
        EngineConfig(
            parts=("time", "memory"),
            space=SpaceConfig(
                input_size=32, cells=(1, 1), stage_widths=(8, 16), strides=(1, 2)
            ),
            rounds=5,
        )
    ]
    assert json.loads(file.read_text()) == {"value": 3}
    assert out.splitlines() == ["value", "3", engine.HOW_TO_READ]
    assert err == "· measuring\n"  # and nothing of it on standard output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("engines", "bench 'engines': expected one of estimators, pruning, engi"),
        (
            "engine --parts time,speed",
            "--parts: expected one of time, memory",
        ),
        ("engine --parts time,time", "parts: expected distinct names of time, m"),
        ("engine --rounds 1", "rounds: expected at least 2, got 1"),
        ("engine --batch 0", "batch: expected a positive integer, got 0"),
        ("engine --batch many", "--batch: expected a whole number, got 'many'"),
        ("engine --rond 3", "unknown flag --rond; did you mean --rounds"),
        (
            "engine --space.candidates mb3_k3 zero",
            "space.candidates: expected 'mb6_k7', that of the largest network, ",
        ),
        ("engine --plot a.png", "bench engine: expected no --plot (it is for scaling"),
        ("engine --json no/a.json", "--json no/a.json: expected a folder no to wri"),
        ("scaling --plot a.txt", "--plot a.txt: expected a name that ends in on"),
        ("scaling --candidates 2,13", "candidates: expected 2 to 12, got 13"),
        ("scaling --candidates 2 2", "candidates: expected distinct numbers, at"),
        ("scaling --base.cells 0", "cells: expected a positive integer, got 0"),
        ("scaling --stage-widths 0", "space.stage_widths.0: expected at least 1"),
        ("pruning --rounds 3", "unknown flag --rounds"),
    ],
)
def test_wrong_flags_are_refused_in_a_line(words, message, capsys, monkeypatch):
    monkeypatch.setattr(engine, "run", None)  # refused before anything is measured
    assert bench_command.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"nas_jax: {message}")


def test_help_of_a_bench_lists_its_fields(capsys):
    assert bench_command.main(["engine", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--large-input-size" in out
    assert "--space.input-size" in out


def test_defaults_are_the_papers_space_at_two_sizes():
    config = bench_command.command(["engine"]).arguments["config"]
    assert config == EngineConfig()
    assert config.space == SpaceConfig(input_size=96)
    assert (config.batch, config.large_input_size, config.large_batch) == (16, 224, 32)
    with pytest.raises(ValueError, match="candidates: expected 2 to 12, got 1"):
        Point(candidates=1)
