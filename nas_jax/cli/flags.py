"""The words of a command, read as the parameters of a typed function.

Positional parameters are words, keyword-only ones are flags. A dataclass of options
stands for a flag per field, `Fields` for every field of the experiment. What a flag
means is read where it is defined: below the field, or in `Args:` of the function.
"""

import argparse
import ast
import dataclasses
import functools
import inspect
import itertools
import re
import shlex
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

from nas_jax.config import shipped
from nas_jax.config.experiment import Experiment
from nas_jax.config.naming import meant, one_of

USUAL = (
    *("seed", "space.input_size", "data.path", "latency.table", "latency.batch"),
    *("search.target_ratio", "search.target_ms", "search.warmup_epochs"),
    *("search.joint_epochs", "train.epochs", "devices.data"),
)
"""Fields that `--help` shows; `--help-all` shows the others as well."""
FIELDS = "fields of the experiment"


class Fields(dict[str, Any]):
    """Fields of an experiment and their new values: `{"search.target_ratio": 0.4}`."""


class Typed(str):
    """The command as it was typed, for the records of a run."""


UNITS = {
    "hours": ("hours", "hour", "h"),
    "seconds": ("seconds", "second", "sec", "s"),
    "ms": ("milliseconds", "ms"),
}
"""Units by the end of a flag's name, as it is written out first."""
_SHORT = 80
"""Characters of a usage that is shown in an error."""
_APART = ("ms", "x", "h", "min", "KB", "MB", "KiB", "MiB")
"""Units that people write with a blank before them."""
UNCHANGED = Fields()
CALLED = Typed("nas_jax, called from Python")


Hint = Callable[[str], str]
"""The end of a message about a flag; it may be empty."""


def _nothing(flag: str) -> str:
    return ""


class Flag(NamedTuple):
    """A flag, or a word where `is_word`."""

    name: str
    """As in Python: `search.target_ratio`; of a parameter `data__path` is typed
    `--data.path`."""
    kind: Any
    text: str = ""
    default: Any = None
    """None as well where it is not known."""
    is_word: bool = False
    is_required: bool = False
    group: str = "flags"
    parameter: str = ""
    """Of the function, where that is not the flag itself."""

    @property
    def typed(self) -> str:
        """As on the command line: `--search.target-ratio`, or `RUN`."""
        name = self.name.rstrip("_").replace("__", ".").replace("_", "-")
        return name.upper() if self.is_word else f"--{name}"

    @property
    def item(self) -> Any:
        """Its kind without `| None`."""
        inside = typing.get_args(self.kind)
        return inside[inside[0] is types.NoneType] if self.is_optional else self.kind

    @property
    def is_optional(self) -> bool:
        return typing.get_origin(self.kind) in (typing.Union, types.UnionType)

    @property
    def several(self) -> Any:
        """`tuple` or `dict` where it takes several values."""
        origin = typing.get_origin(self.item)
        return origin if origin in (tuple, dict) else None


DEBUG = Flag("debug", bool, "show the traceback of an error")
HELP = Flag("help", bool, "show this")
_JSON = Flag("json", bool, "one JSON object on standard output and nothing else there")
_ALL = Flag("help_all", bool, "show this and every field of the experiment")


class Command(NamedTuple):
    """A verb's function and its arguments."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    is_json: bool


def parse(
    function: Callable[..., Any],
    words: Sequence[str],
    prog: str,
    elsewhere: Hint = _nothing,
) -> Command | str:
    """The arguments of a function by the words of its command, or the help asked for.

    `elsewhere` says of a flag that is not known which other commands know it.

    Raises `ValueError` for an unknown flag, a wrong type or what is missing.
    """
    flags, kinds = list(of_function(function)), typing.get_type_hints(function)
    has_fields = Fields in kinds.values()
    common = [_JSON, DEBUG, HELP, *([_ALL] if has_fields else [])]
    # two kinds of space have fields of one name
    every = {flag.name: flag for flag in [*flags, *common]}
    given = read(every.values(), words, prog, elsewhere)
    if "help" in given or "help_all" in given:
        if has_fields and "experiment" in given:
            experiment = shipped.load_experiment(given["experiment"])
            flags = [flag for flag in flags if flag.group != FIELDS]
            flags += of_config(Experiment, experiment)
        shown = {
            flag.name: flag
            for flag in [*flags, *common]
            if flag.group != FIELDS or flag.name in USUAL or "help_all" in given
        }
        about = (inspect.getdoc(function) or "").partition("\n\nArgs:")[0]
        return help_of(shown.values(), prog, about)
    arguments: dict[str, Any] = {}
    for name, kind in kinds.items():
        if kind is Typed:
            arguments[name] = Typed(shlex.join([*prog.split(), *words]))
        elif kind is Fields or dataclasses.is_dataclass(kind):
            below = {flag.name for flag in flags if flag.parameter == name}
            values = {key: value for key, value in given.items() if key in below}
            make: Any = kind
            arguments[name] = Fields(values) if kind is Fields else make(**values)
        elif name in given:
            arguments[name] = given[name]
    return Command(function, arguments, "json" in given)


# --- flags of functions and dataclasses ----------------------------------------------


def of_function(function: Callable[..., Any]) -> Iterator[Flag]:
    """A flag or a word for every parameter, several for a dataclass of options."""
    kinds, texts = typing.get_type_hints(function), _arguments(function)
    for name, one in inspect.signature(function).parameters.items():
        kind, is_required = kinds[name], one.default is one.empty
        if kind is Fields:
            yield from of_config(Experiment, None, parameter=name)
        elif dataclasses.is_dataclass(kind):
            yield from of_options(kind, name)
        elif kind is not Typed:
            is_word = one.kind is not one.KEYWORD_ONLY
            default = None if is_required else one.default
            yield Flag(name, kind, texts.get(name, ""), default, is_word, is_required)


def of_options(kind: Any, parameter: str) -> Iterator[Flag]:
    """The flags that are the fields of a dataclass."""
    kinds, texts = typing.get_type_hints(kind), _below_fields(kind)
    title = inspect.cleandoc(kind.__doc__).splitlines()[0].rstrip(".")
    for one in dataclasses.fields(kind):
        is_required = one.default is dataclasses.MISSING
        yield Flag(
            *(one.name, kinds[one.name], texts.get(one.name, "")),
            default=None if is_required else one.default,
            is_required=is_required,
            group=title[0].lower() + title[1:],
            parameter=parameter,
        )


def of_config(
    kind: Any, config: Any, *, prefix: str = "", parameter: str = "fields"
) -> Iterator[Flag]:
    """The flags that set the fields of a configuration and of those in it.

    The values of `config` are the defaults. Without it, there are the flags of every
    kind of configuration that a field may hold.
    """
    kinds, texts = typing.get_type_hints(kind), _below_fields(kind)
    for one in dataclasses.fields(kind):
        value = None if config is None else getattr(config, one.name)
        inside = typing.get_args(kinds[one.name]) or (kinds[one.name],)
        name, text = prefix + one.name, texts.get(one.name, "")
        if not dataclasses.is_dataclass(inside[0]):
            its = kinds[one.name]
            yield Flag(name, its, text, value, group=FIELDS, parameter=parameter)
            continue
        for each in inside if config is None else (type(value),):
            below = f"{name}."
            yield from of_config(each, value, prefix=below, parameter=parameter)


def _below_fields(kind: Any) -> dict[str, str]:
    """The text below each field of a dataclass, which Python does not keep."""
    return {
        ast.unparse(field.target): " ".join(str(after.value.value).split())
        for field, after in itertools.pairwise(_bodies(kind.__module__)[kind.__name__])
        if isinstance(field, ast.AnnAssign)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }


@functools.cache
def _bodies(module: str) -> dict[str, list[ast.stmt]]:
    """The bodies of a module's classes; inspect would read it once for each."""
    nodes = ast.parse(inspect.getsource(sys.modules[module])).body
    return {node.name: node.body for node in nodes if isinstance(node, ast.ClassDef)}


def _arguments(function: Callable[..., Any]) -> dict[str, str]:
    """The text of each parameter below `Args:` of a docstring."""
    section = (inspect.getdoc(function) or "").partition("Args:\n")[2]
    texts = re.findall(r"^  (\w+): (.+(?:\n {3}.+)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in texts}


# --- argparse ------------------------------------------------------------------------


def read(
    flags: Iterable[Flag], words: Sequence[str], prog: str, elsewhere: Hint = _nothing
) -> dict[str, Any]:
    """The values of the flags that are given, by name.

    Raises `ValueError` for an unknown flag, a wrong type or, unless help is asked for,
    what is missing.
    """
    by_name = {flag.name: flag for flag in flags}
    parser = _parser(by_name.values(), prog, "")
    # as people type them: -h, --search.arch_lr=1
    typed = re.compile(r"^--[^=]+")
    words = ["--help" if word == "-h" else word for word in words]
    words = [typed.sub(lambda flag: flag[0].replace("_", "-"), word) for word in words]
    words = _with_negatives(words, by_name.values())
    try:
        found, rest = parser.parse_known_intermixed_args(words)
    except argparse.ArgumentError as error:
        message = error.message.replace("expected one argument", "expected a value")
        got = "" if "got" in message else ", got none"
        parser.error(f"{error.argument_name}: {message}{got}")
    for word in rest:
        if not word.startswith("-"):
            hint = "; a unit follows its number, as in 2ms" * (word in _APART)
            parser.error(f"unexpected word {word!r}{hint}")
        wrong = word.partition("=")[0]
        known = [flag.typed for flag in by_name.values() if not flag.is_word]
        below = [one for one in known if one.endswith(f".{wrong.strip('-')}")]
        hint = one_of(below[:3]) or meant(wrong, known)
        raise ValueError(
            f"unknown flag {wrong}{hint}; see {prog} --help{elsewhere(wrong)}"
        )
    given = {}
    for name, value in vars(found).items():
        flag = by_name[name]
        if flag.several and value is not None:
            value = flag.several(itertools.chain.from_iterable(value))
        if not (flag.is_word and value in (None, ())):
            given[name] = value
    missing = [
        flag.typed
        for flag in by_name.values()
        if flag.is_required and flag.name not in given
    ]
    if missing and not {"help", "help_all"} & set(given):
        usage = " ".join(parser.format_usage().split())
        shown = f"; {usage}" if len(usage) <= _SHORT else ""
        parser.error(f"expected {', '.join(missing)}, got none{shown}")
    return given


def _with_negatives(words: Sequence[str], flags: Iterable[Flag]) -> list[str]:
    """The words with -1ms joined to the flag before it, or it would count as a flag."""
    single = {
        flag.typed
        for flag in flags
        if not (flag.is_word or flag.several or flag.kind is bool)
    }
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in single and re.match(r"-\.?[0-9]", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def help_of(flags: Iterable[Flag], prog: str, about: str) -> str:
    """The text of `--help`."""
    return _parser(list(flags), prog, about).format_help().rstrip()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help")


class _Switch(argparse.Action):
    """True by its first name, false by its second."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, name: Any = ""
    ) -> None:
        setattr(namespace, self.dest, name == self.option_strings[0])


def _parser(flags: Iterable[Flag], prog: str, about: str) -> _Parser:
    usage = [prog]
    for flag in flags:
        if flag.is_word:
            usage.append(flag.typed if flag.is_required else f"[{flag.typed}]")
        elif flag.is_required:
            usage.append(f"{flag.typed} {_metavar(flag)}")
    parser = _Parser(
        prog=prog,
        usage=" ".join([*usage, "[flags]"]),
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    groups: dict[str, Any] = {}
    for flag in flags:
        title = "words" if flag.is_word else flag.group
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        _add(groups[title], flag)
    return parser


def _add(group: Any, flag: Flag) -> None:
    default, names = flag.default, [flag.name if flag.is_word else flag.typed]
    if isinstance(default, tuple):
        default = " ".join(map(_shown, default))
    shown = "" if default in (None, "", False) else f" (default: {default})"
    more: dict[str, Any] = {"help": (flag.text + shown).strip().replace("%", "%%")}
    if not flag.is_word:
        more |= {"dest": flag.name, "default": argparse.SUPPRESS}
    if flag.kind is bool:
        more |= {"action": _Switch, "nargs": 0}
        if flag.group == FIELDS:
            head, dot, tail = flag.typed.removeprefix("--").rpartition(".")
            names.append(f"--{head}{dot}no-{tail}")
    else:
        is_field, items = flag.group == FIELDS, typing.get_args(flag.item)
        if not flag.several:
            more["nargs"] = "?" if flag.is_word else None
        elif flag.several is tuple and not (flag.is_word or is_field or Path in items):
            more["nargs"] = 1  # with commas, since an EXPERIMENT may come after it
        else:
            more["nargs"] = "*"
        more |= {"metavar": _metavar(flag), "type": functools.partial(_value, flag)}
    group.add_argument(*names, **more)


def _shown(value: Any) -> str:
    """A value as it is typed."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _metavar(flag: Flag) -> str:
    if flag.is_word:
        return flag.typed
    if flag.several is dict:
        return "NAME=VALUE"
    inside = typing.get_args(flag.item)
    if typing.get_origin(flag.item) is Literal:
        return f"{{{','.join(inside)}}}"
    kind = inside[0] if inside else flag.item
    if typing.get_origin(kind) is tuple:
        return f"{typing.get_args(kind)[0].__name__.upper()},..."
    return getattr(kind, "__name__", "name").upper()


def _value(flag: Flag, word: str) -> Any:
    """A word as what its flag takes; of one that takes several, a list."""
    inside = typing.get_args(flag.item)
    if flag.is_optional and word == "None":
        return None
    if flag.several is tuple:  # 1,2 are two
        one = Flag(flag.name, inside[0])
        if one.several is tuple:  # and here one of several
            return [tuple(_value(one, word))]
        pieces = [word] if one.kind is Path else filter(None, word.split(","))
        return [_value(one, piece.strip()) for piece in pieces]
    if flag.several is dict:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {word!r}")
        return [(name, value)]
    if inside:
        if word in inside:
            return word
        raise argparse.ArgumentTypeError(
            f"expected one of {', '.join(inside)}, got {word!r}{meant(word, inside)}"
        )
    try:
        return flag.item(word)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected {_number(flag, word)}, got {word!r}"
        ) from None


def _number(flag: Flag, word: str) -> str:
    """What a flag takes that takes a number, in its unit where its name has one.

    >>> _number(Flag("hours", float), "2h"), _number(Flag("epochs", int), "x")
    ('a number, in hours: 2', 'a whole number')
    """
    expected = "a whole number" if flag.item is int else "a number"
    unit = UNITS.get(re.split(r"[._]", flag.name)[-1])
    if unit is None:
        return expected
    typed = re.fullmatch(r"([0-9.]+) *([a-z]+)", word)
    is_its_own = typed is not None and typed[2] in unit
    return f"{expected}, in {unit[0]}" + (
        f": {typed[1]}" if typed and is_its_own else ""
    )
