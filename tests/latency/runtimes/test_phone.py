"""Outputs of `benchmark_model` read back; the models are made up."""

import json
import subprocess

import pytest

from nas_jax.config import LatencyConfig, SpaceConfig
from nas_jax.latency import tables
from nas_jax.latency.runtimes import phone
from nas_jax.spaces import builders

# as the tool writes it (TensorFlow 2.4 to LiteRT 2 differ in prefix and quantiles)
OLD = """STARTING!
Num threads: [4]
Loaded model /data/local/tmp/net.tflite
Initialized session in 17.187ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=1 curr=3512391

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, Inference (avg): 2.95034e+06
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint of the model at runtime. Take the information at your discretion.
Memory footprint delta from the start of the tool (MB): init=4.21094 overall=46.0859
"""  # noqa: E501
NEW = """INFO: Initialized session in 119.515ms.
INFO: count=9 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478 p5=51629 median=51962 p95=87112
INFO: count=1000 first=52162 curr=49785 min=49088 max=686105 avg=63743.2 std=60716 p5=49620 median=51891 p95=68628
INFO: Inference timings in us: Init: 119515, First inference: 87112, Warmup (avg): 58147.4, Inference (avg): 63743.2
"""  # noqa: E501
SPACE = builders.mobile(
    SpaceConfig(
        name="toy",
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
CONFIG = LatencyConfig(batch=1, repeats=4)


class Models:
    """In the place of the converter's."""

    def part(self, part):
        return part.key.encode()

    def call(self):
        return b"call"


def output(ms):
    return NEW.replace("63743.2", f"{1e3 * ms:g}")


@pytest.fixture
def folder(tmp_path):
    parts = tables.required_parts(SPACE)
    phone.prepare(tmp_path / "t.phone", parts, 8, CONFIG, Models())
    return tmp_path / "t.phone"


def fill(folder, ms):
    (folder / "results" / "device.txt").write_text("Pixel 1\n")
    for name in (*json.loads((folder / "parts.json").read_text())["parts"], "call"):
        for index in range(CONFIG.repeats):
            (folder / "results" / f"{name}.{index}.txt").write_text(
                output(0.25 if name == "call" else ms + index)
            )


def test_real_outputs_say_milliseconds():
    assert phone.average_ms(OLD, "old") == 2950.34
    assert phone.average_ms(NEW, "new") == 63.7432


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("", "got nothing"),
        ("error: no devices/emulators found\n", "got error: no devices/emulators"),
        (OLD[: OLD.index("Inference timings")], "got count=50 first=2990275"),
        (NEW.replace("63743.2", "0"), "got INFO: Inference timings in us"),
        (NEW.replace("63743.2", "nan"), "got INFO: Inference timings in us"),
    ],
)
def test_outputs_without_times_are_refused(text, got):
    with pytest.raises(ValueError) as caught:
        phone.average_ms(text, "003.1.txt")
    assert str(caught.value).startswith("003.1.txt: expected the timings of benchmark")
    assert got in str(caught.value)


def test_table_of_a_phone_is_net_of_the_call(folder, tmp_path):
    fill(folder, ms=2.25)
    table = phone.read(folder)
    assert list(table.entries) == [part.key for part in tables.required_parts(SPACE)]
    # rounds of 2.25, 3.25, 4.25, 5.25 less the call; the fastest two of four
    entry = table.entries[SPACE.stem.key]
    assert (entry.mean_ms, entry.count, entry.median_ms) == (2.5, 2, 3.5)
    assert table.fixed_ms == 0.25
    assert table.provenance["device"] == "Pixel 1"
    tables.save(table, tmp_path / "t.json")


def test_phone_that_disappeared_half_way_loses_nothing(folder):
    with pytest.raises(ValueError, match=r"expected 21 outputs of the phone, 21 are"):
        phone.read(folder)
    fill(folder, ms=2.25)
    (folder / "results" / "002.3.txt").unlink()
    with pytest.raises(ValueError, match=r"1 are missing, for example 002.3.txt; run "):
        phone.read(folder)


def test_commands_run_every_model_once_a_round_and_go_on_after_a_stop(
    folder, tmp_path, monkeypatch
):
    fake = tmp_path / "bin" / "adb"
    fake.parent.mkdir()
    log = tmp_path / "log"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {log}\necho "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    (folder / "results" / "000.0.txt").write_text("kept")
    subprocess.run([folder / "measure.sh"], check=True, capture_output=True)
    runs = [line for line in log.read_text().splitlines() if "--graph" in line]
    # 4 parts and the call, 4 rounds, one of them there already
    assert len(runs) == 5 * 4 - 1
    assert "--num_threads=1 --num_runs=50 --warmup_runs=5" in runs[0]
    assert (folder / "results" / "000.0.txt").read_text() == "kept"
    assert len({tuple(runs[start : start + 5]) for start in (4, 9, 14)}) == 3
    assert (folder / "models" / "000.tflite").read_bytes() == SPACE.stem.key.encode()
