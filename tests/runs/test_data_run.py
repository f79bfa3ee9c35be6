"""Your own pictures from the command line to a tested network, in one small run."""

import json

import numpy as np
import pytest

from nas_jax import cli, config
from nas_jax.latency import tables
from nas_jax.latency.tables import PROVENANCE
from nas_jax.spaces import builders
from tests.data.picture_files import encoded, write_class

EXPERIMENT = config.Experiment(
    name="pictures",
    random_networks=0,
    space=config.SpaceConfig(
        name="pictures",
        input_size=8,
        classes=2,
        stem_channels=8,
        stem_stride=1,
        first_block_channels=None,
        stage_widths=(8,),
        cells=(1,),
        strides=(1,),
        candidates=("mb3_k3", "mb6_k3", "zero"),
        head_channels=8,
    ),
    data=config.DataConfig(
        name="folder",
        train_weights=None,
        train_alphas=8,
        valid=4,
        test=8,
        shift_pixels=0,
        flip=True,
        brightness=0.1,
        saturation=0.5,
    ),
    latency=config.LatencyConfig(batch=1, repeats=3, loop_ms=0.1),
    search=config.SearchConfig(
        warmup_epochs=1,
        joint_epochs=1,
        arch_start_epoch=0,
        arch_every=1,
        batch=8,
        arch_batch=8,
        target_ratio=1.0,
    ),
    train=config.TrainConfig(epochs=4, batch=8, start="supernet"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Bright and dark pictures, one of them broken; an experiment; a table."""
    home = tmp_path_factory.mktemp("home")
    for name, level in (("bright", 220), ("dark", 30)):
        write_class(home / "pictures" / name, 30)
        for number, path in enumerate(sorted((home / "pictures" / name).iterdir())):
            shade = np.full((20, 24, 3), level + number % 7, np.uint8)
            path.write_bytes(encoded(shade))
    (home / "pictures" / "dark" / "broken.jpg").write_bytes(b"")
    code = f"def get_config():\n    return {EXPERIMENT!r}\n"
    (home / "own.py").write_text(f"from nas_jax.config import *\n\n{code}")
    times = ("mean_ms", "std_ms", "median_ms", "q25_ms", "q75_ms")
    parts = tables.required_parts(builders.mobile(EXPERIMENT.space))
    entries = {
        part.key: tables.Entry(**dict.fromkeys(times, 0.1 + index / 10), count=2)
        for index, part in enumerate(parts)
    }
    made_up = {str: "made up", int: 1}
    provenance = {key: made_up[kind] for key, kind in PROVENANCE.items()}
    table = tables.LatencyTable(entries, provenance | {"method": "operations"})
    tables.save(table, home / "table.json")
    return home


def words(home, *more):
    return [
        *("search", str(home / "own.py"), "--latency.table", f"{home}/table.json"),
        *("--data.path", f"{home}/pictures", "--out", f"{home}/run", *more),
    ]


def test_a_broken_picture_stops_the_run_before_a_folder_is_made(home, capsys):
    assert cli.main(words(home)) == 2
    line = capsys.readouterr().err
    assert "1 of 61 pictures do not decode" in line
    assert "dark/broken.jpg (an empty file)" in line
    assert not (home / "run").exists()


@pytest.mark.slow
def test_a_run_trains_on_pictures_and_tells_bright_from_dark(home, capsys):
    assert cli.main(words(home, "--data.skip-corrupt")) == 0
    heard = capsys.readouterr().err
    assert heard.count("left out: ") == 1
    result = json.loads((home / "run" / "result.json").read_text())
    assert result["networks"]["searched"]["test_images"] == 8
    assert result["networks"]["searched"]["onnx_max_abs_difference"] < 1e-3
    assert result["networks"]["baseline"]["test_accuracy"] >= 0.75
