"""Whatever is read from outside gives a result or one line (`fuzz_case`), by readers.

`NAS_JAX_FUZZ_CASES` and `NAS_JAX_FUZZ_SEED` change what is drawn; `make fuzz` does
more.
"""

import os

import fuzz
import fuzz_case
import fuzz_readers
import pytest

CASES = int(os.environ.get("NAS_JAX_FUZZ_CASES", "1000"))
SEED = int(os.environ.get("NAS_JAX_FUZZ_SEED", "0"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", fuzz_readers.READERS)
def test_reader_gives_a_result_or_one_line(name):
    print(f"seed {SEED}")
    found = fuzz.run(name, CASES, SEED)
    assert found.faults == ()
    assert found.cases >= round(CASES * fuzz_readers.READERS[name].share)
    assert found.refused > 0


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (lambda folder: {}["x"], "no line"),
        (lambda folder: b"\xff".decode(), "no clear line"),
        (lambda folder: (folder.parent / "evil").touch(), "evil"),
        (lambda folder: os.system("true"), "os.system"),
        (lambda folder: bytes(2 * fuzz_case.BYTES), "MemoryError"),
    ],
)
def test_what_may_not_happen_is_seen(read, fault, tmp_path):
    (tmp_path / "own").mkdir()
    with pytest.raises(AssertionError, match=fault):
        fuzz_case.check(read, tmp_path / "own")


def test_line_and_result_are_told_apart(tmp_path):
    def refuse(folder):
        raise ValueError("expected\nanother")

    assert fuzz_case.check(refuse, tmp_path) == "expected another"
    assert fuzz_case.check(lambda folder: (folder / "own").touch(), tmp_path) is None
