"""`benchmarks scaling`: which points it visits, what it tells and draws of them."""

import json

import pytest

from benchmarks import command as bench_command
from benchmarks import programs, scaling, scaling_plot
from benchmarks.settings import AXES, Point, ScalingConfig
from nas_jax.spaces import builders
from nas_jax.training import host

MIB = 2**20


@pytest.fixture(autouse=True)
def the_allocator_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(host, "tune_allocator", lambda: False)


def made_up(scale):
    """What is measured of a step, in numbers that can be told apart."""
    return {
        "ms": {"min": 10.0 * scale, "median": 11.0 * scale},
        "temp_bytes": scale * MIB,
        "trace_s": 1.0,
        "compile_s": 0.5 * scale,
    }


RESULT = {
    "rows": [
        {
            "axis": axis,
            "value": value,
            "layers": 2 * value,
            "plain_step": made_up(value),
            "weight_step": made_up(value + 10),
            "arch_step": made_up(value + 20),
        }
        for axis in AXES
        for value in (2, 4)
    ]
}


def test_points_vary_one_size_and_keep_the_others():
    config = ScalingConfig(candidates=(12, 2), cells=(1,), batch=(4, 8))
    axes = config.points()
    assert axes["candidates"] == [Point(candidates=2), Point(candidates=12)]
    assert axes["cells"] == [Point(cells=1)]
    assert axes["batch"] == [Point(batch=4), Point(batch=8)]
    assert axes["batch"][1] == config.base  # visited once, for all axes it stands on
    assert [point.input_size for point in axes["input_size"]] == [32, 48, 64]


def test_space_of_a_point_has_its_sizes():
    config = ScalingConfig(stage_widths=(8, 16))
    found = builders.mobile(config.space(Point(12, cells=3, batch=1, input_size=48)))
    assert len(found.layers) == 6
    assert len(found.candidates) == 12
    assert found.input_shape == (48, 48, 3)
    # the second cell of a stage may be left out, the first one not
    assert found.mask.sum(axis=1).tolist() == [11, 12, 12] * 2


def test_table_has_a_row_per_value_with_units():
    header, *rows = scaling.table(RESULT)
    assert header == (
        *("axis", "value", "plain, ms", "weight, ms", "arch, ms"),
        *("plain, MiB", "weight, MiB", "arch, MiB"),
        *("plain, s", "weight, s", "arch, s"),
    )
    assert len(rows) == 8
    assert rows[0] == (
        *("candidates per layer", "2", "20.0", "120.0", "220.0"),
        *("2.0", "12.0", "22.0", "1.0", "6.0", "11.0"),
    )
    # cells are told as layers
    assert rows[3][:3] == ("searchable layers", "8", "40.0")


def test_picture_has_a_panel_per_axis_and_quantity_with_the_ideal_dashed():
    figure = scaling_plot.draw(RESULT)
    panels = figure.axes
    assert len(panels) == 3 * 4
    assert [axes.get_ylabel() for axes in panels[::4]] == [
        *("time per step, ms", "temporary memory, MiB", "compilation, s")
    ]
    assert [axes.get_xlabel() for axes in panels[-4:]] == [
        *("candidates per layer", "searchable layers", "images per batch"),
        "side of the images, pixels",
    ]
    assert figure.legends[0].get_texts()[0].get_text() == "one plain path"
    lines = panels[1].get_lines()  # time over layers
    assert [line.get_linestyle() for line in lines] == ["--", "-", "-"]
    assert [line.get_xdata().tolist() for line in lines] == [[4, 8]] * 3
    drawn = [line.get_ydata().tolist() for line in lines]
    assert drawn == [[20, 40], [120, 140], [220, 240]]


def test_picture_cuts_nothing_and_heights_compare():
    grown = {"plain_step": made_up(500), "weight_step": made_up(600)}
    rows = [*RESULT["rows"][:-1], {**RESULT["rows"][-1], **grown}]
    panels = scaling_plot.draw({"rows": rows}).axes
    for row, most in zip(range(3), (6000, 600, 300), strict=True):
        limits = {axes.get_ylim() for axes in panels[4 * row : 4 * row + 4]}
        assert len(limits) == 1  # one scale for a quantity
        assert limits.pop()[0] == 0
        assert panels[4 * row].get_ylim()[1] >= most


def test_every_point_is_measured_once_and_told_on_each_of_its_axes(monkeypatch):
    """The steps are replaced by ones whose cost is the batch."""
    visited = []

    def steps(config, point):
        visited.append(point)
        cost = programs.Program(None, 1.0, 2.0 * point.batch, MIB * point.batch)
        return {step: (lambda: None, cost) for step in scaling.STEPS}

    monkeypatch.setattr(scaling, "_steps", steps)
    config = ScalingConfig(
        candidates=(7, 2),
        cells=(2,),
        batch=(8, 4),
        input_size=(32,),
        stage_widths=(8, 16),
        rounds=2,
    )
    result = scaling.run(config)
    assert visited == [Point(candidates=2), Point(), Point(batch=4)]
    told = [
        (row["axis"], row["value"], row["layers"], row["arch_step"]["temp_bytes"])
        for row in result["rows"]
    ]
    assert told == [
        *(("candidates", 2, 4, 8 * MIB), ("candidates", 7, 4, 8 * MIB)),
        ("cells", 2, 4, 8 * MIB),
        *(("batch", 4, 4, 4 * MIB), ("batch", 8, 4, 8 * MIB)),
        ("input_size", 32, 4, 8 * MIB),
    ]
    assert result["rows"][3]["plain_step"]["compile_s"] == 8.0
    assert result["machine"]["allocator"]["tuned"] is False
    json.dumps(result, allow_nan=False)


@pytest.mark.slow
def test_tiny_run_writes_numbers_and_picture(tmp_path, capsys):
    numbers, picture = tmp_path / "scaling.json", tmp_path / "scaling.png"
    sizes = "--base.candidates 2 --base.cells 1 --base.batch 2 --base.input-size 8"
    axes = "--candidates 2 --cells 1 --batch 2,3 --input-size 8 --stage-widths 8"
    command = f"scaling {sizes} {axes} --paths 1 --rounds 2"
    assert (
        bench_command.main([*command.split(), f"--json={numbers}", f"--plot={picture}"])
        == 0
    )
    out, err = capsys.readouterr()
    rows = json.loads(numbers.read_text())["rows"]
    named = [(row["axis"], row["value"]) for row in rows]
    assert named == [
        *(("candidates", 2), ("cells", 1), ("batch", 2), ("batch", 3)),
        ("input_size", 8),
    ]
    for step in scaling.STEPS:
        for row in rows:
            assert 0 < row[step]["ms"]["min"] <= row[step]["ms"]["median"]
            assert row[step]["compile_s"] > 0
        assert rows[3][step]["temp_bytes"] > rows[2][step]["temp_bytes"] > 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "compiling point 2 of 2: candidates 2, cells 1, batch 3, input_size 8" in err
    assert len(out.splitlines()) == 1 + 5 + 1
