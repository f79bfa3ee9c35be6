"""`benchmarks gpu`: small on a CPU, every part is run, resumed, skipped and refused."""

import dataclasses
import json
import os
import re
import sys
import types

import jax
import numpy as np
import pytest

from benchmarks import command as bench_command
from benchmarks import (
    fresh_process,
    gpu,
    gpu_parts,
    gpu_pieces,
    soak,
    step_times,
    torch_peer,
)
from benchmarks.settings import GpuConfig, SoakConfig
from nas_jax.config import SpaceConfig, shipped
from nas_jax.spaces import builders
from nas_jax.training.progress import Progress
from tests.tiny_spaces import ONE_LAYER

SMALL = GpuConfig(
    space=ONE_LAYER,
    batch=2,
    small_batch=2,
    parity_batch=2,
    paths=1,
    rounds=2,
    table_repeats=3,
    search_epochs=4,
)


def answering(monkeypatch, answer):
    """Calls of fresh processes get their answer from `answer` in place of one."""
    seen = []

    def call(function, *arguments, environment, timeout_s):
        seen.append((function.__name__, environment, timeout_s))
        return answer(function, *arguments)

    monkeypatch.setattr(fresh_process, "call", call)
    return seen


def made_up(function, *arguments):
    """What the parts might tell."""
    if function is gpu_parts.gradients:
        arrays = np.ones(2), np.full(2, 4.0 if "cpu" in arguments[1] else 3.0)
        np.savez(arguments[1], *arrays)
        return 1.0
    rates = {f"{name}_images_per_s": 1000.0 for name in gpu_parts.STEPS}
    return {"figures": rates, "times_ms": {"weight": {"min": 2.0}}}


# --- the parts -----------------------------------------------------------------------


def test_every_part_runs_small_on_a_cpu(monkeypatch, tmp_path):
    """In this process, which compiles programs once; the search is a smaller one."""
    tiny = soak.experiment(SoakConfig(steps=160))
    monkeypatch.setattr(shipped, "load_experiment", lambda name: tiny)
    seen = answering(monkeypatch, lambda function, *given: function(*given))
    file = tmp_path / "gpu.json"
    found = gpu.run(SMALL, Progress(), file)
    assert json.loads(file.read_text())["parts"] == found["parts"]
    assert set(found["not_run"]) <= {"torch", "torch_compiled"}
    parts = {name: part["figures"] for name, part in found["parts"].items()}
    for name in ("float32", "bfloat16"):
        assert parts[name]["batch"] == 2
        assert all(parts[name][f"{step}_images_per_s"] > 0 for step in gpu_parts.STEPS)
    assert parts["parity"] == {"logits_difference": 0, "gradients_difference": 0}
    for name, shapes in (("depthwise", 1), ("batch_norm", 2)):
        assert (parts[name]["shapes"], parts[name]["left_out"]) == (shapes, 0)
    assert parts["command_buffers"]["over_default"] > 0
    assert parts["latency_table"]["entries"] == len(
        found["parts"]["latency_table"]["table"]["entries"]
    )
    assert parts["search"]["epochs"] == 4
    assert found["projected"] == {}  # of the paper's space alone
    flags = [environment.get("XLA_FLAGS", "") for _, environment, _ in seen]
    assert sum(gpu.COMMAND_BUFFERS in one for one in flags) == 1
    assert [one[1].get("JAX_PLATFORMS") for one in seen].count("cpu") == 1
    first = [row[0] for row in gpu.table(found)]
    assert list(dict.fromkeys(first)) == ["part", *gpu.PARTS, "projected"]


@pytest.mark.parametrize("is_compiled", [False, True])
def test_pytorch_counts_by_its_best_form(monkeypatch, is_compiled):
    called = []

    class Peer:
        def __init__(self, searched, batch, *, channels_last, compiled, **_):
            self.form = channels_last, compiled

        def plain_step(self, paths):
            return lambda: called.append(self.form)

        weight_step = arch_step = plain_step

    monkeypatch.setattr(step_times, "reason_without_torch", lambda: None)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(torch_peer, "Peer", Peer)
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(__version__="0"))
    found = gpu_parts.torch(SMALL, is_compiled)
    steps = ("plain",) if is_compiled else gpu_parts.STEPS
    assert list(found["figures"])[1:] == [f"{step}_images_per_s" for step in steps]
    formats = {True} if is_compiled else {False, True}
    assert set(called) == {(last, is_compiled) for last in formats}


def test_shapes_are_those_of_the_paper_without_repetition():
    searched = builders.mobile(SpaceConfig())
    blocks = {one.name for one in gpu_pieces.depthwise_pieces(searched, 1)}
    assert len(blocks) == 9 * 3  # two stages begin as the one before them ends
    assert {"112x112x96 k3 s2", "7x7x1152 k7 s1"} < blocks


def test_forms_of_a_piece_compute_the_same():
    searched = builders.mobile(SMALL.space)
    key = jax.random.key(0)
    for make in (gpu_pieces.depthwise_pieces, gpu_pieces.batch_norm_pieces):
        piece = next(iter(make(searched, 2)))
        arrays = [jax.random.uniform(key, shape, minval=0.5) for shape in piece.shapes]
        one, two, *others = (
            jax.jit(compute)(arrays) for compute in piece.computations.values()
        )
        for found, expected in zip((one, two), others, strict=True):
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
                *(found, expected),
            )


def test_shapes_that_there_is_no_time_for_are_counted():
    found = gpu_pieces.measure(SMALL, "depthwise", until=0)["figures"]
    assert (found["shapes"], found["left_out"]) == (0, 1)


def test_difference_and_hours_by_hand(monkeypatch):
    answering(monkeypatch, made_up)
    parity = gpu.parity(gpu.Budget(1), SMALL)["figures"]
    assert parity == {"logits_difference": 0, "gradients_difference": 0.25}
    steps = {"figures": made_up(None)["figures"] | {"arch_images_per_s": 500.0}}
    # 160 epochs of weight steps; every fifth of 120 a second time, at half the rate
    expected = 1_281_167 * (160 / 1000 + 120 / 5 / 500) / 3600
    hours = gpu.projected({"float32": steps})
    assert hours == {"float32_hours": pytest.approx(expected)}


def test_a_batch_that_does_not_fit_is_halved(monkeypatch):
    def answer(function, config):
        if config.batch > 64:
            raise ValueError("XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory")
        return config.batch

    answering(monkeypatch, answer)
    assert gpu.Budget(1).fitting(made_up, GpuConfig()) == 64


# --- time, files and machines --------------------------------------------------------


def test_a_second_call_runs_what_is_missing(monkeypatch, tmp_path):
    file = tmp_path / "gpu.json"

    def failing(function, *arguments):
        if function is gpu_parts.latency_table:
            raise ValueError("no part like that")
        return made_up(function, *arguments)

    answering(monkeypatch, failing)
    first = gpu.run(SMALL, Progress(), file)
    assert first["not_run"] == {"latency_table": "no part like that"}
    seen = answering(monkeypatch, made_up)
    again = dataclasses.replace(SMALL, minutes=5.0)  # of one call alone
    second = gpu.run(again, Progress(), file)
    assert [name for name, *_ in seen] == ["latency_table"]
    assert second["not_run"] == {}
    assert second["parts"].items() > first["parts"].items()
    assert 0 < seen[0][2] <= 2 * gpu.PARTS["latency_table"].seconds


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [("config", "batch", 4), ("machine", "commit", "0"), ("machine", "device", "x")],
)
def test_a_file_of_something_else_is_refused(monkeypatch, tmp_path, kind, name, value):
    answering(monkeypatch, made_up)
    file = tmp_path / "gpu.json"
    document = gpu.run(SMALL, Progress(), file)
    document[kind][name] = value
    file.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=rf"expected parts of {kind}.{name} = .*, got"):
        gpu.run(SMALL, Progress(), file)


def test_what_there_is_no_time_for_is_told(monkeypatch):
    answering(monkeypatch, made_up)
    needs = gpu.PARTS["float32"].seconds
    found = gpu.run(dataclasses.replace(SMALL, minutes=1.1), Progress())
    told = found["not_run"]["float32"]
    assert re.fullmatch(rf"may take {needs:.0f} s, \d+ s left", told)
    assert {"torch", "batch_norm", "search"} <= set(found["parts"])
    rows = [row for row in gpu.table(found) if row[0] == "float32"]
    assert rows == [("float32", "", f"not run: {told}")]


def test_a_budget_ends_the_process_and_gives_it_its_environment():
    budget = gpu.Budget(60)
    assert budget.call(os.getenv, "NAS_JAX_ANY", NAS_JAX_ANY="5") == "5"
    assert budget.call(os.getenv, "JAX_ENABLE_COMPILATION_CACHE") == "false"
    with pytest.raises(ValueError, match="within 0 s, got none"):
        gpu.Budget(0).call(os.getpid)


def test_without_a_gpu_the_sizes_have_to_be_small(tmp_path, capsys):
    assert bench_command.main(["gpu", "--json", str(tmp_path / "gpu.json")]) != 0
    error = capsys.readouterr().err.strip()
    assert "expected a GPU, got cpu; for a dry run make it small: --batch 2" in error
    advice = error.partition("small: ")[2].split()
    assert bench_command.command(["gpu", *advice]).arguments["config"].pixels == 512
