"""The networks behind the shipped records, trained here.

For every task, every rung of the ladder and a network drawn at random are trained from
scratch by one short recipe. One compiled program per input size and width serves
all tasks and networks: the path is data (`supernet`), classes that a task lacks have
their logits set to -inf, grey images are padded with two black channels. Both leave the
network's function and its gradient as they are. The work is resumed where it stopped.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from benchmarks import ledger
from benchmarks.guidelines import ladder, tasks
from benchmarks.guidelines.ladder import Rung
from benchmarks.guidelines.sources import Places
from nas_jax import supernet
from nas_jax.base import Images, Labels, Logits, PRNGKey, PyTree, Scalar, stream
from nas_jax.base import Path as NetworkPath
from nas_jax.config import provenance
from nas_jax.config.experiment import TrainConfig
from nas_jax.data.batches import Batch
from nas_jax.guidelines import difficulty
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import losses, optim
from nas_jax.training.progress import Progress

STEPS = 300
TRAIN = TrainConfig(epochs=1, batch=32, lr=0.2, label_smoothing=0.0)
"""The recipe of every training: 300 steps of 32 images drawn with return."""
EVALUATION_BATCH = 500
"""Images that batch statistics are taken over when a network is evaluated."""
SEEDS = (0, 1)
CLASSES, CHANNELS = 62, 3
"""What the compiled programs are made for."""
DRAWN = {8: 1}
"""Networks drawn at random in each width's space, besides the rungs."""


class Accuracies(NamedTuple):
    """Top-1 accuracy on the images that choose, and on those that judge."""

    valid: Scalar
    test: Scalar


Train = Callable[[NetworkPath, PRNGKey, Int[Array, ""], Batch, Batch, Batch], Any]
"""(path, key, classes, train batches, valid, test) -> accuracies."""


@functools.lru_cache(maxsize=8)  # a second seed finds the programs of the first
def make_train(searched: SearchSpace) -> Train:
    """The jitted training and test of one network.

    Training images come as `[steps B H W C]`, the others as one batch each.
    """
    tx = optim.train_weights(TRAIN, optim.lengths(TRAIN, STEPS))

    def logits_of(
        params: PyTree, stats: PyTree, rows: Array, classes: Array, images: Images
    ) -> tuple[Array, PyTree]:
        logits, moved = supernet.apply(searched, params, stats, rows, images)
        known = jnp.arange(CLASSES) < classes
        return jnp.where(known, logits, -jnp.inf), moved

    def train(
        path: NetworkPath,
        key: PRNGKey,
        classes: Int[Array, ""],
        data: Batch,
        valid: Batch,
        test: Batch,
    ) -> Accuracies:
        rows = supernet.rows_of(searched, path)
        start = supernet.init(stream(key, "weights"), searched)
        params, stats = (supernet.gather(tree, rows) for tree in start)

        def step(carry: Any, batch: Batch) -> tuple[Any, None]:
            params, stats, opt = carry

            def loss_fn(params: PyTree) -> tuple[Scalar, PyTree]:
                logits, moved = logits_of(params, stats, rows, classes, batch.images)
                return picked_cross_entropy(logits, batch.labels), moved

            grads, stats = jax.grad(loss_fn, has_aux=True)(params)
            updates, opt = tx.update(grads, opt, params)
            return (optax.apply_updates(params, updates), stats, opt), None

        carry, _ = jax.lax.scan(step, (params, stats, tx.init(params)), data)
        params, stats, _ = carry

        def accuracy(split: Batch) -> Scalar:
            def of_batch(one: Batch) -> Scalar:
                logits, _ = logits_of(params, stats, rows, classes, one.images)
                return losses.accuracy(logits, one.labels)

            pieces = [
                x.reshape(-1, EVALUATION_BATCH, *x.shape[1:])
                for x in (split.images, split.labels)
            ]
            return jax.lax.map(of_batch, Batch(*pieces)).mean()

        return Accuracies(accuracy(valid), accuracy(test))

    return jax.jit(train)


def picked_cross_entropy(logits: Logits, labels: Labels) -> Scalar:
    """Mean cross-entropy, also where logits of other classes are -inf."""
    return optax.softmax_cross_entropy_with_integer_labels(
        logits, jnp.asarray(labels)
    ).mean()


def padded(batch: Batch) -> Batch:
    """Grey images with two black channels behind the first; coloured ones as given."""
    missing = CHANNELS - batch.images.shape[-1]
    others = batch.images.ndim - 1
    images = np.pad(batch.images, [(0, 0)] * others + [(0, missing)])
    return Batch(images, batch.labels)


def batches(data: Batch, seeds: Sequence[int]) -> Batch:
    """The images of all steps, `[steps B H W C]`, drawn with return."""
    chosen = np.random.default_rng(seeds).integers(
        len(data.labels), size=(STEPS, TRAIN.batch)
    )
    return Batch(data.images[chosen], data.labels[chosen])


def rungs(task: tasks.Task) -> list[Rung]:
    """The ladder, and the networks drawn for this task; none twice."""
    found = list(ladder.RUNGS)
    draw = np.random.default_rng(list(task.name.encode()))
    for width, networks in DRAWN.items():
        own = ladder.searched(task.input_size, CHANNELS, CLASSES, width)
        while networks:
            rung = ladder.drawn(draw, own, width)
            if rung not in found:
                found.append(rung)
                networks -= 1
    return found


def settings() -> dict[str, Any]:
    """What the accuracies depend on, ready for JSON."""
    return {
        "steps": STEPS,
        "train": dataclasses.asdict(TRAIN),
        "evaluation_batch": EVALUATION_BATCH,
        "evaluated": tasks.EVALUATED,
        "candidates": list(ladder.CANDIDATES),
        "cells": list(ladder.CELLS),
        "tasks": {task.name: task._asdict() for task in tasks.TASKS},
    }


def trained(
    wanted: list[tuple[tasks.Task, Rung, int]], places: Places
) -> Iterator[dict[str, Any]]:
    """Trains networks one after the other, yielding a row for each.

    A task's seed and the training's together make its weights and batches.
    """
    for task, rung, seed in wanted:
        train = make_train(
            ladder.searched(task.input_size, CHANNELS, CLASSES, rung.width)
        )
        key = stream(jax.random.key(seed), f"{task.seed} {task.name} {rung}")
        given = tasks.load(task, places)
        data = padded(batches(given.train, (task.seed, seed)))
        valid, test = padded(given.valid), padded(given.test)
        path, classes = jnp.array(rung.path), jnp.array(task.classes)
        found = jax.device_get(train(path, key, classes, data, valid, test))
        yield {
            "task": task.name,
            "width": rung.width,
            "path": list(rung.path),
            "seed": seed,
            "valid": round(float(found.valid), 6),
            "test": round(float(found.test), 6),
        }


def described(wanted: list[tasks.Task], places: Places) -> Iterator[dict[str, Any]]:
    """A row with the measured descriptors of each task."""
    for task in wanted:
        given = tasks.load(task, places)
        yield {
            "task": task.name,
            "descriptors": dataclasses.asdict(difficulty.measure(given.train)),
            "test_images": given.test_images,
        }


def make(file: Path, places: Places, watch: Progress) -> dict[str, Any]:
    """Computes what the file lacks; returns how much there was and is.

    Raises:
      ValueError: if the file is there and of other settings, or if it lacks a task of
        which the pictures are not there.
    """
    rows = ledger.begin(file, settings(), provenance.record()).rows
    known = {row["task"] for row in rows if "descriptors" in row}
    lacking = [task for task in tasks.TASKS if task.name not in known]
    watch.phase(f"descriptors of {len(lacking)} tasks, {len(known)} are there")
    for row in ledger.extended(file, described(lacking, places)):
        watch.line(row["task"])
    done = {
        (row["task"], row["width"], tuple(row["path"]), row["seed"])
        for row in rows
        if "path" in row
    }
    wanted = [
        (task, rung, seed)
        for seed in SEEDS
        for task in tasks.TASKS
        for rung in rungs(task)
        if (task.name, *rung, seed) not in done
    ]
    # equal programs together, and a seed of all tasks before the next seed
    wanted.sort(key=lambda one: (one[2], one[0].input_size, one[1].width))
    watch.phase(f"training {len(wanted)} networks, {len(done)} are there")
    written = ledger.extended(file, trained(wanted, places))
    for row in watch.steps(written, total=len(wanted), desc="networks"):
        watch.note(task=row["task"], test=f"{row['test']:.3f}")
    return {"tasks": len(tasks.TASKS), "networks": len(done) + len(wanted)}
