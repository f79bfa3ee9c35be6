"""Tables measured elsewhere; sources are written here in their dialects."""

import csv
import io
import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax import cli
from nas_jax.latency import dialects, tables
from nas_jax.latency.tables import Entry

PHONE = {
    "device": "a phone",
    "runtime": "tflite",
    "runtime_version": None,
    "threads": None,
    "batch": 1,
    "dtype": "float32",
    "input_size": 224,
    "date": None,
    "commit": None,
    "repeats": None,
    "warm_up_calls": None,
    "clock": None,
}
BLOCK = "expanded_conv-input:14x14x80-output:14x14x80-expand:6-kernel:3-stride:1"
KEY = "mb6_k3 14x14x80->14x14x80 s1 skip"


def read(text, dialect, unit="ms", **provenance):
    return dialects.read(text, dialect, unit, PHONE | provenance, "source").table


def test_reference_yaml_by_hand():
    text = f"{BLOCK}-idskip:1:\n  count: 160\n  mean: 3.5\n  var: 0.25\n"
    assert read(text, "reference").entries == {
        KEY: Entry(3.5, 0.5, None, None, None, 160)  # variance 0.25
    }
    bare = KEY.removesuffix(" skip")
    assert list(read(text.replace("skip:1", "skip:0"), "reference").entries) == [bare]


def test_once_for_all_counts_expansion_in_channels():
    text = (
        "expanded_conv-input:14x14x80-output:14x14x80-expand:480-kernel:3-stride:1-"
        "idskip:1-se:0-hs:0:\n  count: 50\n  mean: 3.5\n  std: 0.5\n"
    )
    assert read(text, "ofa").entries == {KEY: Entry(3.5, 0.5, None, None, None, 50)}
    hard_swish = text.replace("hs:0", "hs:1")
    (name,) = read(hard_swish, "ofa").entries
    assert name == hard_swish[: hard_swish.index(":\n")]
    assert dialects.is_foreign(name) and not dialects.is_foreign(KEY)
    # 500 channels are no multiple of 80
    (name,) = read(text.replace("480", "500"), "ofa").entries
    assert dialects.is_foreign(name)


def test_what_a_source_does_not_state_is_null(tmp_path):
    stated = {name: value for name, value in PHONE.items() if value is not None}
    table, _ = dialects.read(f"{KEY},3.5\n", "csv", "ms", stated, "source")
    assert table.provenance == PHONE | {"method": "imported"}
    tables.save(table, tmp_path / "table.json")
    assert tables.load(tmp_path / "table.json") == table


def test_csv_of_2019_takes_the_shortcut_where_it_can_be():
    text = (
        "14x14x80-14x14x80-expand:6-kernel:3-stride:1,3.5\n"
        "14x14x80-7x7x192-expand:3-kernel:5-stride:2,2.5\n"
    )
    means = {key: entry.mean_ms for key, entry in read(text, "csv").entries.items()}
    assert means == {KEY: 3.5, "mb3_k5 14x14x80->7x7x192 s2": 2.5}


@pytest.mark.parametrize(("unit", "text"), [("s", "0.0035"), ("us", "3500")])
def test_units_become_milliseconds(unit, text):
    table = read(f"key,mean_{unit},std\n{KEY},{text},{text}\n", "csv", unit)
    entry = table.entries[KEY]
    assert math.isclose(entry.mean_ms, 3.5) and math.isclose(entry.std_ms, 3.5)


def test_the_corrupt_line_of_the_real_file_is_named():
    # line 53 of the file of 2019 (kairos03/ProxylessNAS-Pytorch), as it stands there
    line = "56x56x24-56x56x24-expand:3-kernel:5-stride:1,6.0329findstr04639175257"
    text = f"56x56x24-56x56x24-expand:3-kernel:3-stride:1,4.132448192771084\n{line}\n"
    with pytest.raises(
        ValueError,
        match=r"^source, line 2: expected mean to be a number above 0, got '6.0329fin",
    ):
        read(text, "csv")


@pytest.mark.parametrize(
    ("dialect", "text", "message"),
    [
        (
            "csv",
            f"{KEY},nan",
            "line 1: expected mean to be a number above 0, got 'nan'",
        ),
        ("csv", f"{KEY},-1", "line 1: expected mean to be a number above 0"),
        ("csv", f"{KEY},inf", "line 1: expected mean to be a number above 0"),
        ("csv", f"{KEY},", "line 1: expected a mean, got none"),
        (
            "csv",
            f"{KEY},3.5\n\n{KEY},3.6",
            "line 3: expected every part once, got",
        ),
        ("csv", f"{KEY},3.5,1", "line 1: expected key,mean, got"),
        (
            "csv",
            f"key,mean_us\n{KEY},3.5",
            "'mean_us' in ms as --unit says, got us",
        ),
        (
            "csv",
            f"key,price\n{KEY},3.5",
            "expected one column each of key (or name, op)",
        ),
        ("csv", f"time\n{KEY}", "line 1: expected key,mean, got 'time'"),
        ("csv", f"time,mean\n{KEY},3.5", "got 'time', 'mean'; rename them"),
        ("csv", f"op,mean,avg\n{KEY},1,1", "got 'op', 'mean', 'avg'; rename them"),
        ("csv", f"op,name,ms\na,{KEY},1", "got 'op', 'name', 'ms'; rename them"),
        ("csv", f"op;time (s)\n{KEY};1", "'time (s)' in ms as --unit says, got s"),
        ("csv", f"{KEY};3,5\nb;1.234,5", "line 2: expected decimal points or decimal"),
        ("csv", f"{KEY};3,5\nb;1.5", "line 2: expected decimal points or decimal co"),
        ("csv", f'{KEY},"3,5"', "line 1: expected mean to be a number above 0, got '3"),
        ("csv", f"{KEY},3.5\n,2.5", "line 2: expected the key of a part, got none"),
        ("csv", f"{KEY};3.5;1", "line 1: expected key,mean, got"),
        ("csv", f"op\tms\n{KEY}\tfast", "line 2: expected mean to be a number above"),
        ("csv", f"{KEY},0\n", "source: expected entries, got none"),
        ("reference", f"{BLOCK}: fast", "line 1: expected mean to be a number above 0"),
        (
            "reference",
            f"{BLOCK}: {{mean: .nan}}",
            "line 1: expected mean to be a number",
        ),
        ("reference", f"{BLOCK}: {{mean: null}}", "line 1: expected a mean, got none"),
        ("reference", "a: &a {b: *a}", "source: expected entries, got none"),
        ("csv", f"key,mean,count\n{KEY},3.5,1.5", "line 2: expected a whole count"),
        ("csv", "# nothing\n", "source: expected entries, got none"),
        ("reference", "a: [1]", "line 1: expected 'key:' or one each of mean, std"),
        ("reference", "  mean: 1", "line 1: expected 'key:' or one each of mean,"),
        ("reference", f"{BLOCK}:\n  mean: 1\n  mean: 2", "line 3: expected 'key:' or"),
        ("reference", f"{BLOCK}:\n  var: 1", "line 1: expected a mean, got none"),
        (
            "reference",
            f"{BLOCK}:\n  mean: 1\n{BLOCK}:\n  mean: 2\n",
            "line 3: expected every part once",
        ),
        ("reference", f"{BLOCK}:\n  mean: [1]", "line 2: expected 'key:' or one each"),
        ("reference", f"{BLOCK}:\n  mean: 1\n x: 2", "line 3: expected 'key:' or one"),
        ("reference", "? [a]\n: 1", "line 1: expected 'key:' or one each"),
        ("reference", "- a", "line 1: expected 'key:' or one each"),
        ("reference", "*other", "line 1: expected 'key:' or one each"),
        ("reference", "a: \x00", "line 1: expected 'key:' or one each"),
        ("ofa", "- " * 100_000, "line 1: expected 'key:' or one each"),
        ("ofa", "!!python/object:os.system {a: {mean: x}}", "line 1: expected mean to"),
        # found by fuzzing: times beyond a double
        ("csv", f"{KEY},1e308", "line 1: expected mean to be a number above 0"),
        ("csv", f"{KEY},5e-324", "line 1: expected mean to be a number above 0"),
        ("csv", f'{KEY},"3.5', "line 1: expected fields with commas between"),
        ("csv", f"{'x' * 200_000},3.5", "line 1: expected fields with commas between"),
        ("csv", f"{KEY},0.0035", "mean 0.01 to 500 x 10^9 multiply-adds per second"),
        ("csv", f"{KEY},3500", "are they in microseconds?"),
    ],
)
def test_bad_sources_are_refused_in_one_line(dialect, text, message):
    with pytest.raises(ValueError) as caught:
        read(text, dialect)
    assert str(caught.value).startswith("source")
    assert message in str(caught.value) and "\n" not in str(caught.value)


# --- as spreadsheets and scripts write them ------------------------------------------

OTHER = "head 7x7x320->7x7x1280"
CSV = {
    "header": f"op,latency\n{KEY},3.5\n{OTHER},2.5",
    "semicolons": f"name;mean (ms)\n{KEY};3.5\n{OTHER};2.5",
    "decimal commas": f"name;Mittel [ms];mean\n{KEY};x;3,5\n{OTHER};x;2,5",
    "tabs": f"operation\taverage time\n{KEY}\t3.5\n{OTHER}\t2.5",
    "bars": f"Key | Time in ms\n{KEY} | 3.5\n{OTHER} | 2.5",
    "blanks": f"key, Mean\n{KEY}, 3.5\n{OTHER},  2.5 ",
    "byte order mark": f"\ufeffkey,mean\n{KEY},3.5\n{OTHER},2.5",
    "Windows": f"Layer,Latency (ms)\r\n{KEY},3.5\r\n{OTHER},2.5\r\n",
    "old Mac": f"layer,latency_ms\r{KEY},3.5\r{OTHER},2.5\r",
    "hint of Excel": f"sep=;\n{KEY};3,5\n{OTHER};2,5",
    "index of pandas": f",mean\n{KEY},3.5\n{OTHER},2.5",
    "number of pandas": f",op,milliseconds\n0,{KEY},3.5\n1,{OTHER},2.5",
    "quotes": f'"op name","latency_ms"\n"{KEY}","3.5"\n"{OTHER}","2.5"',
    "another order": f"mean_ms,part\n3.5,{KEY}\n2.5,{OTHER}",
    "more columns": f"op,flops,ms,p90\n{KEY},1e9,3.5,4\n{OTHER},1,2.5,4",
    "empty columns": f"op,ms,,\n{KEY},3.5,,\n{OTHER},2.5,,",
    "empty columns, no header": f"{KEY},3.5,,\n{OTHER},2.5,",
    "tabs, no header": f"{KEY}\t3.5\n{OTHER}\t2.5",
    "exponents": f"op,ms\n{KEY},35e-1\n{OTHER},0.25E+1",
    "foreign first": f"conv(3,3);1.5\n{KEY};3.5\n{OTHER};2.5",
}


@pytest.mark.parametrize("kind", CSV)
def test_csv_of_every_dialect(kind):
    entries = read(CSV[kind], "csv").entries
    means = {key: entries[key].mean_ms for key in (KEY, OTHER)}
    assert means == {KEY: 3.5, OTHER: 2.5}
    assert set(entries) - set(means) == ({"conv(3,3)"} if "foreign" in kind else set())


def test_columns_in_ordinary_words_are_their_own():
    text = (
        "Operation;Mean (ms);Std. Dev.;Median;P25;P75;Samples;variance of time\n"
        f"{KEY};3,5;0,5;3,4;3,3;3,6;20;0,25\n"
    )
    assert read(text, "csv").entries == {KEY: Entry(3.5, 0.5, 3.4, 3.3, 3.6, 20)}
    text = f"key,mean_ms,std_ms,count\n{KEY},3.5,nan,\n"
    assert read(text, "csv").entries == {KEY: Entry(3.5, None, None, None, None, None)}


YAML = {
    "block": f"{BLOCK}:\n  mean: 3.5\n",
    "quoted": f"'{BLOCK}':\n  \"mean\": 3.5\n",
    "flow": f"{{'{BLOCK}': {{count: 3, mean: 3.5, var: 0.0}}}}",
    "long keys": f"? {BLOCK}\n: count: 3\n  mean: 3.5\n",
    "anchors": f"other: &id001\n  mean: 3.5\n{BLOCK}: *id001\n",
    "exponents": f"{BLOCK}: {{mean: 35e-1, var: 1e-3}}",
    "flat": f"{BLOCK}: 3.5\n",
    "groups": f"blocks:\n  {BLOCK}:\n    mean: 3.5\nhead: {{x: {{mean: 1}}}}\n",
    "flat group": f"entries:\n  {BLOCK}: 3.5\n",
    "other fields": f"{BLOCK}: {{mean: 3.5, min: 3.1, max: 4.0, std: null}}",
    "JSON": json.dumps({BLOCK: {"mean": 3.5, "count": 3}}, indent=2),
    "byte order mark": f"\ufeff{BLOCK}:\n  mean: 3.5\n",
    "Windows": f"---\r\n{BLOCK}:\r\n  mean: 3.5\r\n",
}


@pytest.mark.parametrize("dialect", ["reference", "ofa"])
@pytest.mark.parametrize("kind", YAML)
def test_yaml_of_every_form(kind, dialect):
    text = YAML[kind]
    if dialect == "ofa":  # which counts in channels
        text = text.replace("expand:6", "expand:480")
        text = text.replace("stride:1", "stride:1-idskip:1-se:0-hs:0")
    assert read(text, dialect).entries[KEY].mean_ms == 3.5


entry = st.fixed_dictionaries(
    {"mean": st.floats(1e-2, 1e2)},
    optional={"count": st.integers(1, 99), "std": st.floats(0, 1e2)},
)
name = st.text(st.characters(exclude_categories=["Cs", "Cc"])).map("conv {}".format)


@given(
    st.dictionaries(
        st.one_of(name, name.map(lambda one: one * 150)), entry, min_size=1
    ),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, "'", '"']),
)
@settings(deadline=None)
def test_what_pyyaml_dumps_is_read_back(rows, flow, style):
    text = yaml.safe_dump(
        rows, default_flow_style=flow, default_style=style, allow_unicode=True
    )
    entries = read(text, "ofa").entries
    assert set(entries) == set(rows)
    for key, row in rows.items():
        found = entries[key]
        assert (found.mean_ms, found.std_ms) == (row["mean"], row.get("std"))
        assert found.count == row.get("count")


@given(
    rows=st.dictionaries(
        st.from_regex(r"[A-Za-z_]{1,9}\(3\)", fullmatch=True),
        st.floats(1e-2, 1e2),
        min_size=1,
    ),
    between=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    has_comma=st.booleans(),
)
def test_csv_between_any_signs_is_read_back(rows, between, end, has_comma):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=between, lineterminator=end)
    writer.writerow(["Op", "Latency [ms]"])
    for key, mean in rows.items():
        swap = has_comma and between != ","
        writer.writerow([key, str(mean).replace(".", ",") if swap else mean])
    found = read(text.getvalue(), "csv").entries
    assert {key: one.mean_ms for key, one in found.items()} == rows


@pytest.mark.parametrize(
    ("dialect", "text", "notes"),
    [
        ("csv", f"{KEY},3.5\n{KEY},3.50\n", [f"rows that repeat another: 1 ({KEY})"]),
        ("csv", f"{KEY},3.5\nskip_connect,0\n", ["rows of 0 ms left out: 1 (skip_con"]),
        (
            "csv",
            f"{KEY},3.5\nidentity 8x8x8->8x8x8 s1,0.000\n{OTHER},0\n",
            [f"rows of 0 ms left out: 2 (identity 8x8x8->8x8x8 s1, {OTHER})"],
        ),
        ("csv", f"{KEY};3,5\n", ["commas are decimal"]),
        ("csv", f"op,ms,macs,p99\n{KEY},3.5,1,2\n", ["columns left out: macs, p99"]),
        ("ofa", f"{KEY}: {{mean: 3.5, min: 3, max: 4}}", ["fields left out: min, max"]),
        ("ofa", f"{KEY}: {{mean: 3.5}}\nzero: 0", ["rows of 0 ms left out: 1 (zero)"]),
        ("csv", f"{KEY},3.5\nfixed,0\n", []),
    ],
)
def test_what_is_left_out_or_understood_is_said(dialect, text, notes):
    table, said = dialects.read(text, dialect, "ms", PHONE, "source")
    assert set(table.entries) == {KEY}
    assert len(said) == len(notes)
    assert all(map(str.startswith, said, notes))


@pytest.mark.parametrize("dialect", ["csv", "reference", "ofa"])
@pytest.mark.parametrize(
    "theirs",
    [
        *("conv1", "dil_conv_9x9", "Conv-input:4x4x3-output:8x8x8"),
        "8x8x8-8x8x8-expand:6-kernel:4-stride:1",
    ],
)
def test_parts_of_others_stay_under_their_own_names(theirs, dialect):
    text = f"{theirs}{': ' if dialect != 'csv' else ','}1.5\n"
    entries = read(text, dialect).entries
    assert {key: one.mean_ms for key, one in entries.items()} == {theirs: 1.5}
    assert dialects.is_foreign(theirs)


def test_import_says_what_was_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = f"op;ms;macs\n{KEY};3,5;1\nskip;0;0\nse_a;1,5;1\nse_b;1,5;1\n"
    Path("source.csv").write_text(rows, encoding="utf-8-sig")
    assert cli.main(["table", *IMPORT]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "3 entries: table.json",
        "columns left out: macs",
        "commas are decimal",
        "rows of 0 ms left out: 1 (skip)",
        "2 of them have no counterpart here, keep their own names and are never used: "
        "se_a, se_b",
    ]
    Path("table.json").unlink()
    assert cli.main(["table", *IMPORT, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["foreign"], len(found["notes"])) == (["se_a", "se_b"], 3)


def test_rate_of_arithmetic_by_hand():
    # 80 * 480 * 196 * 2 + 9 * 480 * 196 = 15,899,520 multiply-adds, batch 2, 4 ms
    entries = {KEY: Entry(4.0, None, None, None, None, None), "theirs": None}
    rate = tables.median_rate(entries, {"batch": 2})
    assert math.isclose(rate, 2 * 15_899_520 / 4e-3 / 1e9)
    assert tables.median_rate({}, PHONE) is None
    fast = {KEY: Entry(0.02, None, None, None, None, None)}  # 795e9 per second
    with pytest.raises(ValueError, match="are they in seconds"):
        tables.require_plausible(fast, PHONE, "t")
    tables.require_plausible(fast, PHONE | {"threads": 2}, "t")
    tables.require_plausible(fast, PHONE | {"runtime": "xla"}, "t")


positive = st.floats(1e-2, 1e2)


@given(
    st.tuples(positive, positive, positive), positive, st.integers(1, 99), st.booleans()
)
def test_csv_written_is_read_back_exactly(times, mean_ms, count, fixed):
    q25, median, q75 = sorted(times)
    entries = {
        KEY: Entry(mean_ms, times[0], median, q25, q75, count),
        "head 7x7x320->7x7x1280": Entry(3.0, None, None, None, None, None),
    }
    table = tables.LatencyTable(entries, PHONE, 0.125 if fixed else 0.0)
    found = read(dialects.write_csv(table), "csv", threads=10**6)
    assert (found.entries, found.fixed_ms) == (entries, table.fixed_ms)


@pytest.fixture
def refused(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def refuse(*words):
        assert cli.main(["table", *words]) == 2
        return capsys.readouterr().err.strip().removeprefix("nas_jax: ")

    return refuse


IMPORT = (
    *("import", "source.csv", "--from", "csv", "--unit", "ms", "--device", "a phone"),
    *("--runtime", "tflite", "--batch", "1", "--dtype", "float32"),
    *("--input-size", "224", "--out", "table.json"),
)


def test_table_goes_in_and_out_by_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("source.csv").write_text(f"{KEY},3.5\n")
    assert cli.main(["table", *IMPORT, "--licence", "none stated"]) == 0
    stored = json.loads(Path("table.json").read_text())
    assert stored["provenance"]["licence"] == "none stated"
    assert stored["provenance"]["threads"] is None
    assert cli.main(["table", "show", "table.json"]) == 0
    shown = capsys.readouterr().out
    assert "threads: not stated" in shown and f"{KEY}   3.5000" in shown
    assert "held-out check: not done; how near the sums of this table" in shown
    assert cli.main(["table", "export", "table.json", "--out", "again.csv"]) == 0
    assert f"\n{KEY},3.5,,,,,\n" in Path("again.csv").read_text()
    assert cli.main(["table", "validate", "table.json"]) == 0
    assert "1 entries, complete" in capsys.readouterr().out


def test_table_command_says_what_it_lacks(refused):
    Path("source.csv").write_text(f"{KEY},3.5\n")
    line = refused("import", "source.csv", "--from", "csv", "--out", "t.json")
    lacks = "--device, --runtime, --batch, --dtype, --input-size, got none"
    help_of_it = "see nas_jax table import --help"
    assert line == f"expected --unit, {lacks}; {help_of_it}"
    line = refused(*IMPORT[:6], "--out", "t.json")
    assert line == f"expected {lacks}; {help_of_it}"
    line = refused(*(word.replace("csv", "xls") for word in IMPORT))
    assert line.startswith("--from: expected one of reference, ofa, csv, got 'xls'")
    line = refused(*("hours" if word == "ms" else word for word in IMPORT))
    assert line.startswith("--unit: expected one of s, ms, us, got 'hours'")
    Path("table.json").write_text("precious")
    assert refused(*IMPORT).startswith(
        "--out table.json: expected a new file, this one"
    )
    assert refused("show", "none.json").startswith(
        "latency table 'none.json': expected"
    )


def test_validate_names_what_an_experiment_needs(refused):
    Path("source.csv").write_text(f"{KEY},3.5\n")
    cli.main(["table", *IMPORT])
    line = refused("validate", "table.json", "digits_cpu")
    assert line.startswith("table.json was made for another space, images of side 224")
    line = refused("validate", "table.json", "imagenet_mobile")
    assert line.startswith("table.json: expected an entry 'mb3_k3 112x112x16->56x56x24")
