"""Time of the steps: of the supernet over plain networks, and over PyTorch's."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import jax

from benchmarks import torch_peer, turns, workload
from benchmarks.settings import EngineConfig
from benchmarks.workload import Call, Workload
from nas_jax.spaces import builders
from nas_jax.training import host
from nas_jax.training.progress import Progress

STEPS = ("plain_step", "weight_step", "arch_step")
Times = dict[str, dict[str, float]]


def measure(config: EngineConfig, watch: Progress) -> dict[str, Any]:
    """All calls side by side, in turns; figures by minima, and by medians too."""
    why_no_torch = reason_without_torch() if "torch" in config.parts else "left out"
    found: dict[str, Any] = {}
    if why_no_torch:
        found["not_run"] = {"torch": why_no_torch}
        if "time" not in config.parts:
            return found
    work = workload.make(
        builders.mobile(config.space), config.batch, config.paths, config.seed
    )
    watch.phase(f"compiling the steps and {config.paths} plain networks")
    state = workload.start(work, config.seed)
    calls: dict[str, Call] = {
        "plain_step": workload.plain_step(work, state),
        "weight_step": workload.weight_step(work, state),
        "arch_step": workload.arch_step(work, state),
    }
    if not why_no_torch:
        watch.phase("building the networks in PyTorch")
        calls |= torch_calls(torch_peer.Peer, work, config.seed)
        torch = importlib.import_module("torch")
        found["torch"] = {
            "version": torch.__version__,
            "threads": torch.get_num_threads(),
        }
    host.settle_heap()  # for PyTorch alike
    watch.phase(
        f"timing {len(calls)} steps on {config.paths} paths in {config.rounds} rounds"
    )
    times = turns.in_turns(calls, rounds=config.rounds, steps=config.paths, watch=watch)
    return {
        **found,
        **figures(times, "min", config.parts),
        "by_medians": figures(times, "median", config.parts),
        "times_ms": times,
        "paths": [
            {"active": _names(work, active), "inactive": _names(work, inactive)}
            for active, inactive in zip(work.active, work.inactive, strict=True)
        ],
    }


def torch_calls(
    make_peer: Callable[..., Any],
    work: Workload,
    seed: int,
    compiled: Sequence[bool] | None = None,
) -> dict[str, Call]:
    """The same steps in PyTorch, in every form that may be its best.

    Both memory formats; with its compiler and without as `compiled` says, by default
    both on a GPU.
    """
    is_gpu = _is_gpu()
    if compiled is None:
        compiled = (False, True) if is_gpu else (False,)
    calls: dict[str, Call] = {}
    for channels_last in (False, True):
        for is_compiled in compiled:
            peer = make_peer(
                work.searched,
                work.batch,
                channels_last=channels_last,
                seed=seed,
                device="cuda" if is_gpu else "cpu",
                compiled=is_compiled,
            )
            form = "channels_last" if channels_last else "channels_first"
            form += ", compiled" if is_compiled else ""
            calls[f"torch, {form}: plain_step"] = peer.plain_step(work.active)
            calls[f"torch, {form}: weight_step"] = peer.weight_step(work.active)
            pairs = (work.active, work.inactive)
            calls[f"torch, {form}: arch_step"] = peer.arch_step(pairs)
    return calls


def figures(times: Times, statistic: str, parts: tuple[str, ...]) -> dict[str, float]:
    """Ratios of one statistic; PyTorch counts by its best form of each step."""
    ours = {step: times[step][statistic] for step in STEPS}
    found = {}
    if "time" in parts:
        for step in ("weight_step", "arch_step"):
            found[f"{step}_over_plain"] = ours[step] / ours["plain_step"]
    for step in STEPS:
        forms = [name for name in times if name.endswith(f": {step}")]
        if forms:
            best = min(times[name][statistic] for name in forms)
            over = "torch_plain" if step == "plain_step" else "torch"
            found[f"{step.replace('plain_step', 'plain')}_over_{over}"] = (
                ours[step] / best
            )
    return found


def _names(work: Workload, path: Any) -> list[str]:
    return [work.searched.candidates[index].name for index in path]


def reason_without_torch() -> str | None:
    """What keeps PyTorch from taking part on the device that JAX computes on."""
    if not torch_peer.available():
        return "PyTorch is not installed"
    if _is_gpu() and not importlib.import_module("torch").cuda.is_available():
        return "PyTorch finds no GPU"
    return None


def _is_gpu() -> bool:
    return jax.default_backend() == "gpu"
