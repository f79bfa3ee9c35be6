"""The store: nothing lost among writers, nothing changed by what is refused."""

import multiprocessing
import os
import sqlite3

import pytest

from benchmarks.guidelines import filing
from nas_jax.config import shipped
from nas_jax.guidelines import records, store
from tests.guidelines.made_up_records import record

WRITERS, EACH = 4, 12


@pytest.fixture
def file(tmp_path):
    return tmp_path / "guidelines.sqlite"


def written(writer):
    return [record(f"w{writer}_{number}") for number in range(EACH)]


def write_one_by_one(file, writer, barrier):
    found = written(writer)
    barrier.wait()
    for one in found:
        store.add(file, [one])


def test_records_come_back_in_order_and_once(file):
    found = [record("b"), record("a")]
    assert store.stored(file) == []
    assert store.add(file, found) == 2
    assert store.add(file, [*found, record("c")]) == 1
    assert store.stored(file) == [*found, record("c")]


def test_four_writers_lose_nothing(file):
    # spawned: a fork of a process that runs JAX may hang
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(WRITERS)
    workers = [
        context.Process(target=write_one_by_one, args=(file, number, barrier))
        for number in range(WRITERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * WRITERS
    expected = {one["digest"] for number in range(WRITERS) for one in written(number)}
    assert {one["digest"] for one in store.stored(file)} == expected
    assert len(expected) == WRITERS * EACH


def test_all_or_none(file):
    store.add(file, [record("a")])
    bad = record("b") | {"digest": "0"}
    with pytest.raises(ValueError, match="record 1: expected digest"):
        store.add(file, [record("c"), bad])
    assert store.stored(file) == [record("a")]


def test_a_locked_store(file):
    store.add(file, [record("a")])
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ValueError, match=r"guidelines\.sqlite: the store is locked"):
        store.add(file, [record("b")], wait_s=0.01)
    other.execute("ROLLBACK")
    other.close()
    assert store.add(file, [record("b")]) == 1


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"{}"])
def test_a_file_that_is_no_database_stays_as_it_is(file, content):
    file.write_bytes(content)
    for use in (store.stored, lambda file: store.add(file, [record()])):
        with pytest.raises(ValueError, match="expected a store of guidelines, got a"):
            use(file)
    assert file.read_bytes() == content


def test_a_database_of_another_program_stays_as_it_is(file):
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE records (digest TEXT, body TEXT)")
    other.close()
    before = file.read_bytes()
    for use in (store.stored, lambda file: store.add(file, [record()])):
        with pytest.raises(ValueError, match="made by another program"):
            use(file)
    assert file.read_bytes() == before


def test_a_damaged_store(file):
    store.add(file, [record(f"t{number}") for number in range(40)])
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(ValueError, match="damaged or foreign"):
        store.stored(file)


def test_a_store_whose_names_are_no_text(file):
    """SQLite's own line about it is none either."""
    store.add(file, [record()])
    name = b"sqlite_autoindex_records_1"
    content = file.read_bytes()
    assert content.count(name) == 1
    file.write_bytes(content.replace(name, b"\x80" + name[1:]))
    with pytest.raises(ValueError, match="damaged or foreign") as info:
        store.stored(file)
    assert type(info.value) is ValueError


def test_a_store_of_a_later_version(file):
    store.add(file, [record()])
    with sqlite3.connect(file) as other:
        other.execute("PRAGMA user_version = 7")
    other.close()
    with pytest.raises(ValueError, match="expected a store of version 1, got 7"):
        store.add(file, [record("b")])


def test_a_folder_in_the_place_of_the_store(tmp_path):
    with pytest.raises(ValueError, match="the store cannot be opened for this"):
        store.add(tmp_path, [record()])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to everything")
def test_a_read_only_store(file):
    store.add(file, [record()])
    file.chmod(0o400)
    assert store.stored(file) == [record()]
    with pytest.raises(ValueError, match="the store cannot be opened for this"):
        store.add(file, [record("b")])


def test_sqlites_word_for_read_only_is_understood(file):
    store.add(file, [record()])
    with (
        pytest.raises(ValueError, match="the store cannot be opened for this"),
        store._opened(file, 1.0, mode="ro") as connection,
    ):
        connection.execute("DELETE FROM records")
    assert store.stored(file) == [record()]


def test_files_of_records_come_back(tmp_path):
    found = [record("a"), record("b")]
    store.write(tmp_path / "some.json", found)
    assert store.read(tmp_path / "some.json") == found
    assert [path.name for path in tmp_path.iterdir()] == ["some.json"]


@pytest.mark.parametrize("text", ["", "[]", '{"format": "other", "records": []}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "some.json").write_text(text)
    with pytest.raises(ValueError, match=r"some\.json: expected"):
        store.read(tmp_path / "some.json")


def test_everything_is_what_is_shipped_and_what_is_stored(file):
    store.add(file, [record("mine")])
    found = store.everything(file)
    assert record("mine") in found
    assert len(found) == len(store.packaged()) + 1
    # a shipped record that was imported as well counts once
    store.add(file, store.packaged()[:1])
    assert len(store.everything(file)) == len(found)


def test_shipped_records_are_records_without_paths():
    found = store.packaged()
    for number, one in enumerate(found):
        records.check(one, f"shipped record {number}")
        records.check_counts(one, f"shipped record {number}")
    assert len({one["digest"] for one in found}) == len(found)


def test_shipped_imagenet_records_are_those_of_the_code():
    file = shipped.folder("guidelines") / "imagenet.json"
    assert store.read(file) == filing.imagenet()


def test_the_place_of_the_store(monkeypatch, tmp_path):
    monkeypatch.delenv(store.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert store.default_file() == tmp_path / "nas_jax" / "guidelines.sqlite"
    monkeypatch.setenv(store.VARIABLE, "mine.sqlite")
    assert str(store.default_file()) == "mine.sqlite"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET body = x'00ff'",
        "UPDATE records SET body = '[]'",
        'UPDATE records SET body = \'{"format": "nas_jax guideline"}\'',
        f"UPDATE records SET body = '{'[' * 10_000}'",
    ],
)
def test_a_store_of_other_bodies_is_refused(file, statement):
    store.add(file, [record("a")])
    with sqlite3.connect(file) as other:
        other.execute(statement)
    other.close()
    with pytest.raises(ValueError, match="damaged or foreign"):
        store.stored(file)


def test_a_view_that_never_ends_is_not_asked(file):
    store.add(file, [record("a")])
    with sqlite3.connect(file) as other:
        other.execute("DROP TABLE records")
        other.execute(
            "CREATE VIEW records AS WITH RECURSIVE n(digest) AS (SELECT 1 UNION ALL "
            "SELECT digest + 1 FROM n) SELECT digest, '' AS body, 0 AS rowid FROM n"
        )
    other.close()
    for use in (store.stored, lambda file: store.add(file, [record()])):
        with pytest.raises(ValueError, match="of other tables"):
            use(file)
