"""The verbs `guidelines` and `recommend`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nas_jax import guidelines_answers as answers
from nas_jax.config import Experiment
from nas_jax.guidelines import advice, judgement, kinds, records, store
from nas_jax.guidelines.advice import Wish
from nas_jax.guidelines.records import Descriptors, Record

_STATED = {
    "input_size": (int, "side of the images in pixels"),
    "channels": (int, "1 for grey, 3 for colour"),
    "classes": (int, "number of classes"),
    "images_per_class": (float, "training images per class"),
    "balance": (float, "rarest class over commonest (default: 1)"),
    "linear_accuracy": (float, "of a linear model, if known"),
    "tiny_accuracy": (float, "of the tiny fixed network, if known"),
}


def verbs(verb: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Adds both verbs with their flags."""
    _flags(verb("guidelines", "records of what sizes of network tasks needed"))
    _recommend_flags(verb("recommend", "the size of network that a task needs"))


def _flags(parser: argparse.ArgumentParser) -> None:
    actions = ", ".join(_ACTIONS)
    parser.add_argument("action", metavar="ACTION", choices=_ACTIONS, help=actions)
    parser.add_argument(
        "what",
        metavar="WHAT",
        nargs="?",
        help="add: a run folder; show: a digest; import, export: a JSON file",
    )
    _store_flag(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--file", type=Path, help="make: where the trainings are kept")
    parser.add_argument(
        "--out", type=Path, help="make: folder for the records; report: the page"
    )


def _recommend_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        help="an .npz file with images [N H W C] and labels [N], or an experiment",
    )
    stated = parser.add_argument_group("the task, stated instead of measured")
    for name, (kind, text) in _STATED.items():
        stated.add_argument(_flag(name), type=kind, help=text)
    wish = parser.add_argument_group("the wish")
    wish.add_argument("--device", help="a device that records know")
    wish.add_argument("--max-ms", type=float, help="latency at most, on the device")
    wish.add_argument("--accuracy", type=float, help="test accuracy, a fraction")
    wish.add_argument(
        "--tolerance",
        type=float,
        default=Wish.tolerance,
        help="what may be lost against the largest network (default: %(default)s)",
    )
    wish.add_argument(
        "--chance",
        type=float,
        default=Wish.chance,
        help="how sure the answer shall be (default: %(default)s)",
    )
    _store_flag(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def cut_flag(parser: argparse.ArgumentParser) -> None:
    """What the verb `search` is told of it."""
    parser.add_argument(
        "--from-recommendation",
        type=Path,
        metavar="FILE",
        help="cut the space to the size that `recommend --json` printed",
    )


def cut(options: argparse.Namespace, experiment: Experiment) -> Experiment:
    """The experiment, its space cut to the recommended size if one is given."""
    if options.from_recommendation is None:
        return experiment
    from nas_jax.guidelines import cutting

    smaller, largest = cutting.cut(experiment, options.from_recommendation)
    print(f"space cut: networks of at most {largest:,} parameters", file=sys.stderr)
    return smaller


def run(options: argparse.Namespace, rest: list[str], words: Sequence[str]) -> int:
    """Raises `ValueError` for a wrong flag, record or store."""
    _ACTIONS[options.action](options)
    return 0


def recommend(
    options: argparse.Namespace, rest: list[str], words: Sequence[str]
) -> int:
    """Prints the advice. Raises `ValueError` for a wrong flag or an unknown device."""
    wish = Wish(
        accuracy=options.accuracy,
        device=options.device,
        max_ms=options.max_ms,
        tolerance=options.tolerance,
        chance=options.chance,
    )
    task = _task(options)
    known = kinds.grouped(store.everything(_file(options)))
    answer = advice.advise(known, task, wish)
    print(json.dumps(answer) if options.json else answers.text(answer))
    return 0


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _store_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--db",
        type=Path,
        metavar="FILE",
        help=f"the store (default: {store.VARIABLE}, or the user's folder for data)",
    )


def _file(options: argparse.Namespace) -> Path:
    return options.db or store.default_file()


def _task(options: argparse.Namespace) -> Descriptors:
    stated = {
        name: value for name in _STATED if (value := getattr(options, name)) is not None
    }
    if options.data is not None:
        if stated:
            raise ValueError(
                f"recommend {options.data}: expected DATA or a stated task, got both; "
                f"leave out {_flag(next(iter(stated)))}"
            )
        return _measured(options.data)
    needed = ("input_size", "channels", "classes", "images_per_class")
    missing = [_flag(name) for name in needed if name not in stated]
    if missing:
        raise ValueError(
            f"recommend: expected DATA, or {', '.join(map(_flag, needed))}; got no "
            f"{missing[0]}"
        )
    unknown = {"balance": 1.0, "linear_accuracy": None, "tiny_accuracy": None}
    return Descriptors(**(unknown | stated))


def _measured(name: str) -> Descriptors:
    # measuring wants images, and those come with JAX: a stated task answers sooner
    from nas_jax import shipped
    from nas_jax.guidelines import difficulty, run_records

    if name.endswith(".npz"):
        return difficulty.measure(difficulty.load(Path(name)))
    return difficulty.measure(run_records.trained_on(shipped.load_experiment(name)))


def _what(options: argparse.Namespace, meaning: str) -> str:
    if options.what is None:
        raise ValueError(
            f"guidelines {options.action}: expected {meaning}, got none; see nas_jax "
            "guidelines --help"
        )
    return options.what


def _add(options: argparse.Namespace) -> None:
    from nas_jax.guidelines import run_records

    found = run_records.of_run(Path(_what(options, "a run folder")))
    _added(store.add(_file(options), found), len(found), _file(options))


def _import(options: argparse.Namespace) -> None:
    source = Path(_what(options, "a JSON file of records"))
    found = store.read(source)
    for number, record in enumerate(found):
        where = f"{source}, record {number}"
        records.check(record, where)
        records.check_counts(record, where)
    _added(store.add(_file(options), found), len(found), _file(options))


def _added(new: int, all_: int, file: Path) -> None:
    print(f"{new} of {all_} records were new: {file}")


def _export(options: argparse.Namespace) -> None:
    target = Path(_what(options, "a JSON file to write"))
    if target.exists():
        raise ValueError(
            f"{target}: expected a new file, this one exists; choose another name"
        )
    found = store.stored(_file(options))
    store.write(target, found)
    print(f"{len(found)} records written: {target}")


def _list(options: argparse.Namespace) -> None:
    found = kinds.grouped(store.everything(_file(options)))
    if options.json:
        print(json.dumps([answers.summary(kind) for kind in found]))
    else:
        print(answers.listing(found))


def _show(options: argparse.Namespace) -> None:
    start = _what(options, "the beginning of a digest")
    fitting = [
        record
        for record in store.everything(_file(options))
        if record["digest"].startswith(start)
    ]
    if len(fitting) != 1:
        raise ValueError(
            f"guidelines show {start}: expected the beginning of one digest, it is "
            f"that of {len(fitting)}; `nas_jax guidelines list --json` has them"
        )
    print(json.dumps(fitting[0], indent=None if options.json else 1))


def _check(options: argparse.Namespace) -> None:
    found: list[Record] = store.everything(_file(options))
    for record in found:
        records.check(record, f"record {str(record.get('digest'))[:12]}")
    result = judgement.judge(kinds.grouped(found))
    if options.json:
        print(json.dumps(result))
    else:
        print(answers.judged(result))


def _report(options: argparse.Namespace) -> None:
    from nas_jax.guidelines import page

    target = options.out or Path("guidelines.html")
    page.write(target, kinds.grouped(store.everything(_file(options))))
    print(target)


def _make(options: argparse.Namespace) -> None:
    if options.file is None:
        raise ValueError("guidelines make: expected --file, got none")
    if options.out is not None and not options.out.is_dir():
        raise ValueError(f"--out {options.out}: expected an existing folder")
    from nas_jax import process, terminal

    process.prepare()
    from nas_jax.guidelines import evidence, filing

    print(json.dumps(evidence.make(options.file, terminal.Terminal())))
    if options.out is not None:
        for name, found in filing.collections(options.file).items():
            store.write(options.out / name, found)
            print(f"{len(found)} records written: {options.out / name}")


_ACTIONS: dict[str, Callable[[Any], None]] = {
    "add": _add,
    "list": _list,
    "show": _show,
    "export": _export,
    "import": _import,
    "check": _check,
    "report": _report,
    "make": _make,
}
VERBS = {"guidelines": run, "recommend": recommend}
