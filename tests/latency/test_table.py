import dataclasses
import json
import re

import numpy as np
import pytest

from nas_jax.config import SpaceConfig, shipped
from nas_jax.latency import tables
from nas_jax.spaces import published
from nas_jax.spaces.architecture import from_path
from nas_jax.spaces.builders import imagenet_mobile, mobile

PROVENANCE = {
    "device": "a CPU",
    "runtime": "onnxruntime",
    "runtime_version": "1.0",
    "threads": 1,
    "batch": 8,
    "dtype": "float32",
    "input_size": 8,
    "date": "2026-11-21T00:00:00+00:00",
    "commit": "0123abcd",
    "method": "operations",
    "repeats": 20,
    "warm_up_calls": 3,
    "clock": "time.perf_counter",
}


def entry(mean_ms):
    return tables.Entry(mean_ms, 0.5, mean_ms, mean_ms - 0.25, mean_ms + 0.25, 10)


@pytest.fixture(scope="module")
def space():
    """Three layers; the first changes the width, so it offers no `zero`."""
    return mobile(
        SpaceConfig(
            name="toy",
            input_size=8,
            input_channels=1,
            classes=10,
            stem_channels=8,
            stem_stride=1,
            stage_widths=(16,),
            cells=(3,),
            strides=(2,),
            candidates=("mb3_k3", "mb6_k5", "zero"),
            head_channels=32,
        )
    )


@pytest.fixture(scope="module")
def table():
    """Written out by hand; layers 1 and 2 are the same block, so share entries."""
    means = {
        "stem 8x8x1->8x8x8 s1": 1.0,
        "mb1_k3 8x8x8->8x8x16 s1": 2.0,
        "head 4x4x16->4x4x32": 4.0,
        "classifier 4x4x32->10": 8.0,
        "mb3_k3 8x8x16->4x4x16 s2": 16.0,
        "mb6_k5 8x8x16->4x4x16 s2": 32.0,
        "mb3_k3 4x4x16->4x4x16 s1 skip": 64.0,
        "mb6_k5 4x4x16->4x4x16 s1 skip": 128.0,
    }
    entries = {key: entry(mean) for key, mean in means.items()}
    return tables.LatencyTable(entries, {**PROVENANCE, "loop_ms": 1.0}, fixed_ms=0.5)


def without(table, *keys):
    entries = {key: value for key, value in table.entries.items() if key not in keys}
    return tables.LatencyTable(entries, table.provenance)


def test_required_parts_are_the_keys_of_the_table_in_order(space, table):
    assert [part.key for part in tables.required_parts(space)] == [
        "stem 8x8x1->8x8x8 s1",
        "mb1_k3 8x8x8->8x8x16 s1",
        "head 4x4x16->4x4x32",
        "classifier 4x4x32->10",
        "mb3_k3 8x8x16->4x4x16 s2",
        "mb6_k5 8x8x16->4x4x16 s2",
        "mb3_k3 4x4x16->4x4x16 s1 skip",
        "mb6_k5 4x4x16->4x4x16 s1 skip",
    ]


def test_costs_stand_where_their_candidates_do(space, table):
    costs, fixed_ms = tables.costs(table, space)
    # rows: layers; columns: mb3_k3, mb6_k5, zero
    expected = [[16.0, 32.0, 0.0], [64.0, 128.0, 0.0], [64.0, 128.0, 0.0]]
    assert costs.dtype == np.float64
    np.testing.assert_array_equal(costs, expected)
    assert fixed_ms == 1.0 + 2.0 + 4.0 + 8.0 + 0.5


def test_costs_with_z_are_mean_and_standard_deviations(space, table):
    costs, fixed_ms = tables.costs(table, space, z=2.0)
    # every entry has a standard deviation of 0.5
    expected = [[17.0, 33.0, 0.0], [65.0, 129.0, 0.0], [65.0, 129.0, 0.0]]
    np.testing.assert_array_equal(costs, expected)
    assert fixed_ms == 2.0 + 3.0 + 5.0 + 9.0 + 0.5


def test_z_needs_standard_deviations(space, table):
    key = "head 4x4x16->4x4x32"
    unknown = dataclasses.replace(table.entries[key], std_ms=None)
    table = tables.LatencyTable({**table.entries, key: unknown}, table.provenance)
    with pytest.raises(ValueError, match=r"deviation of 'head .* latency.z = 2, its s"):
        tables.costs(table, space, z=2.0)
    assert tables.costs(table, space)[1] == 15.0


def test_prediction_is_the_sum_of_costs_along_every_path(space, table):
    costs, fixed_ms = tables.costs(table, space)
    paths = [
        path for path in np.ndindex(*costs.shape[1:] * 3) if space.mask[0, path[0]]
    ]
    assert len(paths) == 18
    for path in paths:
        expected = fixed_ms + costs[range(3), path].sum()
        architecture = from_path(space, path, "some")
        assert tables.predict_ms(table, architecture) == expected


def test_saved_table_is_loaded_unchanged(table, tmp_path):
    path = tmp_path / "new" / "table.json"
    tables.save(table, path)
    assert tables.load(path) == table
    assert [file.name for file in path.parent.iterdir()] == ["table.json"]
    document = json.loads(path.read_text())
    assert (document["format"], document["version"]) == ("nas_jax latency table", 2)


def test_a_table_of_an_older_version_has_no_reference_and_says_so(table, tmp_path):
    tables.save(table, tmp_path / "table.json")
    document = json.loads((tmp_path / "table.json").read_text())
    assert document.pop("reference") is None
    (tmp_path / "older.json").write_text(json.dumps(document))
    assert tables.load(tmp_path / "older.json") == table
    assert tables.reference_line(table).startswith(
        "reference network: none, so how fast a machine is against this table's is "
    )
    with_one = dataclasses.replace(table, reference=tables.Reference({}, 0.93))
    assert tables.reference_line(with_one) == (
        "reference network: 0.93 ms; timed again, it tells the pace"
    )


def test_save_does_not_overwrite(table, tmp_path):
    path = tmp_path / "table.json"
    path.write_text("precious")
    with pytest.raises(ValueError, match=r"table.json': expected a new file, got one"):
        tables.save(table, path)
    assert path.read_text() == "precious"


def test_save_leaves_nothing_behind_when_it_fails(table, tmp_path):
    odd = tables.LatencyTable(table.entries, {**table.provenance, "note": object()})
    with pytest.raises(TypeError):
        tables.save(odd, tmp_path / "table.json")
    assert not list(tmp_path.iterdir())


def test_save_refuses_what_load_would_refuse(table, tmp_path):
    wrong = tables.LatencyTable({"stem": entry(float("nan"))}, table.provenance)
    with pytest.raises(ValueError, match=r"entries.stem.mean_ms: expected a finite"):
        tables.save(wrong, tmp_path / "table.json")
    assert not list(tmp_path.iterdir())


def test_missing_entry_names_key_layer_op_and_command(space, table):
    lacking = without(table, "mb6_k5 4x4x16->4x4x16 s1 skip")
    message = (
        "pixel.json: expected an entry 'mb6_k5 4x4x16->4x4x16 s1 skip' (layer 1, op "
        "mb6_k5), got none among 7 entries; measure it with `nas_jax measure "
        "EXPERIMENT --out TABLE.json`"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        tables.costs(lacking, space, "pixel.json")


def test_prediction_names_all_missing_entries_and_the_command(space, table):
    keys = ("mb6_k5 4x4x16->4x4x16 s1 skip", "head 4x4x16->4x4x32")
    message = (
        "pixel.json: expected an entry for every part of 'some', got none for 2 of "
        f"them among 6 entries: {keys[0]!r}, {keys[1]!r}; measure them with `nas_jax "
        "measure EXPERIMENT --also NETWORK --out TABLE.json`"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        network = from_path(space, [0, 1, 1], "some")
        tables.predict_ms(without(table, *keys), network, "pixel.json")


def test_missing_fixed_part_is_named(space, table):
    lacking = without(table, "classifier 4x4x32->10")
    with pytest.raises(ValueError, match=r"'classifier 4x4x32->10' \(classifier\)"):
        tables.costs(lacking, space)


def test_table_of_another_space_is_recognised(space, table):
    other = tables.LatencyTable({"stem 9x9x1->9x9x8 s1": entry(1.0)}, table.provenance)
    with pytest.raises(
        ValueError,
        match=r"other.json was made for another space: .* 'toy', which needs for "
        r"example 'stem 8x8x1->8x8x8 s1', and it has for example 'stem 9x9x1->9x9x8 ",
    ):
        tables.costs(other, space, "other.json")
    size = {**table.provenance, "input_size": 9}
    with pytest.raises(ValueError, match=r"space, images of side 9 instead of 8: it h"):
        tables.costs(tables.LatencyTable(other.entries, size), space)
    empty = tables.LatencyTable({}, table.provenance)
    with pytest.raises(
        ValueError, match=r"'mb3_k3 8x8x16->4x4x16 s2'.* among 0 entries"
    ):
        tables.costs(empty, space)


def refusal(tmp_path, text):
    path = tmp_path / "wrong.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ValueError) as caught:
        tables.load(path)
    message = str(caught.value)
    assert message.startswith(f"latency table {str(path)!r}")
    assert "\n" not in message
    return message


def test_load_refuses_files_that_are_no_tables(tmp_path):
    with pytest.raises(
        ValueError, match=r"none.json': expected a file, or the name of a sh"
    ):
        tables.load(tmp_path / "none.json")
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(ValueError, match=r"found none; nas_jax list names them; or "):
        tables.load(tmp_path / "min.json")
    (tmp_path / "mine.json").write_text("")
    with pytest.raises(ValueError, match=r"found none; did you mean .*mine\.json\?"):
        tables.load(tmp_path / "min")
    with pytest.raises(ValueError, match=r"expected a readable file, got: .*directory"):
        tables.load(tmp_path)
    assert "expected a readable file" in refusal(tmp_path, b"\xff\xfe")
    assert "expected JSON, got Expecting value" in refusal(tmp_path, "")
    assert "expected JSON, got the key 'a' twice" in refusal(tmp_path, '{"a":1,"a":2}')
    for text in ("[]", "{}", "3", '{"format": "other"}'):
        assert "expected 'format' to be 'nas_jax latency" in refusal(tmp_path, text)


MISSING = object()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("version",), 1, "expected 'version' to be 2, got 1"),
        (("version",), True, "expected 'version' to be 2, got True"),
        (("fixed_ms",), MISSING, "fixed_ms: expected a value, got none"),
        (
            ("fixed_ms",),
            -0.5,
            "fixed_ms: expected at least 0, got -0.5",
        ),
        (("validation",), MISSING, "validation: expected a value, got none"),
        (("validation",), {}, "validation.networks: expected a value, got none"),
        (
            ("provenance", "method"),
            "guess",
            "expected 'operations', 'networks' or 'imported', got 'guess'",
        ),
        (
            ("provenance", "clock"),
            None,
            "provenance.clock: expected a text, got None",
        ),
        (
            ("provenance", "input_size"),
            MISSING,
            "provenance.input_size: expected a value, got none",
        ),
        (
            ("entries", "stem", "mean_ms"),
            0.0,
            "expected at least 0.000000000001, got 0.0",
        ),
        (("entries", "stem", "q25_ms"), 1.5, "q25_ms <= median_ms <= q75_ms, got [1.5"),
        (("entries", "stem", "std_ms"), None, "std_ms: expected a number, got None"),
        (("provenance",), MISSING, "provenance: expected a value, got none"),
        (("entries",), [], "entries: expected an object, got []"),
        (
            ("provenance", "device"),
            MISSING,
            "provenance.device: expected a value, got none",
        ),
        (
            ("provenance", "device"),
            "",
            "provenance.device: expected at least 1 character, got ''",
        ),
        (("provenance", "runtime_version"), 1.31, "expected a text, got 1.31"),
        (("provenance", "threads"), True, "expected an integer, got True"),
        (("provenance", "batch"), 8.0, "expected an integer, got 8.0"),
        (
            ("provenance", "repeats"),
            0,
            "provenance.repeats: expected at least 1, got 0",
        ),
        (("entries", "stem"), 1.5, "entries.stem: expected an object, got 1.5"),
        (("entries", "stem", "std_ms"), MISSING, "std_ms: expected a value, got none"),
        (("entries", "stem", "mean_ms"), "1", "expected a number, got '1'"),
        (("entries", "stem", "mean_ms"), True, "expected a number, got True"),
        (("entries", "stem", "mean_ms"), None, "expected a number, got None"),
        (
            ("entries", "stem", "mean_ms"),
            float("nan"),
            "expected a finite number, got nan",
        ),
        (
            ("entries", "stem", "q75_ms"),
            float("inf"),
            "expected a finite number, got inf",
        ),
        (
            ("entries", "stem", "median_ms"),
            -1.0,
            "expected at least 0, got -1.0",
        ),
        (
            ("entries", "stem", "count"),
            0,
            "expected at least 1, got 0",
        ),
        (("entries", "stem", "count"), 2.5, "expected an integer, got 2.5"),
        (
            ("reference",),
            {"architecture": {}, "measured_ms": 0.0},
            "reference.measured_ms: expected at least 0.000000000001, got 0.0",
        ),
        (
            ("reference",),
            {"architecture": {}, "measured_ms": float("nan")},
            "expected a finite number, got nan",
        ),
        (("reference",), 2.0, "reference: expected"),
        (
            ("entries", "stem", "mean"),
            1.0,
            "entries.stem.mean: expected no such key, got 1.0",
        ),
    ],
)
def test_load_names_the_field_that_is_wrong(tmp_path, path, value, message):
    numbers = dict.fromkeys(("mean_ms", "std_ms", "median_ms", "q25_ms", "q75_ms"), 1.0)
    document = {
        "format": "nas_jax latency table",
        "version": 2,
        "provenance": dict(PROVENANCE),
        "fixed_ms": 0.0,
        "entries": {"stem": {**numbers, "count": 3}},
        "validation": None,
    }
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    found = refusal(tmp_path, json.dumps(document))
    assert message in found
    assert "nas_jax measure EXPERIMENT --out TABLE.json" in found
    if len(path) == 3:
        assert "entries.stem" in found


@pytest.mark.parametrize("runtime", ["onnxruntime", "litert"])
def test_shipped_cpu_tables_price_every_published_network_of_imagenet(runtime):
    table = tables.load(
        shipped.folder("latency_tables") / f"imagenet_mobile_cpu_{runtime}.json"
    )
    tables.costs(table, imagenet_mobile())
    names = [
        name for name in published.NAMES if name.startswith(("prox", "mobilenet_v2"))
    ]
    names.remove("proxyless_cifar")
    latencies = [tables.predict_ms(table, published.get(name)) for name in names]
    assert len(latencies) == 6 and min(latencies) > 0
    validation = table.validation
    assert validation["networks"] == 60 and validation["kendall_tau"] > 0.95
    assert (
        validation["within_5_percent"] > 0.8 and validation["within_10_percent"] > 0.95
    )
    assert validation["rmse_ms"] < 0.03 * validation["mean_ms"]
    assert validation["std_ms"] > 0.3 * validation["mean_ms"]
