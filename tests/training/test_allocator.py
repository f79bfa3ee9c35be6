"""The allocator's settings, seen in a C library of ours and in the real one."""

import ctypes

import pytest

from nas_jax.training import allocator
from tests.clean_python import python, without


class Library:
    """Stands in for the C library and remembers what was asked."""

    def __init__(self, answer=1):
        self.asked = []
        self.answer = answer

    def mallopt(self, name, value):
        self.asked.append((name, value))
        return self.answer


@pytest.fixture
def library(monkeypatch):
    found = Library()
    without(monkeypatch, "MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    monkeypatch.setattr(allocator, "_is_tuned", False)  # put back afterwards
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: found)
    return found


def test_allocator_keeps_large_blocks_in_one_heap(library):
    assert allocator.tune()
    # glibc's malloc.h: M_MMAP_MAX -4, M_TRIM_THRESHOLD -1, M_ARENA_MAX -8
    assert set(library.asked) == {(-4, 0), (-1, -1), (-8, 1)}


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_allocator_that_the_user_set_is_left_alone(library, monkeypatch, name):
    monkeypatch.setenv(name, "glibc.malloc.arena_max=2")
    assert not allocator.tune()
    assert library.asked == []


@pytest.mark.parametrize("libc", [("", ""), ("musl", "1.2.4")])
def test_other_c_libraries_are_left_alone(library, monkeypatch, libc):
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: libc)
    assert not allocator.tune()
    assert allocator.settle_heap() == 0
    assert library.asked == []


def test_refusal_of_the_allocator_is_told(library):
    library.answer = 0
    assert not allocator.tune()


@pytest.mark.skipif(allocator.platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_block_is_kept_until_the_heap_is_settled():
    code = """
import ctypes, os
from nas_jax import allocator
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
c.free.argtypes = [ctypes.c_void_p]
c.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def resident_mb():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
def growth_after_free():
    before, block = resident_mb(), c.malloc(200_000_000)
    c.memset(block, 1, 200_000_000)
    c.free(block)
    return resident_mb() - before
print(growth_after_free() > 150, allocator.tune(), growth_after_free() > 150)
before = resident_mb()
allocator.settle_heap()
print(before - resident_mb() > 150)
"""
    assert python(code).stdout == "False True True\nTrue\n"


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc")
def test_settled_heap_has_no_holes():
    code = """
import ctypes
from nas_jax import allocator
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
c.free.argtypes, c.mallinfo2.restype = [ctypes.c_void_p], allocator._HeapSize
def in_holes():
    heap = c.mallinfo2()
    return heap.fordblks - heap.keepcost
tuned = allocator.tune()
blocks = [c.malloc(2000 + 37 * (i % 901)) for i in range(4000)]
for block in blocks[::2]:
    c.free(block)
before = in_holes()
closed = allocator.settle_heap()
print(tuned, before > 30e6, closed > 0.8 * before, in_holes() < 0.2 * before)
print(allocator.settle_heap() < 0.2 * before)
"""
    assert python(code).stdout == "True True True True\nTrue\n"
