"""What the package brings and sends away: network, pickles, licences, versions."""

import ast
import configparser
import importlib.util
import os
import pickletools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from PIL import Image

import nas_jax
from tests import small_run

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(nas_jax.__file__).resolve().parent

# --- networks ------------------------------------------------------------------------

OFFLINE = """
import os, pathlib, socket, sys
from tests.guidelines import made_up_records
os.environ.pop("ORT_DISABLE_TELEMETRY", None)
asked = []
NAMES = ("connect", "getaddrinfo", "gethostbyname", "sendto", "sendmsg")
def hear(event, given):
    if event in [f"socket.{name}" for name in NAMES]:
        asked.append((event, given[1:]))
        raise OSError(f"the test allows no network: {event}")
sys.addaudithook(hear)
try: socket.create_connection(("127.0.0.1", 9))
except OSError as error: assert "the test allows no network" in str(error), error
assert asked.pop()[0] == "socket.getaddrinfo" and not asked
from nas_jax import cli
from nas_jax.guidelines import store
home, words = sys.argv[1], sys.argv[2:]
run = home + "/run"
store.add(pathlib.Path(home + "/own.sqlite"), made_up_records.law())
task = ["--input-size", "16", "--channels", "1", "--classes", "10",
        "--images-per-class", "100", "--tiny-accuracy", "0.84"]
for verb in (
    [*words, "--out", run],
    ["export", run, "--format", "onnx"],
    ["predict", run + "/export/searched.onnx", home + "/picture.png"],
    ["report", run],
    ["recommend", *task, "--db", home + "/own.sqlite"],
):
    assert cli.main(verb) == 0, verb
assert not asked, asked
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
print("offline")
"""


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """A run, and what was done with it, in a process that may not reach a network."""
    home = tmp_path_factory.mktemp("home")
    words = [*small_run.write(home), "--random-networks", "0", "--train.epochs", "1"]
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8), np.uint8)
    Image.fromarray(pixels).save(home / "picture.png")
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(home), *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "offline"
    return home / "run"


@pytest.mark.slow
def test_search_export_predict_report_and_recommend_need_no_network(offline):
    assert (offline / "report.html").is_file()


# --- pickles -------------------------------------------------------------------------


def is_pickle(content):
    """Whether bytes are a pickle of any use: opcodes, and a STOP at the very end."""
    try:
        *before, (_, _, end) = pickletools.genops(content)
    except Exception:
        return False
    return len(before) > 1 and end == len(content) - 1


@pytest.mark.slow
def test_run_folder_has_no_pickle(offline):
    files = [path for path in offline.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if is_pickle(path.read_bytes())] == []


def test_a_pickle_is_known_when_it_is_seen():
    import pickle

    assert is_pickle(pickle.dumps({"a": [1, 2]}))
    assert is_pickle(pickle.dumps({"a": [1, 2]}, protocol=0))
    assert not is_pickle(b'{"a": 1}')


def loads_pickles(tree):
    """Calls and imports that would read a pickle, and so run what is in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            found |= names & {"joblib", "dill", "cloudpickle", "shelve", "marshal"}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} & {"pickle", "joblib", "dill", "cloudpickle"}
        elif isinstance(node, ast.Attribute):
            of = getattr(node.value, "id", "")
            loading = node.attr in ("load", "loads", "Unpickler", "_Unpickler")
            if (of == "pickle" and loading) or (of == "torch" and node.attr == "load"):
                found.add(f"{of}.{node.attr}")
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            is_refused = getattr(node.value, "value", None) is False
            found |= set() if is_refused else {"allow_pickle"}
    return found


ALLOWED = {
    "networks/pretrained/inert_pickle.py",  # makes tensors, and stand-ins of all else
}


def test_package_reads_no_pickle():
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if wrong := loads_pickles(ast.parse(path.read_text(encoding="utf-8"))):
            found[name] = wrong
    assert set(found) == ALLOWED


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("np.load(x, allow_pickle=True)", "allow_pickle"),
        ("np.load(x, allow_pickle=given)", "allow_pickle"),
        ("pickle.loads(x)", "pickle.loads"),
        ("class A(pickle.Unpickler): pass", "pickle.Unpickler"),
        ("from pickle import load", "pickle"),
        ("import joblib", "joblib"),
        ("torch.load(x)", "torch.load"),
    ],
)
def test_reading_a_pickle_is_noticed(code, found):
    assert loads_pickles(ast.parse(code)) == {found}


def test_arrays_without_pickles_are_no_offence():
    assert loads_pickles(ast.parse("np.load(x, allow_pickle=False)")) == set()


# --- licences, versions --------------------------------------------------------------


def required():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_has_its_licence_on_the_page():
    text = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if "|" in line][2:]
    listed = {name.strip(): licence.strip() for name, _, licence, _ in rows}
    assert {normalised(one.name) for one in required()} <= set(listed)
    assert all(listed.values())
    assert [name for name, said in listed.items() if re.search(r"\bA?GPL", said)] == []


def test_page_of_licences_is_written_from_what_is_installed():
    spec = importlib.util.spec_from_file_location("licences", ROOT / "docs/licences.py")
    licences = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(licences)
    assert licences.licence("jax") == "Apache-2.0"
    assert "scipy" in licences.closure("nas_jax")
    assert "pytest" not in licences.closure("nas_jax")


def test_oldest_versions_of_the_ranges_are_those_that_are_tested():
    lines = (ROOT / "constraints-oldest.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if "==" in line)
    for one in required():
        (least,) = one.specifier
        assert least.operator == ">="
        own = tested[normalised(one.name)]
        assert Version(least.version) == Version(own), one
