"""The command line: parse, call, print.

Every verb is one public function call. Mistakes of a user end in one line on standard
error and exit code 2; `--debug` shows the traceback instead. JAX is imported by the
verbs that need it, so that help and a mistyped flag are answered at once.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from nas_jax import (
    bench_command,
    export_command,
    files,
    guidelines_command,
    measure_command,
    paper_command,
    report_command,
    run_command,
    search_command,
    sweep_command,
    table_command,
)

_SET_FIELDS = ("search", "sweep", "measure", "train", "bench")
_LONGEST = 2000
"""Characters of an error; a file may bring longer words."""
_FIELDS = (
    "Every field of the experiment can be set, for example --search.target-ms 0.2; "
    "EXPERIMENT --help lists them."
)
_CHOICE = re.compile(r"argument (.*): invalid choice: '(.*?)' \(choose from (.*)\)")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        required = "the following arguments are required: "
        if message.startswith(required):
            message = f"expected {message.removeprefix(required)}, got none"
        if wrong := _CHOICE.fullmatch(message):
            name, got, choices = wrong.groups()
            known = choices.replace("'", "").split(", ")  # no quotes from 3.12 on
            near = difflib.get_close_matches(got, known, n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            message = f"{name}: expected {', '.join(known)}; got {got!r}{meant}"
        raise ValueError(f"{message}; see {self.prog} --help")


class _Help(argparse.Action):
    """Help of a verb and, once an experiment or a bench is named, of its fields."""

    def __call__(self, parser: Any, namespace: Any, *_: Any) -> None:
        parser.print_help()
        print()
        if bench := getattr(namespace, "name", None):
            bench_command.parse(bench, ["--help"])
        elif experiment := getattr(namespace, "experiment", None):
            run_command.experiment_of(experiment, ["--help"], parser.prog)
        parser.exit()


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nas_jax",
        description="Hardware-aware neural architecture search: ProxylessNAS in JAX.",
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(
        dest="verb", required=True, metavar="VERB", parser_class=_Parser
    )

    def verb(name: str, text: str, *arguments: str) -> argparse.ArgumentParser:
        sets_fields = name in _SET_FIELDS
        one = verbs.add_parser(
            name,
            help=text,
            description=text,
            epilog=_FIELDS if sets_fields else None,
            allow_abbrev=False,
            add_help=not sets_fields,
        )
        for argument in arguments:
            one.add_argument(argument, metavar=argument.upper())
        if sets_fields:
            one.add_argument("-h", "--help", action=_Help, nargs=0, help="show this")
        if name in ("search", "measure", "train", "evaluate", "bench"):
            one.add_argument("--no-cache", action="store_true", help="compile anew")
        one.add_argument("--debug", action="store_true", help="show tracebacks")
        return one

    one = verb("search", "measure, search, retrain, test, export, report")
    search_command.flags(one, words)
    sweep_command.flags(verb("sweep", "many searches: seeds, targets, experiments"))
    one = verb("measure", "measure the latency table of an experiment", "experiment")
    measure_command.flags(one)
    table_command.flags(verb("table", "show, import, export, validate a latency table"))
    paper_command.flags(verb("paper", "a table of the paper beside ours, measured"))
    guidelines_command.verbs(verb)
    one = verb("start", "an experiment for a folder of pictures, counted", "pictures")
    one.add_argument("--out", type=Path, required=True, help="the .py file to write")
    one.add_argument(
        "--skip-corrupt",
        "--data.skip-corrupt",
        action="store_true",
        help="leave out what does not decode",
    )
    one = verb("prepare", "prepare a data set of tensorflow-datasets, once", "name")
    one.add_argument("--data-path", type=Path, required=True, help="of prepared sets")
    one.add_argument("--manual", type=Path, help="folder with archives you fetched")
    verb("derive", "derive the network of a run's newest probabilities", "run")
    one = verb("train", "train an architecture or a run from scratch", "architecture")
    one.add_argument(
        "experiment",
        metavar="EXPERIMENT",
        nargs="?",
        help="not needed for a run folder",
    )
    one.add_argument("--out", type=Path, help="folder for the trained network")
    one = verb("evaluate", "test and time the trained networks of a run", "run")
    one.add_argument("--json", action="store_true", help="print JSON")
    one = verb("describe", "size of a space or an architecture", "name")
    one.add_argument("--json", action="store_true", help="print JSON")
    one = verb(
        "import-torch", "import a network of the reference", "net_config", "weights"
    )
    one.add_argument("--out", type=Path, required=True, help="folder to write")
    one.add_argument(
        "--input-size",
        type=int,
        help="side of the images (default: the configuration's resolution, or 224)",
    )
    export_command.flags(verb("export", "write a trained network for its runtimes"))
    export_command.predict_flags(verb("predict", "what an exported model sees"))
    benches = ", ".join(bench_command.BENCHES)
    one = verb(
        "bench", f"what a part of the method costs or is worth: {benches}", "name"
    )
    one.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    one.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture here")
    report_command.flags(verb("report", "the page of a run again, or of several"))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options, rest = _parser(words).parse_known_args(words)
        if rest and options.verb not in _SET_FIELDS:
            raise ValueError(
                f"unknown arguments: {' '.join(rest)}; see nas_jax {options.verb} "
                "--help"
            )
        return _VERBS[options.verb](options, rest, words)
    except KeyboardInterrupt as stop:
        print("nas_jax: stopped", file=sys.stderr)
        return getattr(stop, "exit_code", 130)
    except (ValueError, OSError) as error:
        if "--debug" in words:
            raise
        print(f"nas_jax: {terminal_line(str(error))}", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError) as error:
        from nas_jax import memory  # and JAX

        if "--debug" in words or not memory.is_exhausted(error):
            raise
        print(
            f"nas_jax: out of memory: {' '.join(str(error).split())[:200]}; lower "
            "space.input_size or a batch, or free what others hold",
            file=sys.stderr,
        )
        return 2


def terminal_line(text: str) -> str:
    """One line of bounded length; what would steer a terminal is escaped."""
    line = " ".join(text.split())
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def _search(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    return search_command.run(options, rest, words, run_command.RUNS)


def _bench(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    files.require_new("--json", options.json)
    files.require_new("--plot", options.plot)
    bench_command.run(
        options.name, rest, options.json, options.plot, cache=not options.no_cache
    )
    return 0


_VERBS = {
    "search": _search,
    "sweep": sweep_command.run,
    "measure": measure_command.run,
    "paper": paper_command.run,
    "table": table_command.run,
    **guidelines_command.VERBS,
    "start": run_command.start,
    "prepare": run_command.prepare,
    "derive": run_command.derive,
    "train": run_command.train,
    "evaluate": run_command.evaluate,
    "describe": run_command.describe,
    "import-torch": run_command.import_torch,
    "export": export_command.run,
    "predict": export_command.run_predict,
    "bench": _bench,
    "report": report_command.run,
}
