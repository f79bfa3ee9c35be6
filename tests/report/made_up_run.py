"""A run folder with made-up numbers that hang together, for tests of its readers."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from nas_jax.config import Experiment, SearchConfig, SpaceConfig
from nas_jax.latency import tables
from nas_jax.latency.tables import Entry
from nas_jax.networks import counts, device_memory
from nas_jax.report.run_files import NETWORKS
from nas_jax.spaces import architecture, architecture_json
from nas_jax.spaces.builders import mobile
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import scores
from nas_jax.training.scores import Scores

DIGITS = SpaceConfig(
    name="digits",
    input_size=16,
    input_channels=1,
    classes=10,
    stem_channels=16,
    stem_stride=1,
    first_block_channels=None,
    stage_widths=(16, 32, 64),
    cells=(2, 2, 2),
    strides=(1, 2, 2),
    head_channels=128,
)


def _probs(space: SearchSpace, path: np.ndarray, progress: float) -> np.ndarray:
    """Uniform at progress 0, nearly one-hot at 1."""
    lean = np.linspace(2.0, 5.0, len(path))[:, None] * progress
    weights = np.exp(lean * np.eye(len(space.candidates))[path]) * space.mask
    return weights / weights.sum(axis=1, keepdims=True)


def _metrics(
    space: SearchSpace, path: np.ndarray, epochs: tuple[int, int], seed: int
) -> list[dict]:
    rng = np.random.default_rng(seed)
    warmup, joint = epochs
    lines: list[dict] = []
    for epoch in range(warmup + joint):
        is_warm = epoch < warmup
        progress = 0.0 if is_warm else (epoch - warmup + 1) / joint
        probs = _probs(space, path, progress)
        entropy = -(probs * np.log(np.maximum(probs, 1e-9))).sum(1).mean()
        rise = 1 - np.exp(-epoch / 8)
        lines.append(
            {
                "step": epoch * 5,
                "phase": "warmup" if is_warm else "joint",
                "epoch": epoch,
                "seconds": 1.5 * epoch,
                "search/loss": 2.3 - 1.8 * rise + rng.normal(0, 0.03),
                "search/accuracy": 0.1 + 0.85 * rise + rng.normal(0, 0.01),
                "search/valid_accuracy": 0.1 + 0.82 * rise + rng.normal(0, 0.012),
                "search/expected_latency_ms": 0.61 - 0.2 * progress**0.7,
                "search/target_ms": 0.42,
                "search/entropy": entropy,
                "search/multiplier": 0.0 if is_warm else -0.1 * progress,
                "search/penalty_weight": 100.0**progress,
                "search/probs": probs.round(5).tolist(),
            }
        )
    for network, best in zip(NETWORKS, (0.99, 0.985, 0.93, 0.97), strict=True):
        for epoch in range(30):
            rise = 1 - np.exp(-(epoch + 1) / 5)
            lines.append(
                {
                    "step": epoch * 9,
                    "phase": "train",
                    "network": network,
                    "epoch": epoch,
                    "seconds": 100.0 + epoch,
                    "train/loss": 2.4 - 2 * best * rise + rng.normal(0, 0.02),
                    "train/accuracy": min(best * rise + rng.normal(0, 0.006), 1.0),
                }
            )
    return lines


def made_up_scores(accuracy: float, classes: int, images: int = 1000) -> Scores:
    """Scores of so many images, where each class is mistaken for the next one."""
    labels = np.arange(images) * classes // images
    is_right = np.random.default_rng(0).permutation(images) < round(accuracy * images)
    guesses = np.where(is_right, labels, (labels + 1) % classes)
    return scores.of_guesses(guesses, labels, [f"class {k}" for k in range(classes)])


def _finalists(*paths: np.ndarray) -> list[dict]:
    """Networks that were compared, the more probable first."""
    return [
        {
            "path": [int(k) for k in path],
            "slack": {"latency": 0.0125 * place},
            "log_prob_given_up": 1.5 * place,
            "log_prob_gap": 0.0,
            "is_spent": True,
            "valid_accuracy": 0.9 - 0.01 * place,
            "trial": f"trial_{place}",
            "rung": 1,
            "trained_valid_loss": 0.15 + 0.01 * place,
        }
        for place, path in enumerate(paths, start=1)
    ]


def _keep(run: Path, phases: tuple[str, ...]) -> None:
    """Leaves only the lines of some phases in `metrics.jsonl`."""
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["phase"] in phases]
    (run / "metrics.jsonl").write_text("".join(kept))


def make_targets_run(run: Path, texts: tuple[str, ...] = ("0.5", "0.8")) -> Path:
    """A run for several targets: one warm-up, a search for each target."""
    make_run(run)
    _keep(run, ("warmup", "train"))
    result = json.loads((run / "result.json").read_text())
    searched = result["networks"].pop("searched")
    result["targets"] = {}
    for place, text in enumerate(texts, start=1):
        own = make_run(run / "targets" / text, seed=place)
        _keep(own, ("joint",))
        (own / "result.json").unlink()
        network = json.loads((own / "architecture.json").read_text())
        name = f"searched_{place}"
        result["networks"][name] = searched | {"architecture": network}
        result["targets"][name] = {
            "target": text,
            "target_ms": 0.42,
            "speed_up": None if place == 1 else 1.25,
        }
    for name in ("architecture.json", "finalists.json"):
        (run / name).unlink()
    (run / "result.json").write_text(json.dumps(result))
    return run


def make_run(
    run: Path,
    config: SpaceConfig = DIGITS,
    epochs: tuple[int, int] = (10, 30),
    seed: int = 0,
) -> Path:
    """A run folder with made-up numbers that hang together."""
    run.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    space = mobile(config)
    paths = [rng.choice(np.flatnonzero(row)) for row in space.mask]
    path = np.array(paths)
    path[1] = len(space.candidates) - 1  # a zero, as searches like to find them
    random_path = [rng.choice(np.flatnonzero(row)) for row in space.mask]
    networks = {
        "searched": architecture.from_path(space, path, "searched"),
        "baseline": architecture.homogeneous(space, OpSpec.parse("mb6_k3")),
        "cheapest": architecture.from_ops(
            space,
            [
                OpSpec("zero") if row[-1] else OpSpec.parse("mb3_k3")
                for row in space.mask
            ],
            "cheapest",
        ),
        "random": architecture.from_path(space, random_path, "random"),
    }
    parts = [*space.fixed_parts]
    parts += [layer.block(op) for layer in space.layers for op in layer.candidates]
    means = {
        part.key: 0.002 + counts.macs(part) * 1.1e-7
        for part in parts
        if not tables.is_free(part)
    }
    entries = {
        key: dataclasses.asdict(Entry(ms, 0.001, ms, ms, ms, 20))
        for key, ms in means.items()
    }
    results = {}
    accuracies = dict(zip(NETWORKS, (0.973, 0.969, 0.902, 0.951), strict=True))
    for name, network in networks.items():
        timed = [part.key for part in network.parts if part.key in entries]
        predicted = sum(entries[key]["mean_ms"] for key in timed)
        measured = predicted * (1.04 + 0.02 * rng.random())
        description = counts.describe(network)
        results[name] = {
            "architecture": json.loads(architecture_json.to_json(network)),
            **dataclasses.asdict(made_up_scores(accuracies[name], config.classes)),
            "params": description["params"],
            "macs": description["macs"],
            **device_memory.describe(network),
            "predicted_ms": predicted,
            "measured_ms": {
                "median": measured,
                "q25": measured * 0.98,
                "q75": measured * 1.03,
            },
            "measured_over_predicted": 0.99 * measured / predicted,
            "onnx_max_abs_difference": 2.4e-6,
        }
    experiment = Experiment(
        name=config.name,
        seed=seed,
        space=config,
        search=SearchConfig(
            warmup_epochs=epochs[0],
            joint_epochs=epochs[1],
            batch=100,
            arch_batch=100,
            target_ratio=0.5,
        ),
    )
    documents = {
        "config.json": dataclasses.asdict(experiment),
        "finalists.json": _finalists(path, random_path),
        "latency_table.json": {
            "format": "nas_jax latency table",
            "version": 2,
            "entries": entries,
            "provenance": {
                "device": "Imaginary CPU",
                "runtime": "onnxruntime",
                "runtime_version": "1.20",
                "threads": 1,
                "batch": 8,
                "dtype": "float32",
                "input_size": 16,
                "date": "2026-01-02",
                "commit": "0123abcd",
                "method": "operations",
                "repeats": 20,
                "warm_up_calls": 3,
                "clock": "made up",
            },
            "fixed_ms": 0.0,
            "validation": None,
        },
        "result.json": {
            "networks": results,
            "derivation": _finalists(path)[0],
            "target_ms": 0.42,
            "seed": seed,
            "versions": {"jax": "0.10.0", "flax": "0.12.8"},
            "device": "Imaginary CPU",
            "commit": "0123abcd",
            "seconds_per_phase": {
                "measure": 41.2,
                "search": 75.0,
                "train": 131.9,
                "test": 2.5,
            },
            "command": "nas_jax search digits --seed 0",
        },
    }
    for name, document in documents.items():
        (run / name).write_text(json.dumps(document))
    (run / "architecture.json").write_text(
        architecture_json.to_json(networks["searched"])
    )
    lines = _metrics(space, path, epochs, seed)
    (run / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines)
    )
    return run
