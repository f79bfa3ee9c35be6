"""What the paper shows, what of it is here and what filling the rest takes."""

from nas_jax.paper import contents, cross_hardware, records, tables
from nas_jax.paper.tables import ABSENT, NOT_RUN, TABLES, Table


def by_name():
    return {item.name: item for item in contents.contents() if item.name}


def test_every_table_is_there_and_every_gap_says_what_it_takes():
    named = by_name()
    assert set(named) == {*TABLES, "cross-hardware"}
    for name, item in named.items():
        assert bool(item.missing) == bool(item.takes), name
        assert item.here or item.missing, name


def test_missing_numbers_are_those_of_the_table():
    named = by_name()
    assert named["cifar10"].here == "params (1)"
    assert named["cifar10"].missing == "error % (1): not yet run"
    mobile = named["imagenet-mobile"]
    assert mobile.here == "params (2); MACs (2)"
    assert mobile.missing == "ms (2); top-1 (3): not yet run"
    gaps = [row.count(NOT_RUN) for row in TABLES["imagenet-mobile"]().rows]
    assert sum(gaps) == 2 + 3


def test_hours_are_the_papers():
    named = by_name()
    assert "200 GPU hours a search and about 100 a" in named["imagenet-mobile"].takes
    assert "96 GPU hours a search, as TE-NAS" in named["cifar10"].takes
    assert "200 GPU hours in the paper's table, about 140" in named["cost"].takes
    assert "the paper times 5,000 networks" in named["latency-model"].takes


def test_a_filled_table_takes_nothing(monkeypatch):
    filled = Table("T", ("model", "paper ms", "here ms"), [("a", "1", "2")], ())
    monkeypatch.setitem(tables.TABLES, "imagenet-gpu", lambda: filled)
    item = by_name()["imagenet-gpu"]
    assert (item.here, item.missing, item.takes) == ("ms (1)", "", "")
    half = filled._replace(rows=[*filled.rows, ("b", "1", NOT_RUN), ("c", "1", ABSENT)])
    monkeypatch.setitem(tables.TABLES, "imagenet-gpu", lambda: half)
    item = by_name()["imagenet-gpu"]
    assert (item.here, item.missing) == ("ms (1)", "ms (1): not yet run")
    assert "a V100" in item.takes


def test_recorded_devices_are_no_gaps(monkeypatch):
    ms = dict.fromkeys(cross_hardware.PAPER_MS, 1.0)
    runs = [{"here": {"cpu": {"ms": ms}}}]
    monkeypatch.setattr(records, "every", lambda pattern: runs)
    item = contents._across_devices()
    assert item.here == "ms, cpu (4)"
    assert item.missing == "ms, gpu (4); ms, mobile (4): not yet run"
    runs += [{"here": {"gpu": {"ms": ms}, "mobile": {"ms": ms}}}]
    item = contents._across_devices()
    assert item.here == "ms, gpu (4); ms, cpu (4); ms, mobile (4)"
    assert item.missing == item.takes == ""


def test_numbers_of_figures_are_told_only_where_a_text_names_them():
    told = [item.paper for item in contents.contents()]
    assert told[:3] == ["Figure 1", "Figure 2", "figure"]
    assert set(told) == {"Figure 1", "Figure 2", "figure", "table"}
    (drawn,) = (i for i in contents.contents() if i.here.startswith("nas_jax describe"))
    assert drawn.here.endswith("proxyless_gpu, proxyless_cpu, proxyless_mobile")
