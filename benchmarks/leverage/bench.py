"""`benchmarks leverage`: what the accuracy of networks of one latency depends on.

Networks of equal latency are drawn from a space and trained alike, some of them with
several seeds. Where networks differ by little more than seeds do, no search can find a
better one; which choices explain the difference says what a space should offer.
"""

import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from benchmarks import ledger
from benchmarks.leverage import factors, ranking, task
from benchmarks.quality_settings import LeverageConfig
from nas_jax.base import stream
from nas_jax.config import provenance
from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency import tables
from nas_jax.latency.measurement import operations, whole_networks
from nas_jax.latency.measurement.journal import Journal
from nas_jax.latency.measurement.timing import Device
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.latency.tables import LatencyTable
from nas_jax.search import baselines, elastic_census
from nas_jax.spaces import architecture_json, builders, elastic
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.training import loop
from nas_jax.training.devices import PLAIN
from nas_jax.training.loop import Recipe
from nas_jax.training.progress import Progress

_WITHIN = 0.02
"""Share of the target that a network's latency by table may be off."""
_SPARE = 3
"""Times as many networks are drawn and measured; those nearest the median are kept."""
HOW_TO_READ = (
    "ranked by: Spearman's correlation with the accuracies, and the seconds for all; "
    "sd between: standard deviation between networks, the seeds' part taken off; sd of "
    "a seed: of one network trained again; explained: the adjusted share of the "
    "variance that one choice explains alone, and all of them together; latency: the "
    "largest deviation of a measured latency from the median."
)


def run(config: LeverageConfig, watch: Progress) -> dict[str, Any]:
    """Trains what the file lacks; per space spread and shares, ready for JSON.

    Raises `ValueError` for a task without its pictures, and a target out of reach.
    """
    spaces = task.spaces(config)
    device = onnx_runtime.device(LatencyConfig(batch=8, repeats=5))
    built = {name: elastic.build(space) for name, space in spaces.items()}
    table = _table(config, list(built.values()), device, watch)
    base_ms = tables.predict_ms(
        table, baselines.hand_designed(builders.build(next(iter(spaces.values()))))
    )
    settings = dataclasses.asdict(config) | {"file": None, "table": None}
    settings |= {"path": str(config.path), "weights": str(config.weights)}
    origin = {**provenance.record(), "baseline_ms": base_ms}
    found = ledger.begin(config.file, settings, origin)
    rows = list(found.rows)
    for name, space in built.items():
        drawn = [row for row in rows if row["space"] == name and "measured_ms" in row]
        if not drawn:
            watch.phase(f"{name}: drawing and measuring networks")
            drawn = _drawn(config, space, table, config.ratio * base_ms, device)
            drawn = [{"space": name, **row} for row in drawn]
            rows += ledger.extended(config.file, iter(drawn))
        rows += ledger.extended(config.file, _trained(config, name, drawn, rows, watch))
        rows += ledger.extended(config.file, _ranked(config, name, drawn, rows, watch))
    cells = next(iter(spaces.values())).cells
    return {
        "settings": found.settings,
        "provenance": found.provenance,
        "spaces": {
            name: _summary([row for row in rows if row["space"] == name], cells)
            for name in spaces
        },
        "rows": rows,
    }


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """A column per space."""
    spaces = result["spaces"]
    rows: list[tuple[str, ...]] = [("", *spaces)]
    for name, unit in (
        ("networks", "d"),
        ("mean accuracy", ".2%"),
        ("sd between", ".2%"),
        ("sd of a seed", ".2%"),
        ("best - mean", ".2%"),
        ("latency", ".1%"),
        ("seconds a training", ".0f"),
    ):
        rows.append((name, *(format(one[name], unit) for one in spaces.values())))
    for name in next(iter(spaces.values()))["explained"]:
        shares = (one["explained"].get(name, 0.0) for one in spaces.values())
        rows.append((f"explained by {name}", *(f"{share:.0%}" for share in shares)))
    for way in next(iter(spaces.values()))["ranking"]:
        found = [one["ranking"].get(way) for one in spaces.values()]
        cells = (
            f"{one['spearman']:.2f} in {one['seconds']:.0f} s" if one else "-"
            for one in found
        )
        rows.append((f"ranked by {way}", *cells))
    return rows


def _table(
    config: LeverageConfig,
    spaces: list[ElasticSpace],
    device: Device,
    watch: Progress,
) -> LatencyTable:
    """The table of all parts of the spaces, measured here unless it is stored."""
    if config.table is not None and config.table.exists():
        return tables.load(config.table)
    parts = {
        part.key: part for space in spaces for part in tables.required_parts(space)
    }
    watch.phase(f"latency table of {len(parts)} parts")
    found = operations.measure_table(
        device,
        spaces[0].shapes[0],
        parts=list(parts.values()),
        progress=watch.steps,
        spread_s=0.0,
    )
    if config.table is not None:
        tables.save(found, config.table)
    return found


def _drawn(
    config: LeverageConfig,
    space: ElasticSpace,
    table: LatencyTable,
    target: float,
    device: Device,
) -> list[dict[str, Any]]:
    """Networks of one latency as measured, drawn uniformly within the target."""
    rng = np.random.default_rng(config.seed)
    costs = tables.shape_costs(table, space)
    counted = elastic_census.of(space, costs, target * (1 + _WITHIN))
    picks = [
        counted.draw(rng, target * (1 - _WITHIN), target * (1 + _WITHIN))
        for _ in range(_SPARE * config.networks)
    ]
    networks = [
        space.network(shape, path, f"network_{place}")
        for place, (shape, path) in enumerate(picks)
    ]
    measured = whole_networks.measure(device, networks, Journal(None, {}))
    middle = float(np.median(measured))
    nearest = np.argsort(np.abs(measured / middle - 1))[: config.networks]
    return [
        {
            "network": json.loads(architecture_json.to_json(networks[place])),
            "predicted_ms": tables.predict_ms(table, networks[place]),
            "measured_ms": float(measured[place]),
        }
        for place in sorted(nearest)
    ]


def _trained(
    config: LeverageConfig,
    name: str,
    drawn: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    watch: Progress,
) -> Iterator[dict[str, Any]]:
    """A row per training that the rows lack; the first networks with all seeds."""
    done = {
        (row["space"], row["name"], row["seed"]) for row in rows if "accuracy" in row
    }
    jobs = [(row["network"], 0) for row in drawn]
    jobs += [
        (row["network"], seed)
        for row in drawn[: config.repeated]
        for seed in range(1, config.seeds)
    ]
    config_of = task.recipe(config)
    watch.phase(f"{name}: {len(jobs)} trainings")
    for document, seed in watch.steps(jobs, total=len(jobs), desc=name):
        network = _network(document)
        if (name, network.name, seed) in done:
            continue
        begun = time.monotonic()
        images = task.load(config, network.input_shape, network.classifier.classes)
        key = stream(jax.random.key(seed), "leverage")
        recipe = Recipe(config_of, images.train, images.augment)
        after = task.begun(config, network, recipe, key)
        *_, last = loop.run(key, network, recipe, after=after)
        model = loop.trained(network, last.state, PLAIN)
        yield {
            "space": name,
            "name": network.name,
            "seed": seed,
            "accuracy": loop.accuracy(model, images.test),
            "seconds": time.monotonic() - begun,
        }


def _network(document: dict[str, Any]) -> Architecture:
    return architecture_json.from_json(json.dumps(document))


def _ranked(
    config: LeverageConfig,
    name: str,
    drawn: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    watch: Progress,
) -> Iterator[dict[str, Any]]:
    """A row for each way to rank the networks of a space that the rows lack."""
    done = {
        (row["way"], row["epochs"])
        for row in rows
        if row["space"] == name and "way" in row
    }
    if done >= {*ranking.ways(config)}:
        return
    watch.phase(f"{name}: networks ranked before they are trained")
    networks = [_network(row["network"]) for row in drawn]
    for row in ranking.scores(config, networks, done, watch):
        if (row["way"], row["epochs"]) not in done:
            yield {"space": name, **row}


def _summary(rows: list[dict[str, Any]], cells: tuple[int, ...]) -> dict[str, Any]:
    """Spread and shares of one space."""
    drawn = {row["network"]["name"]: row for row in rows if "measured_ms" in row}
    networks = {name: _network(row["network"]) for name, row in drawn.items()}
    by_seed: dict[str, list[float]] = {}
    trained = [row for row in rows if "accuracy" in row]
    for row in sorted(trained, key=lambda row: row["seed"]):
        by_seed.setdefault(row["name"], []).append(row["accuracy"])
    first = np.array([accuracies[0] for accuracies in by_seed.values()])
    of_seeds = [np.var(one, ddof=1) for one in by_seed.values() if len(one) > 1]
    noise = float(np.mean(of_seeds)) if of_seeds else 0.0
    chosen = [factors.of(networks[name], cells) for name in by_seed]
    measured = np.array([drawn[name]["measured_ms"] for name in by_seed])
    return {
        "networks": len(by_seed),
        "mean accuracy": float(first.mean()),
        "sd between": float(np.sqrt(max(0.0, first.var(ddof=1) - noise))),
        "sd of a seed": noise**0.5,
        "best - mean": float(first.max() - first.mean()),
        "latency": float(np.abs(measured / np.median(measured) - 1).max()),
        "seconds a training": float(np.mean([row["seconds"] for row in trained])),
        "explained": factors.explained(chosen, first.tolist()),
        "ranking": ranking.correlations(
            [row for row in rows if "way" in row],
            networks,
            {name: accuracies[0] for name, accuracies in by_seed.items()},
        ),
    }
