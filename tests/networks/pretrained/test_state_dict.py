"""Checkpoints as training scripts save them: the right tensors, and what is said."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from nas_jax.networks.pretrained import state_dict
from tests.networks.pretrained.torch_files import (
    FORMATS,
    ORDERED_DICT,
    Raw,
    Storages,
    call,
    opcodes,
    reference,
    storage,
    tensor,
    with_state,
    write,
)

SHAPES = {
    "stem.conv.weight": (2, 3),
    "stem.bn.running_mean": (2,),
    "blocks.0.conv.weight": (2, 2),
    "head.bias": (4,),
}
WEIGHTS = {
    name: np.arange(np.prod(shape), dtype="<f4").reshape(shape) + i + 0.5
    for i, (name, shape) in enumerate(SHAPES.items())
}
COUNTED = {**WEIGHTS, "stem.bn.num_batches_tracked": np.array(7, "<i8")}


def under(prefix, tensors=WEIGHTS):
    return {prefix + name: one for name, one in tensors.items()}


def doubled(tensors=WEIGHTS):
    return {name: one * 2 for name, one in tensors.items()}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("weights") / "w.pth"


@pytest.fixture(scope="module")
def read(path):
    """Saves an object with its arrays as tensors, and reads the network's."""

    def saved_and_read(found, key=None, form="zip"):
        storages = Storages(form)

        def stored(value):
            if isinstance(value, np.ndarray):
                return storages.tensor(value)
            if isinstance(value, dict):
                return {name: stored(one) for name, one in value.items()}
            if isinstance(value, tuple) and not isinstance(value, Raw):
                return tuple(map(stored, value))
            return value(stored) if callable(value) else value

        path.write_bytes(write(form, stored(found), storages.data))
        return state_dict.read(path, SHAPES, key)

    return saved_and_read


def assert_weights(found, expected=WEIGHTS):
    assert set(found.tensors) == set(expected)
    for name, array in expected.items():
        assert found.tensors[name].dtype == np.float32
        np.testing.assert_array_equal(found.tensors[name], array)


def module(name="train.Net", **state):
    """A model that was saved whole, as Python pickles an object."""
    made = Raw(opcodes(reference(*name.rsplit(".", 1))) + b")\x81")
    return lambda stored: with_state(made, stored(state))


def nested_modules(tensors):
    """Modules in each other, as the names of their tensors say."""
    own = {name: one for name, one in tensors.items() if "." not in name}
    buffers = {name: own.pop(name) for name in list(own) if "running" in name}
    parts = dict.fromkeys(name.partition(".")[0] for name in tensors if "." in name)
    below = {
        part: nested_modules(
            {
                name.partition(".")[2]: one
                for name, one in tensors.items()
                if name.startswith(f"{part}.")
            }
        )
        for part in parts
    }
    return module(
        training=True, _parameters=own, _buffers=buffers, _modules=below, own=3
    )


NAMESPACE = with_state(call(reference("argparse", "Namespace")), {"lr": 0.1})
ADAM = {
    "state": {0: {"exp_avg": np.ones(9, "<f4")}, 1: {"exp_avg": np.ones(4, "<f4")}},
    "param_groups": ({"lr": 0.1},),
}
KEYS = (
    *("state_dict", "model", "net", "model_state_dict", "module", "ema", "0.9"),
    *("state_dict_ema", "model_ema", "weights", "params", "generator"),
)
PREFIXES = (
    *("module.", "_orig_mod.", "model.", "module.model.", "backbone.", "net.0.enc."),
    *("module._orig_mod.", "_orig_mod.module.", "_forward_module."),
)
TAKEN = {
    "alone": (WEIGHTS, "weights: 4 tensors"),
    **{
        key: ({key: WEIGHTS, "epoch": 3, "optimizer": ADAM}, f"4 tensors of '{key}'")
        for key in KEYS
    },
    "deeper": ({"a": {"b": {"c": WEIGHTS}}}, "weights: 4 tensors of 'a.b.c'"),
    **{
        prefix: (under(prefix), f"4 tensors, without the prefix '{prefix}'")
        for prefix in PREFIXES
    },
    "both": (
        {"state_dict": under("module."), "args": NAMESPACE},
        "weights: 4 tensors of 'state_dict', without the prefix 'module.'",
    ),
    "first of a tuple": ((WEIGHTS, ADAM, 3), "weights: 4 tensors of '0'"),
    "a dict in dicts": (
        {"stem": {"conv": {"weight": WEIGHTS["stem.conv.weight"]}}}
        | {name: one for name, one in WEIGHTS.items() if name != "stem.conv.weight"},
        "weights: 4 tensors",
    ),
    "a model": (nested_modules(WEIGHTS), "weights: 4 tensors"),
    "a parallel model": (
        module(_parameters={}, _buffers={}, _modules={"m": nested_modules(WEIGHTS)}),
        "weights: 4 tensors, without the prefix 'm.'",
    ),
    "a model under a key": (
        {"model": nested_modules(under("body.")), "epoch": 3},
        "weights: 4 tensors of 'model', without the prefix 'body.'",
    ),
    "an object with a state_dict": (
        module("train.State", step=3, weights=WEIGHTS, config=NAMESPACE),
        "weights: 4 tensors of 'weights'",
    ),
    "a dict of another class": (
        lambda stored: Raw(
            opcodes(call(reference("easydict", "EasyDict")))
            + b"("
            + opcodes("state_dict")
            + opcodes(stored(WEIGHTS))
            + b"u"
        ),
        "weights: 4 tensors of 'state_dict'",
    ),
    "tensors beside the key": (
        {"state_dict": WEIGHTS, "rng": np.ones(99, "<u1"), "log": {"l": np.ones(3)}},
        "weights: 4 tensors of 'state_dict'",
    ),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", TAKEN)
def test_tensors_are_found_wherever_they_are(kind, form, read):
    saved, line = TAKEN[kind]
    found = read(saved, form=form)
    assert_weights(found)
    (note,) = found.notes
    assert note.endswith(line)


words = st.text("abz_0", min_size=1, max_size=4)


@given(keys=st.lists(words, max_size=3), prefix=st.lists(words, max_size=3))
@settings(deadline=None, max_examples=50)
def test_any_keys_and_any_prefix_lead_to_the_tensors(keys, prefix, read):
    saved = under("".join(f"{word}." for word in prefix))
    for key in reversed(keys):
        saved = {key: saved, "epoch": 3}
    found = read(saved)
    assert_weights(found)
    root = ".".join([*keys, *prefix])
    assert found.origin.endswith(f"at {root!r}" if root else "w.pth")


# --- several networks ----------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        *(("state_dict", "state_dict_ema"), ("ema", "net"), ("model", "best_model")),
        *(("averaged", "raw"), ("shadow", "params"), ("student", "teacher")),
    ],
)
def test_two_networks_are_told_and_the_key_chooses(first, second, form, read):
    saved = {first: WEIGHTS, second: doubled()}
    is_average = first in ("ema", "averaged", "shadow")
    taken, other = (second, first) if is_average else (first, second)
    found = read(saved, form=form)
    assert_weights(found, doubled() if is_average else WEIGHTS)
    assert found.notes == [
        f"weights: 4 tensors of '{taken}'",
        f"'{other}' fits as well: --key {other} takes it",
    ]
    for key, expected in ((first, WEIGHTS), (second, doubled())):
        chosen = read(saved, key, form)
        assert_weights(chosen, expected)
        assert chosen.notes == [f"weights: 4 tensors of '{key}'"]


def test_one_object_under_two_keys_is_found_under_both(path):
    storages = Storages("zip")
    tensors = {name: storages.tensor(one) for name, one in WEIGHTS.items()}
    first = Raw(opcodes(tensors) + b"q\x00")
    data = write("zip", {"last": first, "best": Raw(b"h\x00")}, storages.data)
    path.write_bytes(data)
    for key in ("last", "best"):
        assert_weights(state_dict.read(path, SHAPES, key))


def test_two_networks_in_one_state_dict(read):
    both = under("model.") | under("ema_model.", doubled())
    found = read({"state_dict": both})
    assert_weights(found)
    assert found.notes == [
        "weights: 4 tensors of 'state_dict', without the prefix 'model.'",
        "'state_dict.ema_model' fits as well: --key state_dict.ema_model takes it",
        "tensors beside them left out: 4 (state_dict.ema_model.stem.conv.weight, "
        "state_dict.ema_model.stem.bn.running_mean, "
        "state_dict.ema_model.blocks.0.conv.weight and 1 more)",
    ]
    assert_weights(read({"state_dict": both}, "state_dict.ema_model"), doubled())


def test_network_that_fits_goes_before_one_of_other_shapes(read):
    wide = {name: np.ones((*one.shape, 2), "<f4") for name, one in WEIGHTS.items()}
    found = read({"model": wide, "ema": WEIGHTS})
    assert_weights(found)
    assert found.notes == ["weights: 4 tensors of 'ema'"]
    assert read({"model": wide, "ema": WEIGHTS}, "model").tensors["head.bias"].ndim == 2


@pytest.mark.parametrize(
    ("key", "taken"),
    [
        *(("a", "a.model"), ("a.model", "a.model"), ("a.", "a.model"), ("b", "b.c.d")),
        *(("b.c", "b.c.d"), ("b.c.d", "b.c.d"), ("b.c.d.", "b.c.d")),
    ],
)
def test_key_may_be_a_part_of_the_way(key, taken, read):
    saved = {"a": {"model": WEIGHTS}, "b": {"c": under("d.", doubled())}}
    found = read(saved, key)
    assert_weights(found, WEIGHTS if taken == "a.model" else doubled())
    assert found.origin.endswith(f"at '{taken}'")


@pytest.mark.parametrize("key", ["ema", "state", "state_dict.module", ""])
def test_unknown_key_lists_those_that_hold_tensors(key, read):
    saved = {"state_dict": WEIGHTS, "log": {"loss": np.ones(3, "<f4")}, "epoch": 3}
    expected = (
        f"--key: expected the key of one network, got {key!r}; tensors are in "
        r"'state_dict' \(4 tensors\), 'log' \(1 tensors\)$"
    )
    if key:
        with pytest.raises(ValueError, match=expected):
            read(saved, key)
    else:
        assert_weights(read(saved, key))


@pytest.mark.parametrize("names", [("a", "b"), ("model", "model_ema"), ("0", "1")])
def test_ambiguous_key_lists_its_networks(names, read):
    saved = {"runs": dict.fromkeys(names, WEIGHTS), "other": WEIGHTS}
    listed = ", ".join(rf"'runs\.{name}' \(4 tensors\)" for name in names)
    with pytest.raises(ValueError, match=rf"got 'runs' with 2 in it: {listed}$"):
        read(saved, "runs")


# --- what else lies there ------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"stem.bn.num_batches_tracked": 1}, "1 (num_batches_tracked)"),
        ({"total_ops": 1, "total_params": 1}, "2 (total_ops, total_params)"),
        ({"stem.total_ops": 1, "head.total_ops": 1}, "2 (total_ops)"),
        (
            {"stem.bn.num_batches_tracked": 1, "blocks.0.total_params": 1},
            "2 (num_batches_tracked, total_params)",
        ),
    ],
)
def test_counters_are_left_out_and_counted(more, line, read):
    counters = {name: np.array(one, "<f8") for name, one in more.items()}
    found = read({"state_dict": {**WEIGHTS, **counters}})
    assert_weights(found)
    assert found.notes[1:] == [f"counters left out: {line}"]


@pytest.mark.parametrize(
    ("prefix", "name"),
    [("module.", "n_averaged"), ("model.", "loss.weight"), ("encoder.", "queue")],
)
def test_tensors_beside_a_prefix_are_left_out_and_named(prefix, name, read):
    found = read({"state_dict": {**under(prefix), name: np.ones(2, "<f4")}})
    assert_weights(found)
    assert found.notes[1:] == [f"tensors beside them left out: 1 (state_dict.{name})"]


def test_tensor_that_the_network_lacks_is_no_counter_and_stays(read):
    found = read({**WEIGHTS, "aux.weight": np.ones(2, "<f4")})
    assert set(found.tensors) == {*WEIGHTS, "aux.weight"}


@pytest.mark.parametrize(
    "wrap", ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."]
)
def test_wrappers_within_names_are_taken_out(wrap, read):
    wrapped = {name.replace("s.0.", f"s.0.{wrap}"): WEIGHTS[name] for name in WEIGHTS}
    found = read({"model": under("module.", wrapped)})
    assert_weights(found)
    assert found.notes == [
        "weights: 4 tensors of 'model', without the prefix 'module.'",
        f"left out of names: {wrap}",
    ]


# --- numbers of another type ---------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_floats_of_another_size_are_made_float32(kind, form, read):
    saved = {name: one.astype(kind) for name, one in COUNTED.items()}
    saved["stem.bn.num_batches_tracked"] = COUNTED["stem.bn.num_batches_tracked"]
    found = read(saved, form=form)
    assert_weights(found)
    assert found.notes[-1] == f"made float32: 4 of {kind}"


@pytest.mark.parametrize("form", FORMATS)
def test_bfloat16_is_the_upper_half_of_a_float32(form, path):
    # 1.0, -2.0, the smallest above 1 (2^-7), 2^127: sign, 8 bits exponent, 7 bits
    bits = np.array([0x3F80, 0xC000, 0x3F81, 0x7F00], "<u2")
    view = (None,) if form == "legacy" else ()
    made = tensor(storage("0", "BFloat16Storage", 4, *view), 0, (4,), (1,))
    path.write_bytes(write(form, {"head.bias": made}, {"0": bits}))
    found = state_dict.read(path, {"head.bias": (4,)})
    np.testing.assert_array_equal(
        found.tensors["head.bias"], np.float32([1, -2, 1.0078125, 2.0**127])
    )
    assert found.notes[-1] == "made float32: 1 of bfloat16"


@pytest.mark.parametrize("number", [1e39, -1e300, 3.5e38])
def test_number_that_float32_cannot_hold_is_refused(number, read):
    saved = {**WEIGHTS, "head.bias": np.array([1, number, 2, 3])}
    with pytest.raises(
        ValueError, match=r"w\.pth: head\.bias: expected numbers that float32 holds, g"
    ):
        read(saved)


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_number_that_is_none_stays_for_the_caller_to_refuse(number, read):
    found = read({**WEIGHTS, "head.bias": np.array([1, number, 2, 3])})
    np.testing.assert_array_equal(found.tensors["head.bias"], [1, number, 2, 3])


# --- tensors that are none -----------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(("torch._utils", "_rebuild_sparse_tensor"), ("os", "system")),
        *(("torch._utils", "_rebuild_qtensor"), ("numpy", "ndarray")),
    ],
)
def test_only_a_tensor_that_is_needed_is_refused(module, name, read):
    made = call(reference(module, name), 1)
    beside = {"state_dict": WEIGHTS, "more": {"x": made}, "y": made}
    assert_weights(read(beside))
    with pytest.raises(
        ValueError,
        match=rf"at 'sd': head\.bias: expected a tensor of plain numbers, got "
        rf"{module}\.{name}; save it dense",
    ):
        read({"sd": {**WEIGHTS, "head.bias": made}})


@pytest.mark.parametrize(
    "saved", [3, {}, [], {"epoch": 3}, {"state_dict": {}}, WEIGHTS["head.bias"]]
)
def test_file_without_named_tensors_is_refused(saved, read):
    with pytest.raises(ValueError, match="expected tensors by name, got none; save mo"):
        read(saved)
    with pytest.raises(ValueError, match="--key: expected the key of one network, got"):
        read(saved, "model")


def test_another_network_is_read_from_where_most_tensors_are(read):
    saved = {"log": {"a": np.ones(1)}, "net": {"x": np.ones(1), "y": np.ones(2)}}
    found = read(saved)
    assert (set(found.tensors), found.origin[-8:]) == ({"x", "y"}, "at 'net'")


# --- objects without an end ----------------------------------------------------------


def test_objects_that_refer_to_each_other_have_an_end(path):
    storages = Storages("zip")
    weights = {name: storages.tensor(one) for name, one in WEIGHTS.items()}
    trainer = opcodes(call(reference("train", "Trainer"))) + b"q\x00"
    other = opcodes(call(reference("train", "Hook"))) + b"q\x01"
    both = opcodes({"a": Raw(b"h\x00"), "b": Raw(b"h\x01")})
    found = Raw(trainer + other + both + b"b0" + both + b"b")
    path.write_bytes(write("zip", {"t": found, "model": weights}, storages.data))
    assert_weights(state_dict.read(path, SHAPES))


@pytest.mark.parametrize(
    "code",
    [
        b"}q\x00(" + opcodes("a") + b"h\x00" + opcodes("b") + b"h\x00u",
        b"}" + 60 * (b"q\x000}(" + opcodes("a") + b"h\x00" + opcodes("b") + b"h\x00u"),
    ],
)
def test_dicts_in_very_many_places_have_an_end(code, path):
    path.write_bytes(write("zip", {"x": Raw(code)}, {}))
    with pytest.raises(ValueError, match=r"expected (dicts of t|tensors by na)"):
        state_dict.read(path, SHAPES)


# --- safetensors ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.bin"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.backbone."])
def test_safetensors_follow_the_same_rules(name, prefix, tmp_path):
    save_file(under(prefix, COUNTED), tmp_path / name, {"format": "pt"})
    found = state_dict.read(tmp_path / name, SHAPES)
    assert_weights(found)
    assert found.notes[1:] == ["counters left out: 1 (num_batches_tracked)"]


def safetensors_of(dtype, data):
    """A file with one tensor of four numbers, as the format's description has it."""
    one = {"dtype": dtype, "shape": [4], "data_offsets": [0, len(data)]}
    head = json.dumps({"head.bias": one}).encode()
    return struct.pack("<Q", len(head)) + head + data


@pytest.mark.parametrize(
    ("dtype", "data"),
    [
        ("bfloat16", np.array([0x3F80, 0xC000, 0x3F81, 0x7F00], "<u2")),
        ("float16", np.array([0x3C00, 0xC000, 0x3C08, 0x7800], "<u2")),
        ("float64", np.array([1, -2, 1.0078125, 2.0**127])),
    ],
)
def test_safetensors_of_every_float_are_made_float32(dtype, data, tmp_path):
    path = tmp_path / "w.safetensors"
    code = {"bfloat16": "BF16", "float16": "F16", "float64": "F64"}[dtype]
    path.write_bytes(safetensors_of(code, data.tobytes()))
    found = state_dict.read(path, {"head.bias": (4,)})
    expected = np.float32([1, -2, 1.0078125, 2.0**15 if dtype == "float16" else 2**127])
    np.testing.assert_array_equal(found.tensors["head.bias"], expected)
    assert found.notes[1:] == [f"made float32: 1 of {dtype}"]


def test_safetensors_of_8_bits_are_refused_where_they_are_needed(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors_of("F8_E4M3", bytes(4)))
    with pytest.raises(ValueError, match="plain numbers, got a tensor of F8_E4M3; sav"):
        state_dict.read(path, {"head.bias": (4,)})


def test_ordered_dict_of_pairs_is_a_dict(path):
    storages = Storages("legacy")
    pairs = [[name, storages.tensor(one)] for name, one in WEIGHTS.items()]
    data = write("legacy", {"net": call(ORDERED_DICT, pairs)}, storages.data)
    path.write_bytes(data)
    assert_weights(state_dict.read(path, SHAPES))
