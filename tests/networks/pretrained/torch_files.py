"""Writes files of `torch.save` without PyTorch, honest ones and others.

Pickles are put together from their opcodes, so that they may say anything at all.
"""

import io
import struct
import zipfile
from typing import Any, NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
FORMATS = ("legacy", "zip")
STORAGES = {
    np.dtype(dtype): f"{name}Storage"
    for name, dtype in {
        **{"Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8"},
        **{"Int": "<i4", "Short": "<i2", "Char": "<i1", "Byte": "<u1", "Bool": "|b1"},
    }.items()
}


class Raw(NamedTuple):
    """Opcodes that leave one object on the stack."""

    code: bytes


def reference(module: str, name: str) -> Raw:
    return Raw(f"c{module}\n{name}\n".encode())


def call(function: Raw, *arguments: Any) -> Raw:
    return Raw(opcodes(function) + opcodes(arguments) + b"R")


def with_state(made: Raw, state: Any) -> Raw:
    return Raw(opcodes(made) + opcodes(state) + b"b")


def persistent(pid: Any) -> Raw:
    return Raw(opcodes(pid) + b"Q")


ORDERED_DICT = reference("collections", "OrderedDict")
REBUILD = reference("torch._utils", "_rebuild_tensor_v2")


def opcodes(value: Any) -> bytes:
    match value:
        case Raw():
            return value.code
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            size = value.bit_length() // 8 + 1
            return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            text = value.encode()
            return b"X" + struct.pack("<I", len(text)) + text
        case tuple():
            return b"(" + b"".join(map(opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(opcodes, value)) + b"e"
        case dict():
            items = (opcodes(key) + opcodes(item) for key, item in value.items())
            return b"}(" + b"".join(items) + b"u"
    raise TypeError(value)


def pickled(value: Any) -> bytes:
    return b"\x80\x02" + opcodes(value) + b"."


def storage(key: str, kind: str, size: Any, *view: Any) -> Raw:
    return persistent(("storage", reference("torch", kind), key, "cpu", size, *view))


def tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Raw:
    return call(REBUILD, storage, offset, shape, strides, False, call(ORDERED_DICT))


class Storages:
    """Arrays whose numbers go into a file, and references to them."""

    def __init__(self, form: str) -> None:
        self.view = (None,) if form == "legacy" else ()
        self.data: dict[str, np.ndarray] = {}

    def add(self, numbers: np.ndarray) -> Raw:
        key = str(len(self.data))
        self.data[key] = numbers
        return storage(key, STORAGES[numbers.dtype], numbers.size, *self.view)

    def tensor(self, array: np.ndarray) -> Raw:
        """A contiguous tensor with a storage of its own."""
        array = np.asarray(array)
        strides = tuple(step // array.itemsize for step in array.strides)
        return tensor(self.add(array.ravel()), 0, array.shape, strides)


def legacy(
    found: Any,
    data: dict[str, np.ndarray],
    *,
    magic: Any = MAGIC,
    version: Any = 1001,
    machine: Any = MACHINE,
    keys: Any = None,
    sizes: dict[str, int] | None = None,
) -> bytes:
    keys = sorted(data) if keys is None else keys
    head = b"".join(map(pickled, (magic, version, machine, found, keys)))
    sizes = {key: numbers.size for key, numbers in data.items()} | (sizes or {})
    blocks = (
        struct.pack("<q", sizes[key]) + data[key].tobytes() for key in sorted(data)
    )
    return head + b"".join(blocks)


def zipped(
    found: Any,
    data: dict[str, np.ndarray],
    *,
    compression: int = zipfile.ZIP_STORED,
    **members: bytes,
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(found))
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
        for key, numbers in data.items():
            archive.writestr(f"archive/data/{key}", numbers.tobytes())
        archive.writestr("archive/version", b"3\n")
    return stream.getvalue()


def write(form: str, found: Any, data: dict[str, np.ndarray]) -> bytes:
    return legacy(found, data) if form == "legacy" else zipped(found, data)


def state_dict(form: str, tensors: dict[str, np.ndarray]) -> bytes:
    """A file with the one key `state_dict`, as training code writes it."""
    storages = Storages(form)
    found = call(
        ORDERED_DICT,
        [[name, storages.tensor(array)] for name, array in tensors.items()],
    )
    return write(form, {"state_dict": found}, storages.data)
