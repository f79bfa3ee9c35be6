"""The verb `search`: one target or several, from a configuration to a report."""

import sys
from pathlib import Path

from nas_jax import limits, pipeline, problem, run_folder, terminal, trade_off
from nas_jax.config import Experiment
from nas_jax.search_config import TARGETS


def run(
    experiment: Experiment,
    source: Path | None,
    out: Path | None,
    runs: Path,
    targets: str | None,
    command: str,
) -> int:
    """Runs a search and prints its table; returns the exit code.

    Args:
      experiment: what is searched.
      source: the experiment's file.
      out: the run folder to make; None for the next free one in `runs`.
      runs: where unnamed runs go.
      targets: several targets with commas between, or None for the experiment's one.
      command: what the user typed, to be recorded.

    Raises:
      ValueError: for what does not fit; most of it before a folder is made.
    """
    several = [] if targets is None else [text.strip() for text in targets.split(",")]
    for one in trade_off.experiments(experiment, several) if several else [experiment]:
        problem.check(one)  # refuse what does not fit before a folder is made
    folder = run_folder.create(experiment, out, runs, source)
    print(f"run folder: {folder}", file=sys.stderr)
    watch = terminal.Terminal()
    try:
        if several:
            result = trade_off.run(experiment, several, folder, command, watch)
        else:
            result = pipeline.run(experiment, folder, command, watch)
    except KeyboardInterrupt:
        again = "start again" + (" with a new --out" if out else "")
        print(
            f"nas_jax: stopped; what is finished lies in {folder}; {again}: {command}",
            file=sys.stderr,
        )
        return 130
    except ValueError as error:
        raise ValueError(f"{error} (run folder: {folder})") from error
    print(terminal.comparison_table(result["networks"]))
    if several:
        print(terminal.aligned(trade_off.table(result)))
        print(f"report: {folder / 'report.html'}")
        return 0
    cost = experiment.search.cost
    wanted = limits.amount(cost, result[TARGETS[cost]])
    print(f"target {wanted}, report: {folder / 'report.html'}")
    return 0
