"""Whatever is read from outside gives a result or one line (`fuzz.case`), by readers.

`NAS_JAX_FUZZ_CASES` and `NAS_JAX_FUZZ_SEED` change what is drawn; `make fuzz` does
more.
"""

import os

import pytest

from fuzz import campaign, case, readers

CASES = int(os.environ.get("NAS_JAX_FUZZ_CASES", "1000"))
SEED = int(os.environ.get("NAS_JAX_FUZZ_SEED", "0"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", readers.READERS)
def test_reader_gives_a_result_or_one_line(name):
    print(f"seed {SEED}")
    outcome = campaign.run(name, CASES, SEED)
    assert outcome.faults == ()
    assert outcome.cases >= round(CASES * readers.READERS[name].share)
    assert outcome.refused > 0


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (lambda folder: {}["x"], "no line"),
        (lambda folder: b"\xff".decode(), "no clear line"),
        (lambda folder: (folder.parent / "evil").touch(), "evil"),
        (lambda folder: os.system("true"), "os.system"),
        (lambda folder: bytes(2 * case.BYTES), "MemoryError"),
    ],
)
def test_what_may_not_happen_is_seen(read, fault, tmp_path):
    (tmp_path / "own").mkdir()
    with pytest.raises(AssertionError, match=fault):
        case.check(read, tmp_path / "own")


def test_line_and_result_are_told_apart(tmp_path):
    def refuse(folder):
        raise ValueError("expected\nanother")

    assert case.check(refuse, tmp_path) == "expected another"
    assert case.check(lambda folder: (folder / "own").touch(), tmp_path) is None
