"""`benchmarks enumerated`: what searches find, held against all there is to find."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from benchmarks import ledger
from benchmarks.enumerated import networks, ranking, searchers, task
from benchmarks.enumerated.networks import Networks
from benchmarks.enumerated.searchers import SEARCHERS
from benchmarks.quality_settings import EnumeratedConfig
from nas_jax.config import provenance
from nas_jax.training.progress import Progress

HOW_TO_READ = (
    "percentile: rank of the network found among those within the target latency, 0 is "
    "best, mean ± sd over seeds; one seed less: the same by the truth of all seeds but "
    "one, mean over which; random: the best of as many networks as the budget trains, "
    "by validation accuracy of one training, expected; one training of each: the best "
    "of all of them likewise, ranked in the second column by the seeds that did not "
    "choose: this is the ceiling that the searches' second column is held against; "
    "regret: accuracy lost to the best, in standard deviations of a training's seed; "
    "tau: Kendall's, of the supernet's validation accuracy against the truth, over all "
    "networks; steps: of training, see benchmarks/enumerated/searchers.py."
)


def recorded(asked: task.Task) -> Path:
    """The file of searches that ships."""
    return Path(__file__).with_name(f"runs-{asked.name}.jsonl")


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
    given = task.load(config.task)
    known = networks.load(given)
    if config.recorded:
        found = ledger.read(recorded(given.task))
        return summary(found.rows, known, given.task) | found.provenance
    settings = {
        "networks": networks.settings(given.task, tuple(range(known.test.shape[1]))),
        "target_ms": known.target_ms,
        "searchers": searchers.settings(given.task),
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
    return summary(rows, known, given.task) | origin


def runs(
    wanted: list[tuple[int, str, int]], given: task.Given, known: Networks
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


class Ranks(NamedTuple):
    """Percentiles among the networks within the target, NaN for all others."""

    truth: Float[np.ndarray, "N"]
    """By the mean of all seeds."""
    one_less: Float[np.ndarray, "S N"]
    """By the mean of all seeds but one, for each that is left out."""


def ranks_of(known: Networks) -> Ranks:
    """The ranks by which all is judged, searches and what they are held against."""
    networks, seeds = known.test.shape
    ranks = Ranks(np.full(networks, np.nan), np.full((seeds, networks), np.nan))
    ranks.truth[known.allowed] = ranking.percentiles(known.truth[known.allowed])
    ranks.one_less[:, known.allowed] = ranking.of_others(known.test[known.allowed])
    return ranks


def summary(
    rows: list[dict[str, Any]], known: Networks, asked: task.Task
) -> dict[str, Any]:
    """Every searcher at every budget against the truth, and random search beside it.

    Raises:
      ValueError: if a search chose a network above the target.
    """
    for row in rows:
        if not known.allowed[row["network"]]:
            raise ValueError(
                f"searcher {row['searcher']!r}: expected networks of at most "
                f"{known.target_ms:g} ms, got {row}; its derivation ignores the target"
            )
    ranks, allowed = ranks_of(known), int(known.allowed.sum())
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["budget"], row["searcher"]), []).append(row)
    cells = [_cell(own, ranks, known) for own in groups.values()]
    budgets = sorted({budget for budget, _ in groups})
    return {
        "name": "enumerated",
        "task": asked.name,
        "networks": len(known.truth),
        "allowed": allowed,
        "target_ms": known.target_ms,
        "spread": ranking.spread(known.test)._asdict(),
        "noise_ceiling": ranking.noise_ceiling(known.test[known.allowed]),
        "mean_rank_percentile": _means(cells, "rank_percentile"),
        "mean_one_seed_less": _means(cells, "one_seed_less"),
        "random": {
            str(budget): random_search(known, ranks, budget)._asdict()
            for budget in budgets
        },
        "one_training_of_each": random_search(known, ranks, allowed)._asdict(),
        "training_steps": asked.steps,
        "rows": cells,
    }


def _cell(rows: list[dict[str, Any]], ranks: Ranks, known: Networks) -> dict[str, Any]:
    """What one searcher found at one budget, a number per seed."""
    chosen = [row["network"] for row in rows]
    best = known.truth[known.allowed].max()
    return {
        "searcher": rows[0]["searcher"],
        "budget": rows[0]["budget"],
        "seeds": [row["seed"] for row in rows],
        "rank_percentile": ranks.truth[chosen].tolist(),
        "one_seed_less": ranks.one_less[:, chosen].mean(axis=0).tolist(),
        "regret_sd": (
            (best - known.truth[chosen]) / ranking.seed_sd(known.test)
        ).tolist(),
        "accuracy": known.truth[chosen].tolist(),
        "kendall_tau": [row["kendall_tau"] for row in rows],
        "steps": float(np.mean([row["steps"] for row in rows])),
    }


def _means(cells: list[dict[str, Any]], figure: str) -> dict[str, float]:
    """Of a figure of each searcher, over all its budgets and seeds."""
    values: dict[str, list[float]] = {}
    for cell in cells:
        values.setdefault(cell["searcher"], []).extend(cell[figure])
    return {name: float(np.mean(own)) for name, own in values.items()}


class Expected(NamedTuple):
    """Mean percentile of a choice among random networks."""

    rank_percentile: float
    one_seed_less: float


def random_search(known: Networks, ranks: Ranks, trainings: int) -> Expected:
    """The best by validation of n random networks within the target, trained once.

    Mean over the seeds of that training; `one_seed_less` ranks by the other seeds. Of
    n = all networks, what training each of them once would find.
    """
    within = known.allowed
    found = [
        [
            ranking.best_of(valid[within], rank[within], trainings)
            for rank in (ranks.truth, others)
        ]
        for valid, others in zip(known.valid.T, ranks.one_less, strict=True)
    ]
    return Expected(*map(float, np.mean(found, axis=0)))


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows, as text: searchers by budget, random search, commit."""
    header = ("searcher", "budget", "steps", "percentile", "one seed less")
    rows: list[tuple[str, ...]] = [(*header, "regret, sd", "tau")]
    for cell in result["rows"]:
        rows.append(
            (
                cell["searcher"],
                str(cell["budget"]),
                f"{cell['steps']:.0f}",
                _mean_sd(cell["rank_percentile"], 1),
                _mean_sd(cell["one_seed_less"], 1),
                _mean_sd(cell["regret_sd"], 1),
                _mean_sd(cell["kendall_tau"], 2),
            )
        )
    for budget, found in result["random"].items():
        steps = str(int(budget) * result["training_steps"])
        rows.append(("random", budget, steps, *_both(found), "", ""))
    of_each = _both(result["one_training_of_each"])
    rows.append(("one training of each", "", "", *of_each, "", ""))
    rows.append((f"commit {result['commit']}", *[""] * 6))
    return rows


def _both(found: dict[str, float]) -> tuple[str, str]:
    return f"{found['rank_percentile']:.1f}", f"{found['one_seed_less']:.1f}"


def _mean_sd(values: list[float], digits: int) -> str:
    """Mean ± standard deviation; of a single value that value."""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}"
