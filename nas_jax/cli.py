"""The command line: parse, call, print.

Every verb is one public function call. Mistakes of a user end in one line on standard
error and exit code 2; `--debug` shows the traceback instead. JAX is imported by the
verbs that need it, so that help and a mistyped flag are answered at once.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from nas_jax import (
    bench_command,
    guidelines_command,
    measure_command,
    new_file,
    overrides,
    paper_command,
    process,
    report_command,
    shipped,
    table_command,
)
from nas_jax.config import Experiment

RUNS = Path("runs")
_SET_FIELDS = ("search", "measure", "train", "bench")
_FIELDS = (
    "Every field of the experiment can be set, for example --search.target-ms 0.2; "
    "EXPERIMENT --help lists them."
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        required = "the following arguments are required: "
        if message.startswith(required):
            message = f"expected {message.removeprefix(required)}, got none"
        raise ValueError(f"{message}; see {self.prog} --help")


class _Help(argparse.Action):
    """Help of a verb and, once an experiment or a bench is named, of its fields."""

    def __call__(self, parser: Any, namespace: Any, *_: Any) -> None:
        parser.print_help()
        print()
        if bench := getattr(namespace, "name", None):
            bench_command.parse(bench, ["--help"])
        elif experiment := getattr(namespace, "experiment", None):
            _experiment(experiment, ["--help"], parser.prog)
        parser.exit()


def _parser() -> argparse.ArgumentParser:
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

    one = verb("search", "measure, search, retrain, test, export, report", "experiment")
    one.add_argument("--out", type=Path, help="run folder to make (default: runs/...)")
    one.add_argument(
        "--targets", help="several targets, one warm-up: 0.3,0.45,0.6 or 0.2ms,0.3ms"
    )
    guidelines_command.cut_flag(one)
    one = verb("measure", "measure the latency table of an experiment", "experiment")
    measure_command.flags(one)
    table_command.flags(verb("table", "show, import, export, validate a latency table"))
    paper_command.flags(verb("paper", "a table of the paper beside ours, measured"))
    guidelines_command.verbs(verb)
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
        options, rest = _parser().parse_known_args(words)
        if rest and options.verb not in _SET_FIELDS:
            raise ValueError(
                f"unknown arguments: {' '.join(rest)}; see nas_jax {options.verb} "
                "--help"
            )
        return _VERBS[options.verb](options, rest, words)
    except KeyboardInterrupt:
        print("nas_jax: stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if "--debug" in words:
            raise
        print(f"nas_jax: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _experiment(name: str, rest: list[str], prog: str) -> Experiment:
    return overrides.apply(shipped.load_experiment(name), rest, f"{prog} {name}")


def _pixels(experiment: Experiment) -> int:
    """Of the largest batch."""
    search = experiment.search
    images = max(search.batch, search.arch_batch, experiment.train.batch)
    return images * experiment.space.input_size**2


def _search(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    if options.targets is not None and (given := overrides.targets_among(rest)):
        raise ValueError(
            f"--targets, {given[0]}: expected only one of the two; name all targets in "
            "--targets"
        )
    experiment = _experiment(options.experiment, rest, "nas_jax search")
    experiment = guidelines_command.cut(options, experiment)
    command = shlex.join(["nas_jax", *words])
    process.prepare(cache=not options.no_cache, pixels=_pixels(experiment))
    from nas_jax import search_command

    source = shipped.experiment_file(options.experiment)
    return search_command.run(
        experiment, source, options.out, RUNS, options.targets, command
    )


def _derive(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    from nas_jax import derivation

    folder = Path(options.run)
    found, derived = derivation.derive_run(folder)
    print(" ".join(block.op.name for block in found.blocks))
    print(derivation.told(derived))
    print(f"written: {folder / 'architecture.json'}")
    return 0


def _train(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    from nas_jax import architecture_json, problem, retraining, run_folder, terminal

    source = Path(options.architecture)
    if source.is_dir():
        if options.experiment or options.out or rest:
            raise ValueError(
                f"{source} is a run folder and trains with its own configuration; "
                "give architecture.json and an experiment to change it"
            )
        experiment, folder = run_folder.read_experiment(source), source
        network = run_folder.read_architecture(source / "architecture.json")
    elif options.experiment:
        experiment = _experiment(options.experiment, rest, "nas_jax train")
        network = run_folder.read_architecture(source)
        problem.check_network(experiment, network)
        file = shipped.experiment_file(options.experiment)
        folder = run_folder.create(experiment, options.out, RUNS, file)
        text = architecture_json.to_json(network)
        run_folder.write_text(folder / "architecture.json", text)
    else:
        raise ValueError(
            f"train {source}: expected a run folder, or an architecture file and an "
            "experiment"
        )
    process.prepare(cache=not options.no_cache, pixels=_pixels(experiment))
    watch = terminal.Terminal()
    saved, accuracy = retraining.train_network(experiment, network, folder, watch)
    print(f"test accuracy {accuracy:.1%}: {saved}")
    return 0


def _evaluate(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    process.prepare(cache=not options.no_cache)
    from nas_jax import assessment, terminal

    results = assessment.evaluate_run(Path(options.run), terminal.Terminal())
    print(json.dumps(results) if options.json else terminal.comparison_table(results))
    return 0


def _describe(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    from nas_jax import problem, terminal

    size = problem.describe(options.name)
    print(json.dumps(size) if options.json else terminal.description(size))
    return 0


def _import_torch(
    options: argparse.Namespace, rest: list[str], words: list[str]
) -> int:
    from nas_jax import counts, torch_import

    model = torch_import.import_torch(
        options.net_config, options.weights, options.out, options.input_size
    )
    size = counts.describe(model.architecture)
    print(
        f"{size['name']}: input {size['input_size']}, {size['classes']} classes, "
        f"{size['macs']:,} MACs, {size['params']:,} params"
    )
    print(f"written: {options.out}")
    return 0


def _bench(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    new_file.require("--json", options.json)
    new_file.require("--plot", options.plot)
    bench_command.run(
        options.name, rest, options.json, options.plot, cache=not options.no_cache
    )
    return 0


_VERBS = {
    "search": _search,
    "measure": measure_command.run,
    "paper": paper_command.run,
    "table": table_command.run,
    **guidelines_command.VERBS,
    "derive": _derive,
    "train": _train,
    "evaluate": _evaluate,
    "describe": _describe,
    "import-torch": _import_torch,
    "bench": _bench,
    "report": report_command.run,
}
