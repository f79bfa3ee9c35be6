"""The command line: its verbs, their answers, one line for a mistake.

A mistake of a user ends in one line on standard error and exit code 2; `--debug` shows
the traceback instead. JAX is imported by the verbs that need it, when they run.
"""

import contextlib
import inspect
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nas_jax.cli import (
    export,
    finetune,
    flags,
    guidelines,
    measure,
    networks,
    paper,
    report,
    search,
    start,
    sweep,
    table,
)
from nas_jax.cli.terminal import Answer
from nas_jax.config import checks, shipped
from nas_jax.config.naming import few, meant

VERBS: dict[str, Any] = {
    "start": start.start,
    "search": search.search,
    "sweep": sweep.sweep,
    "measure": measure.measure,
    "table": table.VERBS,
    "list": networks.list_names,
    "describe": networks.describe,
    "derive": networks.derive,
    "train": networks.train,
    "evaluate": networks.evaluate,
    "finetune": finetune.finetune,
    "import": networks.import_weights,
    "export": export.export,
    "predict": export.predict,
    "report": report.report,
    "paper": paper.paper,
    "recommend": guidelines.recommend,
    "guidelines": guidelines.VERBS,
    "prepare": networks.prepare,
}
_GROUPS = {
    "table": f"A latency table: {', '.join(table.VERBS)}.",
    "guidelines": f"What sizes tasks needed: {', '.join(guidelines.VERBS)}.",
}
_LONGEST = 2000
"""Characters of an error; a file may hold longer words."""
_ABOUT = """usage: nas_jax VERB [words] [flags]

Hardware-aware neural architecture search: ProxylessNAS in JAX.
`nas_jax VERB --help` says what a verb takes, `nas_jax --version` which version this is,
`nas_jax --selftest` whether the compiler adds up rightly here.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return run(lambda: command(words), words)


def typed(line: str, *words: str) -> None:
    """Runs a command as it is typed, for notebooks: `nas_jax.command("list")`.

    What it answers is printed, its progress and a mistake on standard error. Words
    that follow the line are taken as they are, as names with blanks in them. Raises
    `RuntimeError` if it failed.
    """
    if not isinstance(line, str):
        raise ValueError(
            f"command: expected one as it is typed, as 'list --json', got {line!r:.60}"
        )
    given = [*shlex.split(line), *words]
    if given[:1] == ["nas_jax"]:
        del given[0]
    if code := main(given):
        raise RuntimeError(
            f"nas_jax {shlex.join(given)}: exit code {code}; what is wrong stands above"
        )


def run(command: Callable[[], flags.Command | str], words: Sequence[str]) -> int:
    """Reads a command, calls its function and prints the answer, or what went wrong."""
    try:
        parsed = command()
        if isinstance(parsed, str):
            print(parsed, flush=True)
            return 0
        # what libraries print is not part of the answer
        with contextlib.redirect_stdout(sys.stderr):
            answer = parsed.function(**parsed.arguments)
        text = json.dumps(answer.found) if parsed.is_json else answer.text
        print(text, end="\n" if text else "", flush=True)
        return answer.code
    except KeyboardInterrupt as stop:
        notes = getattr(stop, "__notes__", ())
        print("; ".join(["nas_jax: stopped", *notes]), file=sys.stderr)
        return getattr(stop, "exit_code", 130)
    except BrokenPipeError:  # as of `nas_jax list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        line = str(error)
        if isinstance(error, RuntimeError | MemoryError):
            line = (
                f"out of memory: {' '.join(line.split())[:200]}; lower "
                "space.input_size or a batch, or free memory that others hold"
            )
            if not checks.is_exhausted(error):
                raise
        if "--debug" in words:
            raise
        print(f"nas_jax: {terminal_line(line)}", file=sys.stderr)
        return 2


def command(words: Sequence[str]) -> flags.Command | str:
    """The verb and its arguments by the words of a command, or the help asked for.

    Raises `ValueError` for what is mistyped.
    """
    names = [word for word in words if word != "--debug"]
    if names[:1] in ([], ["help"]):
        return command([*names[1:], "--help"])
    if "--version" in names[:1]:
        import importlib.metadata

        return f"nas_jax {importlib.metadata.version('nas_jax')}"
    if "--selftest" in names[:1]:
        return flags.parse(_selftest, names[1:], "nas_jax --selftest")
    verbs: Mapping[str, Any] = VERBS
    prog, about = "nas_jax", _ABOUT
    for depth in (0, 1):
        if names[depth : depth + 1] in (["--help"], ["-h"], ["--help-all"]):
            return _listed(verbs, about)
        name = names[depth] if len(names) > depth else ""
        if name not in verbs:
            raise _wrong_verb(name, verbs, prog)
        verb, prog = verbs[name], f"{prog} {name}"
        if not isinstance(verb, dict):
            return flags.parse(verb, names[depth + 1 :], prog, _elsewhere)
        verbs, about = verb, f"usage: {prog} VERB [words] [flags]\n"
    raise AssertionError("verbs are one or two words")


def _wrong_verb(name: str, verbs: Mapping[str, Any], prog: str) -> ValueError:
    """The error for what is no verb; `table NAME` shows a table, one may think."""
    flags = ("--version", "--help", "--selftest") if verbs is VERBS else ()
    hint = meant(name, [*verbs, *flags])
    if verbs is table.VERBS and shipped.table_file(name).is_file():
        hint = f"; did you mean nas_jax table show {name}?"
    got = repr(name) if name else "none"
    known = ", ".join(verbs)
    return ValueError(
        f"VERB: expected one of {known}; got {got}{hint}; see {prog} --help"
    )


def _elsewhere(flag: str) -> str:
    """The end of a message about a flag, if it is one of other verbs."""
    flag = flag.replace("--no-", "--").replace(".no-", ".")
    verbs = {name: verb for name, verb in VERBS.items() if not isinstance(verb, dict)}
    takers = [
        name
        for name, verb in verbs.items()
        if flag in {one.typed for one in flags.of_function(verb) if not one.is_word}
    ]
    return f"; {flag} is a flag of {few(takers, 3)}" if takers else ""


def _selftest() -> Answer:
    """Whether the compiler adds up rightly here, computation by computation."""
    from nas_jax.training import host, selftest

    host.set_xla_flags()
    host.require_backend()
    checks = selftest.run()
    wrong = selftest.refusal(checks)
    lines = [
        f"{'right' if one.is_right else 'WRONG'} ({one.error:.0e}): {one.name}"
        for one in checks
    ]
    end = f"what nas_jax adds up is {'wrong' if wrong else 'right'}"
    lines.append(f"{selftest.where()}: {end}")
    if wrong:
        lines.append(wrong)
    found = {"where": selftest.where(), "off": {one.name: one.error for one in checks}}
    return Answer(found, "\n".join(lines), code=2 if wrong else 0)


def _listed(verbs: Mapping[str, Any], about: str) -> str:
    lines = [about]
    for name, verb in verbs.items():
        text = _GROUPS.get(name) or (inspect.getdoc(verb) or "").splitlines()[0]
        lines.append(f"  {name:<13} {text}")
    return "\n".join(lines)


def terminal_line(text: str) -> str:
    """One line of bounded length; what would steer a terminal is escaped."""
    line = " ".join(text.split())
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
