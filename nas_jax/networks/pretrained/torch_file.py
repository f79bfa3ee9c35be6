"""Files of `torch.save` and `.safetensors`, read without PyTorch into NumPy arrays.

`torch.save` has two containers. The old one (until PyTorch 1.6) is a sequence of
pickles (magic number, version, machine, object, list of storage keys) and then, per
key, the number of elements as int64 and the elements. The new one is an uncompressed
zip archive with `data.pkl` and one file per storage.

A pickle is a program: loading one runs whatever it names. Here it may name only what a
`state_dict` is made of, each name stands for inert data of ours, and any other is
refused before it is looked up. Every size, offset and stride is checked against the
bytes that are there.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np
import safetensors.numpy
from numpy.lib.stride_tricks import as_strided

from nas_jax.config.checks import reason

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_PICKLE, _ZIP = b"\x80", b"PK\x03\x04"  # first bytes
_DTYPES = {
    **{"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2"},
    **{"LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2"},
    **{"CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "|b1"},
}
_REBUILD = ("_rebuild_tensor", "_rebuild_tensor_v2")
_OPCODES = """
    PROTO FRAME STOP MARK POP BINPERSID NONE NEWTRUE NEWFALSE BININT BININT1 BININT2
    LONG1 LONG4 BINFLOAT BINUNICODE SHORT_BINUNICODE BINSTRING SHORT_BINSTRING
    EMPTY_LIST APPEND APPENDS EMPTY_DICT EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 REDUCE
    BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL INST
"""
"""What pickles of `torch.save` are written with. The others make what no state_dict
has, and some of them objects of any size from a few bytes."""
_LARGEST = 2**40  # no file holds more numbers, and arithmetic with them stays exact
_MOST_AXES = 8
_DEEPEST = 100


class _Refused(Exception):
    """The file is not what it should be; the message says how, in part of a line."""


def load(path: str | Path) -> Any:
    """The object of a file, its tensors as read-only NumPy arrays.

    Dicts stay dicts in their order; lists, tuples, numbers and strings stay as they
    are. Names that end in `.safetensors` are read with that library.

    Raises:
      ValueError: naming the file and why it is not read: no file, not one of
        `torch.save`, damaged or cut, a global that a state_dict has no use for, or a
        tensor that does not lie within its storage.
    """
    path = Path(path)
    kind = "a state_dict saved by torch.save"
    try:
        data = path.read_bytes()
        if path.suffix == ".safetensors":
            kind = "tensors saved by safetensors"
            return safetensors.numpy.load(data)
        if data.startswith(_ZIP):
            return _load_zip(data)
        if data.startswith(_PICKLE):
            return _load_legacy(data)
        _refuse("this file does not begin like one")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except _Refused as error:
        raise ValueError(f"{path}: expected {kind}; {error}") from error
    except Exception as error:  # damaged files raise many kinds
        what = f"it is damaged or cut ({type(error).__name__}: {reason(error)[:80]})"
        raise ValueError(f"{path}: expected {kind}; {what}") from error


def _refuse(message: str) -> NoReturn:
    raise _Refused(message)


def _load_legacy(data: bytes) -> Any:
    stream = io.BytesIO(data)

    def pickled() -> tuple[Any, dict[str, _Storage]]:
        unpickler = _Unpickler(stream, len(data))
        return unpickler.load(), unpickler.storages

    if pickled()[0] != _MAGIC:
        _refuse("this file does not begin like one")
    if pickled()[0] != _VERSION:
        _refuse(f"its version is not {_VERSION}")
    machine, _ = pickled()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        _refuse("it was not written on a little-endian machine")
    content, storages = pickled()
    if pickled()[0] != sorted(storages):
        _refuse("its list of storages is not that of its tensors")
    for key, storage in sorted(storages.items()):
        size = int.from_bytes(stream.read(8), "little", signed=True)
        if size != storage.numbers.size:
            sizes = f"{size} numbers where its tensors say {storage.numbers.size}"
            _refuse(f"storage {key!r:.60} has {sizes}")
        _fill(storage, stream.read(storage.numbers.nbytes))
    return content


def _load_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            _refuse("this zip archive has no data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        order = f"{root}byteorder"  # since PyTorch 2.1; before, the machine's
        if order in names and _member(archive, order) != b"little":
            _refuse("it was not written on a little-endian machine")
        unpickler = _Unpickler(io.BytesIO(_member(archive, pickles[0])), len(data))
        found = unpickler.load()
        for key, storage in unpickler.storages.items():
            _fill(storage, _member(archive, f"{root}data/{key}"))
        return found


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if (info := archive.NameToInfo.get(name)) is None:
        _refuse(f"its archive has no {name!r:.80}")
    # torch.save never compresses; so what is read is no larger than the file
    if info.compress_type != zipfile.ZIP_STORED:
        _refuse(f"{name!r:.80} is compressed")
    return archive.read(info)


class _Storage(NamedTuple):
    """A run of numbers; a pickle refers to it before its bytes are read."""

    key: str
    numbers: np.ndarray


def _fill(storage: _Storage, data: bytes) -> None:
    key, numbers = storage
    size = numbers.nbytes
    if len(data) != size:
        _refuse(f"storage {key!r:.60} should have {size} bytes, there are {len(data)}")
    numbers[:] = np.frombuffer(data, numbers.dtype)


class _Unpickler(pickle._Unpickler):
    """Dicts, lists, tuples, numbers, strings and tensors, and nothing else.

    The unpickler in Python: that in C takes memory for the largest number given to an
    object, and hashes nested keys on the stack of the machine.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, stream: io.BytesIO, size: int) -> None:
        """`size` is that of the whole file, in bytes."""
        # as PyTorch reads files written under Python 2
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}
        self._size = size
        self._declared = self._copied = 0

    def load(self) -> Any:
        found = super().load()
        _require_shallow(found)
        return found

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return self._ordered_dict
        if module == "torch._utils" and name in _REBUILD:
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        _refuse(
            f"it names {f'{module}.{name}'!r:.80}, which no state_dict needs and which "
            "may run code; save the state_dict alone"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        # in the old format also with a view of the storage
        is_whole = isinstance(pid, tuple) and pid[5:] in ((), (None,))
        if not is_whole or len(pid) < 5 or pid[0] != "storage":
            _refuse("it refers to something other than a whole storage")
        _, dtype, key, _, size = pid[:5]
        if dtype not in _DTYPES.values() or not isinstance(key, str):
            _refuse("it refers to a storage without type or key")
        if not _is_count(size):
            _refuse(f"storage {key!r:.60} has no valid size")
        if key not in self.storages:
            self._declared += size * np.dtype(dtype).itemsize
            if (needed := self._declared) > self._size:
                _refuse(f"its tensors need {needed} bytes and there are {self._size}")
            self.storages[key] = _Storage(key, np.empty(size, dtype))
        numbers = self.storages[key].numbers
        if (numbers.dtype, numbers.size) != (np.dtype(dtype), size):
            _refuse(f"storage {key!r:.60} is described in two ways")
        return self.storages[key]

    def _ordered_dict(self, items: Any = ()) -> dict[Any, Any]:
        self._copied += len(items)  # one list may stand in many places
        if self._copied > self._size:
            _refuse("its dicts have more entries than it has bytes")
        return {_key(key): value for key, value in items}

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._top_dict()[_key(key)] = value

    def load_setitems(self) -> None:
        items = self.pop_mark()
        top = self._top_dict()
        for key, value in zip(items[::2], items[1::2], strict=True):
            top[_key(key)] = value

    def load_build(self) -> None:
        self.stack.pop()  # attributes of a state_dict (`_metadata`) are forgotten
        self._top_dict()

    def _top_dict(self) -> dict[Any, Any]:
        if type(self.stack[-1]) is not dict:
            raise TypeError("expected a dict")
        return self.stack[-1]

    dispatch: ClassVar[dict[int, Any]] = {
        **{
            code: pickle._Unpickler.dispatch[code]
            for code in (getattr(pickle, name)[0] for name in _OPCODES.split())
        },
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.BUILD[0]: load_build,
    }


def _key(key: Any) -> str | float | None:
    """A key as it is; the hash of a tuple of tuples may take the machine's stack."""
    if key is not None and not isinstance(key, str | int | float):
        _refuse("one of its keys is neither a string nor a number")
    return key


def _require_shallow(found: Any) -> None:
    """Refuses what a reader of the object could not walk through."""
    level, seen = [found], set()
    for _ in range(_DEEPEST):
        inside: list[Any] = []
        for value in level:
            if isinstance(value, dict | list | tuple) and id(value) not in seen:
                seen.add(id(value))
                inside += value.values() if isinstance(value, dict) else value
        if not inside:
            return
        level = inside
    _refuse("its objects are nested too deeply")


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *not_data: Any
) -> np.ndarray:
    """A view of a storage, from what a pickle says: anything at all may stand here.

    `not_data` are `requires_grad` and hooks.
    """
    are_numbers = _is_count(offset) and _are_counts(shape) and _are_counts(strides)
    is_storage = isinstance(storage, _Storage)
    if not (is_storage and are_numbers and len(shape) == len(strides)):
        _refuse("one of its tensors has no valid storage, offset, shape and strides")
    numbers = storage.numbers
    count = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    # An expanded tensor (stride 0) could be of any size, and so could an empty one.
    is_inside = count <= numbers.size and (count == 0 or last < numbers.size)
    if not (is_inside and _is_count(math.prod(n for n in shape if n > 0))):
        _refuse(
            f"a tensor of shape {shape}, strides {strides} and offset {offset} does "
            f"not lie within the {numbers.size} numbers of storage {storage.key!r:.60}"
        )
    if count == 0:
        return np.empty(shape, numbers.dtype)
    steps = [stride * numbers.itemsize for stride in strides]
    return as_strided(numbers[offset:], shape, steps, writeable=False)


def _is_count(value: Any) -> bool:
    """Whether something unpickled is a number of things."""
    return type(value) is int and 0 <= value <= _LARGEST


def _are_counts(value: Any) -> bool:
    is_short = isinstance(value, tuple) and len(value) <= _MOST_AXES
    return is_short and all(map(_is_count, value))
