"""`benchmarks enumeration`: every network of a task's space trained from scratch.

One compiled program trains them all, because the path is data: `supernet.apply` along a
fixed path is the network of that path. The seeds of a network are trained side by side
in it, with the path in common, so that a switch stays a switch.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from benchmarks import ledger
from benchmarks.enumerated import networks, ranking, task
from benchmarks.quality_settings import EnumerationConfig
from nas_jax import supernet
from nas_jax.base import Path, PRNGKey, PyTree, Scalar, stream
from nas_jax.config import provenance
from nas_jax.config.experiment import TrainConfig
from nas_jax.data.batches import Batch
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import losses, optim
from nas_jax.training.progress import Progress

HOW_TO_READ = (
    "p10, median, p90: mean test accuracy over the seeds, percentiles over the "
    "networks; sd: standard deviation over the seeds of a network; ratio: (p90 - p10) "
    "/ sd, 5 is asked for; noise ceiling: rank percentile of the network that one seed "
    "finds best, by the others (0 the best)."
)


class Accuracies(NamedTuple):
    """Top-1 accuracy of each seed's network on the held-out sets."""

    valid: Float[Array, "S"]
    test: Float[Array, "S"]


Start = tuple[PyTree, PyTree]
"""Parameters and batch statistics of a supernet."""
TrainPath = Callable[[Path, PRNGKey, Start, dict[str, Batch]], Accuracies]


def make_train_path(
    searched: SearchSpace, config: TrainConfig, evaluation_batch: int
) -> TrainPath:
    """The jitted training of one network per key.

    Takes a path Int `[L]`, keys `[S]`, their `starts` and the splits `train`, `valid`,
    `test`. The order of the images is a function of the key, as the initial weights
    are. The recipe is that of `loop.run`, without augmentation.
    """

    def train_path(
        path: Path, keys: PRNGKey, begun: Start, splits: dict[str, Batch]
    ) -> Accuracies:
        rows = supernet.rows_of(searched, path)

        def of_seed(key: PRNGKey, start: Start) -> Accuracies:
            params, stats = trained(
                searched,
                config,
                key,
                tuple(supernet.gather(tree, rows) for tree in start),
                rows,
                splits["train"],
            )
            accuracies = {
                name: accuracy(
                    searched, params, stats, rows, splits[name], evaluation_batch
                )
                for name in Accuracies._fields
            }
            return Accuracies(**accuracies)

        return jax.vmap(of_seed)(keys, begun)

    return jax.jit(train_path)


def trained(
    searched: SearchSpace,
    config: TrainConfig,
    key: PRNGKey,
    start: tuple[PyTree, ...],
    rows: Int[Array, "L"],
    data: Batch,
) -> tuple[PyTree, PyTree]:
    """Parameters and batch statistics after all epochs of `config`, from `start`."""
    per_epoch = optim.steps_per_epoch(len(data.labels), config.batch)
    tx = optim.train_weights(config, optim.lengths(config, per_epoch))

    def step(carry: Any, chosen: Int[Array, "B"]) -> tuple[Any, None]:
        params, stats, opt = carry

        def loss_fn(params: PyTree) -> tuple[Scalar, PyTree]:
            logits, moved = supernet.apply(
                searched, params, stats, rows, data.images[chosen]
            )
            labels = data.labels[chosen]
            loss = losses.cross_entropy(logits, labels, config.label_smoothing)
            return loss, moved

        grads, stats = jax.grad(loss_fn, has_aux=True)(params)
        updates, opt = tx.update(grads, opt, params)
        return (optax.apply_updates(params, updates), stats, opt), None

    def epoch(carry: Any, number: Array) -> tuple[Any, None]:
        order = jax.random.permutation(stream(key, "order", number), len(data.labels))
        batches = order[: per_epoch * config.batch].reshape(per_epoch, config.batch)
        return jax.lax.scan(step, carry, batches)

    params, stats = start
    carry, _ = jax.lax.scan(
        epoch, (params, stats, tx.init(params)), jnp.arange(config.epochs)
    )
    return carry[:2]


def accuracy(
    searched: SearchSpace,
    params: PyTree,
    stats: PyTree,
    rows: Int[Array, "L"],
    data: Batch,
    batch: int,
) -> Scalar:
    """Top-1 over the full batches of `data`, with the statistics of each batch."""

    def of_batch(one: Batch) -> Scalar:
        logits, _ = supernet.apply(searched, params, stats, rows, one.images)
        return losses.accuracy(logits, one.labels)

    full = len(data.labels) // batch
    pieces = [x[: full * batch].reshape(full, batch, *x.shape[1:]) for x in data]
    return jax.lax.map(of_batch, Batch(*pieces)).mean()


def keys_of(path: list[int], seeds: tuple[int, ...]) -> PRNGKey:
    """Keys `[S]` of one network: another start for every network and seed."""
    name = "network " + "-".join(map(str, path))
    return jnp.stack([stream(jax.random.key(seed), name) for seed in seeds])


def starts(searched: SearchSpace, keys: PRNGKey) -> Start:
    """Initial weights of all candidates, `[S ...]`, for each key."""
    drawn = [supernet.init(stream(key, "weights"), searched) for key in keys]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)


def train_all(
    searched: SearchSpace,
    train_path: TrainPath,
    wanted: list[dict[str, Any]],
    seeds: tuple[int, ...],
    splits: dict[str, Batch],
) -> Iterator[dict[str, Any]]:
    """Trains the networks one after the other, yielding their rows with accuracies."""
    for row in wanted:
        path = jnp.array(row["path"], jnp.int32)
        keys = keys_of(row["path"], seeds)
        found = train_path(path, keys, starts(searched, keys), splits)
        valid, test = ([round(float(x), 6) for x in part] for part in found)
        yield {**row, "valid": valid, "test": test}


def run(config: EnumerationConfig, watch: Progress) -> dict[str, Any]:
    """Trains what the file lacks, then sums up all that is in it."""
    given = task.load(config.task)
    settings = networks.settings(given.task, config.seeds)
    known = ledger.begin(config.file, settings, provenance.record()).rows
    wanted = networks.todo(networks.rows(given), known)
    # in random order, so that the first ones tell the spread of all
    random.Random(0).shuffle(wanted)
    train_path = make_train_path(given.space, given.task.train, task.EVALUATION_BATCH)
    watch.phase(f"training {len(wanted)} networks, {len(known)} are there")
    splits = {
        name: Batch(*map(jnp.asarray, split)) for name, split in given.splits.items()
    }
    trained_rows = train_all(given.space, train_path, wanted, config.seeds, splits)
    written = ledger.extended(config.file, trained_rows)
    for row in watch.steps(written, total=len(wanted), desc="networks"):
        known.append(row)
    return {"name": "enumeration", **summary(known), **provenance.record()}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Spread and noise ceiling of the test accuracies."""
    test = np.array([row["test"] for row in rows])
    return {
        "networks": len(test),
        "seeds": test.shape[1],
        **ranking.spread(test)._asdict(),
        "noise_ceiling": ranking.noise_ceiling(test),
    }


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and the one row, as text."""
    header = ("networks", "p10", "median", "p90", "sd", "ratio", "noise ceiling, %")
    accuracies = (f"{result[name]:.4f}" for name in ("p10", "median", "p90", "seed_sd"))
    ratios = f"{result['ratio']:.1f}", f"{result['noise_ceiling']:.2f}"
    return [header, (str(result["networks"]), *accuracies, *ratios)]
