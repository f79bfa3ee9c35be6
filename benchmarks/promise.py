"""`benchmarks promise`: whole runs on pictures, against what a user would do instead.

Each run is what `nas_jax start --hours` and `nas_jax search` make of a task and a seed,
with more random networks of the searched network's latency beside it. The random ones
also stand for a search of their own: the best on validation images of as many as the
rungs cost in trainings. What is in the file is not run again.
"""

import dataclasses
import gzip
import json
import shutil
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import glyphs, ledger
from benchmarks.intervals import interval
from benchmarks.quality_settings import PromiseConfig
from nas_jax.config import provenance, recipes
from nas_jax.config.experiment import Experiment
from nas_jax.data import fashion_mnist
from nas_jax.networks import checkpoint
from nas_jax.runs import (
    budget,
    finalists,
    first_experiment,
    pipeline,
    retrain,
    run_folder,
    setup,
)
from nas_jax.search import halving
from nas_jax.training import loop
from nas_jax.training.progress import Progress

LETTERS = (7000, 5200)
"""Drawn letters to train and to test with."""
SIDE = 28
HOW_TO_READ = (
    "points of test accuracy, mean over all runs with its 95 % interval (t); rank: "
    "share of the networks of its latency that are better, the searched one among "
    "them; time: seconds of a run over those planned."
)


def run(config: PromiseConfig, watch: Progress) -> dict[str, Any]:
    """Runs what the file lacks; a row per run and the summary, ready for JSON.

    Raises `ValueError` for a task without its pictures, and as a run.
    """
    settings = dataclasses.asdict(config) | {"file": None, "folder": None}
    settings |= {"path": str(config.path), "tasks": None, "seeds": None}
    settings |= {"weights": config.weights and str(config.weights)}
    found = ledger.begin(config.file, settings, dict(provenance.record()))
    rows = list(found.rows)
    rows += ledger.extended(config.file, _rows(config, rows, watch))
    return {
        "settings": found.settings,
        "provenance": found.provenance,
        "rows": rows,
        "summary": summary(rows),
    }


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row per run, then the means."""
    names = ("searched", "random", "between", "rank", "random search", "scaled")
    head = ("task", "seed", *names, "measured / target", "time")
    rows: list[tuple[str, ...]] = [head]
    for one in result["rows"]:
        scaled = one["scaled"]
        rows.append(
            (
                one["task"],
                str(one["seed"]),
                f"{one['searched']:.2%}",
                f"{np.mean(one['random']):.2%}",
                f"{np.std(one['random'], ddof=1):.2%}",
                f"{rank(one):.0%}",
                f"{one['random_search']:.2%}",
                "-" if scaled is None else f"{scaled:.2%}",
                f"{one['measured_over_target']:.3f}",
                f"{one['seconds'] / one['planned_seconds']:.2f}",
            )
        )
    rows.append(("searched minus", "points", "interval", *[""] * 7))
    for name, (mean, half) in result["summary"].items():
        low, high = 100 * (mean - half), 100 * (mean + half)
        rows.append(
            (name, f"{100 * mean:+.2f}", f"[{low:+.2f}, {high:+.2f}]", *[""] * 7)
        )
    return rows


def rank(row: dict[str, Any]) -> float:
    """Share of the networks of one latency, the searched among them, that are better.

    >>> rank({"searched": 0.9, "random": [0.8, 0.95, 0.7]})
    0.25
    """
    better = sum(one > row["searched"] for one in row["random"])
    return better / (1 + len(row["random"]))


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Mean differences of the searched network, and half of their 95 % intervals.

    Of no width with one run. Beside points, in deviations between random networks.
    """
    differences: dict[str, list[float]] = {}
    for row in rows:
        ours = row["searched"]
        pairs = {
            "the random networks' mean": float(np.mean(row["random"])),
            "random search": row["random_search"],
            "the scaled hand-designed": row["scaled"],
            "itself from nothing": row.get("from_nothing"),
            "itself with a teacher": row.get("taught"),
        }
        for name, theirs in pairs.items():
            if theirs is not None:
                differences.setdefault(name, []).append(ours - theirs)
        spread = float(np.std(row["random"], ddof=1))
        if spread > 0:
            gain = (ours - float(np.mean(row["random"]))) / spread / 100
            differences.setdefault("their mean, in deviations", []).append(gain)
    return {name: _interval(each) for name, each in differences.items()}


def _interval(differences: list[float]) -> tuple[float, float]:
    if len(differences) < 2:
        return float(np.mean(differences)), 0.0
    found = interval(differences, [0.0] * len(differences))
    return found["mean"], found["half_width"]


def _rows(
    config: PromiseConfig, rows: list[dict[str, Any]], watch: Progress
) -> Iterator[dict[str, Any]]:
    done = {(row["task"], row["seed"]) for row in rows}
    for seed in config.seeds:
        for task in config.tasks:
            if (task, seed) not in done:
                watch.phase(f"{task}, seed {seed}")
                yield _row(config, task, seed, watch)


def _row(
    config: PromiseConfig, task: str, seed: int, watch: Progress
) -> dict[str, Any]:
    """One run: its plan, itself, and what its files say."""
    folder = config.folder / f"{task}-{seed}"
    if (folder / "config.json").is_file():  # stopped before
        experiment = run_folder.read_experiment(folder)
        planned = json.loads((folder / "planned.json").read_text())
    else:
        experiment, planned = _planned(config, task, seed, watch)
        run_folder.create(experiment, folder, config.folder)
        (folder / "planned.json").write_text(json.dumps(planned))
    result = pipeline.run(
        experiment, folder, command="benchmarks promise", progress=watch
    )
    took = sum(result["seconds_per_phase"].values())
    networks = result["networks"]
    random = sorted(name for name in networks if name.startswith("random_"))
    losses = _valid_losses(experiment, folder, random)
    # as many trainings in full as the rungs cost
    epochs = experiment.train.epochs
    tried = round(halving.trainings(experiment.search.trials, epochs))
    first = random[:tried]
    best = first[int(np.argmin(losses[: len(first)]))]
    searched = networks["searched"]
    over = searched["measured_ms"]["mean"] / result["target_ms"]
    pace = networks["baseline"]["measured_over_predicted"]
    return {
        "task": task,
        "seed": seed,
        **_otherwise(experiment, folder, watch),
        "searched": searched["test_accuracy"],
        "random": [networks[name]["test_accuracy"] for name in random],
        "random_valid_losses": losses,
        "random_search": networks[best]["test_accuracy"],
        "scaled": networks.get("scaled", {}).get("test_accuracy"),
        "baseline": networks["baseline"]["test_accuracy"],
        "balanced": {name: one["balanced_accuracy"] for name, one in networks.items()},
        "test_images": searched["test_images"],
        # the target is a share of the hand-designed network's latency, timed alike
        "measured_over_target": over / pace,
        "measured_ms": {
            name: one["measured_ms"]["median"] for name, one in networks.items()
        },
        "epochs": epochs,
        "side": searched["architecture"]["input_size"],
        "rungs": _rungs(folder),
        "seconds": took,
        "planned_seconds": planned,
    }


def _otherwise(
    experiment: Experiment, folder: Path, watch: Progress
) -> dict[str, float]:
    """The network of a search from weights, trained as long from nothing, and taught.

    Its accuracies. The teacher is the hand-designed network, as the run trained it.
    """
    if experiment.train.weights is None:
        return {}
    train = experiment.train
    teacher = str(folder / retrain.TRAINED / "baseline")
    ways = {
        "from_nothing": recipes.small_data(train.epochs, train.batch),
        "taught": dataclasses.replace(train, teacher=teacher),
    }
    found = {}
    for name, recipe in ways.items():
        other = dataclasses.replace(experiment, train=recipe)
        place = folder.with_name(f"{folder.name}-{name}")
        network = run_folder.read_architecture(folder / "architecture.json")
        network = dataclasses.replace(network, name=name)
        if not (place / "config.json").is_file():
            run_folder.create(other, place, place.parent, network=network)
        shutil.rmtree(place / retrain.TRAINED, ignore_errors=True)  # stopped before
        _, scores = pipeline.train_network(other, network, place, progress=watch)
        assert scores.test_accuracy is not None  # a bench tests on images
        found[name] = scores.test_accuracy
    return found


def _planned(
    config: PromiseConfig, task: str, seed: int, watch: Progress
) -> tuple[Experiment, float]:
    """What `start --hours` writes for a task, and the seconds that it expects."""
    made = _made(config, task)
    experiment = dataclasses.replace(
        made,
        seed=seed,
        random_networks=config.random_networks,
        scaled_networks=config.scaled_networks,
        search=dataclasses.replace(
            made.search, trials=config.trials, finalists=config.trials
        ),
    )
    pace = budget.pace(experiment, watch)
    fit = budget.fitted(experiment, config.hours, pace)
    watch.line(fit.note)
    epochs = fit.experiment.train.epochs
    return fit.experiment, 3600 * (pace.fixed + epochs * pace.per_epoch)


def _made(config: PromiseConfig, task: str) -> Experiment:
    """What `start` makes of a task."""
    path, reading = _pictures(config, task)
    if config.weights is None:
        made = first_experiment.of_pictures(path, config.largest, **reading).experiment
    else:
        made = first_experiment.from_weights(
            path, config.weights, config.largest, **reading
        ).experiment
    data, train = made.data, made.train
    if config.scratch:
        train = recipes.small_data(train.epochs, train.batch)
    if config.train_images is not None:
        alphas = config.train_images // 4
        data = dataclasses.replace(
            data, train_weights=config.train_images - alphas, train_alphas=alphas
        )
    return dataclasses.replace(made, data=data, train=train)


def _pictures(config: PromiseConfig, task: str) -> tuple[Path, dict[str, Any]]:
    """Where a task's pictures lie, and how they are read."""
    if task == "letters":
        return _letters(config.folder / "letters"), {}
    if task == "fashion_mnist":
        return fashion_mnist.PART, {}
    if config.path is None:
        raise ValueError(
            "path: expected a folder of pictures for the task pictures, got None"
        )
    return config.path, {"group_pattern": config.group_pattern}


def _letters(folder: Path) -> Path:
    """Drawn letters as IDX files, made once."""
    for seed, (name, count) in enumerate(zip(("train", "t10k"), LETTERS, strict=True)):
        file = folder / f"{name}-images-idx3-ubyte.gz"
        if not file.exists():
            drawn = glyphs.draw(count // glyphs.CLASSES * glyphs.CLASSES, SIDE, seed)
            images = np.asarray(drawn.images)[..., 0]
            low, high = images.min(), images.max()
            grey = np.rint((images - low) / (high - low) * 255).astype(np.uint8)
            labels = np.asarray(drawn.labels).astype(np.uint8)
            _write(folder / f"{name}-labels-idx1-ubyte.gz", labels)
            _write(file, grey)
    return folder


def _write(file: Path, values: np.ndarray) -> None:
    """An IDX file of bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    file.write_bytes(gzip.compress(head + values.tobytes(), mtime=0))


def _valid_losses(
    experiment: Experiment, folder: Path, names: Sequence[str]
) -> list[float]:
    """Of trained networks of a run, on the images that chose the searched one."""
    loaded = setup.of_run(experiment, folder, needed=("valid",))
    losses = []
    for name in names:
        model = checkpoint.load_model(folder / retrain.TRAINED / name)
        valid = loaded.of(model.architecture).splits["valid"].evaluated()
        losses.append(loop.loss(model, valid))
    return losses


def _rungs(folder: Path) -> list[dict[str, Any]]:
    """Last rung and loss of every network that was tried."""
    rows = json.loads((folder / finalists.FINALISTS).read_text())
    names = ("trial", "rung", "trained_valid_loss")
    return [{name: row[name] for name in names} for row in rows if "trial" in row]
