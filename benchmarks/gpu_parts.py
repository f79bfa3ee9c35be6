"""The parts of `benchmarks gpu` that each take a fresh process.

Every function is called in one and answers in JSON: `figures` by name, which the table
shows, and what they are made of; or `not_run`, the reason why there are none.
"""

import dataclasses
import importlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import programs, step_times, torch_peer, turns, workload
from benchmarks.settings import GpuConfig
from benchmarks.workload import Workload
from nas_jax import supernet
from nas_jax.config import files, provenance, shipped
from nas_jax.config.experiment import LatencyConfig
from nas_jax.spaces import builders
from nas_jax.training import losses
from nas_jax.training.progress import Progress

Found = dict[str, Any]

STEPS = ("plain", "weight", "arch")
_CALLS = {
    "plain": workload.plain_step,
    "weight": workload.weight_step,
    "arch": workload.arch_step,
}


def _workload(config: GpuConfig, dtype: str = "float32") -> Workload:
    searched = builders.mobile(config.space)
    return workload.make(searched, config.batch, config.paths, config.seed, dtype=dtype)


def _times(config: GpuConfig, calls: dict[str, workload.Call]) -> step_times.Times:
    watch = Progress()
    return turns.in_turns(calls, rounds=config.rounds, steps=config.paths, watch=watch)


def _per_s(batch: int, ms: float) -> float:
    return 1e3 * batch / ms


def steps(config: GpuConfig, names: Sequence[str], dtype: str) -> Found:
    """Speed, compile time and memory of the steps, taken in turns."""
    work = _workload(config, dtype)
    state = workload.start(work, config.seed)
    times = _times(config, {name: _CALLS[name](work, state) for name in names})
    figures: dict[str, float] = {"batch": config.batch}
    for name, ms in times.items():
        figures[f"{name}_images_per_s"] = _per_s(config.batch, ms["min"])
    for name in names:
        if name == "plain":
            made = [programs.plain(one, *work.size) for one in workload.networks(work)]
        else:
            make = programs.weight if name == "weight" else programs.arch
            made = [make(work.searched, *work.size)]
            if "plain" in names:
                over = times[name]["min"] / times["plain"]["min"]
                figures[f"{name}_over_plain"] = over
        # of one of the plain networks
        figures[f"{name}_trace_s"] = made[0].trace_s
        figures[f"{name}_compile_s"] = made[0].compile_s
        figures[f"{name}_temp_gib"] = max(one.temp_bytes for one in made) / 2**30
    if stats := jax.devices()[0].memory_stats():
        figures["peak_gib"] = stats["peak_bytes_in_use"] / 2**30
    paths = {"active": work.active.tolist(), "inactive": work.inactive.tolist()}
    return {"figures": figures, "times_ms": times, "paths": paths}


def torch(config: GpuConfig, is_compiled: bool) -> Found:
    """Speed of the same steps in PyTorch.

    Compiled, the plain step alone and channels last: each candidate of the supernet
    would be a compilation of its own.
    """
    if reason := step_times.reason_without_torch():
        return {"not_run": reason}
    if is_compiled and jax.default_backend() != "gpu":
        return {"not_run": "PyTorch's compiler is compared on a GPU alone"}
    work = _workload(config)
    calls = step_times.torch_calls(
        torch_peer.Peer, work, config.seed, compiled=(is_compiled,)
    )
    if is_compiled:
        (only,) = (name for name in calls if "last" in name and "plain" in name)
        calls = {only: calls[only]}
    times = _times(config, calls)
    best = {
        step: min(ms["min"] for name, ms in times.items() if f": {step}" in name)
        for step in STEPS
        if any(f": {step}" in name for name in times)
    }
    figures = {
        f"{step}_images_per_s": _per_s(config.batch, ms) for step, ms in best.items()
    }
    version = importlib.import_module("torch").__version__
    return {
        "figures": {"batch": config.batch, **figures},
        "times_ms": times,
        "version": version,
    }


def gradients(config: GpuConfig, file: str) -> float:
    """Writes logits and gradients of a path to a file; the answer is the loss.

    Weights are drawn by the CPU, so that those of two backends are equal.
    """
    work = _workload(dataclasses.replace(config, batch=config.parity_batch, paths=1))
    with jax.default_device(jax.devices("cpu")[0]):
        state = workload.start(work, config.seed)
    rows = supernet.rows_of(work.searched, jnp.asarray(work.active[0]))

    def loss_of(weights: Any, stats: Any) -> Any:
        logits, _ = supernet.apply(
            work.searched, weights, stats, rows, work.batch.images
        )
        return losses.cross_entropy(logits, work.batch.labels, 0.1), logits

    with jax.default_matmul_precision("highest"):
        (loss, logits), found = jax.jit(jax.value_and_grad(loss_of, has_aux=True))(
            *(supernet.gather(tree, rows) for tree in (state.params, state.batch_stats))
        )
    np.savez(file, *(np.asarray(leaf) for leaf in (logits, *jax.tree.leaves(found))))
    return float(loss)


def difference(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest deviation over all arrays, each as a share of its largest value.

    >>> difference([np.array([1.0, 2.0])], [np.array([1.5, 2.0])])
    0.25
    """
    shares = [
        np.abs(ours - right).max() / (np.abs(right).max() or 1.0)
        for ours, right in zip(found, expected, strict=True)
    ]
    return float(np.max(shares))


def latency_table(config: GpuConfig) -> Found:
    """The latency table of the space in XLA, and the time it takes."""
    # what only this part and the next need may be lacking on a machine of a day
    from nas_jax.latency import tables
    from nas_jax.latency.measurement import operations
    from nas_jax.latency.runtimes import xla

    start = time.perf_counter()
    searched = builders.mobile(config.space)
    how = LatencyConfig(threads=provenance.cores(), repeats=config.table_repeats)
    table = operations.measure_table(xla.device(how), searched)
    figures = {
        "measure_s": time.perf_counter() - start,
        "entries": len(table.entries),
        "all_entries_ms": sum(entry.mean_ms for entry in table.entries.values()),
        "largest_network_ms": tables.predict_ms(table, workload.largest(searched)),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.json"
        tables.save(table, file)
        return {"figures": figures, "table": files.read_object(file)}


def search(config: GpuConfig) -> Found:
    """A short search of the digits, compilation included."""
    from nas_jax.runs import search, targets
    from nas_jax.runs.session import Run, Session
    from nas_jax.runs.setup import load
    from nas_jax.training.devices import PLAIN

    digits = shipped.load_experiment("digits_cpu")
    warmup = config.search_epochs // 2
    one = dataclasses.replace(
        digits,
        seed=config.seed,
        search=dataclasses.replace(
            digits.search,
            warmup_epochs=warmup,
            joint_epochs=config.search_epochs - warmup,
            cost="macs",  # no latency is measured for it
        ),
    )
    start = time.perf_counter()
    setup = load(one, PLAIN)
    with tempfile.TemporaryDirectory() as folder:
        work = Run(setup, Path(folder), Session(Path(folder), Progress()))
        last = search.run(work, targets.resolve(one.search, setup.space))
        metrics = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    figures = {
        "search_s": time.perf_counter() - start,
        "epochs": config.search_epochs,
        "steps": int(last.state.step),
    }
    return {"figures": figures, "last_line": metrics[-1]}
