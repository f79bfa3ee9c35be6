"""The reference's `net.config`: real files, all spellings, and what is refused."""

import copy
import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax.networks import counts
from nas_jax.networks.pretrained import net_config
from nas_jax.spaces import architecture, builders, published
from nas_jax.spaces.operations import OpSpec
from tests.fixtures import FIXTURES

REFERENCE = FIXTURES / "reference"
REAL = (REFERENCE / "proxyless-w0.3-r176_imagenet.json").read_text()
MANIFEST = json.loads((REFERENCE / "checkpoint_manifest_w0.3-r176.json").read_text())
CHAINS = [name for name in published.NAMES if not published.get(name).beside_mbconv]
PROXYLESS = [name for name in CHAINS if name.startswith("proxyless")]
PAPER = builders.imagenet_mobile()


def block_facts(network):
    """As the manifests list blocks."""
    return [
        {
            "in": block.in_channels,
            "out": block.out_channels,
            "stride": block.stride,
            "h_in": block.input_size,
            "h_out": block.output_size,
            "shortcut": block.shortcut,
            "op": "Zero" if block.op.kind == "zero" else "MBConv",
            **(
                {}
                if block.op.kind == "zero"
                else {
                    "kernel": block.op.kernel,
                    "expand": block.op.expansion,
                    "mid": block.inner_channels,
                    "macs": counts.macs(block),
                    "params": counts.params(block),
                }
            ),
        }
        for block in network.blocks
    ]


def stored_blocks(stored):
    return [
        {key: value for key, value in block.items() if key != "index"}
        for block in stored["blocks"]
    ]


def test_real_config_of_a_checkpoint_is_read_block_by_block():
    network = net_config.from_json(REAL, "w0_3")
    assert block_facts(network) == stored_blocks(MANIFEST)
    size = counts.describe(network)
    assert (size["macs"], size["params"]) == (38_282_216, 754_280)
    assert (network.name, network.input_shape) == ("w0_3", (176, 176, 3))
    assert network.stem.out_channels == MANIFEST["stem_out"]
    assert network.head.out_channels == MANIFEST["feature_mix_out"] == 384
    assert network.bn_eps == 1e-3


def spelled(name):
    """A published network as the search code of 2019 wrote it, from the stored facts.

    No resolution, no `act_func` and `use_se` in the bottlenecks, `mid_channels` null.
    """
    stored = json.loads((REFERENCE / f"{name}.json").read_text())
    layer = {"dropout_rate": 0, "ops_order": "weight_bn_act"}
    conv = {
        **{"name": "ConvLayer", "dilation": 1, "groups": 1, "bias": False},
        **{"has_shuffle": False, "use_bn": True, "act_func": "relu6", **layer},
    }
    blocks = []
    for block in stored["blocks"]:
        shortcut = {
            **{"name": "IdentityLayer", "in_channels": block["in"]},
            **{"out_channels": block["out"], "use_bn": False, "act_func": None},
            **layer,
        }
        if block["op"] == "Zero":
            op = {"name": "ZeroLayer", "stride": 1}
        else:
            op = {
                **{"name": "MBInvertedConvLayer", "in_channels": block["in"]},
                **{"out_channels": block["out"], "kernel_size": block["kernel"]},
                **{"stride": block["stride"], "expand_ratio": block["expand"]},
                "mid_channels": None,
            }
        blocks.append(
            {
                "name": "MobileInvertedResidualBlock",
                "mobile_inverted_conv": op,
                "shortcut": shortcut if block["shortcut"] else None,
            }
        )
    stem, mix, classifier = (
        stored[key] for key in ("stem", "feature_mix", "classifier")
    )
    return {
        "name": "ProxylessNASNets",
        "bn": {"momentum": 0.1, "eps": stored["bn"]["eps"]},
        "first_conv": {
            **conv,
            **{"kernel_size": stem["kernel"], "stride": stem["stride"]},
            **{"in_channels": 3, "out_channels": stem["out"]},
        },
        "blocks": blocks,
        "feature_mix_layer": {
            **conv,
            **{"kernel_size": 1, "stride": 1},
            **{"in_channels": mix["in"], "out_channels": mix["out"]},
        },
        "classifier": {
            **{"name": "LinearLayer", "in_features": classifier["in_features"]},
            **{"out_features": classifier["out_features"], "bias": True},
            **{"use_bn": False, "act_func": None, **layer},
        },
    }


@pytest.mark.parametrize("name", PROXYLESS)
def test_published_network_in_the_reference_spelling_is_read(name):
    text = json.dumps(spelled(name))
    assert net_config.from_json(text, name) == published.get(name)


@pytest.mark.parametrize("name", PROXYLESS)
def test_what_is_written_says_what_the_reference_says(name):
    """Key by key; the resolution is ours, `mid_channels` null may be left out."""
    written = json.loads(net_config.to_json(published.get(name)))
    expected = spelled(name)
    for block in expected["blocks"]:
        block["mobile_inverted_conv"].pop("mid_channels", None)
    assert written.pop("resolution") == 224
    assert written == expected


def paths():
    offered = [[k for k, is_on in enumerate(row) if is_on] for row in PAPER.mask]
    return st.tuples(*(st.sampled_from(choices) for choices in offered))


@given(paths(), st.sampled_from([1e-3, 1e-5, 1]), st.integers(1, 320))
@settings(deadline=None, max_examples=50, derandomize=True)
def test_round_trip_is_the_identity(path, bn_eps, input_size):
    network = architecture.from_path(PAPER, path, "net")
    network = dataclasses.replace(network, bn_eps=bn_eps)
    text = net_config.to_json(network)
    assert net_config.from_json(text, "net") == network
    # the same network at another input size has the same layers
    other = net_config.from_json(text, "net", input_size)
    assert other.stem.input_size == input_size
    assert (
        json.loads(net_config.to_json(other))["blocks"] == (json.loads(text)["blocks"])
    )


@pytest.mark.parametrize("name", CHAINS)
def test_published_networks_go_through_unchanged(name):
    network = published.get(name)
    assert net_config.from_json(net_config.to_json(network), name) == network


def test_operation_that_the_format_does_not_know_is_not_written():
    network = published.get("proxyless_mobile")
    other = dataclasses.replace(network.blocks[2], op=OpSpec.parse("max_k3"))
    blocks = (*network.blocks[:2], other, *network.blocks[3:])
    with pytest.raises(
        ValueError, match=r"reference config: expected inverted .* got max_k3"
    ):
        net_config.to_json(dataclasses.replace(network, blocks=blocks))


# --- spellings -----------------------------------------------------------------------

GONE = object()


def changed(*path, value):
    """The real config with one key set, or removed."""
    document = copy.deepcopy(json.loads(REAL))
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(document)


BLOCK, ZERO = ("blocks", 1), ("blocks", 3)
CONV = (*BLOCK, "mobile_inverted_conv")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *(((*CONV, key), GONE) for key in ("mid_channels", "act_func", "use_se")),
        ((*CONV, "mid_channels"), 24),
        ((*CONV, "expand_ratio"), 3.0),
        (("first_conv", "has_shuffle"), GONE),
        (("first_conv", "dropout_rate"), 0.0),
        (("bn",), GONE),
        (("bn", "ws_eps"), GONE),
        # a block without operation is the identity, whatever its shortcut says
        ((*ZERO, "mobile_inverted_conv"), None),
        ((*ZERO, "shortcut"), None),
        ((*BLOCK, "shortcut"), {"name": "ZeroLayer", "stride": 1}),
    ],
)
def test_other_spelling_means_the_same_network(path, value):
    expected = net_config.from_json(REAL, "net")
    assert net_config.from_json(changed(*path, value=value), "net") == expected


def test_input_size_is_the_resolution_or_224_or_what_is_asked_for():
    plain = changed("resolution", value=GONE)
    for text, asked, expected in (
        *((REAL, None, 176), (REAL, 128, 128)),
        *((plain, None, 224), (plain, 160, 160)),
    ):
        network = net_config.from_json(text, "net", asked)
        assert network.stem.input_size == expected


def test_epsilon_is_that_of_the_file():
    network = net_config.from_json(changed("bn", "eps", value=1e-5), "net")
    assert network.bn_eps == 1e-5


# --- what is refused -----------------------------------------------------------------


def assert_refused(text, message):
    with pytest.raises(ValueError, match=message) as error:
        net_config.from_json(text, "net")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


INNER = r"blocks\.1\.mobile_inverted_conv: expected "


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((*CONV, "use_se"), True, INNER + "use_se False, got True"),
        ((*CONV, "act_func"), "h_swish", INNER + "act_func 'relu6', got 'h_swish'"),
        ((*CONV, "mid_channels"), 32, INNER + "mid_channels null or 24, got 32"),
        ((*CONV, "expand_ratio"), 2.5, INNER + "expand_ratio to be a whole number"),
        ((*CONV, "expand_ratio"), 12, INNER + "expand_ratio 1 to 9, got 12"),
        ((*CONV, "kernel_size"), 4, INNER + "kernel_size to be odd, got 4"),
        ((*CONV, "kernel_size"), [3, 5], INNER + "kernel_size to be a number, got .3,"),
        ((*CONV, "kernel_size"), True, INNER + "kernel_size to be a number, got True"),
        ((*CONV, "stride"), 0, INNER + "stride to be a whole number, 1 to 100000"),
        ((*CONV, "stride"), 10**9, INNER + "stride to be a whole number, 1 to 100000"),
        ((*CONV, "stride"), float("nan"), INNER + "stride to be a whole number"),
        ((*CONV, "stride"), float("inf"), INNER + "stride to be a whole number"),
        ((*CONV, "stride"), GONE, INNER + "a key 'stride', got none"),
        ((*CONV, "name"), "DepthConvLayer", INNER + "name 'MBInvertedConvLayer', got"),
        ((*CONV, "name"), GONE, INNER + "a key 'name', got none"),
        ((*CONV, "groups"), 2, r"blocks\.1\.mobile.*: groups = 2 has no counterpart"),
        (CONV, [], INNER + r"an object, got \[\]"),
        (BLOCK, "mb", r"blocks\.1: expected an object, got 'mb'"),
        (
            (*BLOCK, "name"),
            "X",
            r"blocks\.1: expected name 'MobileInvertedRes.*got 'X'",
        ),
        ((*BLOCK, "extra"), 1, r"blocks\.1: extra = 1 has no counterpart"),
        (
            (*ZERO, "mobile_inverted_conv", "stride"),
            2,
            r"blocks\.3\.mobile_inverted_conv: expected stride 1, got 2",
        ),
        (
            (*ZERO, "shortcut", "act_func"),
            "relu6",
            r"blocks\.3\.shortcut: expected act_func None, got 'relu6'",
        ),
        (
            (*ZERO, "shortcut", "out_channels"),
            24,
            r"blocks\.3\.shortcut: expected out_channels 16 as the layer before",
        ),
        (("first_conv", "dilation"), 2, "first_conv: expected dilation 1, got 2"),
        (("first_conv", "groups"), 4, "first_conv: expected groups 1, got 4"),
        (("first_conv", "bias"), True, "first_conv: expected bias False, got True"),
        (("first_conv", "has_shuffle"), True, "expected has_shuffle False, got True"),
        (("first_conv", "use_bn"), False, "expected use_bn True, got False"),
        (("first_conv", "act_func"), "relu", "expected act_func 'relu6', got 'relu'"),
        (("first_conv", "act_func"), GONE, "first_conv: expected a key 'act_func'"),
        (
            ("first_conv", "ops_order"),
            "bn_act_weight",
            "expected ops_order 'weight_bn_",
        ),
        (
            ("first_conv", "kernel_size"),
            2,
            "first_conv: expected kernel_size to be odd",
        ),
        (
            ("feature_mix_layer",),
            None,
            "feature_mix_layer: expected an object, got Non",
        ),
        (("feature_mix_layer", "kernel_size"), 3, "expected kernel_size 1, got 3"),
        (
            ("classifier", "dropout_rate"),
            0.2,
            "classifier: expected dropout_rate 0, got",
        ),
        (("classifier", "bias"), False, "classifier: expected bias True, got False"),
        (("bn", "momentum"), 0.01, "bn: expected momentum 0.1, got 0.01"),
        (("bn", "ws_eps"), 1e-5, "bn: expected ws_eps None, got 1e-05"),
        (("bn", "eps"), GONE, "bn: expected a key 'eps', got none"),
        (("bn", "eps"), "1e-3", "bn: expected eps to be a number, got '1e-3'"),
        (("bn", "eps"), 0, "architecture 'net': expected a positive bn_eps, got 0"),
        (("bn", "affine"), True, "bn: affine = True has no counterpart here"),
        (("blocks",), {}, r"expected a list 'blocks', got \{\}"),
        (
            ("name",),
            "MobileNetV3",
            "expected name 'ProxylessNASNets', got 'MobileNetV3'",
        ),
        (("resolution",), "176", "expected resolution to be a number, got '176'"),
        (("resolution",), None, "expected resolution to be a number, got None"),
        (("final_expand_layer",), {}, "final_expand_layer = {} has no counterpart"),
    ],
)
def test_what_we_cannot_say_is_refused_by_name(path, value, message):
    assert_refused(changed(*path, value=value), message)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ((*CONV, "in_channels"), r"blocks\.1\..*: expected in_channels 8 as the layer"),
        (
            ("blocks", 2, "mobile_inverted_conv", "in_channels"),
            "expected in_channels 16",
        ),
        (
            ("feature_mix_layer", "in_channels"),
            "feature_mix_layer: expected in_channels",
        ),
        (
            ("classifier", "in_features"),
            "classifier: expected in_features 384 as the l",
        ),
    ],
)
def test_widths_that_do_not_continue_are_refused(path, message):
    assert_refused(changed(*path, value=40), message)


def test_shortcut_over_a_stride_is_refused():
    identity = json.loads(REAL)["blocks"][2]["shortcut"]
    identity = {**identity, "in_channels": 8, "out_channels": 8}
    assert_refused(
        changed(*BLOCK, "shortcut", value=identity), "block 1 has a shortcut"
    )


@pytest.mark.parametrize("text", ["", "{", "name: net", "[" * 100_000])
def test_text_that_is_not_json_is_refused(text):
    assert_refused(text, "reference config: expected JSON, got")


@pytest.mark.parametrize("text", ["[]", "null", "3"])
def test_json_that_is_no_object_is_refused(text):
    assert_refused(text, "reference config: expected an object, got")


@pytest.mark.parametrize("input_size", [0, -224, 10**9])
def test_input_size_that_is_none_is_refused(input_size):
    with pytest.raises(ValueError, match="input size: expected 1 to 1000000, got"):
        net_config.from_json(REAL, "net", input_size)


def test_network_of_tree_cells_has_no_such_spelling():
    with pytest.raises(ValueError, match="inverted bottlenecks and zero, got 'sep'"):
        net_config.to_json(published.get("proxyless_cifar"))
