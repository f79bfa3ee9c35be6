"""One IDX file: an array of numbers behind a short header, packed or not.

yann.lecun.com/exdb/mnist describes it. Two bytes are 0, the third is the type of the
values, the fourth the number of dimensions; the length of each follows as a big-endian
integer of 32 bits, then the values, big-endian, the last dimension fastest.
"""

import gzip
import lzma
import math
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from nas_jax.config.checks import reason
from nas_jax.data import foreign

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""NumPy's names of the types, by their byte."""
MOST_DIMENSIONS = 4
MOST_BYTES = 1 << 31
"""Of values: they are held in memory, and a small packed file may unpack to more."""
_PACKED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\0": lzma.open,
}
_PIECE = 1 << 20


def read(path: Path) -> np.ndarray:
    """The values of a file, plain or packed by gzip or xz, whatever its name ends in.

    Raises:
      ValueError: if it is none, breaks off, goes on behind its values, or has more than
        `MOST_BYTES` of them.
    """
    try:
        if not path.is_file():
            raise ValueError("no regular file")
        with path.open("rb") as plain:
            start = plain.read(6)
            plain.seek(0)
            unpack = [how for mark, how in _PACKED.items() if start.startswith(mark)]
            return _values(unpack[0](plain) if unpack else plain)
    except Exception as error:  # a damaged archive raises many kinds
        raise ValueError(
            f"{path}: expected a whole IDX file, got {reason(error)}; copy or download "
            "it again"
        ) from error


def _values(stream: IO[bytes]) -> np.ndarray:
    head = stream.read(foreign.HEAD)
    if head[:2] != b"\0\0" or len(head) < 4 or head[2] not in TYPES:
        raise ValueError(foreign.kind_of(head) or f"one that begins with {head[:4]!r}")
    kind, dimensions = np.dtype(TYPES[head[2]]), head[3]
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise ValueError(
            f"{dimensions} dimensions where 1 to {MOST_DIMENSIONS} are read"
        )
    begin = 4 + 4 * dimensions
    if len(head) < begin:
        raise ValueError("one that breaks off in its header")
    shape = np.frombuffer(head[4:begin], ">u4").tolist()
    expected = math.prod(shape) * kind.itemsize
    said = f"{' x '.join(map(str, shape))} values of {kind.itemsize} bytes announced"
    if not 0 < expected <= MOST_BYTES:
        raise ValueError(f"{said} where 1 to {MOST_BYTES:,} bytes in all are read")
    content = bytearray(head[begin:])
    # no more than is announced, whatever it would unpack to
    while len(content) <= expected and (piece := stream.read(_PIECE)):
        content += piece
    if len(content) != expected:
        there = f"{len(content):,} bytes" if len(content) < expected else "more"
        raise ValueError(f"{said}, and {there} there")
    return np.frombuffer(content, kind).reshape(shape)
