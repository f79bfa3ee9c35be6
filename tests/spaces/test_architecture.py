"""An `Architecture` is one consistent chain and goes through JSON unchanged."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax.config import SpaceConfig
from nas_jax.spaces import architecture, architecture_json, builders
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.parts import Conventions

PAPER = builders.imagenet_mobile()
TOY = builders.mobile(
    SpaceConfig(
        name="toy",
        input_size=8,
        stem_channels=8,
        stage_widths=(16, 24),
        cells=(2, 2),
        strides=(2, 1),
        first_block_channels=None,
        candidates=("mb3_k3", "zero", "mb6_k5"),
        head_channels=32,
    )
)
NETWORK = architecture.from_path(TOY, [0, 1, 2, 0], "net")


def paths(of):
    offered = [[k for k, is_offered in enumerate(row) if is_offered] for row in of.mask]
    return st.tuples(*(st.sampled_from(choices) for choices in offered))


@given(st.sampled_from([PAPER, TOY]).flatmap(lambda s: st.tuples(st.just(s), paths(s))))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_json_round_trip_is_the_identity(drawn):
    of, path = drawn
    network = architecture.from_path(of, path, "n-1_e")
    again = architecture_json.from_json(architecture_json.to_json(network))
    assert again == network
    assert hash(again) == hash(network)


@given(paths(TOY))
@settings(deadline=None, max_examples=30, derandomize=True)
def test_path_of_is_the_inverse_of_from_path(path):
    network = architecture.from_path(TOY, path, "net")
    assert architecture.path_of(TOY, network).tolist() == list(path)


def test_network_has_the_operations_of_its_path_after_the_first_block():
    path = [*[0] * 20, 5]
    network = architecture.from_path(PAPER, path, "net")
    names = [block.op.name for block in network.blocks]
    assert names == ["mb1_k3", *["mb3_k3"] * 20, "mb6_k7"]
    assert len(network.parts) == 1 + 22 + 1 + 1
    assert network.input_shape == (224, 224, 3)


def test_homogeneous_network_is_named_after_its_operation():
    network = architecture.homogeneous(PAPER, OpSpec.parse("mb6_k5"))
    assert network.name == "mb6_k5"
    assert {block.op.name for block in network.blocks[1:]} == {"mb6_k5"}


def test_wrong_number_of_operations_is_refused():
    with pytest.raises(ValueError, match="expected 4 operations for space 'toy', got"):
        architecture.from_ops(TOY, [OpSpec.parse("mb3_k3")] * 3, "net")


@pytest.mark.parametrize("of", [PAPER, builders.mobile(SpaceConfig(classes=10))])
def test_network_of_another_space_has_no_path(of):
    with pytest.raises(ValueError, match="'net' is not a network of space"):
        architecture.path_of(of, NETWORK)


def test_network_with_an_unknown_operation_has_no_path():
    blocks = list(NETWORK.blocks)
    blocks[0] = dataclasses.replace(blocks[0], op=OpSpec.parse("mb4_k3"))
    other = dataclasses.replace(NETWORK, blocks=tuple(blocks))
    with pytest.raises(ValueError, match="'net' is not a network of space 'toy'"):
        architecture.path_of(TOY, other)


# --- chain ---------------------------------------------------------------------------


def with_block(index, **changes):
    blocks = list(NETWORK.blocks)
    blocks[index] = dataclasses.replace(blocks[index], **changes)
    return dataclasses.replace(NETWORK, blocks=tuple(blocks))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: with_block(0, in_channels=24), "block 0 .*expected input 4x4x8"),
        (lambda: with_block(1, input_size=5), "block 1 .*expected input 2x2x16"),
        (
            lambda: dataclasses.replace(
                NETWORK, head=dataclasses.replace(NETWORK.head, in_channels=8)
            ),
            "head .*expected input 2x2x24",
        ),
        (
            lambda: dataclasses.replace(
                NETWORK,
                classifier=dataclasses.replace(NETWORK.classifier, in_channels=8),
            ),
            "classifier .*expected input 2x2x32",
        ),
        (lambda: with_block(0, shortcut=True), "block 0 has a shortcut.*stride 1"),
        (lambda: with_block(2, shortcut=True), "block 2 has a shortcut.*equal widths"),
        (lambda: with_block(1, shortcut=False), "block 1 is 'zero' without a shortcut"),
    ],
    ids=[
        *("block width", "block size", "head", "classifier"),
        *("shortcut over a stride", "shortcut over a width", "zero without shortcut"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        change()


# --- JSON ----------------------------------------------------------------------------


def changed(*path, value):
    """The JSON of NETWORK with one field set, or removed if `value` is None."""
    document = json.loads(architecture_json.to_json(NETWORK))
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(document)


FIELDS = [
    ("name",),
    ("input_size",),
    ("input_channels",),
    ("stem",),
    ("stem", "out"),
    ("stem", "stride"),
    ("stem", "kernel"),
    ("blocks",),
    ("blocks", 2, "op"),
    ("blocks", 2, "out"),
    ("blocks", 2, "stride"),
    ("blocks", 2, "shortcut"),
    ("head",),
    ("head", "out"),
    ("classes",),
]
NUMBERS = [
    path
    for path in FIELDS
    if path[-1] in ("input_size", "input_channels", "out", "stride", "kernel")
]


def assert_refused(text, message):
    with pytest.raises(ValueError, match=message) as error:
        architecture_json.from_json(text)
    assert "\n" not in str(error.value)


def test_written_fields_are_all_listed_here():
    document = json.loads(architecture_json.to_json(NETWORK))
    assert set(document) == {path[0] for path in FIELDS} | {"bn_eps"}
    assert set(document["stem"]) == {"out", "stride", "kernel"}
    assert set(document["blocks"][2]) == {"op", "out", "stride", "shortcut"}
    assert set(document["head"]) == {"out"}


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: ".".join(map(str, path)))
def test_missing_field_is_refused_by_name(path):
    assert_refused(
        changed(*path, value=None), f"{path[-1]}: expected a value, got none"
    )


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: ".".join(map(str, path)))
def test_field_of_wrong_type_is_refused_by_name(path):
    assert_refused(changed(*path, value=1.5), f"{path[-1]}: expected .*got 1.5")


@pytest.mark.parametrize("value", [0, -8])
@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
def test_number_below_one_is_refused(path, value):
    assert_refused(
        changed(*path, value=value), f"{path[-1]}: expected at least 1, got {value}"
    )


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
def test_true_is_no_width(path):
    assert_refused(
        changed(*path, value=True), f"{path[-1]}: expected an integer, got True"
    )


@pytest.mark.parametrize("eps", [1e-5, 1])
def test_epsilon_of_batch_normalisation_is_written_and_read(eps):
    network = dataclasses.replace(NETWORK, bn_eps=eps)
    assert json.loads(architecture_json.to_json(network))["bn_eps"] == eps
    assert (
        architecture_json.from_json(architecture_json.to_json(network))
        == network
        != NETWORK
    )


def test_padding_is_written_where_it_is_not_the_usual_one():
    network = dataclasses.replace(NETWORK, padding="same")
    text = architecture_json.to_json(network)
    assert json.loads(text)["padding"] == "same"
    assert architecture_json.from_json(text) == network != NETWORK
    assert "padding" not in architecture_json.to_json(NETWORK)
    assert_refused(changed("padding", value="valid"), "padding: expected .*'valid'")


def test_padding_by_hand():
    """224 pixels, every second one the centre of 3 or 5: one or two more are needed."""
    same = Conventions(padding="same")
    assert [same.pads(224, k, 2) for k in (1, 3, 5)] == [(0, 0), (0, 1), (1, 2)]
    assert [same.pads(7, k, 2) for k in (1, 3, 5)] == [(0, 0), (1, 1), (2, 2)]
    assert [same.pads(7, k, 1) for k in (1, 3, 5)] == [(0, 0), (1, 1), (2, 2)]
    assert [Conventions().pads(8, k, 2) for k in (1, 3, 5)] == [(0, 0), (1, 1), (2, 2)]


def test_operations_that_know_no_padding_are_refused():
    first, *others = NETWORK.blocks
    block = dataclasses.replace(first, op=OpSpec("sep", 3))
    blocks = (block, *others)
    with pytest.raises(
        ValueError, match=r"expected mbconv and zero alone .*got sep_k3"
    ):
        dataclasses.replace(NETWORK, blocks=blocks, padding="same")


def test_older_file_without_epsilon_means_one_thousandth():
    assert architecture_json.from_json(changed("bn_eps", value=None)).bn_eps == 1e-3


@pytest.mark.parametrize("eps", [0.0, -1e-3, float("nan"), float("inf")])
def test_epsilon_that_is_not_positive_is_refused(eps):
    assert_refused(changed("bn_eps", value=eps), "'net': expected a positive bn_eps")


def test_epsilon_of_wrong_type_is_refused():
    assert_refused(
        changed("bn_eps", value="1e-3"), "bn_eps: expected a number, got '1e-3'"
    )


def test_unknown_operation_is_refused():
    assert_refused(changed("blocks", 2, "op", value="mb6_k4"), "'mb6_k4'")


def test_even_stem_kernel_is_refused():
    """k//2 padding keeps the sizes of the chain only for odd kernels."""
    assert_refused(changed("stem", "kernel", value=2), "kernel.*odd.*got 2")


def test_shortcut_across_a_width_is_refused():
    assert_refused(changed("blocks", 2, "shortcut", value=True), "block 2 has a shor")


def test_zero_without_shortcut_is_refused():
    assert_refused(
        changed("blocks", 1, "shortcut", value=False), "'zero' without a shortcut"
    )


@pytest.mark.parametrize("text", ["", "{", "stem: 3"])
def test_text_that_is_not_json_is_refused(text):
    assert_refused(text, "architecture: expected JSON")


@pytest.mark.parametrize("text", ["[]", "null", "3", '"net"', "{}"])
def test_json_that_is_no_architecture_is_refused(text):
    assert_refused(text, "architecture.*: expected an? (object|value), got")


@pytest.mark.parametrize("entry", [None, 3, []])
def test_block_that_is_no_object_is_refused(entry):
    document = json.loads(architecture_json.to_json(NETWORK))
    document["blocks"][0] = entry
    assert_refused(json.dumps(document), "blocks.0: expected an object, got")


def test_tree_without_cells_is_refused():
    document = json.loads(architecture_json.to_json(NETWORK))
    document |= {"cells": []}
    assert_refused(
        json.dumps(document), r"cells: expected at least 1 item .*, got \[\]"
    )


@pytest.mark.parametrize("name", ["", "../outside", "a/b", "a b", ".hidden"])
def test_name_that_is_no_plain_word_is_refused(name):
    document = json.loads(
        architecture_json.to_json(
            architecture.homogeneous(PAPER, OpSpec.parse("mb6_k5"))
        )
    )
    document["name"] = name
    with pytest.raises(ValueError, match="expected a 'name' of letters"):
        architecture_json.from_json(json.dumps(document))
