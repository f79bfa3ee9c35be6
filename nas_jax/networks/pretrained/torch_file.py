"""Files of `torch.save` and safetensors, read without PyTorch into NumPy arrays.

`torch.save` has two containers. The old one (until PyTorch 1.6) is a sequence of
pickles (magic number, version, machine, object, list of storage keys) and then, per
key, the number of elements as int64 and the elements. The new one is an uncompressed
zip archive with `data.pkl` and one file per storage. Pickles are read as data and
nothing in them is run: see `inert_pickle`.
"""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from nas_jax.config.checks import reason
from nas_jax.networks.pretrained.inert_pickle import (
    BFLOAT16,
    Refused,
    StandIn,
    Storage,
    Unpickler,
    refuse,
)

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_PICKLE, _ZIP = b"\x80", b"PK\x03\x04"  # first bytes
_SAFETENSORS = {
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{"BOOL": np.dtype("|b1"), "BF16": BFLOAT16},
}


def load(path: str | Path) -> Any:
    """The object of a file, its tensors as read-only NumPy arrays.

    Dicts stay dicts in their order; lists, tuples, numbers and strings stay as they
    are; an object of any class, or a tensor that is no plain run of numbers, is a
    `StandIn`. The format is known by its first bytes, whatever the file is called.

    Raises:
      ValueError: naming the file and why it is not read: no file, not one of
        `torch.save`, damaged or cut, or a tensor that does not lie within its storage.
    """
    path = Path(path)
    kind = "a state_dict saved by torch.save"
    try:
        data = path.read_bytes()
        if _is_safetensors(data) or path.suffix == ".safetensors":
            kind = "tensors saved by safetensors"
            return dict(_safe_tensor(*one) for one in safetensors.deserialize(data))
        if data.startswith(_ZIP):
            return _load_zip(data)
        if data.startswith(_PICKLE):
            return _load_legacy(data)
        refuse("this file does not begin like one")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except Refused as error:
        raise ValueError(f"{path}: expected {kind}; {error}") from error
    except Exception as error:  # damaged files raise many kinds
        what = f"it is damaged or cut ({type(error).__name__}: {reason(error)[:80]})"
        raise ValueError(f"{path}: expected {kind}; {what}") from error


def _is_safetensors(data: bytes) -> bool:
    """Whether a file begins with the length of a JSON object, and the object."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8


def _safe_tensor(name: str, found: dict[str, Any]) -> tuple[str, np.ndarray | StandIn]:
    if (dtype := _SAFETENSORS.get(found["dtype"])) is None:
        return name, StandIn(f"a tensor of {found['dtype']}")
    return name, np.frombuffer(found["data"], dtype).reshape(found["shape"])


def _load_legacy(data: bytes) -> Any:
    stream = io.BytesIO(data)

    def pickled() -> tuple[Any, dict[str, Storage]]:
        unpickler = Unpickler(stream, len(data))
        return unpickler.load(), unpickler.storages

    if pickled()[0] != _MAGIC:
        refuse("this file does not begin like one")
    if pickled()[0] != _VERSION:
        refuse(f"its version is not {_VERSION}")
    machine, _ = pickled()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        refuse("it was not written on a little-endian machine")
    content, storages = pickled()
    if pickled()[0] != sorted(storages):
        refuse("its list of storages is not that of its tensors")
    for key, storage in sorted(storages.items()):
        size = int.from_bytes(stream.read(8), "little", signed=True)
        if size != storage.numbers.size:
            sizes = f"{size} numbers where its tensors say {storage.numbers.size}"
            refuse(f"storage {key!r:.60} has {sizes}")
        storage.fill(stream.read(storage.numbers.nbytes))
    return content


def _load_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            refuse("this zip archive has no data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}constants.pkl" in names:
            refuse(
                "it is a TorchScript program; in PyTorch, save "
                "torch.jit.load(FILE).state_dict() with torch.save"
            )
        order = f"{root}byteorder"  # since PyTorch 2.1; before, the machine's
        if order in names and _member(archive, order) != b"little":
            refuse("it was not written on a little-endian machine")
        unpickler = Unpickler(io.BytesIO(_member(archive, pickles[0])), len(data))
        found = unpickler.load()
        for key, storage in unpickler.storages.items():
            storage.fill(_member(archive, f"{root}data/{key}"))
        return found


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if (info := archive.NameToInfo.get(name)) is None:
        refuse(f"its archive has no {name!r:.80}")
    # torch.save never compresses; so what is read is no larger than the file
    if info.compress_type != zipfile.ZIP_STORED:
        refuse(f"{name!r:.80} is compressed")
    return archive.read(info)
