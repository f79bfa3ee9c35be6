"""One way through the package: imports go up the rows, or left within a row.

A new module is added to `ROWS` where it belongs. The rows up to `processes` are pure:
no files, clocks, environment or printing.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nas_jax

PACKAGE = Path(nas_jax.__file__).resolve().parent
ROWS = {
    "words": (
        *(
            "base",
            "checks",
            "data_config",
            "search_config",
            "devices_config",
            "space_config",
        ),
        *("config", "config_changes", "json_text", "config_json"),
    ),
    "static": (
        *("parts", "part_keys", "topology", "space", "architecture"),
        *("architecture_json", "preferences"),
        *("published", "reference_config"),
    ),
    "parts": (
        *(
            "rng",
            "finite",
            "batches",
            "augment",
            "calls",
            "devices",
            "fusion",
            "batch_norm",
        ),
        *(
            "depthwise",
            "layers",
            "ops",
            "counts",
            "gates",
            "reinforce",
            "cost",
            "losses",
        ),
        *("constraint", "optim", "schedule"),
    ),
    "networks": ("network", "supernet"),
    "processes": (
        *("baselines", "evolution", "integer_program", "knapsack", "derive"),
        "search_state",
        *("divergence", "epoch_metrics", "objective", "estimators"),
        *("weight_step", "arch_step", "prune", "search_loop"),
    ),
    "edges": (
        *(
            "allocator",
            "process",
            *("memory", "distributed"),
            "text_file",
            "shipped",
            "provenance",
            "ledger",
            *("table_schema", "table_units", "tables", "table_import", "table_csv"),
            "table_risk",
            "data",
            "checkpoint",
            "snapshots",
            "run_folder",
            *("run_lock", "stopping"),
        ),
        *("torch_pickle", "torch_file", "torch_import"),
        *("onnx_writer", "onnx_parts", "onnx_graph", "measure"),
        *(
            "report",
            "progress",
            "compilation",
            "training_loop",
            "targets",
            "setup",
            "plan",
        ),
        *("finalists", "session", "stage", "search_stage", "retrain", "describe"),
        *("assess", "pipeline", "trade_off", "result"),
        *("export", "guidelines", "sweep", "bench", "paper"),
        "first_experiment",
    ),
    "shell": (
        *("new_file", "overrides", "launch", "terminal", "bench_command"),
        *("table_command", "multihost", "plan_command"),
        *("measure_command", "paper_command", "export_command"),
        *("guidelines_answers", "guidelines_command", "search_command"),
        *("report_command", "sweep_command", "run_command", "cli", "__main__"),
    ),
}
PURE = ("words", "static", "parts", "networks", "processes")
OUTSIDE_WORLD = {
    *("os", "sys", "io", "pathlib", "shutil", "tempfile", "subprocess", "platform"),
    *("time", "datetime", "random", "logging", "socket", "threading"),
}
FILE_CALLS = {
    *("open", "print", "input", "read_text", "write_text", "read_bytes"),
    *("write_bytes", "load", "save", "savez", "loadtxt", "savetxt"),
}
LINES = 300
# One idea each, longer than the ceiling.
TOO_LONG = {"estimators.py", "search_loop.py", "sweep.py", "training_loop.py"}

FILES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] not in ("experiments", "latency_tables")
)


def module_name(path):
    """`nas_jax.report.page` of report/page.py; of `__init__.py` its package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path): path for path in FILES}


def imported(path):
    """Names of the package's modules that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write relative imports out in full"
            # `from package import module` or `from module import name`
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in NAMES else node.module for name in names]
        else:
            continue
        found.update(name for name in names if name.split(".")[0] == "nas_jax")
    return found


def unit(name):
    """`report` of nas_jax.report.page: what stands in `ROWS`."""
    return name.split(".")[1] if "." in name else ""


def places():
    return {
        name: (depth, column)
        for depth, row in enumerate(ROWS.values())
        for column, name in enumerate(row)
    }


def forbidden(imports):
    """(importer, imported) pairs that go down the rows or right within one."""
    order = places()
    return [
        (one, other)
        for one, others in sorted(imports.items())
        for other in sorted(others)
        if one != other and order[other] > order[one]
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
            if found := visit(other, [*trail, name]):
                return found
        done.add(name)
        return None

    return next((found for name in sorted(imports) if (found := visit(name, []))), None)


def test_every_module_has_its_place():
    units = {unit(name) for name in NAMES} - {""}
    listed = set(places())
    assert units <= listed, (
        f"{sorted(units - listed)}: add to ROWS in tests/test_layout.py, in the row "
        "where it belongs, and to the table of the design"
    )
    assert listed <= units, f"{sorted(listed - units)}: gone, remove from ROWS"


def test_imports_go_up_or_left():
    by_unit = {}
    for name, path in NAMES.items():
        targets = {unit(other) for other in imported(path)} - {""}
        by_unit.setdefault(unit(name), set()).update(targets)
    by_unit.pop("")
    assert by_unit["search_loop"] >= {
        "arch_step",
        "gates",
    }  # the imports are really read
    assert forbidden(by_unit) == [], "import from rows above or modules to the left"


def test_imports_have_no_cycle():
    imports = {name: imported(path) - {name} for name, path in NAMES.items()}
    assert "nas_jax.report.markup" in imports["nas_jax.report.page"]
    assert cycle(imports) is None


def test_the_rules_tell_a_wrong_import():
    assert forbidden({"gates": {"base"}, "cost": {"gates"}}) == []
    assert forbidden({"gates": {"supernet"}}) == [("gates", "supernet")]
    assert forbidden({"gates": {"cost"}}) == [("gates", "cost")]
    assert cycle({"a": {"b"}, "b": {"c"}, "d": {"a"}}) is None
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def reaches_outside(tree):
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & OUTSIDE_WORLD
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").split(".")[0]} & OUTSIDE_WORLD
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            found |= {name} & FILE_CALLS
    return found


PURE_UNITS = {unit for row in PURE for unit in ROWS[row]}


@pytest.mark.parametrize("name", [name for name in NAMES if unit(name) in PURE_UNITS])
def test_pure_modules_touch_no_files_clocks_or_environment(name):
    tree = ast.parse(NAMES[name].read_text(encoding="utf-8"))
    assert reaches_outside(tree) == set()


def test_every_pure_module_is_checked():
    assert {unit(name) for name in NAMES} >= PURE_UNITS


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import os.path", "os"),
        ("def f():\n    from time import monotonic", "time"),
        ("open('x')", "open"),
        ("np.save('x', y)", "save"),
    ],
)
def test_reaching_outside_is_noticed(code, found):
    assert reaches_outside(ast.parse(code)) == {found}


def test_importing_the_config_imports_no_jax():
    heavy = "{'jax', 'jaxlib', 'flax', 'optax', 'orbax', 'sklearn', 'onnxruntime'}"
    code = f"import sys, nas_jax.config; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path,
            id=path.relative_to(PACKAGE).as_posix(),
            marks=[pytest.mark.xfail(strict=True, reason="one idea")]
            if path.relative_to(PACKAGE).as_posix() in TOO_LONG
            else [],
        )
        for path in FILES
    ],
)
def test_file_has_at_most_300_lines(path):
    assert lines(path) <= LINES, f"{path.name} has {lines(path)} lines: split it"


def test_no_module_is_called_utils():
    parts = {part for name in NAMES for part in name.split(".")}
    assert not parts & {"utils", "util", "helpers", "common", "misc"}
