"""One IDX file: every type and number of dimensions, or one line that says why not."""

import gzip
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nas_jax.data import idx
from tests.data import idx_files

KINDS = ("u1", "i1", "i2", "i4", "f4", "f8")


@given(
    st.sampled_from(KINDS).flatmap(
        lambda kind: arrays.arrays(
            np.dtype(f"={kind}"),
            arrays.array_shapes(max_dims=4, max_side=5),
            elements=arrays.from_dtype(np.dtype(f"={kind}"), allow_nan=False),
        )
    ),
    st.sampled_from(["", ".gz", ".xz"]),
)
def test_what_is_written_is_read(tmp_path_factory, values, suffix):
    path = idx_files.write(tmp_path_factory.mktemp("idx") / f"a{suffix}", values)
    found = idx.read(path)
    np.testing.assert_array_equal(found, values)
    assert found.dtype == values.dtype.newbyteorder(">")


def test_header_is_read_byte_by_byte(tmp_path):
    """As in the description: 0 0 type dimensions, lengths, values."""
    (tmp_path / "a").write_bytes(
        bytes([0, 0, 0xB, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 255, 255])
    )
    np.testing.assert_array_equal(idx.read(tmp_path / "a"), [[256, -1]])


@pytest.mark.parametrize("name", ["a.gz", "a", "a.xz", "a-ubyte"])
def test_packing_is_seen_in_the_bytes_not_in_the_name(name, tmp_path):
    """Browsers unpack without renaming, and rename without unpacking."""
    values = idx_files.images(3)
    for content in (
        idx_files.content(values),
        gzip.compress(idx_files.content(values), mtime=0),
    ):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(idx.read(tmp_path / name), values)


WHOLE = idx_files.content(idx_files.images(3, (2, 2)))
PACKED = gzip.compress(WHOLE, mtime=0)


def header(*shape, code=8):
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "got an empty file;"),
        (b"<!DOCTYPE html><html>403 Forbidden</html>", "got a web page: the downlo"),
        (b"version https://git-lfs.github.com/spec/v1", "got a git-lfs pointer"),
        (b"\x89PNG\r\n\x1a\n", r"got one that begins with b'\x89PNG'"),
        (b"PK\3\4", "got a ZIP archive"),
        (bytes(16), "got nothing but zeros"),
        (WHOLE[:3], r"begins with b'\x00\x00\x08'"),
        (b"\0\0\7\1\0\0\0\1x", r"begins with b'\x00\x00\x07\x01'"),
        (WHOLE[::-1], "begins with b'"),
        (b"\0\0\x08\0x", "got 0 dimensions where 1 to 4 are read"),
        (header(*[1] * 5) + b"x", "got 5 dimensions where 1 to 4"),
        (WHOLE[:10], "got one that breaks off in its header"),
        (WHOLE[:-1], "3 x 2 x 2 values of 1 bytes announced, and 11 bytes there"),
        (WHOLE[:16], "announced, and 0 bytes there"),
        (WHOLE + b"x", "announced, and more there"),
        (WHOLE * 2, "announced, and more there"),
        (header(0, 28, 28), "got 0 x 28 x 28 values of 1 bytes announced where 1 to"),
        (header(2**32 - 1, 2**32 - 1, 9), "announced where 1 to 2,147,483,648 bytes"),
        (header(2**30, code=0xE), "of 8 bytes announced where 1 to 2,147,483,648"),
        (header(2**31 - 1) + b"x", "announced, and 1 bytes there"),
        (PACKED[:-9], "Compressed file ended before the end-of-stream"),
        (PACKED[:5], "Compressed file ended before the end-of-stream"),
        (PACKED[:-8] + bytes(8), "CRC check failed"),
        (PACKED + b"garbage", "Not a gzipped file"),
        (gzip.compress(PACKED, mtime=0), "got a gzip archive"),
        (b"\xfd7zXZ\0" + bytes(20), "got "),
    ],
)
def test_what_is_no_whole_file_is_one_line(content, line, tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError) as raised:
        idx.read(path)
    said = str(raised.value)
    assert said.startswith(f"{path}: expected a whole IDX file, got ") and line in said
    assert said.endswith("; copy or download it again") and "\n" not in said


def test_file_made_to_burst_is_read_no_further_than_it_announces(tmp_path, monkeypatch):
    bomb = gzip.compress(header(10) + bytes(1 << 28), 1)
    assert len(bomb) < 1 << 21
    path = tmp_path / "a.gz"
    path.write_bytes(bomb)
    read = []
    whole = gzip.GzipFile.read

    def counted(self, size=-1):
        read.append(size)
        return whole(self, size)

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    with pytest.raises(ValueError, match="10 values of 1 bytes announced, and more"):
        idx.read(path)
    assert 0 < sum(read) <= 2 << 20


def test_place_without_a_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe-idx1-ubyte")
    for name in ("pipe-idx1-ubyte", "none", "."):
        with pytest.raises(ValueError, match="got no regular file"):
            idx.read(tmp_path / name)
