"""`benchmarks memory`: the predicted peak of activations against ONNX Runtime's.

In use is what a process comes to hold, by the operating system, where ONNX Runtime
gives back the memory of every value after the last node that reads it
(`memory_in_use`). By default it does not: after a first inference it lays out all
values in one block, in the order in which they are made, with gaps, and rooms that wait
for a value of the same size. The size of that block, which the log of its arena tells,
stands beside.

The graph is the optimised one, activations fused into convolutions, in the order of
axes of the file, [batch channels height width]. By default ONNX Runtime computes in
blocks of as many channels as the processor's vectors hold, and fills up widths that are
no multiple of it; its layout for that stands beside, too.

Compared are the values between the images and the answer, which are the caller's. A
call is of so many images that what is not theirs, pages and what a kernel needs for
itself, is a small share; all values grow with the images.
"""

import contextlib
import dataclasses
import functools
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime

from benchmarks import fresh_process, memory_in_use
from benchmarks.settings import MemoryConfig
from nas_jax.config import provenance, shipped
from nas_jax.config.space import SpaceConfig
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import activation_memory
from nas_jax.networks.device_memory import ACTIVATION_BYTES
from nas_jax.networks.onnx import outline
from nas_jax.spaces import architecture, builders, elastic, published
from nas_jax.spaces.architecture import Architecture
from nas_jax.training.progress import Progress

GOAL = 0.1
"""Share of the runtime's plan that a prediction may be off."""
HOW_TO_READ = (
    "Peak of the activations between images and answer, KB of one image in float32: "
    "predicted, in use in ONNX Runtime, and their ratio, which is to be within "
    f"{GOAL:.0%}; then the block in which it lays out all values by default, in the "
    "file's layout and in blocks of channels."
)
_SHRINK = "memory.enable_memory_arena_shrinkage"
_AS_ASKED = {"arena_extend_strategy": 1}
"""The arena grows by what it is asked for, not by powers of two."""


def run(config: MemoryConfig, watch: Progress) -> dict[str, Any]:
    """Predicts and measures all networks, ready for JSON."""
    networks = drawn(config)
    steps = watch.steps(networks, total=len(networks), desc="networks")
    rows = [compared(network, config.call_bytes) for network in steps]
    return {
        "name": "memory",
        "networks": rows,
        "within_goal": sum(is_within(row) for row in rows),
        "config": dataclasses.asdict(config),
        **provenance.record(),
    }


def compared(network: Architecture, call_bytes: int) -> dict[str, Any]:
    """The prediction for a network and what is measured, in bytes of one image.

    A call is of so many images that `call_bytes` are predicted for it.
    """
    predicted = predicted_bytes(network)
    images = max(1, round(call_bytes / predicted))
    height, width, channels = network.input_shape
    shape = (images, channels, height, width)
    model = onnx_runtime.drawn(network)
    plain, blocks = optimised(model), optimised(model, in_blocks=True)
    in_use = fresh_process.call(
        memory_in_use.of_run, plain, shape, environment=memory_in_use.ENVIRONMENT
    )
    return {
        "name": network.name,
        "images": images,
        "predicted_bytes": predicted,
        "in_use_bytes": in_use / images,
        "laid_out_bytes": laid_out_bytes(plain, shape) / images,
        "in_blocks_bytes": laid_out_bytes(blocks, shape) / images,
    }


def drawn(config: MemoryConfig) -> list[Architecture]:
    """Published networks, and some of each space at random."""
    rng = np.random.default_rng(config.seed)
    networks = [published.get(one, config.input_size) for one in config.published]
    paper = builders.mobile(SpaceConfig(name="paper", input_size=config.input_size))
    spaces = [shipped.load_experiment(one).space for one in config.experiments]
    for space in (paper, *map(elastic.whole, spaces)):
        for place in range(1, config.networks + 1):
            shape = space.shapes[rng.integers(len(space.shapes))]
            path = [rng.choice(np.flatnonzero(row)) for row in shape.mask]
            name = f"{space.name}_{place}"
            networks.append(architecture.from_path(shape, np.array(path), name))
    return networks


def predicted_bytes(network: Architecture) -> int:
    """The peak of the values that a runtime holds itself, in float32."""
    whole = outline.of_network(network)
    numbers = activation_memory.peak(whole, with_ends=False)
    return ACTIVATION_BYTES["peak_memory"] * numbers


def laid_out_bytes(graph: bytes, shape: tuple[int, ...]) -> int:
    """The block of memory for all values of an inference of images `shape`.

    The graph is run as it is. Raises `ValueError` where the arena was not asked for it.
    """
    images = np.zeros(shape, np.float32)
    session, emptied = _session(graph), onnxruntime.RunOptions()
    emptied.add_run_config_entry(_SHRINK, "cpu:0")
    session.run(None, {"images": images}, emptied)
    with logged() as lines:
        session.run(None, {"images": images}, emptied)
    asked = re.findall(r"Extending BFCArena.*?num_bytes: (\d+)", "".join(lines))
    if not asked:
        raise ValueError(
            f"bench memory: expected a request for memory in the log of ONNX Runtime "
            f"{onnxruntime.__version__}, got none; raise call_bytes"
        )
    return int(asked[0])


def optimised(model: onnx.ModelProto, in_blocks: bool = False) -> bytes:
    """The graph that ONNX Runtime runs, activations fused into convolutions."""
    rewritten = onnx_runtime.rewritten(model, is_final=in_blocks)
    return rewritten.SerializeToString()


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    """A session of a graph as it is, whose runs alone ask the arena."""
    _share_arena()
    options, levels = onnxruntime.SessionOptions(), onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    for entry in (
        *("use_env_allocators", "use_device_allocator_for_initializers"),
        "disable_prepacking",
    ):
        options.add_session_config_entry(f"session.{entry}", "1")
    return onnxruntime.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"]
    )


@functools.cache
def _share_arena() -> None:
    """An arena for all sessions, once."""
    kind, memory = onnxruntime.OrtAllocatorType, onnxruntime.OrtMemType
    cpu = onnxruntime.OrtMemoryInfo("Cpu", kind.ORT_ARENA_ALLOCATOR, 0, memory.DEFAULT)
    onnxruntime.create_and_register_allocator(cpu, onnxruntime.OrtArenaCfg(_AS_ASKED))


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """Lines of ONNX Runtime's log, there at the end: it is written past Python."""
    lines: list[str] = []
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+") as file:
        os.dup2(file.fileno(), 2)
        onnxruntime.set_default_logger_severity(1)
        try:
            yield lines
        finally:
            onnxruntime.set_default_logger_severity(2)
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines += file


def is_within(row: Mapping[str, Any]) -> bool:
    """Whether a prediction is as near as it is meant to be."""
    in_use = row["in_use_bytes"]
    return abs(row["predicted_bytes"] - in_use) <= GOAL * in_use


def table(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Header, a row for each network, and how many are near enough."""
    rows: list[tuple[str, ...]] = [
        ("network", "predicted", "in use", "ratio", "laid out", "in blocks", "")
    ]
    for row in result["networks"]:
        predicted, in_use, *others = (
            f"{row[f'{key}_bytes'] / 1000:,.1f}"
            for key in ("predicted", "in_use", "laid_out", "in_blocks")
        )
        ratio = f"{row['predicted_bytes'] / row['in_use_bytes']:.3f}"
        verdict = "met" if is_within(row) else "missed"
        rows.append((row["name"], predicted, in_use, ratio, *others, verdict))
    within = f"{result['within_goal']} of {len(result['networks'])} met"
    return [*rows, (within, *[""] * 6)]
