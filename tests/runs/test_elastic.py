"""A run among several shapes: drawn within the target, compared, tried, trained."""

import dataclasses
import itertools
import json
import math
import os
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from nas_jax import cli
from nas_jax.config import (
    LatencyConfig,
    SearchConfig,
    SpaceConfig,
    families,
    overrides,
    shipped,
)
from nas_jax.config.data import DataConfig
from nas_jax.config.from_json import from_json
from nas_jax.data import companions
from nas_jax.latency import tables
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import counts, device_memory
from nas_jax.runs import (
    finalists,
    pipeline,
    run_folder,
    search,
    setup,
    targets,
    within_target,
)
from nas_jax.runs.session import Run, Session
from nas_jax.spaces import architecture, architecture_json
from nas_jax.training.progress import Progress
from tests import small_elastic
from tests.runs import kills
from tests.runs.conftest import without_spread


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return small_elastic.write(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def made(words):
    return shipped.load_experiment(words[1])


@pytest.fixture(scope="module")
def loaded(made):
    return setup.load(made)


@pytest.fixture(scope="module")
def table(words):
    return tables.load(words[-1])


@pytest.fixture(scope="module")
def goal(loaded, table):
    return setup.elastic_goal(loaded, table)


@pytest.fixture(scope="module")
def finished(words, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    with without_spread():
        assert cli.main([*words, "--out", str(folder)]) == 0
    return folder


def test_an_experiment_is_read_as_it_was_written(made):
    assert from_json(type(made), dataclasses.asdict(made)) == made


def test_widths_are_typed_with_commas(words, capsys):
    assert cli.main(["search", words[1], "--help-all"]) == 0
    heard = " ".join(capsys.readouterr().out.split())
    assert "--space.stage-choices [INT,... ...]" in heard
    assert "(default: 8 8,16)" in heard
    fields = {"space.stage_choices": ((8, 16), (24,)), "space.input_sizes": (8,)}
    typed = overrides.words(fields)
    assert typed == ["--space.stage-choices", "8,16", "24", "--space.input-sizes", "8"]
    assert cli.main(["describe", words[1]]) == 0
    given = [*words, *typed, "--debug"]
    with pytest.raises(ValueError, match=r"expected an entry .*x24 s2"):
        cli.main(given)


def test_the_target_is_a_share_of_the_middle_shapes_network(goal, loaded, table):
    base = setup.baselines.hand_designed(loaded.space)
    assert base.stem.input_size == 12
    assert goal.target == pytest.approx(0.7 * tables.predict_ms(table, base))
    assert len(goal.costs) == len(loaded.whole.shapes) == 4
    assert "few networks to choose among" in goal.warnings[0]


def test_drawn_networks_are_different_and_spend_the_target(
    loaded, table, goal, tmp_path
):
    work = Run(loaded, tmp_path, Session(tmp_path, Progress()))
    drawn = within_target.draw(work, loaded.whole, goal, None)
    assert len({(shape, *path) for shape, path, _ in drawn}) == len(drawn) == 6
    for shape, path, _ in drawn:
        network = loaded.whole.network(shape, path, "one")
        assert 0.69 * goal.target < tables.predict_ms(table, network) <= goal.target


def test_images_of_every_side_are_the_same_pictures(loaded):
    small, large = loaded.at(8), loaded.at(12)
    assert large is loaded
    assert small is loaded.at(8)
    for name, split in small.splits.items():
        assert split.image_shape == (8, 8, 1)
        np.testing.assert_array_equal(split.labels, large.splits[name].labels)
    alone = dataclasses.replace(
        loaded.experiment,
        space=loaded.experiment.space.shape(8, 8, (8, 8)),
        search=SearchConfig(batch=20, arch_batch=12),
    )
    expected = setup.load(alone).splits["test"].take(np.arange(5))
    np.testing.assert_array_equal(
        small.splits["test"].take(np.arange(5)).images, expected.images
    )
    assert small.experiment.data.shift_pixels == round(8 / 12)


@pytest.mark.slow
def test_a_run_ends_with_a_network_within_the_target(finished, goal):
    result = json.loads((finished / "result.json").read_text())
    rivals = {"searched", "baseline", "cheapest", "random_1"}
    assert rivals <= {*result["networks"]} <= rivals | {"scaled"}
    searched = result["networks"]["searched"]
    assert searched["predicted_ms"] <= goal.target == result["target_ms"]
    found = json.loads((finished / finalists.FINALISTS).read_text())
    assert [one["shape"] in range(4) for one in found] == [True] * 3
    losses = [one["valid_loss"] for one in found]
    assert losses == sorted(losses)
    tried = {one["trial"] for one in found if "trained_valid_loss" in one}
    assert tried == {"trial_1", "trial_2"}
    taken = min(found, key=lambda one: one.get("trained_valid_loss", np.inf))
    network = run_folder.read_architecture(finished / "architecture.json")
    shape = small_elastic.elastic.build(small_elastic.SPACE).shapes[taken["shape"]]
    assert architecture.path_of(shape, network).tolist() == taken["path"]
    page = (finished / "report.html").read_text()
    assert "networks were drawn within the target" in page


@pytest.mark.slow
def test_networks_are_exported_with_the_side_they_take(finished, capsys, tmp_path):
    result = json.loads((finished / "result.json").read_text())["networks"]
    for name, one in result.items():
        network = architecture_json.from_json(json.dumps(one["architecture"]))
        side = network.stem.input_size
        found = companions.read(finished / "export", name).preprocessing
        assert found.size == side
        assert one["onnx_max_abs_difference"] < 1e-3
    assert cli.main(["evaluate", str(finished), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    for name, one in result.items():
        assert again[name]["test_accuracy"] == one["test_accuracy"]
    onnx = ("--format", "onnx")
    assert cli.main(["export", str(finished), "--network", "baseline", *onnx]) == 0
    assert (finished / "export" / "baseline.preprocessing.json").is_file()


@pytest.mark.slow
def test_a_stopped_run_ends_as_one_left_alone(words, finished, tmp_path, monkeypatch):
    folder, lines = tmp_path / "run", []
    append = run_folder.append_metrics

    def counted(where, line):
        append(where, line)
        lines.append(line)
        if len(lines) in (1, 4):  # in the supernet, and in a rung
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(run_folder, "append_metrics", counted)
    with without_spread():
        assert cli.main([*words, "--out", str(folder)]) == 143
        copy = shutil.copytree(folder, tmp_path / "copy")
        assert cli.main(["search", "--resume", str(copy)]) == 143
        assert cli.main(["search", "--resume", str(copy)]) == 0
    assert kills.digests(copy) == kills.digests(finished)
    assert (copy / finalists.FINALISTS).read_text() == (
        finished / finalists.FINALISTS
    ).read_text()


@pytest.mark.parametrize(
    ("words_", "line"),
    [
        (["--search.joint-epochs", "3"], "search.joint_epochs: expected 0 with an"),
        (["--search.limits", "macs:0.01x"], "search.limits macs:0.01x (6054.4) is out"),
        (["--search.limits", "flash:9B"], "search.limits flash:9B (9 bytes) is out of"),
        (["--search.target-ratio", "0.0001"], "is out of reach: networks of this spa"),
        (["--targets", "0.5,0.7"], "--targets: expected a space of one shape"),
        (["--devices.data", "2"], "devices.data"),
    ],
)
def test_what_does_not_fit_is_refused(words, words_, line, capsys, tmp_path):
    assert cli.main([*words, *words_, "--out", str(tmp_path / "run")]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert line in last
    assert not (tmp_path / "run").exists()


LIMITS = ("flash:0.9x", "peak_memory_int8:0.8x", "params:0.95x")


def limited(made, loaded, table, limits=LIMITS):
    config = dataclasses.replace(made.search, limits=limits)
    return targets.of_elastic(config, loaded.whole, table)


def test_limits_hold_for_what_every_network_takes(made, loaded, table):
    """All networks of all shapes, each built and counted as a whole."""
    goal, space = limited(made, loaded, table), loaded.whole
    base = architecture.hand_designed(space.middle)
    names = {"flash_bytes": 0.9, "peak_memory_int8_bytes": 0.8, "params": 0.95}

    def sizes(network):
        return counts.describe(network) | device_memory.describe(network)

    most = {name: share * sizes(base)[name] for name, share in names.items()}
    kept = 0
    for place, (shape, mask) in enumerate(
        zip(space.shapes, goal.masks(space), strict=True)
    ):
        for path in itertools.product(*(np.flatnonzero(row) for row in shape.mask)):
            found = sizes(space.network(place, np.array(path), "one"))
            is_kept = all(found[name] <= most[name] for name in names)
            assert goal.keeps(place, np.array(path)) == is_kept
            # the mask is the limit on the peak, no more and no less
            of_peak = "peak_memory_int8_bytes"
            is_left = bool(mask[np.arange(len(path)), path].all())
            assert is_left == (found[of_peak] <= most[of_peak])
            kept += is_kept
    assert 0 < kept < space.architectures


def test_networks_drawn_keep_the_limits(made, loaded, table):
    goal, rng = limited(made, loaded, table), np.random.default_rng(0)
    found, tried = within_target._draw(rng, loaded.whole, goal, goal.target, 0.5, 5)
    assert len(found) == 5 <= tried
    assert all(goal.keeps(one.shape, one.path) for one in found)
    # what keeps it alone need not spend the target
    none = limited(made, loaded, table, ("params:0.3x",))
    found, tried = within_target._draw(rng, loaded.whole, none, 1.2 * goal.target, 0, 3)
    assert found == [] and tried > 0
    with pytest.raises(
        ValueError, match=r"limits params:0\.3x: expected .* found none"
    ):
        within_target._require_some(none, 0, tried)


@pytest.mark.slow
def test_a_run_keeps_its_limits(words, tmp_path):
    folder = tmp_path / "run"
    more = ["--search.limits", *LIMITS, "--search.warmup-epochs", "0"]
    with without_spread():
        assert cli.main([*words, *more, "--out", str(folder)]) == 0
    networks = json.loads((folder / "result.json").read_text())["networks"]
    searched, base = networks["searched"], networks["baseline"]
    assert searched["flash_bytes"] <= 0.9 * base["flash_bytes"]
    assert searched["params"] <= 0.95 * base["params"]
    peaks = (one["peak_memory_int8_bytes"] for one in (searched, base))
    assert next(peaks) <= 0.8 * next(peaks)
    assert networks["random_1"]["flash_bytes"] <= 0.9 * base["flash_bytes"]
    kept = {name: one["keeps_limits"] for name, one in networks.items()}
    assert kept["searched"] and kept["random_1"] and not kept["baseline"]


def test_digits_have_one_side_and_are_refused(made):
    data = DataConfig(train_weights=40, train_alphas=40, valid=20, test=50)
    with pytest.raises(ValueError, match="pictures with an elastic space"):
        dataclasses.replace(made, data=data)


def test_a_space_of_one_shape_has_a_joint_phase():
    with pytest.raises(ValueError, match=r"search\.joint_epochs: expected 1 or more"):
        type(small_elastic.experiment("x"))(
            name="x", space=SpaceConfig(), search=SearchConfig(joint_epochs=0)
        )


def test_candidates_that_share_nothing_are_refused(made, words):
    space = dataclasses.replace(made.space, candidates=("mb6_k3", "sep_k3"))
    with pytest.raises(ValueError, match=r"expected mb2_k3 and the like.*sep_k3"):
        setup.check(dataclasses.replace(made, space=space))


@pytest.mark.slow
def test_blocks_that_share_nothing_need_no_supernet(tmp_path):
    """A whole run of blocks of MobileNetV3, compared by trainings alone."""
    words = small_elastic.write(tmp_path, families.BLOCKS["mobilenet_v3"])
    folder = tmp_path / "run"
    with without_spread():
        assert cli.main([*words, "--out", str(folder)]) == 0
    networks = json.loads((folder / "result.json").read_text())["networks"]
    ops = [block["op"] for block in networks["searched"]["architecture"]["blocks"]]
    assert {op.split("_")[-1] for op in ops} <= {"hs", "zero"}
    baseline = networks["baseline"]["architecture"]["blocks"]
    assert {block["op"] for block in baseline} == {"mb6_k3_hs"}
    assert "random_1" in networks
    assert (folder / "report.html").is_file()


def test_a_run_without_supernet_goes_on_from_its_finalists(made, tmp_path):
    folder = run_folder.create(made, tmp_path / "run", tmp_path)
    assert not search.has_snapshots(folder)
    (folder / finalists.FINALISTS).write_text('[{"drawn": 9}]')
    assert search.has_snapshots(folder)


def test_derive_needs_the_finalists(made, tmp_path):
    folder = run_folder.create(made, tmp_path / "run", tmp_path)
    with pytest.raises(ValueError, match=r"expected finalists\.json, which a search"):
        finalists.derive_run(folder)
    row = {"path": [0, 0, 0, 0], "shape": 0, "answers_lost": "most"}
    (folder / finalists.FINALISTS).write_text(json.dumps([row]))
    with pytest.raises(ValueError, match=r"number 1: answers_lost: expected"):
        finalists.derive_run(folder)


def test_a_table_that_errs_is_corrected(loaded, table, goal, tmp_path, monkeypatch):
    """All networks take 1.25 of what the table says: those drawn are faster by it."""
    work = Run(loaded, tmp_path, Session(tmp_path, Progress()))

    class Clock:
        def bias(self, networks):
            assert len(networks) <= within_target.PROBED
            return 1.25

    for shape, path, _ in within_target.draw(work, loaded.whole, goal, Clock()):
        network = loaded.whole.network(shape, path, "one")
        ms = tables.predict_ms(table, network)
        assert 0.69 * goal.target / 1.25 < ms <= goal.target / 1.25


class Told(Progress):
    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)


@pytest.fixture
def at_twice(monkeypatch, table):
    """All networks take twice what the table says, the one beside them as well."""

    def measure(device, every, beside, *_):
        times = [2 * tables.predict_ms(table, one) for one in (*every, beside)]
        return np.array(times[:-1]), np.array(times[-1:])

    monkeypatch.setattr(within_target.whole_networks, "measure_beside", measure)
    here = SimpleNamespace(
        name="made up", runtime="made up", config=LatencyConfig(threads=1, batch=1)
    )
    monkeypatch.setattr(onnx_runtime, "device", lambda config: here)


def absolute(loaded):
    """The same with a target in ms in place of a share."""
    search = dataclasses.replace(
        loaded.experiment.search, target_ratio=None, target_ms=1.0
    )
    experiment = dataclasses.replace(loaded.experiment, search=search)
    return dataclasses.replace(loaded, experiment=experiment)


def test_times_are_in_the_pace_of_the_hand_designed_network(
    loaded, table, tmp_path, at_twice
):
    """All take twice what the table says, so by the reference just that."""
    told = Told()
    networks = [loaded.whole.network(3, np.array([op] * 4), "one") for op in (0, 1)]
    clock = within_target.Clock(
        Run(loaded, tmp_path, Session(tmp_path, told)), loaded.whole, table
    )
    expected = [tables.predict_ms(table, network) for network in networks]
    np.testing.assert_allclose(clock.measure(networks), expected)
    assert clock.bias(networks) == pytest.approx(1.0)
    # without a reference in the table nothing is divided out of a target in ms
    work = Run(absolute(loaded), tmp_path, Session(tmp_path, told))
    clock = within_target.Clock(work, loaded.whole, table)
    np.testing.assert_allclose(clock.measure(networks), 2 * np.array(expected))
    assert told.lines[-1].endswith("no reference network, as those of older versions")


def test_a_target_in_ms_is_of_the_pace_at_which_the_table_was_measured(
    loaded, table, tmp_path, at_twice
):
    """The reference took 1.6 of the table then and takes twice now: a pace of 1.25."""
    base = architecture.hand_designed(loaded.whole.middle)
    document = json.loads(architecture_json.to_json(base))
    then = tables.Reference(document, 1.6 * tables.predict_ms(table, base))
    table = dataclasses.replace(table, reference=then)
    told = Told()
    work = Run(absolute(loaded), tmp_path, Session(tmp_path, told))
    networks = [loaded.whole.network(3, np.array([op] * 4), "one") for op in (0, 1)]
    clock = within_target.Clock(work, loaded.whole, table)
    expected = [1.6 * tables.predict_ms(table, network) for network in networks]
    np.testing.assert_allclose(clock.measure(networks), expected)
    assert "25 % slower than when the table was measured" in told.lines[-1]


@pytest.fixture
def timed_here(monkeypatch, table):
    """Networks take 0.9 of the table, one that is slower 0.99."""
    asked = []

    def measure(device, every, beside, *_):
        asked.append((every, beside))
        times = np.array([0.9 * tables.predict_ms(table, one) for one in every])
        times[::2] *= 1.1
        return times, np.full(4, 2.0)

    monkeypatch.setattr(pipeline.whole_networks, "measure_beside", measure)
    return asked


def with_reference(loaded, table):
    base = architecture.hand_designed(loaded.whole.middle)
    then = tables.Reference(json.loads(architecture_json.to_json(base)), 2.0)
    return dataclasses.replace(table, reference=then)


def test_a_run_holds_its_table_against_networks(loaded, table, timed_here):
    told = Told()
    device = SimpleNamespace(config=LatencyConfig(repeats=10))
    table = with_reference(loaded, table)
    found = pipeline.held_against_networks(table, loaded.whole, device, told)
    assert found.validation["networks"] == pipeline.HELD_OUT
    logs = (math.log(0.99) + math.log(0.9)) / 2
    assert found.validation["log_ratio"] == pytest.approx(logs)
    assert found.validation["common_sd"] == 0.0
    assert told.lines == []  # as fast as it was
    every, beside = timed_here[0]
    assert beside.parts == architecture.hand_designed(loaded.whole.middle).parts
    # of several shapes, from the cheapest to the dearest
    assert len({one.stem for one in every}) > 1
    with_error = dataclasses.replace(table, validation=found.validation)
    assert found == with_error


def test_a_check_that_would_take_too_long_is_left_out_and_told(
    loaded, table, timed_here
):
    told = Told()
    # five passes of a loop of a second and more, in each of 10 rounds
    device = SimpleNamespace(config=LatencyConfig(repeats=10, loop_ms=1000.0))
    table = with_reference(loaded, table)
    assert pipeline.held_against_networks(table, loaded.whole, device, told) == table
    assert told.lines == [
        "not held against whole networks: 10 or more are needed, 0 are in the space "
        "and timed within 20 s"
    ]
    assert timed_here == []
