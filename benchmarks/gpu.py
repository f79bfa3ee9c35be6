"""`benchmarks gpu`: what one GPU has to tell, in a few minutes, the most useful first.

The parts run in processes of their own, one after the other: each has the whole memory,
compiles anew, and is stopped when its time is over. The file is written after every
part, and a second call with the same file takes up those that are missing.
"""

import dataclasses
import functools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import fresh_process, gpu_parts, gpu_pieces, ledger, machine
from benchmarks.settings import DRY_RUN_PIXELS, GpuConfig
from nas_jax.config import files
from nas_jax.config.search import SearchConfig
from nas_jax.config.space import SpaceConfig
from nas_jax.training.progress import Progress

Found = dict[str, Any]

HOW_TO_READ = (
    "images_per_s: a batch over the minimum of rounds taken in turns, optimiser "
    "included, reading and augmenting images not; arch: two paths. torch: the better "
    "of both memory formats; compiled: channels last alone. temp: what a step needs "
    "besides inputs and outputs, by the compiler; peak: of the process, compiling "
    "included. difference: the largest over arrays, each as a share of its largest "
    "value on the CPU, under matmul precision highest. depthwise: native and as "
    "shifted products; batch_norm: sums fused, and stored before (barriers); a shape "
    "has the time of the first form over that of the second, forward and gradients, "
    "then come sums over the shapes. took: processes and compilation included. "
    "projected: from the times of the steps; nothing was run that long."
)
IMAGES = 1_281_167
"""Of ImageNet, to train on."""
_NO_CACHE = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
COMMAND_BUFFERS = "--xla_gpu_enable_command_buffer=+CONDITIONAL,+WHILE"


class Budget:
    """The time of a part; calls in fresh processes end with it."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def call(
        self, function: Callable[..., Any], *arguments: Any, **environment: str
    ) -> Any:
        """The answer of a function; what it compiles comes from no cache."""
        return fresh_process.call(
            function,
            *arguments,
            environment=_NO_CACHE | environment,
            timeout_s=self.left_s,
        )

    def fitting(
        self, function: Callable[..., Any], config: GpuConfig, *arguments: Any
    ) -> Any:
        """The answer at the batch, or at half of it, and so on until it fits."""
        try:
            return self.call(function, config, *arguments)
        except ValueError as error:
            signs = ("RESOURCE_EXHAUSTED", "out of memory")
            if config.batch == 1 or not any(sign in str(error) for sign in signs):
                raise
        smaller = dataclasses.replace(config, batch=config.batch // 2)
        return self.fitting(function, smaller, *arguments)


class Part(NamedTuple):
    """A part: it is not begun with less time left, and stopped after twice that."""

    seconds: float
    """A guess; no part has run on a GPU yet."""
    measure: Callable[[Budget, GpuConfig], Found]


def steps(budget: Budget, config: GpuConfig, dtype: str) -> Found:
    """Steps at the largest batch that fits."""
    return budget.fitting(gpu_parts.steps, config, gpu_parts.STEPS, dtype)


def torch(budget: Budget, config: GpuConfig, is_compiled: bool) -> Found:
    """The same in PyTorch."""
    return budget.fitting(gpu_parts.torch, config, is_compiled)


def parity(budget: Budget, config: GpuConfig) -> Found:
    """Logits and gradients here against those of the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        files_of = {name: f"{folder}/{name}.npz" for name in ("here", "cpu")}
        here = budget.call(gpu_parts.gradients, config, files_of["here"])
        cpu = budget.call(
            gpu_parts.gradients, config, files_of["cpu"], JAX_PLATFORMS="cpu"
        )
        (logits, *found), (expected_logits, *expected) = (
            list(np.load(name).values()) for name in files_of.values()
        )
    figures = {
        "logits_difference": gpu_parts.difference([logits], [expected_logits]),
        "gradients_difference": gpu_parts.difference(found, expected),
    }
    return {"figures": figures, "loss": here, "cpu_loss": cpu}


def pieces(budget: Budget, config: GpuConfig, kind: str) -> Found:
    """One kind of computation by shapes; those that there is no time for are left out.

    A third of the time is for the shape that is being measured when it is over.
    """
    until = time.time() + 2 / 3 * budget.left_s
    return budget.call(gpu_pieces.measure, config, kind, until)


def command_buffers(budget: Budget, config: GpuConfig) -> Found:
    """Weight steps of a small batch: conditionals, loops in command buffers, or not."""
    small = dataclasses.replace(config, batch=config.small_batch)
    usual = os.environ.get("XLA_FLAGS", "")
    answers = {
        name: budget.call(
            gpu_parts.steps, small, ("weight",), "float32", XLA_FLAGS=flags
        )
        for name, flags in (
            ("default", usual),
            ("command_buffers", f"{usual} {COMMAND_BUFFERS}".strip()),
        )
    }
    ms = {name: answer["times_ms"]["weight"]["min"] for name, answer in answers.items()}
    figures = {f"weight_{name}_ms": value for name, value in ms.items()}
    figures["over_default"] = ms["command_buffers"] / ms["default"]
    return {"figures": figures, "flag": COMMAND_BUFFERS, **answers}


def alone(
    budget: Budget, config: GpuConfig, function: Callable[[GpuConfig], Found]
) -> Found:
    """What one function tells."""
    return budget.call(function, config)


def _part(seconds: float, measure: Callable[..., Found], **how: Any) -> Part:
    return Part(seconds, functools.partial(measure, **how))


PARTS: dict[str, Part] = {
    "float32": _part(200, steps, dtype="float32"),
    "torch": _part(60, torch, is_compiled=False),
    "torch_compiled": _part(90, torch, is_compiled=True),
    "parity": _part(120, parity),
    "depthwise": _part(60, pieces, kind="depthwise"),
    "batch_norm": _part(45, pieces, kind="batch_norm"),
    "command_buffers": _part(120, command_buffers),
    "bfloat16": _part(150, steps, dtype="bfloat16"),
    "latency_table": _part(120, alone, function=gpu_parts.latency_table),
    "search": _part(45, alone, function=gpu_parts.search),
}
"""In order of worth."""


def run(config: GpuConfig, watch: Progress, file: Path | None = None) -> Found:
    """What was measured and what was not, ready for JSON; so far in `file`, if given.

    Raises:
      ValueError: without a GPU, unless the sizes are those of a dry run; for a file of
        other settings, another commit or another device.
    """
    start = time.monotonic()
    backend = jax.default_backend()
    if backend != "gpu" and config.pixels > DRY_RUN_PIXELS:
        raise ValueError(
            f"bench gpu: expected a GPU, got {backend}; for a dry run make it small: "
            "--batch 2 --space.input-size 16 --space.width-mult 0.25 --space.cells "
            "1,1,1,1,1,1"
        )
    found = _begun(config, file)
    missing = [name for name in PARTS if name not in found["parts"]]
    found["not_run"] = dict.fromkeys(missing, "not reached")
    for name in missing:
        part = PARTS[name]
        left = 60 * config.minutes - (time.monotonic() - start)
        if left < part.seconds:
            found["not_run"][name] = f"may take {part.seconds:.0f} s, {left:.0f} s left"
            continue
        watch.phase(f"{name}, {left:.0f} s left")
        answer, seconds = _answer(part, config, min(left, 2 * part.seconds))
        reason = answer.get("not_run")
        if reason is None:
            del found["not_run"][name]
            found["parts"][name] = {"seconds": seconds} | answer
        else:
            found["not_run"][name] = reason
        if config.space == SpaceConfig():
            found["projected"] = projected(found["parts"])
        if file is not None:
            files.write_json(file, found)
    return found


def _begun(config: GpuConfig, file: Path | None) -> Found:
    """The file as it stands, or a new result."""
    settings = dataclasses.asdict(config)
    del settings["minutes"]  # of one call
    begun: Found = {
        "name": "gpu",
        "config": settings,
        "machine": {
            **machine.record(is_tuned=False),
            "runtime": jax.devices()[0].client.platform_version,
        },
    }
    begun = ledger.as_json(begun)
    if file is None or not file.exists():
        return begun | {"parts": {}, "not_run": {}, "projected": {}}
    found = files.read_object(file)
    expected, got = (
        {
            f"{kind}.{name}": value
            for kind in ("config", "machine")
            for name, value in one.get(kind, {}).items()
        }
        for one in (begun, found)
    )
    for name, value in expected.items():
        if got.get(name) != value:
            raise ValueError(
                f"--json {file}: expected parts of {name} = {value}, got "
                f"{got.get(name)}; choose another file, or run as it was begun"
            )
    return found


def _answer(part: Part, config: GpuConfig, seconds: float) -> tuple[Found, float]:
    """What a part tells, or why it does not, and the time it took."""
    start = time.monotonic()
    try:
        answer = part.measure(Budget(seconds), config)
    except ValueError as error:
        answer = {"not_run": str(error)}
    return answer, time.monotonic() - start


def projected(parts: Found) -> dict[str, float]:
    """Hours of the paper's search on ImageNet, from the times of its steps.

    The search is 40 epochs of weight steps, then 120 with an architecture step (two
    paths) after every fifth.
    """
    paper = SearchConfig()
    epochs = paper.warmup_epochs + paper.joint_epochs
    hours = {}
    for name in ("float32", "bfloat16"):
        if name in parts:
            per_s = parts[name]["figures"]
            weight = epochs * IMAGES / per_s["weight_images_per_s"]
            arch = paper.joint_epochs * IMAGES / paper.arch_every
            arch /= per_s["arch_images_per_s"]
            hours[f"{name}_hours"] = (weight + arch) / 3600
    return hours


def table(result: Found) -> list[tuple[str, ...]]:
    """Header and a row per figure; the reason, where there is none."""
    rows: list[tuple[str, ...]] = [("part", "figure", "value")]
    for name in PARTS:
        if name in result["parts"]:
            own = result["parts"][name]
            for shape, ms in own.get("ms", {}).items():
                one, two, *over = ms.values()
                ratios = f"{one / over[0]:.2f}, {two / over[1]:.2f}"
                rows.append((name, shape, ratios))
            rows += _rows(name, own["figures"] | {"took_s": own["seconds"]})
        else:
            rows.append((name, "", f"not run: {result['not_run'][name]}"))
    if not result["projected"]:
        rows.append(("projected", "", "not run: from steps of the paper's space alone"))
    return rows + _rows("projected", result["projected"])


def _rows(name: str, figures: dict[str, float]) -> list[tuple[str, ...]]:
    return [
        (name, figure, f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}")
        for figure, value in figures.items()
    ]
