"""The flag `--plan` of a search: what it will take, and nothing is begun."""

from collections.abc import Sequence

from nas_jax import plan, terminal
from nas_jax.compilation import Compiler
from nas_jax.config import Experiment
from nas_jax.progress import Progress
from nas_jax.setup import load


def run(experiment: Experiment, targets: Sequence[str]) -> int:
    """Prints the forecast; raises `ValueError` for several targets."""
    if targets:
        raise ValueError(
            f"--plan: expected one target, got --targets {','.join(targets)}; each "
            "takes a search of its own after one warm-up"
        )
    setup = load(experiment)
    progress = terminal.Terminal() if setup.devices.writes else Progress()
    found = plan.of_run(setup, Compiler(progress))
    if setup.devices.writes:
        print("\n".join(plan.lines(found, setup.devices.count)))
    return 0
