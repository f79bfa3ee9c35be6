"""A latency table fitted to whole networks, as the paper's, and near benchmarks.

The paper's table holds average effects in measured networks (its stem counts 982 of
them). So an entry contains what a part costs in a network: fusion with its
neighbours, caches that they emptied. With y_i the measured latency of network i less
`fixed_ms`, n_ik how often it has part k, and b_k that part's micro-benchmark,

    minimise over d   sum_i ((sum_k n_ik s b_k (1 + d_k)) / y_i - 1)^2 + r sum_k d_k^2

s is the common factor, exp of the median of log(y_i / sum_k n_ik b_k). Errors are
relative, so small networks count as much as large ones. The ridge pulls parts that the
networks cannot tell apart (the fixed ones, found in all) towards s b_k. r is chosen by
five-fold cross-validation among `RIDGES`. 1 + d_k stays above `LEAST`, as no part
takes negative time.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import optimize

from nas_jax.latency.tables import Entry, LatencyTable
from nas_jax.spaces.architecture import Architecture

RIDGES = tuple(np.logspace(-5, 1, 13).tolist())
LEAST = 0.1
FOLDS = 5
RESAMPLES = 200


def counts_of(networks: Sequence[Architecture], keys: Sequence[str]) -> np.ndarray:
    """How often each network has each part, Int `[N keys]`."""
    used = [Counter(part.key for part in network.parts) for network in networks]
    return np.array([[counter[key] for key in keys] for counter in used])


def fit(
    table: LatencyTable,
    networks: Sequence[Architecture],
    measured_ms: np.ndarray,
    rng: np.random.Generator,
) -> LatencyTable:
    """The table of micro-benchmarks, corrected by whole networks.

    Mean, spread and quartiles of an entry are over `RESAMPLES` bootstrap samples of the
    networks (the mean is that of the fit itself), `count` is in how many networks the
    part was. Parts in none are s b_k, with the spread of their benchmark.

    Raises `ValueError` for networks that the table cannot price, too few networks, or
    one that takes less than the runtime's `fixed_ms`.
    """
    if len(networks) < 2 * FOLDS:
        raise ValueError(
            f"fit: expected {2 * FOLDS} networks or more, got {len(networks)}; raise "
            "--networks"
        )
    net_ms = np.asarray(measured_ms) - table.fixed_ms
    if net_ms.min() <= 0:
        raise ValueError(
            f"fit: expected networks above fixed_ms = {table.fixed_ms:g} ms, got "
            f"{net_ms.min() + table.fixed_ms:g} ms; measure again"
        )
    keys = list(table.entries)
    used = counts_of(networks, keys)
    benchmarks = np.array([table.entries[key].mean_ms for key in keys])
    factor = float(np.exp(np.median(np.log(net_ms / (used @ benchmarks)))))
    seen = used.sum(axis=0) > 0
    shares = used[:, seen] * (factor * benchmarks[seen]) / net_ms[:, None]
    ridge = _choose(shares, rng)
    start = factor * benchmarks
    fitted = start.copy()
    fitted[seen] *= _solve(shares, ridge)
    samples = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(len(shares), size=len(shares))
        samples.append(start[seen] * _solve(shares[drawn], ridge))
    std = np.std(samples, axis=0, ddof=1)
    quartiles = np.percentile(samples, [25, 50, 75], axis=0)
    networks_with = (used > 0).sum(axis=0)
    entries = {key: _scaled(entry, factor) for key, entry in table.entries.items()}
    for column, index in enumerate(np.flatnonzero(seen)):
        q25, median, q75 = quartiles[:, column].tolist()
        entries[keys[index]] = Entry(
            mean_ms=float(fitted[index]),
            std_ms=float(std[column]),
            median_ms=median,
            q25_ms=q25,
            q75_ms=q75,
            count=int(networks_with[index]),
        )
    origin = {
        **table.provenance,
        "method": "networks",
        "mean": "fit to whole networks, spread over bootstrap samples of them",
        "networks": len(networks),
        "ridge": ridge,
        "factor": factor,
        "parts_in_no_network": int((~seen).sum()),
    }
    return dataclasses.replace(table, entries=entries, provenance=origin)


def _scaled(entry: Entry, factor: float) -> Entry:
    times = {
        name: factor * value
        for name, value in dataclasses.asdict(entry).items()
        if name != "count" and value is not None
    }
    return dataclasses.replace(entry, **times)


def _solve(shares: np.ndarray, ridge: float) -> np.ndarray:
    """1 + d, Float `[parts]`."""
    parts = shares.shape[1]
    goals = 1 - shares.sum(axis=1)
    free = np.linalg.solve(shares.T @ shares + ridge * np.eye(parts), shares.T @ goals)
    if free.min() >= LEAST - 1:
        return 1 + free
    rows = np.vstack([shares, np.sqrt(ridge) * np.eye(parts)])
    goals = np.concatenate([goals, np.zeros(parts)])
    return 1 + optimize.lsq_linear(rows, goals, (LEAST - 1, np.inf)).x


def _choose(shares: np.ndarray, rng: np.random.Generator) -> float:
    """The ridge with the smallest squared error on networks left out."""
    folds = rng.permutation(len(shares)) % FOLDS
    errors = []
    for ridge in RIDGES:
        error = 0.0
        for fold in range(FOLDS):
            factors = _solve(shares[folds != fold], ridge)
            error += float(((shares[folds == fold] @ factors - 1) ** 2).sum())
        errors.append(error)
    return RIDGES[int(np.argmin(errors))]
