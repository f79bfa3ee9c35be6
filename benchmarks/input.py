"""`benchmarks input`: how many images a second reach a training step.

Photographs of ImageNet's size against what the decoder alone does, images of CIFAR's
size augmented inside a jitted step, and memory over an epoch of streamed pictures.
"""

import dataclasses
import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from benchmarks import goals, machine, turns
from benchmarks.settings import InputConfig
from nas_jax.config import provenance
from nas_jax.config.data import DataConfig
from nas_jax.data import augment, batches, pictures
from nas_jax.data.source import Item
from nas_jax.data.streamed import StreamedSplit
from nas_jax.training import host
from nas_jax.training.progress import Progress

WIDTH, HEIGHT = 500, 375
"""Of the photographs: the usual size in ImageNet."""
IMAGENET = DataConfig(
    name="folder", shift_pixels=0, flip=True, brightness=32 / 255, saturation=0.5
)
CIFAR = DataConfig(name="cifar10", shift_pixels=4, flip=True, cutout_pixels=16)
GOALS = {"input_over_decoder": 1.1, "epoch_memory_growth": 1.05}
"""The most that each should be."""
LEAST = {"cifar_images_per_second": 30_000}
"""The least that each should be."""
HOW_TO_READ = (
    "Images per second; the photographs' by one thread, in turns with each other. "
    "decoder: Pillow alone, from the bytes of a JPEG to an array. reference: Pillow, "
    "cut and resized in two steps as torchvision does. cut: ours, a random box at 224 "
    "pixels. jitter: flip, colours and normalisation inside a jitted step, counted as "
    "if it used every core. input_over_decoder: time of cut and jitter over that of "
    "the decoder. cifar: crop, flip, normalisation and cutout in a jitted step, all "
    "cores. epoch_memory_growth: resident memory at the end of an epoch of streamed "
    "photographs over that after a quarter of it."
)


Way = Callable[[bytes, tuple[int, ...], np.random.Generator], np.ndarray]


@dataclass(frozen=True, eq=False)
class _Photographs:
    """A source that gives a few encoded photographs over and over."""

    encoded: list[bytes]
    labels: np.ndarray
    label_names: tuple[str, ...] = ("one", "other")

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(f"photograph {index}" for index in range(len(self)))

    def stamp(self, index: int) -> tuple[int, str]:
        return index, str(index)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Item:
        content = self.encoded[index % len(self.encoded)]
        return Item(content, int(self.labels[index]), self.names[index])


def run(config: InputConfig | None = None, watch: Progress | None = None) -> dict:
    """All figures, ready for JSON."""
    config, watch = config or InputConfig(), watch or Progress()
    is_tuned = host.tune_allocator()
    photographs = [photograph(seed) for seed in range(config.photographs)]
    rates = _rates(config, photographs, watch)
    memory = _epoch_memory(config, photographs, watch)
    minima = {name: times["min"] for name, times in rates.items()}
    per_second = {f"{name}_images_per_second": 1e3 / ms for name, ms in minima.items()}
    jitter = minima["jitter"] * provenance.cores()
    return {
        "name": "input",
        "config": dataclasses.asdict(config),
        "photograph_bytes": float(np.mean([len(one) for one in photographs])),
        **per_second,
        "input_over_decoder": (minima["cut"] + jitter) / minima["decoder"],
        "input_over_reference": (minima["cut"] + jitter) / minima["reference"],
        "epoch_resident_bytes": memory,
        "epoch_memory_growth": memory[-1] / memory[0] if memory else None,
        "ms_per_image": rates,
        "machine": machine.record(is_tuned),
    }


def photograph(seed: int) -> bytes:
    """A JPEG of 500 x 375 pixels and some 80 kB: soft shapes, and noise of a sensor."""
    numbers = np.random.default_rng(seed)
    shapes = Image.fromarray(numbers.integers(0, 256, (24, 32, 3), np.uint8))
    soft = np.asarray(shapes.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), float)
    noisy = np.clip(soft + numbers.normal(0, 8, soft.shape), 0, 255)
    stream = io.BytesIO()
    Image.fromarray(noisy.astype(np.uint8)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def _rates(
    config: InputConfig, photographs: list[bytes], watch: Progress
) -> dict[str, dict[str, float]]:
    """Milliseconds per image of every way, timed in turns."""
    side = config.input_size
    shape = (side, side, 3)
    key = jax.random.key(config.seed)
    numbers = np.random.default_rng(config.seed)

    def on_all(way: Way) -> Callable[[], None]:
        def call() -> None:
            boxes = np.random.default_rng(config.seed)  # the same at every call
            for one in photographs:
                way(one, shape, boxes)

        return call

    def augmented(data: DataConfig, batch: int, side: int) -> Callable[[], None]:
        images = numbers.integers(0, 256, (batch, side, side, 3), np.uint8)
        step = jax.jit(augment.of(data))
        return lambda: jax.block_until_ready(step(key, images))

    calls = {
        "decoder": on_all(_decoded),
        "reference": on_all(_as_reference),
        "cut": on_all(_as_here),
        "jitter": augmented(IMAGENET, config.batch, side),
        "cifar": augmented(CIFAR, config.cifar_batch, 32),
    }
    images = {"jitter": config.batch, "cifar": config.cifar_batch}
    times = turns.in_turns(calls, rounds=config.rounds, steps=1, watch=watch)
    return {
        name: {
            kind: ms / images.get(name, len(photographs)) for kind, ms in found.items()
        }
        for name, found in times.items()
    }


def _decoded(
    content: bytes, shape: tuple[int, ...], numbers: np.random.Generator
) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def _as_reference(
    content: bytes, shape: tuple[int, ...], numbers: np.random.Generator
) -> np.ndarray:
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    part = picture.crop(_box(numbers, *picture.size))
    return np.asarray(part.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def _as_here(
    content: bytes, shape: tuple[int, ...], numbers: np.random.Generator
) -> np.ndarray:
    return pictures.cut(
        Item(content, 0, "photograph"), shape, lambda *size: _box(numbers, *size)
    )


def _box(numbers: np.random.Generator, width: int, height: int) -> Any:
    return pictures.random_box(numbers, width, height, IMAGENET.crop_area)


def _epoch_memory(
    config: InputConfig, photographs: list[bytes], watch: Progress
) -> list[int]:
    """Resident bytes after each quarter of the steps; empty where nobody tells."""
    if not Path("/proc/self/status").exists():
        return []
    steps = 4 * config.quarter_steps
    labels = np.arange(steps * config.batch, dtype=np.int32) % 2
    shape = (config.input_size, config.input_size, 3)
    split = StreamedSplit(
        _Photographs(photographs, labels),
        np.arange(len(labels)),
        shape,
        IMAGENET,
        config.seed,
        is_training=True,
    )
    order = batches.permutations(jax.random.key(config.seed), "order", len(labels))
    found = []
    for step in watch.steps(range(steps), total=steps, desc="epoch"):
        batches.batch_at(split, order, config.batch, step)
        if (step + 1) % config.quarter_steps == 0:
            found.append(_resident_bytes())
    return found


def _resident_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    line = next(line for line in status if line.startswith("VmRSS:"))
    return 1024 * int(line.split()[1])


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Figures, goals and whether they are met, as text."""
    rows: list[tuple[str, ...]] = [("figure", "value", "goal", "")]
    for name, value in result.items():
        if name.endswith("_images_per_second"):
            least = LEAST.get(name)
            met = "" if least is None else ("met" if value >= least else "missed")
            goal = "" if least is None else f">= {least:,}"
            rows.append((name, f"{value:,.0f}", goal, met))
    for name in ("input_over_decoder", "input_over_reference", "epoch_memory_growth"):
        value, most = result[name], GOALS.get(name)
        shown = "not known here" if value is None else f"{value:.3f}"
        goal = "" if most is None else f"<= {most:g}"
        rows.append((name, shown, goal, goals.verdict(value, most)))
    return rows
