"""What the documents say is so: their Python runs, their commands are understood."""

import configparser
import importlib.util
import re

import jax
import numpy as np
import pytest

from benchmarks import command as bench_command
from nas_jax.cli.main import VERBS, command
from nas_jax.config import overrides
from nas_jax.networks import checkpoint, network
from nas_jax.runs import run_folder, trade_off
from tests.documents import PAGES, ROOT, blocks, commands
from tests.report.made_up_run import make_run
from tests.test_imports import ROOMS

EXPERIMENTS = dict.fromkeys(
    ("first.py", "mine.py", "faster.py", "relaxed.py", "EXPERIMENT"), "digits_cpu"
)
"""What a page calls the reader's own experiment."""
RUN = "runs/digits_cpu-seed0-000"


def named(page):
    return page.relative_to(ROOT).as_posix()


PYTHON = [
    page for page in PAGES if any(code.language == "python" for code in blocks(page))
]


@pytest.fixture
def with_a_run(tmp_path, monkeypatch):
    """A folder with a finished run in it, as a reader has who began with the first."""
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / RUN)
    found = run_folder.read_architecture(run / "architecture.json")
    params, batch_stats = network.init(jax.random.key(0), found)
    model = checkpoint.Model(found, params, batch_stats)
    checkpoint.save_model(run / "checkpoints" / "searched", model)
    return found


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            id=named(page),
            # measures latency, which wants a machine that is not busy
            marks=pytest.mark.slow if page.stem == "own_device" else (),
        )
        for page in PYTHON
    ],
)
def test_python_of_a_page_runs(page, with_a_run, own_operations):
    # what README.md leaves to the reader
    namespace = {"images": np.zeros((1, *with_a_run.input_shape), np.float32)}
    for code in blocks(page):
        if code.language == "python":
            text = "\n" * code.line + code.text  # errors name the line of the page
            exec(compile(text, named(page), "exec"), namespace)


def test_pages_with_python_are_found():
    assert {named(page) for page in PYTHON} >= {"docs/method.md", "README.md"}


def understood(words):
    """Parses a command as the command line does, fields of the experiment included."""
    if words[0] == "benchmarks":
        bench_command.command(words[1:])
        return
    told = command([EXPERIMENTS.get(word, word) for word in words])
    if isinstance(told, str):
        return
    given = told.arguments
    if name := given.get("experiment"):
        # a table needs an experiment's space, the others its fields
        experiment = overrides.load(name, given.get("fields", {}))
        if "options" in given and getattr(given["options"], "targets", None):
            trade_off.experiments(experiment, list(given["options"].targets))


COMMANDS = {
    f"{named(page)}:{code.line}: {' '.join(words)}": words
    for page in PAGES
    for code in blocks(page)
    if code.language != "python"
    for words in [
        *commands(code.text, "nas_jax"),
        *(["benchmarks", *one] for one in commands(code.text, "python -m benchmarks")),
    ]
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_command_of_a_page_is_understood(words, own_operations):
    understood(words)


def test_commands_are_found():
    """Every line of a page that begins a command is one of those parsed."""
    lines = 0
    for page in PAGES:
        for code in blocks(page):
            begins = r"^\s*(nas_jax|python -m benchmarks) "
            lines += len(re.findall(begins, code.text, re.MULTILINE))
    assert 60 < lines <= len(COMMANDS)


@pytest.mark.parametrize(
    "command",
    [
        "serch digits_cpu",
        "search digits_cpu --search.arch-rl 1",
        "search digits_cpu --search.objective magic",
        "search digits_cpu --targets fast",
        "evaluate RUN --search.lr 1",
        "benchmarks engine --batc 3",
        "table shwo mine.json",
    ],
)
def test_a_wrong_command_is_noticed(command):
    with pytest.raises(ValueError):
        understood(command.split())


def test_commands_of_a_block():
    text = "nas_jax a b \\\n  --c 'd e'  # why\nother\nnas_jax x|y Z > file\n"
    found = [["a", "b", "--c", "d e"], ["x", "Z"], ["y", "Z"]]
    assert commands(text, "nas_jax") == found


# --- pages that are filled from what they are about -----------------------------------


@pytest.fixture(scope="module")
def site():
    """The configuration of the site, which fills pages while it is built."""
    pytest.importorskip("docutils")
    spec = importlib.util.spec_from_file_location("site", ROOT / "docs" / "conf.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_commands_have_every_verb_and_its_flags(site):
    table = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    source = [table]
    site.list_verbs(None, "commands", source)
    for name, verb in VERBS.items():
        assert f"`{name}" in table
        for below in verb if isinstance(verb, dict) else ("",):
            words = [name, below] if below else [name]
            assert f"### `{' '.join(words)}`" in source[0]
            assert command([*words, "--help"]) in source[0]
    other = ["as it is"]
    site.list_verbs(None, "data", other)
    assert other == ["as it is"]


def test_notebooks_are_pages_with_their_outputs(site):
    for page in (ROOT / "docs/notebooks").glob("*.md"):
        source = [page.read_text(encoding="utf-8")]
        site.show_notebook(None, f"notebooks/{page.stem}", source)
        assert source[0].startswith("# ") and "```python\n" in source[0]
        assert "```text\n" in source[0]
    picture = {"data": {"image/png": "ab\ncd\n", "text/plain": "<Figure>"}}
    assert 'src="data:image/png;base64,abcd"' in site.shown(picture)
    assert site.shown({"text": "1\n"}) == "```text\n1\n```"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_targets_and_extras_of_a_page_are_there(page):
    targets = re.findall(
        r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    for code in blocks(page):
        for words in commands(code.text, "make"):
            assert words[0] in targets
    for extra in re.findall(r"nas_jax\[(\w+)\]", text):
        assert extra in setup["options.extras_require"]


def test_every_room_is_shown_and_has_a_page():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (`.*`) \| ", text, re.MULTILINE)
    shown = re.findall(r"`(\w+)/?`", " ".join(table))
    assert sorted(shown) == sorted(ROOMS)
    pages = {page.stem for page in (ROOT / "docs/api").glob("*.md")}
    assert pages == set(ROOMS)
