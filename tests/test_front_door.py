"""The package from a notebook: a search step by step, and a whole run in a call."""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import onnx
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import nas_jax as nas
from nas_jax.config import TrainConfig, shipped
from nas_jax.export import formats
from nas_jax.latency import tables
from nas_jax.networks import checkpoint
from nas_jax.networks.network import init
from nas_jax.runs import run_folder
from nas_jax.search import baselines
from nas_jax.spaces import builders
from tests import small_elastic, small_run
from tests.report.made_up_run import make_run


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    small_run.write(home)
    latency = dataclasses.replace(
        small_run.EXPERIMENT.latency, table=str(home / "table.json")
    )
    return dataclasses.replace(
        nas.load_experiment(str(home / "small.py")),
        latency=latency,
        train=TrainConfig(epochs=1, batch=40),
        random_networks=0,
    )


NOTEBOOK = """
import jax
import nas_jax as nas

experiment = nas.load_experiment("digits_cpu")
setup = nas.load(experiment)                       # space, splits, augmentation, devices
table = nas.latency.load("digits_cpu_onnxruntime") # or nas.latency.measure(setup.space)
targets = nas.targets(setup, table)                # costs and limits, checked
for epoch in nas.search.run(setup, targets, key=jax.random.key(0)):
    print(epoch.metrics["search/expected_latency_ms"])
best = nas.search.derive(setup.space, epoch.probs, targets)[0]
model = nas.training.fit(setup, best.architecture, key=jax.random.key(1))
print(nas.training.accuracy(model, setup.splits["test"]))
nas.export.write(model, "best.onnx")
run = nas.run(experiment, out="runs/mine")         # or everything at once
"""  # noqa: E501


def shortened():
    """`digits_cpu` with a schedule of seconds."""
    real = nas.load_experiment("digits_cpu")
    search = dataclasses.replace(
        real.search, warmup_epochs=2, joint_epochs=2, arch_start_epoch=0, trials=1
    )
    file = shipped.table_file("latency_tables/digits_cpu_onnxruntime.json")
    return dataclasses.replace(
        real,
        search=search,
        train=dataclasses.replace(real.train, epochs=1),
        latency=dataclasses.replace(real.latency, table=str(file)),
        random_networks=0,
    )


@pytest.mark.slow
@pytest.mark.parametrize("of_digits", [False, True])
def test_the_notebook(experiment, tmp_path, monkeypatch, capsys, of_digits):
    chosen = shortened() if of_digits else experiment
    table = pathlib.Path(chosen.latency.table)
    for folder in ("experiments", "latency_tables"):
        (tmp_path / folder).mkdir()
    code = f"from nas_jax.config import *\ndef get_config():\n    return {chosen!r}\n"
    (tmp_path / "experiments" / "digits_cpu.py").write_text(code)
    shutil.copy(table, tmp_path / "latency_tables" / "digits_cpu_onnxruntime.json")
    monkeypatch.setattr(shipped, "folder", lambda name: tmp_path / name)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(NOTEBOOK, names)
    *expected, accuracy = map(float, capsys.readouterr().out.split())
    config, targets, best = chosen.search, names["targets"], names["best"]
    assert len(expected) == config.warmup_epochs + config.joint_epochs
    assert min(expected) > 0 and 0 <= accuracy <= 1
    ms = tables.predict_ms(names["table"], best.architecture)
    assert ms <= targets.target and best.cost.slack["latency"] >= 0
    onnx.checker.check_model("best.onnx", full_check=True)
    run = names["run"]
    assert run.folder == pathlib.Path("runs/mine") and run.report.is_file()
    assert {"searched", "baseline"} <= run.networks.keys()
    assert run.model().architecture.name == "searched"
    (axes,) = run.plot().axes
    assert len(axes.lines) == len(run.networks)
    assert nas.load_run(run.folder) == run
    assert run.record["seed"] == chosen.seed
    assert run.record["networks"] == run.networks
    assert run.architecture.name == "searched"
    digit = "digit.png"
    Image.fromarray(np.uint8(16 * load_digits().images[0])).save(digit)
    (seen,) = nas.predict(run.folder, digit, top=1)
    capsys.readouterr()
    nas.command(f"predict {run.folder} {digit} --top 1 --json-lines")
    told = json.loads(capsys.readouterr().out)
    (guess,) = told["guesses"]
    assert (seen.image, seen.error) == (told["image"], None) == (digit, None)
    assert [one._asdict() for one in seen.guesses] == [guess]
    with pytest.raises(ValueError, match=r"predict .*: expected pictures, found none$"):
        nas.predict(run.folder)
    assert len(run.epochs) == config.warmup_epochs + config.joint_epochs
    assert len(run.epochs[-1]["search/probs"]) == len(run.space.layers)


def test_the_names():
    assert set(nas.__all__) <= set(dir(nas))
    assert sorted(nas.__all__) == [
        *("command", "config", "counts", "draw", "example_pictures", "export"),
        *("latency", "load", "load_experiment", "load_model", "load_run"),
        *("predict", "published", "report", "run", "search", "targets", "training"),
    ]
    for name in nas.__all__:
        assert getattr(nas, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        nas.nothing  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import nas_jax; nas_jax.load_experiment; exit('jax' in sys.modules)",
        "import nas_jax.latency, nas_jax.training.progress; exit('jax' in sys.modules)",
        "import nas_jax as nas; f = nas.search.derive; import nas_jax.search.gates, "
        "nas_jax.search.derivation; exit(nas.search.derive is not f)",
        "import nas_jax.search.gates as _, nas_jax; exit(not nas_jax.search.run)",
        "import nas_jax as nas; nas.search.estimators, nas.search.gates",
        "import nas_jax as nas; nas.config.SpaceConfig; exit('jax' in sys.modules)",
        "import nas_jax.export.onnx, nas_jax.training.loop, nas_jax as nas; "
        "exit(not (callable(nas.export.write) and callable(nas.training.fit)))",
    ],
)
def test_rooms_and_their_functions_go_together(code):
    run = subprocess.run([sys.executable, "-c", f"import sys; {code}"], check=False)
    assert run.returncode == 0


def test_an_experiment_is_loaded_with_other_fields():
    found = nas.load_experiment("digits_cpu", {"seed": 3, "search.target_ms": 0.2})
    assert (found.seed, found.search.target_ms) == (3, 0.2)
    assert found.search.target_ratio is None
    with pytest.raises(ValueError, match=r"expected a field .*did you mean sea"):
        nas.load_experiment("digits_cpu", {"serch.batch": 3})


def test_what_is_no_network_names_those_that_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "runs/mine")
    for name in ("searched", "baseline"):
        (run / "checkpoints" / name).mkdir(parents=True, exist_ok=True)
        (run / "checkpoints" / name / "architecture.json").write_text("{}")
    named = "runs/mine/checkpoints/baseline, runs/mine/checkpoints/searched"
    with pytest.raises(ValueError, match=f"got a run; name a network of it: {named}"):
        nas.load_model("runs/mine")
    meant = "did you mean runs/mine/checkpoints/searched"
    with pytest.raises(ValueError, match=f"found nothing there; {meant}"):
        nas.load_model("runs/mine/checkpoints/serched")
    with pytest.raises(ValueError, match="got 'serched'; did you mean searched"):
        nas.load_run("runs/mine").model("serched")


def test_targets_of_a_space_of_several_shapes_are_refused(tmp_path):
    small_elastic.write(tmp_path)
    setup = nas.load(nas.load_experiment(str(tmp_path / "elastic.py")))
    table = nas.latency.load(tmp_path / "table.json")
    with pytest.raises(ValueError, match=r"expected a space of one shape.*nas_jax.run"):
        nas.targets(setup, table)


def test_a_command_is_typed_from_python(capsys):
    for words in (
        ["describe 'mobilenet_v2'"],
        ["nas_jax describe mobilenet_v2"],
        ["describe", "mobilenet_v2"],
    ):
        nas.command(*words)
        assert "300,774,272" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match=r"^nas_jax describe nothing: exit code 2; "):
        nas.command("describe nothing")
    assert "'nothing' is no space" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"expected one as it is typed, .*\['list'\]"):
        nas.command(["list"])


@pytest.mark.parametrize("function", [nas.run, nas.load])
def test_a_name_in_place_of_an_experiment_says_how_to_load_it(function):
    with pytest.raises(ValueError, match=r"expected an Experiment, got 'digits_cpu'; "):
        function("digits_cpu")


@pytest.mark.parametrize("images", [np.zeros((2, 2)), ["a.jpg", "b.jpg"]])
def test_predictions_are_of_paths(images):
    with pytest.raises(ValueError, match=r"expected paths of pictures, each an argu"):
        nas.predict("runs/mine", images)


def test_a_table_is_read_by_name_or_path():
    named = nas.latency.load("digits_cpu_onnxruntime")
    assert named == nas.latency.load("latency_tables/digits_cpu_onnxruntime.json")
    with pytest.raises(ValueError, match=r"nothing.*expected a file"):
        nas.latency.load("nothing")


@pytest.mark.slow
def test_a_target_in_words(experiment, tmp_path):
    run = nas.run(experiment, target="0.9x", out=tmp_path / "mine")
    assert run_folder.read_experiment(run.folder).search.target_ratio == 0.9


def test_one_file_by_its_name(tmp_path):
    model = small_model()
    with pytest.raises(ValueError, match=r"a name that ends in .onnx or .stablehlo"):
        nas.export.write(model, tmp_path / "best.tflite")
    path = nas.export.write(model, tmp_path / "best.stablehlo")
    images = np.zeros((2, *model.architecture.input_shape), np.float32)
    found = formats.read(path).run(images)
    np.testing.assert_allclose(found, model(images), rtol=0, atol=1e-5)


def small_model():
    network = baselines.hand_designed(builders.build(small_run.EXPERIMENT.space))
    params, batch_stats = init(jax.random.key(0), network)
    return checkpoint.Model(network, params, batch_stats)


def test_what_does_not_fit_is_refused_before_a_folder_is_made(experiment, tmp_path):
    with pytest.raises(ValueError, match="expected ratios or milliseconds above 0"):
        nas.run(experiment, target="fast", out=tmp_path / "mine")
    with pytest.raises(ValueError, match=r"target_ratio = 0.001 .* out of reach"):
        nas.run(experiment, target="0.001x", out=tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    with pytest.raises(ValueError, match=r"expected a run .*, got an empty folder"):
        nas.load_run(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"expected a finished run with result.json"):
        nas.load_run(tmp_path)
