"""Files of `torch.save`: what they hold comes out, and nothing in them is run."""

import contextlib
import json
import math
import pickle
import struct
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from nas_jax.networks.pretrained import torch_file
from nas_jax.networks.pretrained.inert_pickle import StandIn
from tests.fixtures import FIXTURES
from tests.networks.pretrained.torch_files import (
    FORMATS,
    ORDERED_DICT,
    STORAGES,
    Raw,
    Storages,
    call,
    legacy,
    opcodes,
    persistent,
    pickled,
    reference,
    state_dict,
    storage,
    tensor,
    with_state,
    write,
    zipped,
)

REFERENCE = FIXTURES / "reference"
CHECKPOINT = REFERENCE / "proxyless-w0.3-r176_imagenet.pth"
BOTH = pytest.mark.parametrize("form", FORMATS)


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Reads bytes as a file."""
    path = tmp_path_factory.mktemp("torch") / "w.pth"

    def read(data):
        path.write_bytes(data)
        return torch_file.load(path)

    return read


@pytest.fixture(scope="module")
def refused(load):
    """The reason in the one line that a file is refused with."""

    def read(data):
        with pytest.raises(ValueError, match=r"w\.pth: expected a state_") as error:
            load(data)
        line = str(error.value)
        assert "\n" not in line
        assert len(line) < 500
        return line.split("saved by torch.save; ")[1]

    return read


# --- honest files --------------------------------------------------------------------


def test_real_checkpoint_has_the_tensors_of_its_manifest():
    stored = json.loads((REFERENCE / "checkpoint_manifest_w0.3-r176.json").read_text())
    found = torch_file.load(CHECKPOINT)["state_dict"]
    tensors = [
        [name, list(array.shape), str(array.dtype)] for name, array in found.items()
    ]
    assert tensors == stored["state_dict"]
    assert len(tensors) == stored["totals"]["tensors"] == 368


@BOTH
def test_numbers_of_every_type_come_back(form, load):
    rng = np.random.default_rng(0)
    arrays = {
        kind: rng.integers(0, 2 if kind == "BoolStorage" else 100, (2, 3)).astype(dtype)
        for dtype, kind in STORAGES.items()
    }
    arrays["scalar"] = np.array(7, "<i8")
    arrays["empty"] = np.zeros((0,), "<f4")
    found = load(state_dict(form, arrays))["state_dict"]
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@BOTH
def test_tensors_may_share_a_storage(form, load):
    storages = Storages(form)
    shared = storages.add(np.arange(12, dtype="<f4"))
    found = load(
        write(
            form,
            {
                "rows": tensor(shared, 0, (3, 4), (4, 1)),
                "columns": tensor(shared, 0, (4, 3), (1, 4)),
                "tail": tensor(shared, 10, (2,), (1,)),
            },
            storages.data,
        )
    )
    grid = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(found["rows"], grid)
    np.testing.assert_array_equal(found["columns"], grid.T)
    np.testing.assert_array_equal(found["tail"], [10, 11])
    assert not any(array.flags.writeable for array in found.values())


@BOTH
def test_what_training_code_saves_beside_the_tensors_comes_back(form, load):
    storages = Storages(form)
    buffer = storages.tensor(np.ones(3, "<f4"))
    found = {
        "epoch": 12,
        "best_acc": 71.25,
        "name": "net",
        "optimizer": {"state": {140: {"momentum_buffer": buffer}}, "groups": [(1, 2)]},
        "none": None,
    }
    read = load(write(form, found, storages.data))
    momentum = read["optimizer"]["state"][140].pop("momentum_buffer")
    np.testing.assert_array_equal(momentum, np.ones(3))
    assert read == {**found, "optimizer": {"state": {140: {}}, "groups": [(1, 2)]}}


@BOTH
def test_older_spellings_are_read(form, load):
    storages = Storages(form)
    rebuild = reference("torch._utils", "_rebuild_tensor")
    first = call(rebuild, storages.add(np.arange(4, dtype="<f4")), 2, (2,), (1,))
    metadata = {"_metadata": call(ORDERED_DICT, [["", {"version": 1}]])}
    found = with_state(call(ORDERED_DICT, [["w", first]]), metadata)
    read = load(write(form, found, storages.data))
    assert list(read) == ["w"]
    np.testing.assert_array_equal(read["w"], [2, 3])


@BOTH
def test_object_that_contains_itself_does_not_hang(form, load):
    # }, kept as 0; "self" -> 0
    found = Raw(b"}q\x00" + opcodes("self") + b"h\x00s")
    read = load(write(form, found, {}))
    assert read["self"] is read


def test_object_in_very_many_places_is_read_once(load):
    nested = b")q\x00" + b"".join(
        b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1])
        for i in range(60)
    )
    assert len(load(legacy(Raw(nested), {}))) == 2


# --- nothing is run ------------------------------------------------------------------


def marker_command(path):
    return f"echo ran > {path}"


HOSTILE = {
    "os.system": lambda path: call(reference("os", "system"), marker_command(path)),
    "posix.system": lambda path: call(
        reference("posix", "system"), marker_command(path)
    ),
    "builtins.eval": lambda path: call(
        reference("builtins", "eval"), f"open({str(path)!r}, 'w')"
    ),
    # as Python 2 wrote it; every reader translates it
    "__builtin__.eval": lambda path: call(
        reference("__builtin__", "eval"), f"open({str(path)!r}, 'w')"
    ),
    "pathlib.Path.touch": lambda path: Raw(
        # protocol 4 reaches attributes by their path
        b"\x8c\x07pathlib\x8c\x0aPath.touch\x93"
        + opcodes((call(reference("pathlib", "Path"), str(path)),))
        + b"R"
    ),
    "subprocess.Popen": lambda path: Raw(
        # the INST opcode of protocol 0: make an object
        b"(" + opcodes(["touch", str(path)]) + b"isubprocess\nPopen\n"
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_of_this_test_do_run_where_nothing_stops_them(name, tmp_path):
    """Otherwise the next test would prove nothing."""
    path = tmp_path / "marker"
    protocol = 4 if name == "pathlib.Path.touch" else 2
    data = bytes([0x80, protocol]) + opcodes(HOSTILE[name](path)) + b"."
    made = pickle.loads(data)
    if hasattr(made, "wait"):
        made.wait()
    if hasattr(made, "close"):
        made.close()
    assert path.exists()


PLACES = {
    "a plain pickle": lambda bad: pickled(bad),
    "its head": lambda bad: legacy({}, {}, machine={"little_endian": bad}),
    "its object": lambda bad: legacy({"state_dict": {"w": bad}}, {}),
    "its keys": lambda bad: legacy({}, {}, keys=Raw(opcodes(bad))),
    "an archive": lambda bad: zipped({"state_dict": {"w": bad}}, {}),
    "a storage": lambda bad: zipped(persistent(("storage", bad, "0", "cpu", 1)), {}),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickle_runs_nothing(name, place, tmp_path, load):
    path = tmp_path / "marker"
    with contextlib.suppress(ValueError):
        load(PLACES[place](HOSTILE[name](path)))
    assert not path.exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_object_becomes_a_stand_in_by_its_name(name, tmp_path, load):
    found = load(zipped({"state_dict": {"w": HOSTILE[name](tmp_path / "marker")}}, {}))
    assert isinstance(found["state_dict"]["w"], StandIn)
    assert repr(found["state_dict"]["w"]) == name


@pytest.mark.parametrize(
    "name",
    [
        *("torch.load", "torch.nn.Linear", "torch.storage._load_from_bytes"),
        *("collections.Counter", "numpy.core.multiarray.scalar", "no.such.thing"),
        *(
            "torch.FloatStorage.from_file",
            "nas_jax.networks.pretrained.torch_file.load",
        ),
    ],
)
def test_names_are_never_looked_up(name, load):
    module, _, attribute = name.rpartition(".")
    named = reference(module, attribute)
    heard = []
    sys.addaudithook(lambda event, _: heard.append(event))
    found = load(zipped({"x": named, "y": call(named, 1)}, {}))
    assert [repr(one) for one in found.values()] == [name, name]
    assert found["y"].arguments == (1,)
    assert "pickle.find_class" not in heard


REBUILD = reference("torch._utils", "_rebuild_tensor_v2")


@pytest.mark.parametrize(
    "target",
    [
        *(ORDERED_DICT, REBUILD, reference("torch._utils", "_rebuild_tensor")),
        *(reference("torch", "FloatStorage"), storage("0", "FloatStorage", 1)),
        tensor(storage("0", "FloatStorage", 1), 0, (), ()),
    ],
)
@pytest.mark.parametrize("state", [{"x": 1}, (None, {"x": 1}), (None, {"shape": 1})])
def test_nothing_can_be_set_on_what_a_pickle_reaches(target, state, load):
    """BUILD sets attributes; on a shared object they would outlive the file."""
    data = {"0": np.ones(1, "<f4")}
    found = load(zipped(with_state(target, state), data))
    assert not hasattr(found, "x")
    again = load(zipped([storage("0", "FloatStorage", 1), target], data))[1]
    assert not isinstance(again, StandIn) or again.state == {}


def test_reading_leaves_no_trace_of_a_state(load):
    load(zipped(with_state(call(ORDERED_DICT), {"keys": REBUILD, "x": 1}), {}))
    assert load(zipped(call(ORDERED_DICT, [["a", 1]]), {})) == {"a": 1}


# --- what training scripts save beside the tensors -----------------------------------

NAMESPACE = reference("argparse", "Namespace")
NEWOBJ, NEWOBJ_EX, OBJ = b"\x81", b"\x92", b"o"
BESIDE = {
    "Namespace": with_state(
        Raw(opcodes(NAMESPACE) + b")" + NEWOBJ), {"lr": 0.1, "name": "net"}
    ),
    "numpy scalar": call(
        reference("numpy.core.multiarray", "scalar"),
        call(reference("numpy", "dtype"), "f8"),
        call(reference("_codecs", "encode"), "1234", "latin1"),
    ),
    "bytes of a scalar, Python 2": call(
        reference("numpy.core.multiarray", "scalar"), Raw(b"U\x02\xcdR")
    ),
    "defaultdict": call(
        reference("collections", "defaultdict"), reference("builtins", "list")
    ),
    "device": call(reference("torch", "device"), "cuda", 0),
    "dtype": reference("torch", "float16"),
    "Size": call(reference("torch", "Size"), (1, 2)),
    "path": call(reference("pathlib", "PosixPath"), "/", "data"),
    "enum": call(reference("train", "Color"), 1),
    "function": reference("train", "collate"),
    "set": Raw(b"\x8f(" + opcodes(1) + opcodes("a") + b"\x90"),
    "frozenset": Raw(b"(" + opcodes(1) + b"\x91"),
    "bytes": Raw(b"C\x02\xff\x00"),
    "bytearray": Raw(b"\x96" + struct.pack("<Q", 2) + b"\xff\x00"),
    "keyword object": Raw(opcodes(NAMESPACE) + b")" + opcodes({"a": 1}) + NEWOBJ_EX),
    "old object": Raw(b"(" + opcodes(NAMESPACE) + opcodes(3) + OBJ),
    "large number of Python 2": Raw(b"I140234866534752\n"),
    "tuple as a key": Raw(b"}" + opcodes((1, 2)) + opcodes(3) + b"s"),
    "object as a key": Raw(b"}" + opcodes(NAMESPACE) + opcodes(3) + b"s"),
    "subclass of list": Raw(opcodes(NAMESPACE) + b")" + NEWOBJ + b"(K\x01K\x02e"),
    "slots": with_state(call(NAMESPACE), (None, {"a": 1})),
}


@BOTH
@pytest.mark.parametrize("kind", BESIDE)
def test_what_lies_beside_the_tensors_does_not_matter(kind, form, load):
    storages = Storages(form)
    weights = {"w": storages.tensor(np.arange(3, dtype="<f4"))}
    written = {"before": BESIDE[kind], "state_dict": weights, "after": BESIDE[kind]}
    found = load(write(form, written, storages.data))
    assert list(found) == ["before", "state_dict", "after"]
    np.testing.assert_array_equal(found["state_dict"]["w"], [0, 1, 2])


def test_stand_in_keeps_items_attributes_and_arguments(load):
    kind = reference("easydict", "EasyDict")
    made = Raw(opcodes(call(kind, 7)) + b"(" + opcodes("a") + opcodes(1) + b"u")
    found = load(zipped(with_state(made, {"b": 2}), {}))
    assert (dict(found), found.state, found.arguments) == ({"a": 1}, {"b": 2}, (7,))
    assert found == found and found != load(zipped(made, {}))


PARAMETERS = {
    "_rebuild_parameter": lambda one: call(
        reference("torch._utils", "_rebuild_parameter"), one, True, call(ORDERED_DICT)
    ),
    "_rebuild_parameter_with_state": lambda one: call(
        reference("torch._utils", "_rebuild_parameter_with_state"), one, True, {}, {}
    ),
    "Parameter of 2018": lambda one: with_state(
        call(reference("torch.nn.parameter", "Parameter"), one), (True, False, {})
    ),
    "_rebuild_from_type_v2": lambda one: call(
        reference("torch._tensor", "_rebuild_from_type_v2"),
        reference("torch._utils", "_rebuild_parameter"),
        reference("torch.nn.parameter", "Parameter"),
        (one, True, call(ORDERED_DICT)),
        {"tag": "x"},
    ),
    "_rebuild_from_type": lambda one: call(
        reference("torch._tensor", "_rebuild_from_type"),
        reference("torch._utils", "_rebuild_parameter"),
        reference("train", "MyTensor"),
        (one, True, call(ORDERED_DICT)),
        {},
    ),
}


@BOTH
@pytest.mark.parametrize("kind", PARAMETERS)
def test_parameters_and_tensors_with_attributes_are_tensors(kind, form, load):
    storages = Storages(form)
    made = PARAMETERS[kind](storages.tensor(np.arange(3, dtype="<f4")))
    found = load(write(form, {"w": made}, storages.data))
    np.testing.assert_array_equal(found["w"], [0, 1, 2])


@BOTH
def test_tensors_that_are_no_plain_numbers_are_stand_ins(form, load):
    view = (None,) if form == "legacy" else ()
    untyped = persistent(
        ("storage", reference("torch.storage", "UntypedStorage"), "0", "cpu", 4, *view)
    )
    eight_bits = call(
        reference("torch._utils", "_rebuild_tensor_v3"),
        *(untyped, 0, (4,), (1,), False, {}, reference("torch", "float8_e4m3fn"), {}),
    )
    expanded = tensor(storage("1", "FloatStorage", 1, *view), 0, (2**20,), (0,))
    data = {"0": np.zeros(4, "<u1"), "1": np.ones(1, "<f4")}
    found = load(write(form, {"a": eight_bits, "b": expanded}, data))
    names = ["torch._utils._rebuild_tensor_v3", "an expanded tensor"]
    assert [repr(one) for one in found.values()] == names


def test_storage_of_an_unknown_type_is_a_stand_in(load):
    found = load(zipped({"w": tensor(storage("0", "X", 3), 0, (3,), (1,))}, {}))
    assert repr(found["w"]) == "torch.X"


def test_torch_script_is_told_apart(refused):
    program = zipped({}, {}, **{"constants.pkl": pickled(())})
    assert refused(program).startswith("it is a TorchScript program; in PyTorch, save")


# --- files that are cut, damaged or something else -----------------------------------

SMALL = {"w": np.arange(3, dtype="<f4"), "n": np.array(1, "<i8")}


@BOTH
def test_every_cut_file_is_refused(form, refused):
    whole = state_dict(form, SMALL)
    for size in range(len(whole)):
        refused(whole[:size])


@BOTH
@given(place=st.integers(0, 2**16), value=st.integers(0, 255))
@settings(deadline=None, max_examples=300, derandomize=True)
def test_damaged_file_is_read_or_refused_in_one_line(form, load, place, value):
    data = bytearray(state_dict(form, SMALL))
    data[place % len(data)] = value
    try:
        load(bytes(data))
    except ValueError as error:
        assert "w.pth: expected a state_dict" in str(error)
        assert "\n" not in str(error)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x80\x02", b"PK\x03\x04"]))
@settings(deadline=None, max_examples=300, derandomize=True)
def test_any_bytes_are_refused(load, data, head):
    with pytest.raises(ValueError, match="expected a state_dict"):
        load(head + data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "this file does not begin like one"),
        (b"\x93NUMPY\x01\x00", "this file does not begin like one"),
        (b"cos\nsystem\n(S'true'\ntR.", "this file does not begin like one"),
        (pickled({"w": 1}), "this file does not begin like one"),
        (legacy({}, {}, magic=3), "this file does not begin like one"),
        (legacy({}, {}, version=1002), "its version is not 1001"),
        (legacy({}, {}, machine=[]), "it was not written on a little-endian machine"),
        (
            legacy({}, {}, machine={"little_endian": False}),
            "it was not written on a little-endian machine",
        ),
        (zipped({}, {}, byteorder=b"big"), "it was not written on a little-endian"),
    ],
)
def test_file_of_another_kind_is_refused(data, reason, refused):
    assert refused(data).startswith(reason)


def test_little_endian_archive_is_read(load):
    assert load(zipped({"a": 1}, {}, byteorder=b"little")) == {"a": 1}


def test_storages_of_another_list_or_size_are_refused(refused):
    numbers = {"0": np.zeros(3, "<f4"), "1": np.zeros(2, "<f4")}
    found = tensor(storage("0", "FloatStorage", 3, None), 0, (3,), (1,))
    assert refused(legacy(found, numbers)).startswith("its list of storages")
    assert refused(legacy(found, numbers, keys=[])).startswith("its list of storages")
    one = {"0": numbers["0"]}
    assert refused(legacy(found, one, sizes={"0": 2})) == (
        "storage '0' has 2 numbers where its tensors say 3"
    )
    assert refused(legacy(found, one, sizes={"0": -3})).startswith("storage '0' has -3")


def test_archive_without_its_parts_is_refused(tmp_path, refused):
    found = tensor(storage("0", "FloatStorage", 3), 0, (3,), (1,))
    assert refused(zipped(found, {})) == "its archive has no 'archive/data/0'"
    longer = zipped(found, {"0": np.zeros(4, "<f4")})
    assert refused(longer) == "storage '0' should have 12 bytes, there are 16"
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as other:
        other.writestr("archive/model.json", "{}")
    assert refused(path.read_bytes()) == "this zip archive has no data.pkl"
    packed = zipped({"x": "y" * 9}, {}, compression=zipfile.ZIP_DEFLATED)
    assert refused(packed) == "'archive/data.pkl' is compressed"


def test_archive_with_a_wrong_checksum_is_refused(refused):
    data = state_dict("zip", {"w": np.full(8, 1.5, "<f4")})
    numbers = np.full(8, 1.5, "<f4").tobytes()
    assert data.count(numbers) == 1
    damaged = data.replace(numbers, np.full(8, 2.5, "<f4").tobytes())
    assert refused(damaged).startswith("it is damaged or cut (BadZipFile: Bad CR")


def test_missing_file_and_folder_are_refused(tmp_path):
    for path in (tmp_path / "no.pth", tmp_path):
        with pytest.raises(ValueError, match="cannot be read"):
            torch_file.load(path)


# --- sizes that are not there --------------------------------------------------------


def one_tensor(form, size, offset, shape, strides, declared=None):
    view = (None,) if form == "legacy" else ()
    declared = size if declared is None else declared
    found = tensor(
        storage("0", "FloatStorage", declared, *view), offset, shape, strides
    )
    return write(form, {"w": found}, {"0": np.arange(size, dtype="<f4")})


@BOTH
@pytest.mark.parametrize("declared", [10**6, 2**40])
def test_declared_sizes_beyond_the_file_are_refused(form, declared, refused):
    data = one_tensor(form, 3, 0, (3,), (1,), declared)
    assert refused(data).startswith(f"its tensors need {4 * declared} bytes and there")


@BOTH
@pytest.mark.parametrize("declared", [-1, 2**40 + 1, 2**62, 2**200, True, 1.0, "3"])
def test_sizes_that_are_none_are_refused(form, declared, refused):
    data = one_tensor(form, 3, 0, (3,), (1,), declared)
    assert refused(data) == "storage '0' has no valid size"


@BOTH
@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        *((-1, (3,), (1,)), (0, (-3,), (1,)), (0, (3,), (-1,)), (0, (3,), (1, 1))),
        *((0.0, (3,), (1,)), (0, [3], (1,)), (0, ("3",), (1,)), (0, 3, 1)),
        *((None, (3,), (1,)), (0, (True,), (1,)), (0, (1,) * 9, (1,) * 9)),
        *((0, (2**99,), (1,)), (0, (3,), (2**99,)), (2**99, (3,), (1,))),
    ],
)
def test_tensor_that_is_described_by_no_numbers_is_refused(
    form, offset, shape, strides, refused
):
    data = one_tensor(form, 3, offset, shape, strides)
    assert refused(data) == (
        "one of its tensors has no valid storage, offset, shape and strides"
    )


counts = st.integers(0, 4)


@BOTH
@given(
    size=st.integers(0, 12),
    offset=st.integers(0, 13),
    axes=st.lists(st.tuples(counts, counts), max_size=3),
)
@example(size=3, offset=0, axes=[(2**20, 0)])
@example(size=3, offset=0, axes=[(0, 1), (2**40, 1), (2**40, 1)])
@example(size=3, offset=2**40, axes=[(1, 2**40)])
@settings(deadline=None, max_examples=200, derandomize=True)
def test_tensor_has_the_numbers_it_says_or_is_refused(form, load, size, offset, axes):
    shape, strides = (tuple(axis[i] for axis in axes) for i in (0, 1))
    data = one_tensor(form, size, offset, shape, strides)
    count = math.prod(shape)
    indices = (
        [
            offset + sum(i * s for i, s in zip(index, strides, strict=True))
            for index in np.ndindex(*shape)
        ]
        if count <= size and max(shape, default=0) <= 2**20
        else [size]
    )
    if size < count and offset + sum((n - 1) * s for n, s in axes if n) < size:
        assert isinstance(load(data)["w"], StandIn)  # expanded, of any size
    elif any(index >= size for index in indices) or count > size:
        with pytest.raises(
            ValueError, match=r"a tensor of shape .* does not lie within .*storage '0'"
        ):
            load(data)
    else:
        array = load(data)["w"]
        assert array.shape == shape
        np.testing.assert_array_equal(array.ravel(), indices)


def test_references_to_anything_but_a_whole_storage_are_refused(refused):
    kind = reference("torch", "FloatStorage")
    for pid in ("0", 3, (), ("module", 1, "0", "cpu", 1), ("storage", kind, "0")):
        assert refused(zipped(persistent(pid), {})).startswith("it refers to something")
    for pid in (("storage", "f4", "0", "cpu", 1), ("storage", kind, 0, "cpu", 1)):
        assert refused(zipped(persistent(pid), {})).startswith("it refers to a storage")
    view = storage("0", "FloatStorage", 3, ("1", 0, 2))
    assert refused(legacy(view, {})).startswith("it refers to something other than a")
    twice = [storage("0", "FloatStorage", 1), storage("0", "FloatStorage", 2)]
    assert refused(zipped(twice, {})) == "storage '0' is described in two ways"
    view = tensor(storage("0", "FloatStorage", 3), 1, (2,), (1,))
    for other in ("0", None, view):
        assert refused(zipped({"w": tensor(other, 0, (), ())}, {})).startswith(
            "one of its tensors has no valid storage"
        )


def peak_bytes(read, data):
    """The most memory that reading takes at a time."""
    tracemalloc.start()
    try:
        read(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_object_number_beyond_the_pickle_takes_no_memory(load):
    """Python's unpickler in C makes a list of four thousand million entries."""
    found = Raw(b"}r" + struct.pack("<I", 2**32 - 1))
    assert peak_bytes(load, zipped(found, {})) < 1e6


@pytest.mark.parametrize("code", [b"\x96", b"\x8e", b"\x8d"])
def test_declared_bytes_beyond_the_file_take_no_memory(code, refused):
    data = zipped(Raw(code + struct.pack("<Q", 2**33)), {})
    assert peak_bytes(refused, data) < 1e6


@pytest.mark.parametrize(
    ("name", "code"),
    [("EXT1", b"\x82\x01"), ("PERSID", b"P0\n"), ("NEXT_BUFFER", b"\x97")],
)
def test_opcodes_that_reach_outside_are_unknown(name, code, refused):
    number = getattr(pickle, name)[0]
    assert refused(zipped(Raw(code), {})).endswith(f"(KeyError: {number})")


def test_names_of_any_length_cost_once(load):
    """A call takes four bytes of the file; its name is not copied for each."""
    named = reference("torch", "x" * 100_000)
    found = load(zipped([named, Raw(b"q\x00"), *(2_000 * [Raw(b"h\x00)R")])], {}))
    assert found[-1].name is found[0].name


def test_list_made_a_dict_very_often_is_refused(refused):
    """Each is as large as the list, and takes five bytes of the file."""
    pairs = Raw(opcodes([(i, i) for i in range(1_000)]) + b"q\x00")
    found = [pairs, Raw(opcodes(ORDERED_DICT) + b"q\x010h\x01h\x00\x85R")]
    found += 1_000 * [Raw(b"h\x01h\x00\x85R")]
    assert refused(zipped(found, {})) == (
        "its dicts have more entries than it has bytes"
    )


@pytest.mark.parametrize("huge", [b"\x8b\xff\xff\xff\x7f", b"T\xff\xff\xff\x7f"])
def test_numbers_and_strings_are_no_longer_than_the_file(huge, refused):
    assert peak_bytes(refused, zipped(Raw(huge), {})) < 1e6


def test_deep_nesting_is_refused(refused):
    for found in (Raw(b"]" * 50_000 + b"a" * 49_999), Raw(b")" + b"\x85" * 500_000)):
        assert refused(zipped(found, {})) == "its objects are nested too deeply"


def test_deep_nesting_from_within_is_refused(refused):
    """Every list takes in the next one after it was put into the one before."""
    grow = b"".join(b"h\x00]q\x00a0" for _ in range(5_000))
    found = Raw(b"]q\x00" + grow)
    assert refused(zipped(found, {})) == "its objects are nested too deeply"


def test_many_items_are_not_deep(load):
    entries = b"".join(opcodes(key) + b"Ns" for key in range(1_000))
    assert len(load(zipped(Raw(b"}" + entries), {}))) == 1_000


DOUBLED = b")" + b"q\x00h\x00\x86" * 90


@pytest.mark.parametrize(
    "key", [b")" + b"\x85" * 500_000, b")" + b"q\x00h\x00\x86" * 500_000, DOUBLED]
)
@pytest.mark.parametrize("way", ["item", "items", "call"])
def test_nested_keys_are_not_hashed(way, key, load):
    """Their hash overflows the stack of the machine, or goes 2^90 ways."""
    found = {
        "item": Raw(b"}" + key + b"Ns"),
        "items": Raw(b"}(" + key + b"Nu"),
        "call": call(ORDERED_DICT, [[Raw(key), 1]]),
    }
    (read,) = load(zipped(found[way], {}))
    assert isinstance(read, StandIn)


def test_deep_calls_are_refused(refused):
    deep = opcodes(NAMESPACE) + b"q\x00)R" + 2_000 * b"q\x01h\x00h\x01\x85R"
    assert refused(zipped(Raw(deep), {})) == "its objects are nested too deeply"


# --- safetensors ---------------------------------------------------------------------


@pytest.fixture
def safe(tmp_path):
    return tmp_path / "w.safetensors"


def test_safetensors_come_back(safe):
    arrays = {"w": np.arange(6, dtype="<f4").reshape(2, 3), "n": np.array(7, "<i8")}
    save_file(arrays, safe)
    found = torch_file.load(safe)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_every_cut_or_other_safetensors_file_is_refused(safe):
    save_file(SMALL, safe)
    whole = safe.read_bytes()
    huge = struct.pack("<Q", 2**62) + whole[8:]
    for data in (*(whole[:size] for size in range(len(whole))), huge):
        safe.write_bytes(data)
        with pytest.raises(
            ValueError, match=r"expected tensors saved by safet"
        ) as error:
            torch_file.load(safe)
        assert "\n" not in str(error.value)
