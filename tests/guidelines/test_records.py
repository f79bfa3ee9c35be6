"""What is a record, and what is refused with which line."""

import copy
import hashlib
import json

import pytest

from benchmarks.guidelines import filing
from nas_jax.guidelines import records
from tests.guidelines.made_up_records import PARAMS, record


def changed(path, value):
    """A record with another value at a path of keys, sealed anew."""
    found = copy.deepcopy(record())
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    found["digest"] = records.digest(found)
    return found


def test_digest_is_sha256_of_the_canonical_rest():
    found = record()
    rest = {key: value for key, value in found.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    assert found["digest"] == hashlib.sha256(text.encode()).hexdigest()


def test_a_record_survives_json_and_any_order_of_keys():
    found = json.loads(json.dumps(record()))
    records.check(dict(reversed(found.items())), "here")


def test_a_changed_record_is_refused():
    found = record()
    found["result"]["accuracy"] = 0.99
    with pytest.raises(ValueError, match=r"here: expected digest .* was changed after"):
        records.check(found, "here")


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("format",), "other", "expected a record of format"),
        (("version",), 2, "expected a record of version 1, got 2"),
        (("version",), True, "expected a record of version 1, got True"),
        (("extra",), 1, "extra: expected no such key, got 1"),
        (("task", "extra"), 1, "task.extra: expected no such key, got 1"),
        (
            ("result", "accuracy"),
            1.01,
            "result.accuracy: expected at most 1, got 1.01",
        ),
        (
            ("result", "accuracy"),
            -0.1,
            "result.accuracy: expected at least 0, got -0.1",
        ),
        (
            ("result", "accuracy"),
            "0.9",
            "result.accuracy: expected a number, got",
        ),
        (("result", "test_images"), 0, "test_images: expected at least 1, got 0"),
        (("network", "params"), 0, "params: expected at least 1, got 0"),
        (
            ("network", "params"),
            True,
            "network.params: expected an integer, got True",
        ),
        (("network", "architecture", "classes"), 11, "expected a network for the task"),
        (("task", "descriptors", "classes"), 1, "descriptors.classes: expected"),
        (("task", "descriptors", "balance"), 0, "descriptors.balance: expected"),
        (
            ("task", "descriptors", "more"),
            0,
            "descriptors.more: expected no such key, got 0",
        ),
        (("latencies",), [{}], "latencies.0.device: expected a value, got none"),
        (
            ("target",),
            {"cost": "watts", "value": 1, "device": None},
            "target.cost: expected .*, got 'watts'",
        ),
        (("origin", "source"), "hearsay", "origin.source: expected .*, got 'hearsay'"),
    ],
)
def test_impossible_values_are_named(path, value, line):
    with pytest.raises(ValueError, match=f"^here.*{line}"):
        records.check(changed(path, value), "here")


def test_a_missing_field_is_named():
    found = record()
    del found["search"]
    with pytest.raises(ValueError, match="here: search: expected a value, got none"):
        records.check(found, "here")


def test_numbers_that_are_not_finite_are_refused():
    found = record()
    found["training"]["seconds"] = float("nan")
    with pytest.raises(
        ValueError, match=r"training.seconds: expected a finite number, got nan"
    ):
        records.check(found, "here")


@pytest.mark.parametrize(
    "text",
    [
        *("/home/anna/runs/7", "~/runs", "C:\\Users\\anna", "see /data/x", "file:x"),
        *("--out=/tmp/x", "\\\\server\\share", "~anna/runs"),
    ],
)
def test_paths_of_a_machine_are_refused(text):
    with pytest.raises(ValueError, match="expected no paths of a machine"):
        records.check(changed(("origin", "device"), text), "here")


@pytest.mark.parametrize("text", ["ONNX / 1.2", "and/or", "2 x 3", "w8: 1/2"])
def test_other_texts_are_not(text):
    records.check(changed(("origin", "device"), text), "here")


def test_counts_have_to_be_those_of_the_network():
    found = record()
    with pytest.raises(ValueError, match=r"expected macs = 73408 of its arch"):
        records.check_counts(found, "here")
    found["network"]["macs"] = 73408
    records.check_counts(found, "here")
    assert found["network"]["params"] == PARAMS[0]
    found["network"]["params"] += 1
    with pytest.raises(ValueError, match=f"expected params = {PARAMS[0]} of"):
        records.check_counts(found, "here")


def test_published_networks_are_marked_as_reported():
    found = filing.imagenet()
    for one in found:
        records.check_counts(one, "imagenet")
    by_name = {one["network"]["architecture"]["name"]: one for one in found}
    mobile = by_name["proxyless_mobile"]
    assert {one["origin"]["source"] for one in found} == {"reported by the paper"}
    # Cai, Zhu, Han (ICLR 2019), table 2: 74.6 % at 78 ms on a Pixel 1; 4.1 M
    assert mobile["result"]["accuracy"] == 0.746
    assert mobile["target"] == {"cost": "latency", "value": 78.0, "device": "Pixel 1"}
    assert mobile["network"]["params"] == 4_080_512


def test_depth_and_width():
    # rung 0: one block of three a stage, 8 and 16 channels
    assert (records.depth(record()), records.width(record())) == (2, 16)
    assert (records.depth(record(rung=6)), records.width(record(rung=6))) == (6, 48)
