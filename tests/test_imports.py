"""One way through the house: a room imports from the rooms below it.

`FLOORS` holds the rooms, lowest first; rooms of one floor do not know each other.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nas_jax

PACKAGE = Path(nas_jax.__file__).resolve().parent
FLOORS = (
    ("base", "config"),
    ("spaces", "data"),
    ("networks",),
    ("supernet", "training", "latency"),
    ("search",),
    ("report", "paper"),
    ("runs",),
    ("export", "guidelines"),
    ("cli",),
)
ROOMS = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
SHIPPED = ("experiments", "latency_tables")
"""What an installed package has besides its code."""
PURE = ("base", "spaces", "networks", "supernet", "search")
"""Rooms without files, clocks, environment and printing."""
FILES = (
    "nas_jax.networks.checkpoint",
    "nas_jax.networks.pretrained",
    "nas_jax.spaces.own_code",
)
"""What reads and writes files in them all the same."""
OUTSIDE_WORLD = {
    *("os", "sys", "io", "pathlib", "shutil", "tempfile", "subprocess", "platform"),
    *("time", "datetime", "random", "logging", "socket", "threading"),
}
FILE_CALLS = {
    *("open", "print", "input", "read_text", "write_text", "read_bytes"),
    *("write_bytes", "load", "save", "savez", "loadtxt", "savetxt"),
}


def module_name(path):
    """`nas_jax.report.page` of report/page.py; of `__init__.py` its package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] not in SHIPPED
}


def imported(tree):
    """Names of the package's modules that a file imports, at any depth of its code."""
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write relative imports out in full"
            # `from package import module` or `from module import name`
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in names]
        else:
            continue
        modules.update(name for name in names if name.split(".")[0] == "nas_jax")
    return modules


def parsed(name):
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


IMPORTS = {name: imported(parsed(name)) - {name} for name in MODULES}


def room(name):
    """`report` of nas_jax.report.page; "" of the package itself."""
    return name.split(".")[1] if "." in name else ""


def forbidden(imports):
    """(importer, imported) pairs of two rooms of which the second is not below."""
    return [
        (one, other)
        for one, others in sorted(imports.items())
        for other in sorted(others)
        if room(one) in ROOMS  # the front door and __main__ look into every room
        and room(one) != room(other)
        and ROOMS.get(room(other), len(FLOORS)) >= ROOMS[room(one)]
    ]


def cycle(imports):
    """The modules of a cycle of imports, or None."""
    done = set()

    def visit(name, trail):
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return None
        for other in sorted(imports.get(name, ())):
            if loop := visit(other, [*trail, name]):
                return loop
        done.add(name)
        return None

    return next((loop for name in sorted(imports) if (loop := visit(name, []))), None)


def test_the_rooms_are_those_of_the_package():
    rooms = {room(name) for name in MODULES} - {"", "__main__"}
    assert rooms == set(ROOMS), "add a new room to FLOORS and to CONTRIBUTING.md"
    assert len(rooms - {"base"}) <= 14


def test_imports_go_down():
    assert forbidden(IMPORTS) == []


def test_imports_have_no_cycle():
    assert cycle(IMPORTS) is None


@pytest.mark.parametrize(
    ("one", "other", "is_forbidden"),
    [
        ("search.loop", "report.page", True),
        ("report.page", "paper.tables", True),
        ("report.page", "search.loop", False),
        ("report.page", "report.charts", False),
        ("search.loop", "unknown.thing", True),
    ],
)
def test_an_import_upwards_is_noticed(one, other, is_forbidden):
    pair = (f"nas_jax.{one}", f"nas_jax.{other}")
    assert forbidden({pair[0]: {pair[1]}}) == ([pair] if is_forbidden else [])


def test_a_cycle_is_noticed():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_imports_are_found_in_functions_too():
    tree = ast.parse("def f():\n    from nas_jax.report import page\n")
    assert imported(tree) == {"nas_jax.report.page"}


def reaches_outside(tree):
    """Names of modules and calls that touch files, clocks or the environment."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names} & OUTSIDE_WORLD
        elif isinstance(node, ast.ImportFrom):
            names |= {(node.module or "").split(".")[0]} & OUTSIDE_WORLD
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            names |= {called} & FILE_CALLS
    return names


@pytest.mark.parametrize(
    "name",
    [name for name in MODULES if room(name) in PURE and not name.startswith(FILES)],
)
def test_pure_rooms_touch_no_files_clocks_or_environment(name):
    assert reaches_outside(parsed(name)) == set()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import os.path", "os"),
        ("def f():\n    from time import monotonic", "time"),
        ("open('x')", "open"),
        ("np.save('x', y)", "save"),
    ],
)
def test_reaching_outside_is_noticed(code, name):
    assert reaches_outside(ast.parse(code)) == {name}


def test_importing_the_config_imports_no_jax():
    heavy = "{'jax', 'jaxlib', 'flax', 'optax', 'orbax', 'sklearn', 'onnxruntime'}"
    code = (
        "import sys, nas_jax.config, nas_jax.spaces.parts; "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_no_module_is_called_utils():
    parts = {part for name in MODULES for part in name.split(".")}
    assert not parts & {"utils", "util", "helpers", "common", "misc"}
