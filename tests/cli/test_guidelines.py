"""The verbs `guidelines` and `recommend`, as they are typed."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.guidelines import filing, ladder
from nas_jax import cli
from nas_jax.config import Experiment, TreeConfig, shipped
from nas_jax.guidelines import cutting, kinds, page, records, store
from tests.data.picture_files import encoded
from tests.guidelines.made_up_records import PARAMS, law, record
from tests.report.made_up_run import make_run

TASK = (
    *("--input-size", "16", "--channels", "1", "--classes", "10"),
    *("--images-per-class", "100", "--tiny-accuracy", "0.84"),
)


@pytest.fixture
def db(tmp_path, monkeypatch):
    file = tmp_path / "own.sqlite"
    monkeypatch.setattr(store, "packaged", list)
    store.add(file, law())
    return file


def typed(capsys, *words):
    code = cli.main([str(word) for word in words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_recommend_says_size_accuracy_saving_and_evidence(db, capsys):
    code, out, _ = typed(capsys, "recommend", *TASK, "--db", db)
    assert code == 0
    lines = [line.split(":")[0] for line in out.splitlines()]
    assert lines == [
        *(
            "size",
            "expected accuracy",
            "saving",
            "start from",
            "evidence nearby",
            "nearest",
        )
    ]


def test_recommend_says_how_sure_the_sources_let_it_be(db, capsys):
    _, out, _ = typed(capsys, "recommend", *TASK, "--db", db, "--chance", "0.9")
    assert "80% interval" in out
    line = "chance: 80%, the most that pictures of 4 sources support; 90% was asked for"
    assert line in out.splitlines()
    _, out, _ = typed(capsys, "recommend", *TASK, "--db", db, "--chance", "0.6")
    assert "60% interval" in out
    assert "chance:" not in out


def test_recommend_as_json_is_what_the_function_says(db, capsys):
    code, out, _ = typed(capsys, "recommend", *TASK, "--db", db, "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["basis"] == "regression"
    assert answer["size"]["params"] in PARAMS
    assert answer["descriptors"]["tiny_accuracy"] == 0.84


def test_recommend_far_away_is_honest(db, capsys):
    words = ("--input-size", "512", "--channels", "3", "--classes", "5000")
    code, out, _ = typed(
        capsys, "recommend", *words, "--images-per-class", "9", "--db", db
    )
    assert code == 0
    assert out.startswith("no evidence near this task: no size is recommended\nnearest")


def test_recommend_measures_a_file(db, capsys, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = rng.normal(size=(60, 16, 16)) + labels[:, None, None]
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    code, out, _ = typed(
        capsys, "recommend", tmp_path / "data.npz", "--db", db, "--json"
    )
    given = json.loads(out)["descriptors"]
    assert code == 0
    assert (given["classes"], given["channels"], given["images_per_class"]) == (
        *(3, 1),
        20.0,
    )


def test_recommend_measures_a_folder_of_pictures(db, capsys, tmp_path):
    """Files come class by class; what is measured is not one class."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "p" / name).mkdir(parents=True)
        for number in range(40):
            image = rng.integers(100 * label, 100 * label + 90, (32, 32), np.uint8)
            content = encoded(image, "PNG")
            (tmp_path / "p" / name / f"{number}.png").write_bytes(content)
    mine = tmp_path / "mine.py"
    assert typed(capsys, "start", tmp_path / "p", "--out", mine)[0] == 0
    code, out, _ = typed(capsys, "recommend", mine, "--db", db, "--json")
    given = json.loads(out)["descriptors"]
    assert code == 0
    # 80 less 20 to watch and 16 to test, half of them each
    assert (given["classes"], given["images_per_class"]) == (2, 22.0)
    assert (given["channels"], given["input_size"]) == (1, 32)
    assert given["linear_accuracy"] > 0.9


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "recommend: expected DATA or a stated task, got no --input-size, --ch"),
        (
            TASK[:4],
            "got no --classes, --images-per-class; as in nas_jax recommend --input",
        ),
        (("x.npz", *TASK), "expected DATA or a stated task, got both"),
        (("none.npz",), "none.npz: expected an .npz file"),
        ((*TASK, "--device", "toaster"), "device 'toaster': expected one"),
        ((*TASK, "--max-ms", "3"), "expected a device beside it"),
        ((*TASK[:5], "1", *TASK[6:]), "classes: expected at least 2, got 1"),
        ((*TASK, "--balance", "7"), "balance: expected at most 1, got 7"),
        ((*TASK, "--accuracy", "97"), "accuracy: expected a number between 0 and 1"),
    ],
)
def test_recommend_refuses_in_one_line(db, capsys, words, line):
    code, out, err = typed(capsys, "recommend", *words, "--db", db)
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": np.zeros((4, 8, 8)), "labels": np.zeros(3, int)},
        {"images": np.zeros((4, 8, 8)), "labels": np.zeros(4)},
        {"images": np.zeros((4, 8)), "labels": np.zeros(4, int)},
        {"images": np.full((4, 8, 8), np.nan), "labels": np.zeros(4, int)},
        {"images": np.zeros((4, 8, 8))},
    ],
)
def test_a_data_file_of_something_else(db, capsys, tmp_path, arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    code, _, err = typed(capsys, "recommend", tmp_path / "data.npz", "--db", db)
    assert code == 2
    assert "data.npz: expected" in err


def test_export_and_import_carry_records_over(db, capsys, tmp_path):
    file, other = tmp_path / "out.json", tmp_path / "other.sqlite"
    assert typed(capsys, "guidelines", "export", file, "--db", db)[0] == 0
    assert typed(capsys, "guidelines", "export", file, "--db", db)[0] == 2
    assert store.read(file) == store.stored(db)
    some = [right_counts(record(name)) for name in "ab"]
    store.write(file, some)
    code, out, _ = typed(capsys, "guidelines", "import", file, "--db", other)
    assert (code, out) == (0, f"2 of 2 records were new: {other}\n")
    assert store.stored(other) == some
    _, out, _ = typed(capsys, "guidelines", "import", file, "--db", other)
    assert out.startswith("0 of 2 records were new")


def right_counts(found):
    found["network"]["macs"] = 73408
    return found | {"digest": records.digest(found)}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"digest": "0" * 64}, "record 1: expected digest"),
        ({"version": 3}, "record 1: expected a record of version 1, got 3"),
        ({"latencies": 5}, "record 1: latencies: expected a list, got 5"),
    ],
)
def test_import_names_what_it_refuses_and_leaves_the_store(
    db, capsys, tmp_path, change, line
):
    file = tmp_path / "in.json"
    store.write(file, [right_counts(record("a")), right_counts(record("b")) | change])
    before = db.read_bytes()
    code, _, err = typed(capsys, "guidelines", "import", file, "--db", db)
    assert code == 2
    assert line in err
    assert db.read_bytes() == before


def test_import_refuses_counts_of_another_network(db, capsys, tmp_path):
    file = tmp_path / "in.json"
    store.write(file, [record("a", params=5)])
    code, _, err = typed(capsys, "guidelines", "import", file, "--db", db)
    assert code == 2
    assert f"expected params = {PARAMS[0]} of its architecture, got 5" in err


def test_list_and_show(db, capsys):
    _, out, _ = typed(capsys, "guidelines", "list", "--db", db)
    assert len(out.splitlines()) == 1 + 16
    _, out, _ = typed(capsys, "guidelines", "list", "--db", db, "--json")
    digest = json.loads(out)["tasks"][0]["networks"][0]["record"]
    _, out, _ = typed(capsys, "guidelines", "show", digest[:16], "--db", db)
    assert json.loads(out)["digest"] == digest
    code, _, err = typed(capsys, "guidelines", "show", "", "--db", db)
    assert code == 2
    assert "expected the beginning of one digest, it is that of 112" in err


def test_check_as_json_has_its_keys(db, capsys):
    _, out, _ = typed(capsys, "guidelines", "check", "--db", db, "--json")
    found = json.loads(out)
    assert {"tasks", "hit_rate", "median_saving", "coverage", "rules"} <= set(found)
    _, out, _ = typed(capsys, "guidelines", "check", "--db", db)
    assert "hit rate: 100%, as asked for" in out
    lines = [line.split()[0] for line in out.splitlines() if line]
    place = lines.index("left", 1)
    assert lines[place + 1 : place + 6] == ["f0", "f1", "f2", "f3", "all"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("add",), "expected RUN, got none; usage: nas_jax guidelines add RUN [flags]"),
        (("add", "nowhere"), "nowhere: expected a run (a folder with"),
        (("import", "none.json"), "none.json: expected a JSON file"),
        (("grow",), "; got 'grow'"),
    ],
)
def test_guidelines_refuses_in_one_line(db, capsys, words, line):
    code, _, err = typed(capsys, "guidelines", *words, "--db", db)
    assert code == 2
    assert line in err
    assert err.count("\n") == 1


def test_the_page_shows_every_family_and_the_verdict(db, capsys, tmp_path):
    store.add(db, filing.imagenet())
    target = tmp_path / "page.html"
    words = ("guidelines", "report", "--db", db, "--out", target)
    assert typed(capsys, *words)[0] == 0
    text = target.read_text()
    for family in ("f0", "f3", "imagenet"):
        assert f"<figcaption>{family}</figcaption>" in text
    assert "How good the advice has been" in text
    assert "2 mb3_k5" in text or "mb3_k5" in text
    assert "://" not in text and "<script" not in text
    before = text
    typed(capsys, *words)
    assert target.read_text() == before


def test_stages_of_a_network():
    by_name = {
        point.record["network"]["architecture"]["name"]: point
        for point in kinds.grouped(filing.imagenet())[0].points
    }
    # published.py: stages of proxyless_gpu, the third to the fifth
    told = page.stages(by_name["proxyless_gpu"])
    assert told[:3] == ["mb1_k3", "mb3_k5", "mb3_k7, mb3_k3"]


def test_a_run_is_filed_without_its_paths(db, capsys, tmp_path):
    folder = make_run(tmp_path / "private_place")
    code, out, _ = typed(capsys, "guidelines", "add", folder, "--db", db)
    assert code == 0
    added = [one for one in store.stored(db) if one["task"]["family"] == "digits"]
    result = json.loads((folder / "result.json").read_text())
    assert out == f"{len(added)} of {len(added)} records were new: {db}\n"
    assert len(added) == len(result["networks"])
    searched = next(one for one in added if one["search"])
    written = result["networks"]["searched"]
    assert searched["result"]["accuracy"] == written["test_accuracy"]
    assert searched["network"]["params"] == written["params"]
    assert searched["latencies"][0]["ms"] == written["measured_ms"]["median"]
    assert searched["target"]["value"] == result["target_ms"]
    assert "private_place" not in json.dumps(added)


def test_an_unfinished_run_is_not_filed(db, capsys, tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "result.json").unlink()
    code, _, err = typed(capsys, "guidelines", "add", folder, "--db", db)
    assert code == 2
    assert "expected a finished run with result.json" in err


def recommendation(tmp_path, most):
    file = tmp_path / "recommendation.json"
    file.write_text(json.dumps({"size": most and {"params_high": most}, "basis": "b"}))
    return file


@pytest.mark.parametrize("share", [1.5, 0.6, 0.3])
def test_a_space_is_cut_to_the_size(tmp_path, share):
    experiment = shipped.load_experiment("digits_cpu")
    whole = cutting.largest_params(experiment.space)
    most = int(share * whole)
    smaller, largest = cutting.cut(experiment, recommendation(tmp_path, most))
    assert cutting.largest_params(smaller.space) == largest <= most
    assert (smaller == experiment) == (share > 1)
    # depth is kept as long as narrower stages suffice
    assert (smaller.space.cells == experiment.space.cells) == (share > 0.5)


def test_largest_params_is_that_of_the_largest_network():
    # expansion 6 everywhere is rung 6
    config = dataclasses.replace(
        ladder.config(16, 1, 10, 24), candidates=("mb3_k3", "mb6_k3", "zero")
    )
    assert cutting.largest_params(config) == PARAMS[6]


@pytest.mark.parametrize(
    ("most", "line"),
    [
        (1, "expected a size that the space can be cut to, got at most 1"),
        (None, "expected a recommended size, got none: b"),
        ("x", "size.params_high: expected an integer, got 'x'"),
    ],
)
def test_a_size_that_cannot_be(tmp_path, most, line):
    experiment = shipped.load_experiment("digits_cpu")
    with pytest.raises(ValueError, match=line):
        cutting.cut(experiment, recommendation(tmp_path, most))


def test_a_space_of_tree_cells_is_not_cut(tmp_path):
    experiment = Experiment("tree", space=TreeConfig())
    with pytest.raises(ValueError, match="got tree cells"):
        cutting.cut(experiment, recommendation(tmp_path, 10**6))


def test_search_takes_the_flag(capsys, tmp_path):
    file = tmp_path / "none.json"
    code, _, err = typed(capsys, "search", "digits_cpu", "--from-recommendation", file)
    assert code == 2
    assert "give what 'nas_jax recommend --json' prints" in err


def test_a_stated_task_is_answered_without_jax():
    heavy = "{'jax', 'jaxlib', 'flax', 'sklearn', 'matplotlib'}"
    code = (
        "import sys; from nas_jax import cli; "
        f"cli.main(['recommend', *{TASK!r}]); print(sorted({heavy} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "[]"
