"""`benchmarks recipe`: our training from scratch against a tuned one in PyTorch.

One small network on Fashion-MNIST, equal images, epochs and batches. The settings of
the peer are chosen on images that neither side trains on or is tested on; then both
train with the same seeds.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from benchmarks import machine, torch_network
from benchmarks.intervals import interval
from benchmarks.settings import RecipeConfig, Setting
from benchmarks.torch_recipe import Peer
from nas_jax.config import recipes
from nas_jax.config.data import DataConfig
from nas_jax.config.space import SpaceConfig
from nas_jax.data import augment, fashion_mnist
from nas_jax.data.in_memory import InMemorySplit
from nas_jax.data.source import Arrays, Source
from nas_jax.spaces import architecture, builders
from nas_jax.spaces.operations import OpSpec
from nas_jax.training import loop
from nas_jax.training.progress import Progress

SPACE = SpaceConfig(
    name="fashion",
    input_size=28,
    input_channels=1,
    classes=10,
    stem_channels=16,
    stem_stride=2,
    first_block_channels=None,
    stage_widths=(16, 32, 64),
    cells=(1, 1, 1),
    strides=(1, 2, 2),
    head_channels=128,
)
OP = OpSpec.parse("mb3_k3")
GOAL = -0.003
"""The least that ours less the peer should be, as a share of the test images."""
HOW_TO_READ = (
    "Accuracies in %. tuning: the peer's settings, seed 0, on images of their own. "
    "test: on the 10,000 test images, mean over the seeds; interval: of the mean "
    "difference to the peer at its best, 95 %, by t over the seeds. goal: not below "
    "the peer by 0.3; open where the interval leaves that undecided."
)


def run(config: RecipeConfig | None = None, watch: Progress | None = None) -> dict:
    """All trainings, ready for JSON."""
    torch_network.require()
    config, watch = config or RecipeConfig(), watch or Progress()
    data = fashion_mnist.load(DataConfig(name="fashion_mnist", path=config.folder))
    training, testing = _arrays(data.train), _arrays(data.test)
    images, labels = training.images, training.labels
    order = np.random.default_rng(0).permutation(len(labels))
    trained, others = np.split(order, [config.images])
    tuning = others[: config.tuning_images]
    space = builders.build(SPACE)
    network = architecture.from_ops(space, [OP] * len(space.layers), "network")
    chosen = images[trained], labels[trained]
    peer = Peer(space, network.blocks, *chosen, config.epochs, config.batch)

    def of_peer(setting: Setting, seed: int, on: tuple[np.ndarray, ...]) -> float:
        found = peer.accuracy(peer.trained(setting, seed), *on)
        watch.line(f"peer, {setting}, seed {seed}: {found:.2%}")
        return found

    tuned = [
        (one, of_peer(one, 0, (images[tuning], labels[tuning])))
        for one in config.settings()
    ]
    best = max(tuned, key=lambda pair: pair[1])[0]
    moments = tuple(float(f(images[trained] / 255)) for f in (np.mean, np.std))
    augmented = DataConfig(
        name="fashion_mnist",
        mean=moments[:1],
        std=moments[1:],
        flip=best.flip,
        shift_pixels=best.shift_pixels,
    )
    train = recipes.small_data(config.epochs, config.batch)
    given = loop.Recipe(
        train,
        InMemorySplit(training, images, trained, augmented, True),
        augment.of(augmented, train.augmentation),
    )
    every = np.arange(len(testing))
    tested = InMemorySplit(testing, testing.images, every, augmented)
    accuracies: dict[str, list[float]] = {"peer": [], "ours": []}
    for seed in range(config.seeds):
        accuracies["peer"].append(of_peer(best, seed, (testing.images, testing.labels)))
        *_, last = loop.run(jax.random.key(seed), network, given)
        model = loop.trained(network, last.state, given.devices)
        accuracies["ours"].append(loop.accuracy(model, tested))
        watch.line(f"ours, seed {seed}: {accuracies['ours'][-1]:.2%}")
    return {
        "name": "recipe",
        "config": dataclasses.asdict(config),
        "tuning": [dataclasses.asdict(one) | {"accuracy": a} for one, a in tuned],
        "best": dataclasses.asdict(best),
        "recipe": dataclasses.asdict(train),
        "test": accuracies,
        "over_peer": interval(accuracies["ours"], accuracies["peer"]),
        "goal": GOAL,
        "machine": machine.record(is_tuned=False),
    }


def _arrays(source: Source) -> Arrays:
    """The images in memory, where PyTorch might write to them."""
    assert isinstance(source, Arrays)
    copies = source.images.copy(), source.labels.copy()
    return dataclasses.replace(source, images=copies[0], labels=copies[1])


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows, as text."""
    rows: list[tuple[str, ...]] = [("training", "on", "accuracy", "over peer", "goal")]
    for one in result["tuning"]:
        flip = "flip" if one["flip"] else "no flip"
        name = f"{one['optimiser']} {one['lr']:g}, {flip}, shift {one['shift_pixels']}"
        rows.append((name, "tuning", f"{100 * one['accuracy']:.2f}", "", ""))
    peer, ours = (f"{100 * np.mean(result['test'][of]):.2f}" for of in ("peer", "ours"))
    gap = result["over_peer"]
    shown = f"{100 * gap['mean']:+.2f} +- {100 * gap['half_width']:.2f}"
    over, half = gap["mean"] - result["goal"], gap["half_width"]
    verdict = "open" if abs(over) < half else "met" if over >= 0 else "missed"
    rows.append(("peer at its best", "test", peer, "", ""))
    rows.append(("recipes.small_data", "test", ours, shown, verdict))
    return rows
