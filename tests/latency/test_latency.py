"""The front of the room: `nas.latency.load` and `nas.latency.measure`."""

import re

import pytest

import nas_jax as nas
from nas_jax.config import SpaceConfig, shipped
from nas_jax.latency import tables
from nas_jax.latency.measurement import timing
from nas_jax.spaces.builders import mobile
from tests.clean_python import python


def test_table_is_loaded_by_name_and_by_path():
    table = nas.latency.load("digits_cpu_onnxruntime")
    file = shipped.folder("latency_tables") / "digits_cpu_onnxruntime.json"
    assert table == tables.load(file) == nas.latency.load(file)


@pytest.mark.parametrize("name", ["none", "none.json"])
def test_unknown_table_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = f"latency table {name!r}: expected a file, or the name of a shipped table"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}, found none"):
        nas.latency.load(name)


def test_space_is_measured_with_the_settings(monkeypatch):
    space = mobile(
        SpaceConfig(
            input_size=8,
            stem_channels=8,
            first_block_channels=None,
            stage_widths=(8,),
            cells=(1,),
            strides=(1,),
            candidates=("mb3_k3",),
            head_channels=16,
        )
    )
    shown = []

    def progress(rounds, total, desc):
        shown.append(total)
        return rounds

    # rounds back to back instead of spread over seconds
    rounds = timing.rounds
    monkeypatch.setattr(
        timing,
        "rounds",
        lambda calls, plan: rounds(calls, timing.replace(plan, spread_s=0.0)),
    )
    table = nas.latency.measure(space, batch=2, repeats=3, progress=progress)
    assert list(table.entries) == [part.key for part in tables.required_parts(space)]
    assert (table.provenance["batch"], table.provenance["repeats"]) == (2, 3)
    assert table.provenance["runtime"] == "onnxruntime"
    assert shown == [3]


def test_unknown_runtime_is_refused():
    with pytest.raises(
        ValueError, match=r"^runtime: expected one of onnxruntime, onnxruntime-int8, "
    ):
        nas.latency.measure(None, "tensorflow")


def test_importing_the_room_imports_no_numbers():
    code = (
        "import sys, nas_jax as nas; nas.latency.load; "
        "print(sorted({'jax', 'numpy', 'onnxruntime', 'pydantic'} & set(sys.modules)))"
    )
    assert python(code).stdout == "[]\n"
