"""The flag `--plan` of a search: what it will take, and nothing is begun."""

from collections.abc import Sequence

from nas_jax import devices, plan, problem, terminal
from nas_jax.compilation import Compiler
from nas_jax.config import Experiment
from nas_jax.watch import Watch


def run(experiment: Experiment, targets: Sequence[str]) -> int:
    """Prints the forecast; raises `ValueError` for several targets."""
    if targets:
        raise ValueError(
            f"--plan: expected one target, got --targets {','.join(targets)}; each "
            "takes a search of its own after one warm-up"
        )
    given = problem.load(experiment, devices.execution_of(experiment))
    watch = terminal.Terminal() if given.execution.writes else Watch()
    found = plan.of_run(experiment, given, Compiler(watch))
    if given.execution.writes:
        print("\n".join(plan.lines(found, given.execution.devices)))
    return 0
