"""What people type by mistake: the whole line that answers it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas_jax import cli
from nas_jax.config import shipped
from nas_jax.runs import run_folder, targets

pytestmark = pytest.mark.usefixtures("empty_folder")

A_RUN = "expected a run (a folder with config.json)"
A_MODEL = "expected a run, or a model file (.onnx, .stablehlo, .tflite)"
A_NETWORK = "expected the folder of a network, as nas_jax import writes it"
A_FILE = "expected a Python file with get_config()"
HERE = "runs here: runs/digits-0, runs/pets-0"
DESCRIBE = "is no space, published network or experiment"
TARGET = "expected 0.4x of the hand-designed network's latency, or 0.4ms, got"
FORMATS = "expected some of onnx, onnx-int8, stablehlo, litert, litert-int8, each once"
AGAIN = (
    "this run was stopped before anything was trained; start again: nas_jax search "
    "mine.py"
)
TABLE = (
    "latency table 'digits_cpu_onnxruntim': expected a file, or the name of a shipped "
    "table, found none; did you mean digits_cpu_onnxruntime?; or measure it with "
    "`nas_jax measure EXPERIMENT --out TABLE.json`"
)
MINE = """
from nas_jax.config import *

def get_config():
    return Experiment("mine", data=DataConfig(name="folder", path="pictures"))
"""


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def here(tmp_path, empty_folder):
    """Pictures, experiments, and two runs that were stopped while measuring."""
    for name in ("pictures/cat/0.png", "pictures/dog/0.png", "new.jpg"):
        draw(tmp_path / name)
    for number in range(5):
        draw(tmp_path / "two" / "cat" / f"{number}.png")
    (tmp_path / "two" / "dog").mkdir()
    Path("mine.py").write_text(MINE)
    Path("syn.py").write_text("def get_config(:\n    return 3\n")
    Path("noexp.py").write_text("x = 1\n")
    Path("lite.pth").write_bytes(b"")
    for name in ("digits-0", "pets-0"):
        run = Path("runs", name)
        run.mkdir(parents=True)
        run_folder.write_experiment(run, shipped.load_experiment("digits_cpu"))
    Path("runs/pets-0/command.txt").write_text("nas_jax search mine.py\n")


MISTAKES = {
    # a run
    "report pictures": f"pictures: {A_RUN}, got a folder of pictures; {HERE}",
    "report runs/nothere": f"runs/nothere: {A_RUN}, found nothing there; {HERE}",
    "report mine.py": f"mine.py: {A_RUN}, got a Python file; {HERE}",
    "evaluate runs/nothere": f"runs/nothere: {A_RUN}, found nothing there; {HERE}",
    "derive runs": (
        f"runs: {A_RUN}, got a folder of runs; name one: runs/digits-0, runs/pets-0"
    ),
    "search --resume nothere": f"nothere: {A_RUN}, found nothing there; {HERE}",
    "search --resume runs/pets-": (
        f"runs/pets-: {A_RUN}, found nothing there; did you mean runs/pets-0?"
    ),
    "search --resume mine.py": f"mine.py: {A_RUN}, got a Python file; {HERE}",
    "search --resume pictures": (
        f"pictures: {A_RUN}, got a folder of pictures; {HERE}"
    ),
    "search --resume runs/pets-0 mine.py": (
        "--resume runs/pets-0, mine.py: expected only one of the two; a run goes on "
        "with its own experiment"
    ),
    "predict runs/nothere new.jpg": (
        f"runs/nothere: {A_MODEL}, found nothing there; {HERE}"
    ),
    "predict ru new.jpg": f"ru: {A_MODEL}, found nothing there; {HERE}",
    "predict runs new.jpg": (
        f"runs: {A_MODEL}, got a folder of runs; name one: runs/digits-0, runs/pets-0"
    ),
    "predict mine.py new.jpg": f"mine.py: {A_MODEL}, got a Python file; {HERE}",
    "predict new.jpg new.jpg": f"new.jpg: {A_MODEL}, got a picture; {HERE}",
    "predict pictures new.jpg": (
        f"pictures: {A_MODEL}, got a folder of pictures; {HERE}"
    ),
    "export nothere --format onnx": (
        "nothere: expected a run, or the folder of a network, found nothing there; "
        f"{HERE}"
    ),
    "train nothere": (
        "nothere: expected a run, an architecture's .json file, or the folder of a "
        f"network, found nothing there; {HERE}"
    ),
    # stopped before anything was trained
    "predict runs/pets-0 new.jpg": f"runs/pets-0: {AGAIN}",
    "export runs/pets-0 --format onnx": f"runs/pets-0: {AGAIN}",
    "evaluate runs/pets-0": f"runs/pets-0: {AGAIN}",
    "derive runs/pets-0": f"runs/pets-0: {AGAIN}",
    "train runs/pets-0": f"runs/pets-0: {AGAIN}",
    "search --resume runs/pets-0": f"--resume runs/pets-0: {AGAIN}",
    "search --resume runs/digits-0": (
        f"--resume runs/digits-0: {AGAIN.replace('mine.py', 'EXPERIMENT')}"
    ),
    # names
    "describe proxyless_mobil": (
        f"describe: 'proxyless_mobil' {DESCRIBE}; did you mean proxyless_mobile or "
        "proxyless_mobile_14? nas_jax list shows all"
    ),
    "describe mobilnet_v2": (
        f"describe: 'mobilnet_v2' {DESCRIBE}; did you mean mobilenet_v2? nas_jax list "
        "shows all"
    ),
    "describe prox": (
        f"describe: 'prox' {DESCRIBE}; did you mean proxyless_cifar, proxyless_cpu or "
        "proxyless_gpu? nas_jax list shows all"
    ),
    "describe zzz": f"describe: 'zzz' {DESCRIBE}; nas_jax list shows all",
    "describe pixel1_tflite": (
        "describe: 'pixel1_tflite' is a latency table; nas_jax table show "
        "pixel1_tflite shows it"
    ),
    "describe runs/pets-0": (
        "describe: runs/pets-0 is a run; nas_jax report runs/pets-0 shows it, and "
        "nas_jax describe runs/pets-0/architecture.json its network"
    ),
    "describe fashion_mnist": (
        "describe: 'fashion_mnist' is a data set, and describe takes a space, network "
        "or experiment; a search takes the data by --data.name fashion_mnist"
    ),
    "train proxyless_mobil": (
        "train: 'proxyless_mobil' is no file or folder here; train takes a run, an "
        "architecture's .json file, or the folder of a network, and nas_jax describe "
        "proxyless_mobile shows the published network"
    ),
    "table show digits_cpu_onnxruntim": TABLE,
    "search digits_cpu --latency.table digits_cpu_onnxruntim": TABLE,
    "table pixel1_tflite": (
        "VERB: expected one of show, import, export, validate; got 'pixel1_tflite'; "
        "did you mean nas_jax table show pixel1_tflite?; see nas_jax table --help"
    ),
    "paper table2": (
        "TABLE: expected one of cifar10, imagenet-mobile, imagenet-gpu, "
        "cross-hardware, ablation, trade-off, cost, latency-model, got "
        "'table2'; see nas_jax paper --help"
    ),
    "export runs/pets-0 --format tflite": (
        f"--format: {FORMATS}, got tflite; did you mean litert (writes .tflite)?"
    ),
    "export runs/pets-0 --format onx": (
        f"--format: {FORMATS}, got onx; did you mean onnx?"
    ),
    # experiments
    "search pictures": (
        f"experiment 'pictures': {A_FILE}, got a folder of pictures; for pictures "
        "begin with nas_jax start pictures --out mine.py"
    ),
    "recommend pictures": (
        f"experiment 'pictures': {A_FILE}, got a folder of pictures; for pictures "
        "begin with nas_jax start pictures --out mine.py"
    ),
    "search runs/pets-0": (
        f"experiment 'runs/pets-0': {A_FILE}, got a run; nas_jax search --resume "
        "runs/pets-0 goes on with it"
    ),
    "search new.jpg": (
        f"experiment 'new.jpg': {A_FILE}, got a picture; nas_jax start PICTURES --out "
        "mine.py writes one"
    ),
    "search syn.py": (
        "syn.py, line 1: expected Python, got 'def get_config(:' (invalid syntax); "
        "mend it"
    ),
    "search noexp.py": (
        "noexp.py: expected get_config() returning nas_jax.config.Experiment, got no "
        "get_config(); nas_jax start PICTURES --out mine.py writes one"
    ),
    "search min.py": (
        f"experiment 'min.py': {A_FILE}, found no such file; did you mean mine.py?"
    ),
    # pictures
    "start pictres --out m.py": (
        "start pictres: expected a folder of pictures, found none; did you mean "
        "pictures?"
    ),
    "search mine.py --data.path nothere": (
        "data.path: expected a folder of pictures, found no folder nothere"
    ),
    "start pictures --out m.py --weights nothere.pth": (
        f"--weights nothere.pth: {A_NETWORK}, found nothing there; nas_jax import FILE "
        "--out lite0 makes one of a file of weights"
    ),
    "start pictures --out m.py --weights lite.pth": (
        f"--weights lite.pth: {A_NETWORK}, got a file of weights; first nas_jax import "
        "lite.pth --out lite0, then --weights lite0"
    ),
    "start pictures --out m.py --weights runs/pets-0": (
        f"--weights runs/pets-0: {A_NETWORK}, got a run, none of its networks is "
        "trained yet"
    ),
    "finetune lite.pth pictures": (
        f"finetune lite.pth: {A_NETWORK}, got a file of weights; first nas_jax import "
        "lite.pth --out lite0, then finetune lite0"
    ),
    # values
    "search mine.py --target 0.4s": f"--target: {TARGET} '0.4s'",
    "search mine.py --target 40%": f"--target: {TARGET} '40%'",
    "search mine.py --target=-1ms": f"--target: {TARGET} '-1ms'",
    "search mine.py --target -1ms": f"--target: {TARGET} '-1ms'",
    "search mine.py --target 0.4": f"--target: {TARGET} '0.4'",
    "search mine.py --target": (
        "--target: expected a value, got none; see nas_jax search --help"
    ),
    "search mine.py --hours 2h": (
        "--hours: expected a number, in hours: 2, got '2h'; see nas_jax search --help"
    ),
    "search mine.py --hours long": (
        "--hours: expected a number, in hours, got 'long'; see nas_jax search --help"
    ),
    "search mine.py --search.limits flsh:1MB": (
        "search.limits: expected COST:AMOUNT or latency:AMOUNT:TABLE, with COST one of "
        "latency, macs, params, flash, flash_int8, peak_memory, peak_memory_int8 and "
        "AMOUNT above 0, as in macs:0.6x, got 'flsh:1MB'; did you mean flash?"
    ),
    "recommend --classes 10": (
        "recommend: expected DATA or a stated task, got no --input-size, --channels, "
        "--images-per-class; as in nas_jax recommend --input-size 32 --channels 3 "
        "--classes 10 --images-per-class 500"
    ),
    "start pictures": (
        "expected --out, got none; usage: nas_jax start PICTURES --out PATH [flags]; "
        "see nas_jax start --help"
    ),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_answered_in_one_line(words, here, refused):
    assert refused(*words.split()) == MISTAKES[words]


def test_verbs_and_flags_that_are_nearly_right(refused):
    assert refused("--verson").endswith(
        "; got '--verson'; did you mean --version?; see nas_jax --help"
    )
    assert refused("shearch").endswith("did you mean search?; see nas_jax --help")


@pytest.mark.parametrize("words", [[], ["help"]])
def test_a_command_without_a_verb_shows_the_help(words, capsys):
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    assert shown == capsys.readouterr().out
    assert cli.main(["help", "report"]) == 0
    assert "usage: nas_jax report" in capsys.readouterr().out


def test_a_class_without_pictures_is_named(here, refused, tmp_path):
    line = refused("start", "two", "--out", "m.py")
    assert line == (
        f"{tmp_path / 'two'}: expected a folder of pictures for each of at least 2 "
        "classes, got one class, cat (dog is empty); add the others"
    )


def test_a_run_at_work_is_waited_for(here, refused):
    with run_folder.held(Path("runs/pets-0")):
        assert refused("evaluate", "runs/pets-0") == (
            "runs/pets-0: this run is still at work; watch it: nas_jax report "
            "runs/pets-0 --watch"
        )


def test_a_ratio_that_no_network_takes_is_told_before_the_table():
    search = shipped.load_experiment("digits_cpu").search
    assert targets.far(dataclasses.replace(search, target_ratio=2.9)) is None
    assert targets.far(dataclasses.replace(search, target_ratio=5.0)) == (
        "warning: target 5x: hardly any network takes 5 times the hand-designed one: "
        "the target asks for nothing; give less, as --target 0.5x"
    )
