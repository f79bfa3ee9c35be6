"""The C library's allocator, set so that the memory of one step serves the next.

Everything here is about glibc, and does nothing elsewhere. Nothing is set on import:
the command line calls `tune` through `process.prepare`, and `settle_heap` after
compiling.
"""

import ctypes
import os
import platform

# of glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def tune() -> bool:
    """Lets the memory of one step be used again by the next; returns whether it did.

    XLA:CPU takes all temporary arrays of a program in one malloc. Above its mmap
    threshold glibc gives that back to the system after every step, and the next step
    faults every page in anew: 27 instead of 6 ms for a sum over 61 MB. The price is
    that the process keeps the most it has ever used. Only for glibc, and not where the
    environment sets `MALLOC_*` or `GLIBC_TUNABLES`, or preloads another library.
    """
    chosen = [
        name
        for name, value in os.environ.items()
        if value
        and (name.startswith("MALLOC_") or name in ("GLIBC_TUNABLES", "LD_PRELOAD"))
    ]
    if chosen or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_ARENA_MAX, 1))
    global _is_tuned
    _is_tuned = all([mallopt(name, value) == 1 for name, value in settings])
    return _is_tuned


_is_tuned = False


class _HeapSize(ctypes.Structure):
    """`struct mallinfo2` of glibc's malloc.h."""

    _fields_ = (
        *((f"field_{index}", ctypes.c_size_t) for index in range(8)),
        ("fordblks", ctypes.c_size_t),  # free bytes
        ("keepcost", ctypes.c_size_t),  # of these at the top
    )


def settle_heap() -> int:
    """Closes the holes that the compiler left in the heap; returns their bytes.

    It leaves some ten thousand holes, more than a gigabyte in all. With one arena every
    temporary array of a step is looked for among them, which takes longer than some
    steps compute: a weight step of the ImageNet supernet took 333 ms, and 206 ms
    without them. Free pages go back to the system, then every hole above 1 KiB is
    taken and never given back, so that new arrays come from the top of the heap. Does
    nothing unless `tune` did.
    """
    libc = ctypes.CDLL(None)
    if not _is_tuned or not hasattr(libc, "mallinfo2"):
        return 0
    libc.malloc_trim(0)
    libc.mallinfo2.restype = _HeapSize
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
    libc.malloc.argtypes = (ctypes.c_size_t,)
    libc.sbrk.argtypes = (ctypes.c_ssize_t,)
    libc.free.argtypes = (ctypes.c_void_p,)
    heap = libc.mallinfo2()
    top = libc.sbrk(0) - heap.keepcost
    size, closed = heap.fordblks, 0
    while size > _SMALL_BYTES:
        hole = libc.malloc(size)
        if hole is None or hole >= top:
            libc.free(hole)
            size = int(_SHRINK * size)
        else:
            closed += size
    return closed


_SMALL_BYTES = 1040
"""Smaller pieces are kept by size for each thread and found at once."""
_SHRINK = 0.9
"""Sizes tried go down by this, so that a tenth of a hole stays at most."""
