"""Files of `torch.save`, read without PyTorch: their tensors become NumPy arrays.

Both formats are read. The old one (until PyTorch 1.6) is a sequence of pickles (magic
number, version, machine, object, list of storage keys) and then, per key, the number
of elements as int64 and the elements. The new one is an uncompressed zip archive with
`data.pkl` and one file per storage. Every size, offset and stride is checked against
the bytes that are there; nothing in a file is run (`torch_pickle`).
"""

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax import torch_pickle
from nas_jax.torch_pickle import Refused, Storage, Tensor, is_count, refuse

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_PICKLE, _ZIP = b"\x80", b"PK\x03\x04"  # first bytes
_MOST_AXES = 8


def load(path: str | Path) -> Any:
    """The object of a file of `torch.save`, its tensors as read-only NumPy arrays.

    Dicts stay dicts in their order; lists, tuples, numbers and strings stay as they
    are.

    Raises:
      ValueError: naming the file and why it is not read: no file, not one of
        `torch.save`, damaged or cut, a global that a state_dict has no use for, or a
        tensor that does not lie within its storage.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        if data.startswith(_ZIP):
            return _load_zip(data)
        if data.startswith(_PICKLE):
            return _load_legacy(data)
        refuse("this file does not begin like one")
    except Refused as error:
        raise ValueError(
            f"{path}: expected a state_dict saved by torch.save; {error}"
        ) from error


def _load_legacy(data: bytes) -> Any:
    stream = io.BytesIO(data)
    if torch_pickle.load(stream)[0] != _MAGIC:
        refuse("this file does not begin like one")
    if torch_pickle.load(stream)[0] != _VERSION:
        refuse(f"its version is not {_VERSION}")
    machine = torch_pickle.load(stream)[0]
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        refuse("it was not written on a little-endian machine")
    found, storages = torch_pickle.load(stream)
    keys = torch_pickle.load(stream)[0]
    if not isinstance(keys, list) or keys != sorted(storages):
        refuse("its list of storages is not that of its tensors")
    _check_sizes(storages, len(data) - stream.tell())
    arrays = {}
    for key in keys:
        storage = storages[key]
        size = int.from_bytes(stream.read(8), "little", signed=True)
        if size != storage.size:
            refuse(
                f"storage {key!r:.60} has {size} numbers where its tensors say "
                f"{storage.size}"
            )
        arrays[key] = _numbers(storage, stream.read(_bytes(storage)))
    return _with_arrays(found, arrays)


def _load_zip(data: bytes) -> Any:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            pickles = [name for name in names if name.endswith("/data.pkl")]
            if len(pickles) != 1:
                refuse("this zip archive has no data.pkl")
            root = pickles[0].removesuffix("data.pkl")
            order = f"{root}byteorder"  # since PyTorch 2.1; before, the machine's
            if order in names and _member(archive, order) != b"little":
                refuse("it was not written on a little-endian machine")
            pickled = _member(archive, pickles[0])
            found, storages = torch_pickle.load(io.BytesIO(pickled))
            _check_sizes(storages, len(data))
            arrays = {
                key: _numbers(storage, _member(archive, f"{root}data/{key}"))
                for key, storage in storages.items()
            }
    except Refused:
        raise
    except Exception as error:  # a damaged archive raises many kinds
        refuse(f"its zip archive is damaged ({torch_pickle.reason(error)})")
    return _with_arrays(found, arrays)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        refuse(f"its archive has no {name!r:.80}")
    # torch.save never compresses; so what is read is no larger than the file
    if info.compress_type != zipfile.ZIP_STORED:
        refuse(f"{name!r:.80} is compressed")
    return archive.read(info)


def _bytes(storage: Storage) -> int:
    return storage.size * np.dtype(storage.dtype).itemsize


def _check_sizes(storages: dict[str, Storage], available: int) -> None:
    declared = sum(map(_bytes, storages.values()))
    if declared > available:
        refuse(f"its tensors need {declared} bytes and there are {available}")


def _numbers(storage: Storage, data: bytes) -> np.ndarray:
    if len(data) != _bytes(storage):
        refuse(
            f"storage {storage.key!r:.60} should have {_bytes(storage)} bytes, there "
            f"are {len(data)}"
        )
    return np.frombuffer(data, storage.dtype)


def _with_arrays(found: Any, arrays: dict[str, np.ndarray]) -> Any:
    """`found` with every tensor record replaced by its array."""
    # by identity: an object may stand in many places, and contain itself
    made: dict[int, Any] = {}

    def visit(value: Any, name: str) -> Any:
        if isinstance(value, Tensor):
            return _array(value, arrays, name)
        if id(value) in made:
            return made[id(value)]
        if isinstance(value, dict):
            result = made[id(value)] = {}
            for key, item in value.items():
                result[key] = visit(item, key if isinstance(key, str) else name)
            return result
        if isinstance(value, list):
            items: list[Any] = []
            made[id(value)] = items
            items.extend(visit(item, name) for item in value)
            return items
        if isinstance(value, tuple):
            made[id(value)] = tuple(visit(item, name) for item in value)
            return made[id(value)]
        return value

    try:
        return visit(found, "")
    except RecursionError:
        refuse("its objects are nested too deeply")


def _array(tensor: Tensor, arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    storage, offset, shape, strides = tensor
    if not (
        isinstance(storage, Storage)
        and is_count(offset)
        and _are_counts(shape)
        and _are_counts(strides)
        and len(shape) == len(strides)
    ):
        refuse(f"tensor {name!r:.80} has no valid offset, shape and strides")
    count = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    # An expanded tensor (stride 0) could be of any size, and so could an empty one.
    if (
        count > storage.size
        or (count > 0 and last >= storage.size)
        or not is_count(math.prod(n for n in shape if n > 0))
    ):
        refuse(
            f"tensor {name!r:.80} of shape {shape}, strides {strides} and offset "
            f"{offset} does not lie within its {storage.size} numbers"
        )
    numbers = arrays[storage.key]
    if count == 0:
        return np.empty(shape, numbers.dtype)
    steps = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps)


def _are_counts(value: Any) -> bool:
    is_short = isinstance(value, tuple) and len(value) <= _MOST_AXES
    return is_short and all(map(is_count, value))
