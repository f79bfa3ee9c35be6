"""Settings of the whole process: allocator, compiler flags, compile cache, backend.

`prepare` makes them; the command line calls it before a verb that computes, a notebook
may as well (`from nas_jax.training import host; host.prepare()`). Importing this module
changes nothing and imports no JAX. What the user has set is never overridden.
"""

import ctypes
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nas_jax.config import provenance
from nas_jax.config.experiment import Experiment

CACHE_VARIABLE = "NAS_JAX_CACHE"
"""Environment variable: `off`, or the folder of the compile cache."""
CACHE_BYTES = 2 * 1024**3
"""The cache is cut to this size, entries not used for longest first."""
CACHED_FROM_SECONDS = 0.5
"""What compiles faster is compiled again: reading it back would gain little."""
LARGE_BATCH_PIXELS = 32_768
"""Batches with as many pixels take some 32 MiB of temporaries or more (0.6 KiB per
pixel in the digits space, 2 in the ImageNet space), and glibc returns blocks from that
size on to the system. Below, one arena only makes threads wait: a training step of the
digits (12,800 pixels) took 6.0 instead of 5.4 ms."""


class Flag(NamedTuple):
    """A compiler flag, the feature of CPUs that gain by it, the reason and the gain."""

    flag: str
    cpu_feature: str
    reason: str
    measured: str


XLA_FLAGS = (
    Flag(
        "--xla_cpu_prefer_vector_width=512",
        "avx512f",
        "XLA:CPU uses half of the vector registers of AVX-512 by default",
        "training step of a plain network, 16 x 96 x 96 images, JAX 0.10.2, 2 cores, "
        "minima: 0.129 -> 0.108 s on Zen 5, 0.294 -> 0.285 s on Zen 4 (busy)",
    ),
)


class Settings(NamedTuple):
    """The settings that `prepare` made.

    `too_late` are flags that were not set because JAX computes already; `cache` is None
    without a cache; `platform` is where JAX computes.
    """

    allocator: bool
    flags: tuple[str, ...]
    too_late: tuple[str, ...]
    cache: Path | None
    platform: str


def prepare(*, cache: bool = True, pixels: int = 0, backend: str = "any") -> Settings:
    """Makes all settings; the first call should come before JAX computes anything.

    Args:
      cache: whether compiled programs are kept on disk.
      pixels: of the largest batch, images times side times side. The allocator is
        set from `LARGE_BATCH_PIXELS` on.
      backend: `devices.backend` of an experiment.

    Raises:
      ValueError: if the backend is not there, or that of `JAX_PLATFORMS`, and if the
        compiler fails the self-test.
    """
    # before JAX makes its threads; an accelerator has memory of its own, and its host
    # many threads that decode
    is_large = pixels >= LARGE_BATCH_PIXELS
    is_tuned = is_large and is_cpu_alone(backend) and tune_allocator()
    flags, too_late = set_xla_flags()
    found = require_backend(backend)
    if not cache:
        disable_cache()
    folder = enable_cache() if cache else None
    if folder is not None:
        require_right_sums(folder)
    return Settings(is_tuned, flags, too_late, folder, found)


def prepare_for(experiment: Experiment, *, cache: bool = True) -> Settings:
    """`prepare` with the batches and the backend of an experiment."""
    backend = experiment.devices.backend
    return prepare(cache=cache, pixels=experiment.pixels, backend=backend)


# --- allocator (glibc; elsewhere nothing is done) ------------------------------------

# of glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_is_tuned = False
_SMALL_BYTES = 1040
"""Smaller pieces are kept by size for each thread and found at once."""
_SHRINK = 0.9
"""Sizes tried go down by this, so that a tenth of a hole stays at most."""


def tune_allocator() -> bool:
    """Keeps the memory of one step for the next; returns whether it could be set.

    XLA:CPU takes all temporary arrays of a program in one malloc. Above its mmap
    threshold glibc gives that back to the system after every step, and the next step
    faults in every page again: 27 instead of 6 ms for a sum over 61 MB. The price is
    that the process keeps the most it has ever used. Only for glibc, and not where the
    environment sets `MALLOC_*` or `GLIBC_TUNABLES`, or preloads another library.
    """
    preset = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    is_preset = any(v and name.startswith(preset) for name, v in os.environ.items())
    if is_preset or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_ARENA_MAX, 1))
    global _is_tuned
    _is_tuned = all([mallopt(name, value) == 1 for name, value in settings])
    return _is_tuned


def is_tuned() -> bool:
    """Whether `tune_allocator` was called, and could."""
    return _is_tuned


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
    nothing unless `tune_allocator` did.
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


# --- compiler flags ------------------------------------------------------------------


def set_xla_flags() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Adds those of `XLA_FLAGS` that suit this CPU to the environment.

    Returns those added, and those that come too late because JAX computes already.
    A flag that the environment names is left as it is.
    """
    given = os.environ.get("XLA_FLAGS", "")
    features = frozenset(provenance.cpu().get("flags", "").split())
    missing = flags_for(features, given)
    if not missing:
        return (), ()
    if _jax_computes_already():
        return (), missing
    os.environ["XLA_FLAGS"] = " ".join([*given.split(), *missing])
    return missing, ()


def flags_for(features: frozenset[str], given: str) -> tuple[str, ...]:
    """The flags for a CPU with these features that `given` does not name.

    >>> flags_for(frozenset({"avx2", "avx512f"}), "--xla_dump_to=/tmp/x")
    ('--xla_cpu_prefer_vector_width=512',)
    >>> flags_for(frozenset({"avx512f"}), "--xla_cpu_prefer_vector_width=256")
    ()
    """
    named = {flag.partition("=")[0] for flag in given.split()}
    return tuple(
        row.flag
        for row in XLA_FLAGS
        if row.cpu_feature in features and row.flag.partition("=")[0] not in named
    )


def _jax_computes_already() -> bool:
    if "jax" not in sys.modules:
        return False
    from jax._src import xla_bridge  # there is no public way to ask

    return xla_bridge.backends_are_initialized()


# --- compile cache -------------------------------------------------------------------


def enable_cache() -> Path | None:
    """Keeps compiled programs for the next process; returns the folder or None.

    The folder is that of `NAS_JAX_CACHE`, else what JAX was told
    (`JAX_COMPILATION_CACHE_DIR`, `JAX_ENABLE_COMPILATION_CACHE`), else
    `nas_jax/compiled` in the user's cache folder. Where it cannot be written, one
    warning is printed and nothing is kept.
    """
    import jax

    wanted = os.environ.get(CACHE_VARIABLE, "")
    if wanted == "off":
        disable_cache()
        return None
    chosen = cache_folder()
    if chosen and not wanted:
        return chosen
    if not jax.config.values["jax_enable_compilation_cache"]:
        return None
    try:
        root = (
            Path(wanted) if wanted else provenance.user_cache() / "nas_jax" / "compiled"
        )
        folder = root / machine()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        trim(folder, CACHE_BYTES)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        warn(
            f"compiled programs are not kept: {error}; set {CACHE_VARIABLE} to a "
            "folder that can be written, or to off"
        )
        disable_cache()
        return None
    set_cache(str(folder))
    return folder


def cache_folder() -> Path | None:
    """Where JAX keeps compiled programs; None if it does not."""
    import jax

    is_on = jax.config.values["jax_enable_compilation_cache"]
    folder = jax.config.values["jax_compilation_cache_dir"]
    return Path(folder) if is_on and folder else None


def disable_cache() -> None:
    """Lets JAX neither read nor write compiled programs."""
    set_cache(None)


@contextmanager
def without_cache() -> Iterator[None]:
    """Programs are compiled, whatever the cache has: for whom the time of it counts."""
    before = cache_folder()
    disable_cache()
    try:
        yield
    finally:
        set_cache(None if before is None else str(before))


def set_cache(folder: str | None) -> None:
    """Has JAX keep compiled programs in a folder, or nowhere."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update(
            "jax_persistent_cache_min_compile_time_secs", CACHED_FROM_SECONDS
        )
    jax.config.update("jax_compilation_cache_dir", folder)
    compilation_cache.reset_cache()  # JAX looks at the folder once


def machine() -> str:
    """Name for what compiled programs depend on beyond JAX's own cache keys.

    Machine code for one CPU may not run, or run slowly, on another that shares the
    home folder, and work is split for the cores that the compiler saw.
    """
    first = provenance.cpu()
    names = ("vendor_id", "cpu family", "model", "flags", "Features")
    facts = [
        platform.machine(),
        str(provenance.cores()),
        *(first.get(name, "") for name in names),
    ]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def trim(folder: Path, limit_bytes: int) -> None:
    """Removes entries of the cache, those read longest ago first, down to a size.

    JAX's own, and the kept programs beside them.
    """
    files = (*folder.glob("*-cache"), *folder.glob("programs/*"))
    entries = [(path, path.stat()) for path in files]
    excess = sum(stat.st_size for _, stat in entries) - limit_bytes
    for path, stat in sorted(entries, key=lambda entry: entry[1].st_atime):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= stat.st_size


@functools.cache
def warn(message: str) -> None:
    """Prints a warning, each only once."""
    print(f"nas_jax: warning: {message}", file=sys.stderr)


def require_right_sums(folder: Path) -> None:
    """Runs the self-test of the compiler once; that it passed is kept in a folder.

    Raises `ValueError` if it fails (`selftest`).
    """
    from nas_jax.training import selftest

    told = f"{selftest.where()} {os.environ.get('XLA_FLAGS', '')}"
    mark = folder / f"right-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    if not mark.exists():
        selftest.require_right()
        mark.touch()


# --- backend -------------------------------------------------------------------------


def is_cpu_alone(backend: str = "any") -> bool:
    """Whether JAX can compute on the CPU alone, known before it begins to.

    Accelerators come as plugins (`jax_plugins`), TPUs as `libtpu`.
    """
    if "cpu" in (backend, os.environ.get("JAX_PLATFORMS")):
        return True
    packages = ("jax_plugins", "libtpu")
    is_installed = any(importlib.util.find_spec(name) for name in packages)
    return not is_installed and not importlib.metadata.entry_points(group="jax_plugins")


def require_backend(wanted: str = "any") -> str:
    """The platform where JAX computes, `cpu`, `gpu` or `tpu`; the one wanted.

    Raises `ValueError` if `JAX_PLATFORMS` or `devices.backend` asks for what this
    installation has not, or JAX computes elsewhere already.
    """
    import jax
    from jax.extend import backend

    asked = jax.config.values["jax_platforms"]
    field, platforms = "JAX_PLATFORMS", asked
    if wanted != "any" and not asked:
        field, platforms = "devices.backend", wanted
        if not _jax_computes_already():
            jax.config.update("jax_platforms", wanted)
    try:
        found = jax.default_backend()
    # JAX asserts where a plugin it knows of is not installed
    except (RuntimeError, AssertionError) as error:
        if not platforms:
            raise
        jax.config.update("jax_platforms", None)
        here = ", ".join(sorted(backend.backends()))
        jax.config.update("jax_platforms", asked)
        raise ValueError(
            f"{field}: expected one of what this installation has ({here}), got "
            f"{platforms!r}; install JAX for it, or let JAX choose without {field}"
        ) from error
    if wanted not in ("any", found):
        raise ValueError(
            f"devices.backend: expected {wanted}, JAX computes on {found} (set by "
            "JAX_PLATFORMS, or by what ran before); leave out one of the two"
        )
    return found
