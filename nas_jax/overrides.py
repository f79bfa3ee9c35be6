"""Command-line overrides of a configuration: `--search.target-ratio 0.6`.

tyro reads the config dataclasses; its boxed messages are folded into one line.
"""

import contextlib
import dataclasses
import difflib
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import tyro

from nas_jax.config import Experiment
from nas_jax.search_config import TARGETS

Config = TypeVar("Config")


def apply(experiment: Experiment, arguments: Sequence[str], prog: str) -> Experiment:
    """The experiment with the given fields replaced.

    A target given here takes the place of the experiment's, whichever way that was
    stated. `--help` prints all fields and leaves.

    Raises:
      ValueError: for an unknown field, a wrong type or a refused value.
    """
    return parse(_without_replaced_target(experiment, arguments), arguments, prog)


def parse(config: Config, arguments: Sequence[str], prog: str) -> Config:
    """Any dataclass of settings with fields replaced; otherwise as `apply`."""
    heard = io.StringIO()
    try:
        with contextlib.ExitStack() as stack:
            if "--help" not in arguments:
                _refuse_unknown(config, arguments, prog)
                stack.enter_context(contextlib.redirect_stderr(heard))
                stack.enter_context(contextlib.redirect_stdout(heard))
            return tyro.cli(
                type(config),
                default=config,
                args=list(arguments),
                prog=prog,
                # of several kinds of space, the experiment's: no words to choose one
                config=(tyro.conf.AvoidSubcommands,),
            )
    except SystemExit as stop:
        if "--help" in arguments:
            raise
        raise ValueError(_one_line(heard.getvalue(), prog)) from stop


def _flags(config: Any, prefix: str = "--") -> Iterator[str]:
    """`--search.arch-lr` and so on, for every field of the dataclasses.

    What is true or false is set by `--data.flip` or `--data.no-flip`.
    """
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            yield from _flags(value, f"{prefix}{name}.")
        else:
            yield prefix + name
            if isinstance(value, bool):
                yield f"{prefix}no-{name}"


def _refuse_unknown(config: object, arguments: Sequence[str], prog: str) -> None:
    known = list(_flags(config))
    for argument in arguments:
        flag = argument.split("=")[0].replace("_", "-")
        if argument.startswith("--") and flag not in known:
            near = difflib.get_close_matches(flag, known, n=3)
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            raise ValueError(f"unknown field {flag}; {meant}all fields: {prog} --help")


def targets_among(arguments: Sequence[str]) -> list[str]:
    """The flags among the arguments that state a target.

    >>> targets_among(["--seed", "1", "--search.target_ms=0.2"])
    ['--search.target-ms']
    """
    names = (*TARGETS.values(), "target_ratio")
    flags = {f"--search.{name.replace('_', '-')}" for name in names}
    given = [argument.split("=")[0].replace("_", "-") for argument in arguments]
    return [flag for flag in given if flag in flags]


def _without_replaced_target(
    experiment: Experiment, arguments: Sequence[str]
) -> Experiment:
    if not targets_among(arguments):
        return experiment
    none: dict[str, Any] = dict.fromkeys((*TARGETS.values(), "target_ratio"))
    open_target = dataclasses.replace(experiment.search, **none)
    return dataclasses.replace(experiment, search=open_target)


# tyro's own words, in ours: which field, what was expected, what came
_WORDS = {
    r"Error parsing (?!--)[\w-]+: ": "",
    r"Error parsing (--\S+): could not convert string to float: (.*)": (
        r"\1: expected a number, got \2"
    ),
    r"Error parsing (--\S+): invalid literal for int\(\) with base 10: (.*)": (
        r"\1: expected a whole number, got \2"
    ),
    r"Error parsing (--\S+): no type matching \S*FLOAT could be instantiated from "
    r"\[(.*?)\]\..*": r"\1: expected a number without its unit, or None, got \2",
    r"invalid choice (.*) for argument '(.*)'\. Expected one of \((.*?),?\)\.": (
        r"\2: expected one of \3, got \1"
    ),
    r"Missing value for argument '(.*)'\..*": r"\1: expected a value, got none",
    r"Unrecognized options: (.*)": r"expected --field value, got \1",
}


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
    line = "; ".join(useful)
    for theirs, ours in _WORDS.items():
        line = re.sub(theirs, ours, line)
    return f"{line}; all fields: {prog} --help"
