"""Rows are kept as they come; a stopped run goes on where it stopped."""

import pytest

from benchmarks import ledger

SETTINGS, ORIGIN = {"seeds": (0, 1), "lr": 0.1}, {"commit": "abc"}
ROWS = [{"path": [0, 1], "test": [0.5, 0.25]}, {"path": [1, 1], "test": [0.75, 1.0]}]


def written(file, rows=ROWS):
    known = ledger.begin(file, SETTINGS, ORIGIN).rows
    assert list(ledger.extended(file, iter(rows))) == rows
    return known


def test_rows_come_back_with_settings_and_provenance(tmp_path):
    file = tmp_path / "rows.jsonl"
    assert written(file) == []
    found = ledger.read(file)
    assert found.settings == {"seeds": [0, 1], "lr": 0.1}
    assert (found.provenance, found.rows) == (ORIGIN, ROWS)
    assert len(file.read_text().splitlines()) == 3


def test_a_stopped_run_goes_on(tmp_path):
    file = tmp_path / "rows.jsonl"

    def interrupted():
        yield ROWS[0]
        raise KeyboardInterrupt

    ledger.begin(file, SETTINGS, ORIGIN)
    with pytest.raises(KeyboardInterrupt):
        list(ledger.extended(file, interrupted()))
    assert written(file, ROWS[1:]) == ROWS[:1]
    assert ledger.read(file).rows == ROWS


@pytest.mark.parametrize("cut", range(1, 12, 3))
def test_a_line_cut_short_is_computed_again(tmp_path, cut):
    file = tmp_path / "rows.jsonl"
    written(file)
    file.write_text(file.read_text()[:-cut])
    assert ledger.read(file).rows == ROWS[:1]
    assert written(file, ROWS[1:]) == ROWS[:1]
    assert ledger.read(file).rows == ROWS


def test_rows_of_other_settings_are_refused_and_left_alone(tmp_path):
    file = tmp_path / "rows.jsonl"
    written(file)
    before = file.read_text()
    with pytest.raises(ValueError, match=r"rows\.jsonl: expected rows of settings"):
        ledger.begin(file, {**SETTINGS, "lr": 0.2}, ORIGIN)
    assert file.read_text() == before


@pytest.mark.parametrize("text", ["", "[]\n", "{}\n", "words\n", '{"settings":{}}\n'])
def test_other_files_are_refused(tmp_path, text):
    file = tmp_path / "rows.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match="expected JSON lines with settings"):
        ledger.begin(file, SETTINGS, ORIGIN)
    assert file.read_text() == text


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="expected a file of results, got none"):
        ledger.read(tmp_path / "rows.jsonl")
