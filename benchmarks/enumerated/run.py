"""`benchmarks enumerated`: what searches find, held against all there is to find."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks import ledger
from benchmarks.enumerated import networks, ranking, searchers, task
from benchmarks.enumerated.networks import Networks
from benchmarks.enumerated.searchers import SEARCHERS, TRAINING_STEPS
from benchmarks.quality_settings import EnumeratedConfig
from nas_jax.config import provenance
from nas_jax.training.progress import Progress

RECORDED = Path(__file__).with_name("runs.jsonl")
HOW_TO_READ = (
    "percentile: rank of the network found among those within the target latency, 0 is "
    "best, mean ± sd over seeds; random: the best of as many networks as the budget "
    "trains, by validation accuracy of one training, expected; regret: accuracy lost "
    "to the best, in standard deviations of a training's seed; tau: Kendall's, of the "
    "supernet's validation accuracy against the truth, over all networks; steps: of "
    "training, see benchmarks/enumerated/searchers.py."
)


def run(config: EnumeratedConfig, watch: Progress) -> dict[str, Any]:
    """A row per searcher and budget, ready for JSON.

    Raises:
      ValueError: for an unknown searcher, or if the stored files do not fit.
    """
    unknown = [name for name in config.searchers if name not in SEARCHERS]
    if unknown:
        raise ValueError(
            f"searchers: expected names among {', '.join(SEARCHERS)}, got {unknown[0]}"
        )
    given = task.load()
    known = networks.load(given)
    if config.recorded:
        found = ledger.read(RECORDED)
        return summary(found.rows, known) | found.provenance
    settings = {
        "networks": networks.settings(tuple(range(known.test.shape[1]))),
        "target_ms": known.target_ms,
        "searchers": searchers.settings(),
    }
    names = config.searchers or tuple(SEARCHERS)
    wanted = [
        (budget, name, seed)
        for budget in config.budgets
        for name in names
        for seed in config.seeds
    ]
    origin = provenance.record()
    rows: list[dict[str, Any]] = []
    if config.file is not None:
        rows = ledger.begin(config.file, settings, origin).rows
    done = {(row["budget"], row["searcher"], row["seed"]) for row in rows}
    todo = [one for one in wanted if one not in done]
    watch.phase(f"{len(todo)} searches, {len(rows)} are there")
    found_rows = runs(todo, given, known)
    if config.file is not None:
        found_rows = ledger.extended(config.file, found_rows)
    for row in watch.steps(found_rows, total=len(todo), desc="searches"):
        watch.line(
            f"{row['searcher']}, budget {row['budget']}, seed {row['seed']}: "
            f"network {row['network']} of {row['latency_ms']:.4f} ms"
        )
        rows.append(row)
    return summary(rows, known) | origin


def runs(
    wanted: list[tuple[int, str, int]], given: task.Task, known: Networks
) -> Iterator[dict[str, Any]]:
    """Runs one search after the other, yielding a row for each."""
    for budget, name, seed in wanted:
        found = SEARCHERS[name](given, known, budget, seed)
        tau = stats.kendalltau(found.supernet, known.truth)
        yield {
            "budget": budget,
            "searcher": name,
            "seed": seed,
            "network": found.network,
            "latency_ms": round(float(known.latency_ms[found.network]), 6),
            "steps": found.steps,
            "kendall_tau": round(float(tau.statistic), 4),
        }


def summary(rows: list[dict[str, Any]], known: Networks) -> dict[str, Any]:
    """Every searcher at every budget against the truth, and random search beside it.

    Raises:
      ValueError: if a search chose a network above the target.
    """
    allowed = np.flatnonzero(known.allowed)
    for row in rows:
        if not known.allowed[row["network"]]:
            raise ValueError(
                f"searcher {row['searcher']!r}: expected networks of at most "
                f"{known.target_ms:g} ms, got {row}; its derivation ignores the target"
            )
    percentile = np.full(len(known.truth), np.nan)
    percentile[allowed] = ranking.percentiles(known.truth[allowed])
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["budget"], row["searcher"]), []).append(row)
    cells = [_cell(own, percentile, known) for own in groups.values()]
    budgets = sorted({budget for budget, _ in groups})
    random = {
        str(budget): random_search(known, percentile, budget) for budget in budgets
    }
    by_searcher: dict[str, list[float]] = {}
    for cell in cells:
        by_searcher.setdefault(cell["searcher"], []).extend(cell["rank_percentile"])
    return {
        "name": "enumerated",
        "networks": len(known.truth),
        "allowed": len(allowed),
        "target_ms": known.target_ms,
        "spread": ranking.spread(known.test)._asdict(),
        "noise_ceiling": ranking.noise_ceiling(known.test[allowed]),
        "mean_rank_percentile": {
            name: float(np.mean(values)) for name, values in by_searcher.items()
        },
        "random_rank_percentile": float(np.mean(list(random.values()))),
        "random_by_budget": random,
        "training_steps": TRAINING_STEPS,
        "rows": cells,
    }


def _cell(
    rows: list[dict[str, Any]], percentile: np.ndarray, known: Networks
) -> dict[str, Any]:
    """What one searcher found at one budget, a number per seed."""
    chosen = [row["network"] for row in rows]
    best = known.truth[known.allowed].max()
    return {
        "searcher": rows[0]["searcher"],
        "budget": rows[0]["budget"],
        "seeds": [row["seed"] for row in rows],
        "rank_percentile": percentile[chosen].tolist(),
        "regret_sd": (
            (best - known.truth[chosen]) / ranking.seed_sd(known.test)
        ).tolist(),
        "accuracy": known.truth[chosen].tolist(),
        "kendall_tau": [row["kendall_tau"] for row in rows],
        "steps": float(np.mean([row["steps"] for row in rows])),
    }


def random_search(known: Networks, percentile: np.ndarray, trainings: int) -> float:
    """Expected percentile of the best of n random networks within the target.

    Each is trained once, and the best by validation is taken; mean over the seeds.
    """
    allowed = known.allowed
    return float(
        np.mean(
            [
                ranking.best_of(seed[allowed], percentile[allowed], trainings)
                for seed in known.valid.T
            ]
        )
    )


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows, as text: searchers by budget, random search, commit."""
    header = ("searcher", "budget", "steps", "percentile", "regret, sd", "tau")
    rows: list[tuple[str, ...]] = [header]
    for cell in result["rows"]:
        rows.append(
            (
                cell["searcher"],
                str(cell["budget"]),
                f"{cell['steps']:.0f}",
                _mean_sd(cell["rank_percentile"], 1),
                _mean_sd(cell["regret_sd"], 1),
                _mean_sd(cell["kendall_tau"], 2),
            )
        )
    for budget, percentile in result["random_by_budget"].items():
        steps = int(budget) * result["training_steps"]
        rows.append(("random", budget, str(steps), f"{percentile:.1f}", "", ""))
    ceiling = f"{result['noise_ceiling']:.1f}"
    rows.append(("one training of each", "", "", ceiling, "", ""))
    rows.append((f"commit {result['commit']}", *[""] * 5))
    return rows


def _mean_sd(values: list[float], digits: int) -> str:
    """Mean ± standard deviation; of a single value that value."""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}"
