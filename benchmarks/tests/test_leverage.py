"""What decides accuracies: choices as numbers, the shares that they explain."""

import json

import numpy as np
import pytest

from benchmarks import command
from benchmarks.leverage import bench, factors, ranking, task
from benchmarks.quality_settings import LeverageConfig
from nas_jax.spaces import architecture_json, elastic
from nas_jax.training.progress import Progress


def test_choices_of_a_network_are_read_off_its_blocks():
    space = elastic.build(task.spaces(LeverageConfig(task="letters"))["elastic"])
    names = [op.name for op in space.shapes[0].candidates]
    ops = ["mb2_k3", "zero", "mb6_k5", "zero", "zero", "mb4_k3", "mb4_k5", "zero"]
    wide = next(
        place
        for place, shape in enumerate(space.shapes)
        if [layer.out_channels for layer in shape.layers]
        == [16] * 2 + [24] * 3 + [48] * 3
        and shape.stem.out_channels == 16
        and shape.stem.input_size == 40
    )
    network = space.network(wide, np.array([names.index(op) for op in ops]), "one")
    assert factors.of(network, (2, 3, 3)) == {
        "side": 40,
        "stem": 16,
        "width 1": 16,
        "width 2": 24,
        "width 3": 48,
        "depth": 4,
        "expansion": 4.0,
        "kernel": 4.0,
    }


def test_the_choice_that_decides_is_found():
    rng = np.random.default_rng(0)
    chosen = [
        {"side": side, "depth": depth, "stem": 8}
        for side, depth in zip(
            rng.choice([28, 40, 56], 60), rng.integers(3, 9, 60), strict=True
        )
    ]
    accuracies = [0.8 + 0.001 * one["side"] + 0.002 * rng.normal() for one in chosen]
    shares = factors.explained(chosen, accuracies)
    assert shares["side"] > 0.9
    assert abs(shares["depth"]) < 0.15
    assert shares["stem"] == 0
    assert shares["all"] > 0.9


def test_accuracies_that_do_not_differ_are_explained_by_nothing():
    shares = factors.explained([{"side": 28}, {"side": 40}, {"side": 56}], [0.5] * 3)
    assert shares == {"side": 0.0, "all": 0.0}


def test_networks_of_one_latency_are_trained_and_kept(tmp_path, monkeypatch):
    """Few networks of a small space, and a file that is taken up again."""
    monkeypatch.setattr(task, "_DRAWN", (260, 260, 52))
    whole = task.spaces(LeverageConfig(task="letters"))["elastic"]
    small = {
        "input_sizes": (16,),
        "stem_widths": (8,),
        "stage_choices": ((8,), (8, 16)),
        "cells": (1, 1),
        "strides": (1, 2),
    }
    spaces = {"elastic": elastic.ElasticConfig(**vars(whole) | small)}
    monkeypatch.setattr(task, "spaces", lambda config: spaces)
    config = LeverageConfig(
        task="letters",
        file=tmp_path / "l.jsonl",
        table=tmp_path / "t.json",
        ratio=0.8,
        networks=2,
        epochs=1,
        repeated=1,
        seeds=2,
        supernet_epochs=(1,),
        short_epochs=(1,),
    )
    result = bench.run(config, Progress())
    assert result["spaces"]["elastic"]["networks"] == 2
    assert sum("accuracy" in row for row in result["rows"]) == 3
    drawn = [row for row in result["rows"] if "network" in row]
    for row in drawn:
        network = architecture_json.from_json(json.dumps(row["network"]))
        assert network.input_shape[0] == 16
    for way in ("supernet, 1 epochs", "short training, 1 epochs"):
        found = result["spaces"]["elastic"]["ranking"][way]
        assert -1 <= found["spearman"] <= 1 and found["seconds"] > 0
    before = config.file.read_bytes()
    assert bench.run(config, Progress())["spaces"] == result["spaces"]
    assert config.file.read_bytes() == before
    table = bench.table(result)
    assert [row[0] for row in table][:3] == ["", "networks", "mean accuracy"]


def test_a_way_is_worth_its_rank_correlation():
    space = elastic.build(task.spaces(LeverageConfig(task="letters"))["elastic"])
    networks = {
        name: space.network(0, np.array([op] * len(space.shapes[0].layers)), name)
        for op, name in enumerate("abc")
    }
    accuracies = {
        "a": 0.7,
        "b": 0.8,
        "c": 0.9,
    }  # as their expansions, and so their size
    losses = {"a": 0.3, "b": 0.1, "c": 0.2}
    rows = [{"way": "supernet", "epochs": 2, "losses": losses, "seconds": 7.0}]
    found = ranking.correlations(rows, networks, accuracies)
    assert found["supernet, 2 epochs"] == {"spearman": 0.5, "seconds": 7.0}
    assert found["macs"] == {"spearman": 1.0, "seconds": 0.0}
    alike = [rows[0] | {"losses": dict.fromkeys("abc", 0.1)}]
    assert (
        ranking.correlations(alike, networks, accuracies)["supernet, 2 epochs"][
            "spearman"
        ]
        == 0
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("leverage --task faces", "--task: expected one of fashion_mnist, letters, pi"),
        ("leverage --task pictures", "path: expected a folder of pictures, got None"),
        ("leverage --ratio 0", "ratio: expected a number above 0, got 0"),
        ("leverage --networks 0", "networks: expected a positive integer, got 0"),
    ],
)
def test_wrong_settings_are_one_line(words, line, capsys):
    assert command.main(words.split()) == 2
    assert line in capsys.readouterr().err
