"""A trained run and what is exported of it, for all tests of this folder."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from nas_jax import cli
from nas_jax.data import companions
from nas_jax.export import export_folder
from nas_jax.latency import tables
from nas_jax.latency.tables import PROVENANCE
from nas_jax.networks import checkpoint
from nas_jax.runs import run_folder, setup
from nas_jax.spaces import architecture_json, builders
from nas_jax.spaces.architecture import from_path
from tests.drawn import drawn
from tests.export.small_export import ENTRY, EXPERIMENT, SPACE


@pytest.fixture(scope="package")
def quick():
    """Timing without spreading the rounds over seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_folder.timing, "SPREAD_S", 0.0)
        yield


@pytest.fixture(scope="package")
def home(tmp_path_factory):
    """A run folder as training leaves it."""
    folder = tmp_path_factory.mktemp("home") / "run"
    run_folder.create(EXPERIMENT, folder, folder.parent)
    found = from_path(SPACE, [1, 2, 0], "searched")
    (folder / "architecture.json").write_text(architecture_json.to_json(found))
    checkpoint.save_model(folder / "checkpoints" / "searched", drawn(found))
    other = from_path(SPACE, [0, 0, 0], "baseline")
    checkpoint.save_model(folder / "checkpoints" / "baseline", drawn(other))
    names = {str: "made up", int: 1}
    provenance = {key: names[kind] for key, kind in PROVENANCE.items()}
    provenance["method"] = "operations"
    parts = tables.required_parts(SPACE)
    entries = {part.key: tables.Entry(**ENTRY, count=2) for part in parts}
    table = tables.LatencyTable(entries, provenance)
    tables.save(table, folder / "latency_table.json")
    return folder


@pytest.fixture(scope="package")
def exported(home, quick):
    """The run after `export` of both formats that this environment always has."""
    assert cli.main(["export", str(home), "--format", "onnx,stablehlo"]) == 0
    return home


@pytest.fixture
def run(home, tmp_path, quick):
    """A copy of the run, not exported."""
    copy = shutil.copytree(home, tmp_path / "run")
    shutil.rmtree(copy / "export", ignore_errors=True)
    return copy


@pytest.fixture
def alone(tmp_path, quick):
    """A folder as import writes it, of a network for colour images."""
    colour = dataclasses.replace(EXPERIMENT.space, input_channels=3, classes=4)
    found = from_path(builders.mobile(colour), [1, 2, 0], "alone")
    checkpoint.save_model(tmp_path / "alone", drawn(found))
    return tmp_path / "alone"


@pytest.fixture(scope="package")
def pictures(tmp_path_factory):
    """Three digits of the data set as picture files, white on black, and what a
    network is given for them."""
    folder = tmp_path_factory.mktemp("pictures")
    test = setup.load(EXPERIMENT).splits["test"]
    mean, std = companions.digits.statistics(8)
    paths = []
    for index in range(3):
        values = (test.images[index, ..., 0] * std + mean) * 255
        paths.append(folder / f"{index}.png")
        Image.fromarray(np.rint(values).astype(np.uint8)).save(paths[-1])
    return paths, test.images[:3]


@pytest.fixture
def files(exported, tmp_path):
    return shutil.copytree(exported / "export", tmp_path / "files")
