"""Ways to tell networks of one latency apart before they are trained in full.

A supernet that all of them share, and each of them trained for a short while by
another seed than that of its accuracy. Both score the same pictures, which no training
has seen. Rank correlation with the accuracy after a full training is what a way is
worth, at the seconds that it takes.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from scipy import stats

from benchmarks.leverage import task
from benchmarks.quality_settings import LeverageConfig
from nas_jax.base import stream
from nas_jax.config.search import SearchConfig
from nas_jax.networks import counts
from nas_jax.runs import pretrained
from nas_jax.search import shared_search
from nas_jax.search.shared_search import SharedProblem, SideData
from nas_jax.spaces.architecture import Architecture
from nas_jax.training import loop
from nas_jax.training.devices import PLAIN
from nas_jax.training.loop import Reached, Recipe
from nas_jax.training.progress import Progress

SEED = 100
"""Of the short trainings: none of those that accuracies are of."""


def ways(config: LeverageConfig) -> list[tuple[str, int]]:
    """Each way with its epochs."""
    return [
        *(("supernet", epochs) for epochs in config.supernet_epochs),
        *(("short training", epochs) for epochs in config.short_epochs),
    ]


def scores(
    config: LeverageConfig,
    networks: Sequence[Architecture],
    done: set[tuple[str, int]],
    watch: Progress,
) -> Iterator[dict[str, Any]]:
    """A row for each way that is not `done`: losses of all networks, and its seconds.

    Seconds are of all networks, with what compiling took.
    """
    images = {
        one.input_shape: task.load(config, one.input_shape, one.classifier.classes)
        for one in networks
    }
    wanted = config.supernet_epochs
    if any(("supernet", epochs) not in done for epochs in wanted):
        data = {
            shape[0]: SideData(one.train, one.valid, one.augment)
            for shape, one in images.items()
        }
        settings = SearchConfig(
            warmup_epochs=max(wanted),
            warmup_lr=0.1 if config.weights is None else 0.03,
            batch=64,
            weight_decay=1e-5,
        )
        problem = SharedProblem(tuple(networks), settings, data)
        begun = time.monotonic()
        key = stream(jax.random.key(config.seed), "supernet")
        weights = None
        if config.weights is not None:
            some = next(iter(images.values())).train
            weights = pretrained.shared_weights(
                config.weights, problem.widest, stream(key, "weights"), some, Progress()
            )
        after = Reached(shared_search.init(key, problem, weights))
        running = shared_search.run(key, problem, after=after)
        for epoch in watch.steps(running, total=max(wanted), desc="supernet"):
            if epoch.epoch + 1 in wanted:
                found = shared_search.scores(problem, epoch.state)
                losses = [float(one.loss) for one in found]
                yield _row("supernet", epoch.epoch + 1, networks, losses, begun)
    for epochs in config.short_epochs:
        if ("short training", epochs) in done:
            continue
        begun, losses = time.monotonic(), []
        for network in watch.steps(networks, total=len(networks), desc="short"):
            one = images[network.input_shape]
            recipe = task.recipe(config).lasting(epochs)
            short = Recipe(recipe, one.train, one.augment)
            key = stream(jax.random.key(SEED), "leverage")
            after = task.begun(config, network, short, key)
            *_, last = loop.run(key, network, short, after=after)
            model = loop.trained(network, last.state, PLAIN)
            losses.append(loop.loss(model, one.valid.evaluated()))
        yield _row("short training", epochs, networks, losses, begun)


def _row(
    way: str,
    epochs: int,
    networks: Sequence[Architecture],
    losses: Sequence[float],
    begun: float,
) -> dict[str, Any]:
    return {
        "way": way,
        "epochs": epochs,
        "losses": dict(zip([one.name for one in networks], losses, strict=True)),
        "seconds": time.monotonic() - begun,
    }


def correlations(
    rows: Sequence[Mapping[str, Any]],
    networks: Mapping[str, Architecture],
    accuracies: Mapping[str, float],
) -> dict[str, dict[str, float]]:
    """Spearman's rank correlation of every way with accuracies, and its seconds."""
    names = list(accuracies)
    true = [accuracies[name] for name in names]
    found = {}
    for row in rows:
        guessed = [-row["losses"][name] for name in names]
        found[f"{row['way']}, {row['epochs']} epochs"] = {
            "spearman": _spearman(guessed, true),
            "seconds": row["seconds"],
        }
    for count in (counts.macs, counts.params):
        sizes = [sum(map(count, networks[name].parts)) for name in names]
        found[count.__name__] = {"spearman": _spearman(sizes, true), "seconds": 0.0}
    return found


def _spearman(guessed: Sequence[float], true: Sequence[float]) -> float:
    """0 where all are guessed alike."""
    if np.ptp(guessed) == 0 or np.ptp(true) == 0:
        return 0.0
    return float(stats.spearmanr(guessed, true).statistic)
