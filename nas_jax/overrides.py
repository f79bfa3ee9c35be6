"""Command-line overrides of a configuration: `--search.target-ratio 0.6`.

tyro reads the config dataclasses; its boxed messages are folded into one line.
"""

import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence

import tyro

from nas_jax.config import Experiment


def apply(experiment: Experiment, arguments: Sequence[str], prog: str) -> Experiment:
    """The experiment with the given fields replaced.

    A target given here takes the place of the experiment's, whichever way that was
    stated. `--help` prints all fields and leaves.

    Raises:
      ValueError: for an unknown field, a wrong type or a refused value.
    """
    experiment = _without_replaced_target(experiment, arguments)
    is_help = any(argument in ("-h", "--help") for argument in arguments)
    heard = io.StringIO()
    try:
        with contextlib.ExitStack() as stack:
            if not is_help:
                stack.enter_context(contextlib.redirect_stderr(heard))
                stack.enter_context(contextlib.redirect_stdout(heard))
            return tyro.cli(
                Experiment, default=experiment, args=list(arguments), prog=prog
            )
    except SystemExit as stop:
        if is_help:
            raise
        raise ValueError(_one_line(heard.getvalue(), prog)) from stop


def _without_replaced_target(
    experiment: Experiment, arguments: Sequence[str]
) -> Experiment:
    given = {argument.split("=")[0].replace("_", "-") for argument in arguments}
    if not given & {"--search.target-ms", "--search.target-ratio"}:
        return experiment
    open_target = dataclasses.replace(
        experiment.search, target_ms=None, target_ratio=None
    )
    return dataclasses.replace(experiment, search=open_target)


def _one_line(box: str, prog: str) -> str:
    text = re.sub(r"[─-╿]", " ", box)
    sections = [
        " ".join(section.split()) for section in re.split(r"\n\s*-{5,}\s*\n", text)
    ]
    useful = [
        section
        for section in sections[1:]
        if section
        and not section.startswith(("For full helptext", "Argument helptext"))
    ]
    return f"{'; '.join(useful)}; all fields: {prog} --help"
