"""`nas_jax list`, `describe`, `derive`, `train` and `evaluate`."""

import json

import pytest

from nas_jax import cli
from nas_jax.cli import networks
from nas_jax.config import DataConfig, SpaceConfig, shipped
from nas_jax.runs import description
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_ops
from nas_jax.spaces.architecture_json import to_json
from nas_jax.spaces.operations import OpSpec

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("describe imagenet", "describe: 'imagenet' is no space, published network or"),
        ("describe no.json", "no.json: expected an architecture file, found nothing "),
        (
            "describe imagenet_mobile --jsn",
            "unknown flag --jsn; did you mean --json?; see nas_jax describe --help",
        ),
        ("derive nowhere", "nowhere: expected a run (a folder with config.json), "),
        ("evaluate nowhere", "nowhere: expected a run (a folder with config.json), "),
        ("train nowhere", "nowhere: expected a run, an architecture's .json file, or "),
        ("train no.json digits_cpu", "no.json: expected a run, an architecture's .js"),
    ],
)
def test_wrong_command_is_refused_with_what_was_expected(refused, words, message):
    assert refused(*words.split()).startswith(message)


PAPER = ("imagenet_mobile", "imagenet_cpu", "imagenet_gpu")


def test_describe_prints_one_json_object_with_the_totals_of_the_space(capsys):
    assert cli.main(["describe", "imagenet_mobile", "--json"]) == 0
    out, err = capsys.readouterr()
    size = json.loads(out)
    assert err == ""
    assert size["macs_uniform"] == 373300544.0
    assert size["supernet_weights"] == 16034168
    assert size["architectures"] == 221502229807900608


def test_describe_knows_the_published_networks(capsys):
    assert cli.main(["describe", "proxyless_gpu", "--json"]) == 0
    size = json.loads(capsys.readouterr().out)
    assert (size["macs"], size["params"]) == (465_260_160, 7_119_848)
    # 24 channels at 112x112 and, expanded, 72 of them at 112x112
    assert size["peak_memory_int8_bytes"] == (24 + 72) * 112**2
    assert size["peak_memory_bytes"] == 4 * size["peak_memory_int8_bytes"]
    # of two numbers for every channel of a normalisation one is folded away
    weights = size["flash_int8_bytes"], size["flash_bytes"]
    assert size["params"] < weights[0] < weights[1] < 4 * size["params"]


def test_description_of_a_large_space_can_be_read(capsys):
    """1,030 rows, a number of 548 digits and 648 sevens are for --json."""
    assert cli.main(["describe", "cifar10_tree"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) < 80
    assert "candidates_per_layer: 648 x 7" in text
    assert "architectures: 4.2e547" in text
    assert "params and bytes are those of the largest network" in text


def test_describe_takes_an_architecture_file_and_an_experiment(tmp_path, capsys):
    searched = builders.mobile(shipped.load_experiment("digits_cpu").space)
    ops = [OpSpec.parse("mb3_k5")] * len(searched.layers)
    (tmp_path / "net.json").write_text(to_json(from_ops(searched, ops, "net")))
    assert cli.main(["describe", "net.json"]) == 0
    text = capsys.readouterr().out
    assert text.count("mb3_k5") == 6
    assert cli.main(["describe", "net.json", "--json"]) == 0
    size = json.loads(capsys.readouterr().out)
    assert size["name"] == "net"
    assert f"macs: {size['macs']:,}" in text
    assert cli.main(["describe", "digits_cpu", "--json"]) == 0
    assert (
        json.loads(capsys.readouterr().out)["architectures"] == searched.architectures
    )


@pytest.mark.parametrize(
    ("name", "widths", "head"),
    [
        ("imagenet_mobile", (32, 16, 24, 40, 80, 96, 192, 320), 1280),
        # those of the published networks
        ("imagenet_cpu", (40, 24, 32, 48, 88, 104, 216, 360), 1432),
        ("imagenet_gpu", (40, 24, 32, 56, 112, 128, 256, 432), 1728),
    ],
)
def test_paper_experiment_is_described_with_its_widths(name, widths, head, capsys):
    assert cli.main(["describe", name, "--json"]) == 0
    size = json.loads(capsys.readouterr().out)
    assert size["name"] == name
    assert size["architectures"] == 221502229807900608
    found = [layer["out"] for layer in size["layers"]]
    assert (*found[:2], *found[2:-2:4]) == widths
    assert found[-2] == head


def test_experiment_of_the_presets_name_describes_the_same_space(capsys):
    searched = builders.mobile(shipped.load_experiment("imagenet_mobile").space)
    assert searched == builders.imagenet_mobile()


def test_a_verb_is_a_call_from_python():
    size = networks.describe("proxyless_gpu")
    assert size.found["params"] == 7_119_848 and "MACs" in size.text


def test_list_names_what_comes_with_the_package(capsys):
    assert cli.main(["list", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    kinds = {"experiments", "data", "spaces", "networks", "tables"}
    assert err == "" and set(found) == kinds
    for name in found["data"]:
        assert DataConfig(name=name).name == name
    for name in (*found["experiments"], *found["spaces"], *found["networks"]):
        assert description.describe(name)["layers"]
    for name in found["tables"]:
        assert shipped.table_file(f"latency_tables/{name}.json").is_file()


def test_train_refuses_a_network_of_another_shape(refused, tmp_path):
    other = builders.mobile(SpaceConfig(name="other", input_size=32))
    ops = [OpSpec.parse("mb3_k3")] * len(other.layers)
    (tmp_path / "net.json").write_text(to_json(from_ops(other, ops, "net")))
    assert refused("train", "net.json", "digits_cpu").startswith(
        "architecture 'net': expected height, width, channels, classes (16, 16, 1, 10) "
        "of experiment 'digits_cpu', got (32, 32, 3, 1000)"
    )
