"""Verbs, help, version, JSON and mistakes: one line, code 2, no traceback."""

import importlib.metadata
import json
import subprocess
import sys

import pytest

from nas_jax import cli
from nas_jax.cli import flags
from nas_jax.cli.main import VERBS
from nas_jax.cli.terminal import Answer
from nas_jax.config import Experiment

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("serach", "VERB: expected one of start, search, sweep, measure, "),
        ("--wrong", "VERB: expected one of start, search, sweep, measure, "),
        ("table shwo t.json", "VERB: expected one of show, import, export, validate; "),
        (
            "measure digits_cpu",
            "expected --out, got none; usage: nas_jax measure EXPERIMENT --out PATH "
            "[flags]; see nas_jax measure --help",
        ),
        (
            "start pictures --target 0.5x",
            "unknown flag --target; see nas_jax start --help; --target is a flag of "
            "search",
        ),
        (
            "start pictures --data.no-flip",
            "unknown flag --data.no-flip; see nas_jax start --help; --data.flip is a "
            "flag of search",
        ),
        (
            "predict a b --network c",
            "unknown flag --network; see nas_jax predict --help; --network is a flag "
            "of ",
        ),
        ("report nowhere", "nowhere: expected a run (a folder with config.json), "),
    ],
)
def test_wrong_verb_is_refused_with_what_was_expected(refused, words, message):
    assert refused(*words.split()).startswith(message)


ALL = [
    f"{name} {below}" if below else name
    for name, verb in VERBS.items()
    for below in (verb if isinstance(verb, dict) else ("",))
]


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="experiment 'cifar': expected"):
        cli.main(["search", "cifar", "--debug"])


def test_version_is_that_of_the_package(capsys):
    assert cli.main(["--version"]) == 0
    assert (
        capsys.readouterr().out == f"nas_jax {importlib.metadata.version('nas_jax')}\n"
    )


def test_json_is_alone_on_standard_output(monkeypatch, capsys):
    def noisy(name: str):
        print("a library talks")
        return Answer({"name": name}, "text")

    monkeypatch.setitem(VERBS, "describe", noisy)
    assert cli.main(["describe", "any", "--json"]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"name": "any"}, "a library talks\n")
    assert cli.main(["describe", "any"]) == 0
    assert capsys.readouterr().out == "text\n"


def test_who_reads_no_further_is_no_mistake():
    command = f"{sys.executable} -m nas_jax describe imagenet_mobile | true; "
    command += "echo ${PIPESTATUS[0]}"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert run.stderr == "" and run.stdout.strip() in ("0", "141")


def help_text(capsys, *words):
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("verb", ALL)
def test_every_verb_has_help(verb, flag, capsys):
    assert f"usage: nas_jax {verb}" in help_text(capsys, *verb.split(), flag)
    assert verb.split()[0] in help_text(capsys, flag)


@pytest.mark.parametrize(
    "words", ["search digits_cpu", "measure digits_cpu", "train net.json digits_cpu"]
)
def test_help_after_an_experiment_lists_the_fields_and_their_values(words, capsys):
    text = help_text(capsys, *words.split(), "--help")
    assert "--out" in text
    assert "--search.target-ratio" in text
    assert "(default: 0.5)" in text


def test_help_and_wrong_flags_are_answered_without_jax():
    code = (
        "import sys; from nas_jax import cli\n"
        "assert cli.main(['search', 'digits_cpu', '--search.arch-rl', '3']) == 2\n"
        "assert cli.main(['search', 'digits_cpu', '--help']) == 0\n"
        "print('jax' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False"


def test_the_list_of_verbs_imports_no_arrays():
    code = (
        "import sys; from nas_jax import cli; assert cli.main(['--help']) == 0\n"
        "print({'numpy', 'tqdm', 'jinja2', 'pydantic'} & sys.modules.keys() or 'none')"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "none"


def test_module_runs_as_the_command_does():
    command = [sys.executable, "-m", "nas_jax", "--help"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("usage: nas_jax ")


def test_every_field_of_the_configuration_can_be_set(capsys):
    text = help_text(capsys, "search", "digits_cpu", "--help-all")
    names = [flag.typed for flag in flags.of_config(Experiment, Experiment("any"))]
    assert len(names) > 40
    assert [name for name in names if name not in text] == []


def test_help_shows_what_people_use(capsys):
    text = help_text(capsys, "search", "--help")
    shown = [word for word in text.split() if word.startswith("--") and "." in word]
    assert "--search.target-ratio" in shown and 5 <= len(shown) <= 15
