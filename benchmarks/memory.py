"""`benchmarks memory`: the peak that is predicted against what ONNX Runtime plans.

After a first inference ONNX Runtime lays out all values between the images and the
answer in one block of memory, the size of which it asks its arena for at the next one;
the arena's log tells it. Compared is the predicted peak of the same values: the images
and the answer belong to the caller, weights and the room that a kernel needs for itself
are taken apart.

The layout is the plain one, [batch channels height width], in which the files are. By
default ONNX Runtime computes in blocks of as many channels as the processor's vectors
hold, and fills up widths that are no multiple of it; that plan stands beside.
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
    "Peak of the activations between images and answer in KB, float32, one image: "
    "predicted, as ONNX Runtime plans it in the plain layout, and their ratio, which "
    f"is to be within {GOAL:.0%}; last its plan in blocks of channels, the default."
)
_SHRINK = "memory.enable_memory_arena_shrinkage"
_AS_ASKED = {"arena_extend_strategy": 1}
"""The arena grows by what it is asked for, not by powers of two."""


def run(config: MemoryConfig, watch: Progress) -> dict[str, Any]:
    """Predicts and measures all networks, ready for JSON."""
    networks = drawn(config)
    rows = []
    for network in watch.steps(networks, total=len(networks), desc="networks"):
        model = onnx_runtime.drawn(network)
        rows.append(
            {
                "name": network.name,
                "predicted_bytes": predicted_bytes(network),
                "planned_bytes": planned_bytes(model, network.input_shape),
                "in_blocks_bytes": planned_bytes(
                    model, network.input_shape, in_blocks=True
                ),
            }
        )
    return {
        "name": "memory",
        "networks": rows,
        "within_goal": sum(is_within(row) for row in rows),
        "config": dataclasses.asdict(config),
        **provenance.record(),
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


def planned_bytes(
    model: onnx.ModelProto, shape: tuple[int, int, int], *, in_blocks: bool = False
) -> int:
    """What ONNX Runtime takes at once for the values of a network.

    `shape` is height, width and channels of an image.
    """
    height, width, channels = shape
    images = np.zeros((1, channels, height, width), np.float32)
    session = _session(model, in_blocks)
    emptied = onnxruntime.RunOptions()
    emptied.add_run_config_entry(_SHRINK, "cpu:0")
    session.run(None, {"images": images}, emptied)
    with logged() as lines:
        session.run(None, {"images": images}, emptied)
    asked = re.findall(r"Extending BFCArena.*?num_bytes: (\d+)", "".join(lines))
    return int(asked[0])


def _session(model: onnx.ModelProto, in_blocks: bool) -> onnxruntime.InferenceSession:
    _share_arena()
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if in_blocks else levels.ORT_ENABLE_EXTENDED
    )
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.use_env_allocators", "1")
    # weights lie elsewhere, so that nothing but a run asks the arena
    for entry in ("use_device_allocator_for_initializers", "disable_prepacking"):
        options.add_session_config_entry(f"session.{entry}", "1")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
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
    return abs(row["predicted_bytes"] / row["planned_bytes"] - 1) <= GOAL


def table(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Header, a row for each network, and how many are near enough."""
    rows: list[tuple[str, ...]] = [
        ("network", "predicted", "runtime's", "ratio", "in blocks", "")
    ]
    for row in result["networks"]:
        sizes = [
            f"{row[key] / 1000:,.1f}"
            for key in ("predicted_bytes", "planned_bytes", "in_blocks_bytes")
        ]
        ratio = row["predicted_bytes"] / row["planned_bytes"]
        verdict = "met" if is_within(row) else "missed"
        rows.append((row["name"], *sizes[:2], f"{ratio:.3f}", sizes[2], verdict))
    within = f"{result['within_goal']} of {len(result['networks'])} met"
    return [*rows, (within, "", "", "", "", "")]
