"""JSON from outside: what Python's parser lets through and no reader expects."""

import json
import math

import pytest

from nas_jax.config import files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON"),
        (b"\xff\xfe{", "expected JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' twice"),
        ("[" * 100_000 + "]" * 100_000, "expected JSON"),
        ("[" * 80 + "]" * 80, "60 deep"),
        ('{"a": ' * 80 + "1" + "}" * 80, "60 deep"),
        ("1" * 19, "18 digits"),
        ("[-1" + "0" * 400 + "]", "18 digits"),
        (r'["\ud800"]', "surrogates"),
        (r'{"\udfff": 1}', "surrogates"),
    ],
)
def test_what_no_file_of_ours_has_is_refused(text, message):
    with pytest.raises(ValueError, match=rf"^a\.json: .*{message}.*; mend it$") as info:
        files.parse(text, "a.json", "; mend it")
    assert type(info.value) is ValueError


def test_what_is_written_is_read():
    document = {"a": [1, -2.5, None, True], "ü": {"b": "x" * 10_000}, "n": 10**18 - 1}
    assert files.parse(json.dumps(document), "a") == document
    assert math.isnan(files.parse("NaN", "a"))


@pytest.mark.parametrize("text", ["[1]", "null", '"x"'])
def test_object_is_asked_for(text):
    with pytest.raises(ValueError, match="a: expected a JSON object, got"):
        files.parse_object(text, "a")


def test_files_that_are_no_text_are_named(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\x00")
    for name in ("bytes", "none", "."):
        with pytest.raises(ValueError, match=str(tmp_path)) as info:
            files.read_text(tmp_path / name)
        assert type(info.value) is ValueError
