"""Settings of the process: what is set, what a user's own settings keep from being set.

What acts on a whole process is tried in processes of their own.
"""

import ctypes
import os
import subprocess

import pytest

from nas_jax.config import provenance
from nas_jax.training import host
from tests.clean_python import python, without

TINY = """
import jax, jax.numpy as jnp
from nas_jax.training import host
heard = []
jax.monitoring.register_event_listener(lambda event, **_: heard.append(event))
print(host.prepare(cache={cache}).cache)
def f(x):
    for _ in range(4):
        x = jnp.tanh(x @ x.T) / x.shape[0] + jnp.sin(x).sum(axis=0)
    return x
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
x = jax.random.normal(jax.random.key(0), (64, 64))
heard.clear()
program = jax.jit(jax.grad(lambda x: f(x).sum())).lower(x).compile()
print(program.memory_analysis().temp_size_in_bytes, bytes(program(x)).hex())
print([event.split("/")[-1] for event in heard if event.endswith(("hits", "misses"))])
"""


# --- import --------------------------------------------------------------------------


def test_importing_changes_nothing_and_imports_no_jax():
    code = (
        "import os, sys; before = dict(os.environ); import nas_jax.training.host; "
        "print('jax' in sys.modules, before == dict(os.environ))"
    )
    assert python(code).stdout == "False True\n"


# --- allocator -----------------------------------------------------------------------


@pytest.mark.parametrize(("images", "asked"), [(50, 0), (128, 1)])
def test_allocator_is_set_for_large_batches_only(monkeypatch, images, asked):
    """50 digits of 16x16 are small; 128 are 32,768 pixels."""
    calls = []
    monkeypatch.setattr(host, "tune_allocator", lambda: bool(calls.append(1)))
    host.prepare(cache=False, pixels=images * 16 * 16)
    assert len(calls) == asked


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
    monkeypatch.setattr(host, "_is_tuned", False)  # put back afterwards
    monkeypatch.setattr(host.platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(host.ctypes, "CDLL", lambda name: found)
    return found


def test_allocator_keeps_large_blocks_in_one_heap(library):
    assert host.tune_allocator()
    # glibc's malloc.h: M_MMAP_MAX -4, M_TRIM_THRESHOLD -1, M_ARENA_MAX -8
    assert set(library.asked) == {(-4, 0), (-1, -1), (-8, 1)}


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_allocator_that_the_user_set_is_left_alone(library, monkeypatch, name):
    monkeypatch.setenv(name, "glibc.malloc.arena_max=2")
    assert not host.tune_allocator()
    assert library.asked == []


@pytest.mark.parametrize("libc", [("", ""), ("musl", "1.2.4")])
def test_other_c_libraries_are_left_alone(library, monkeypatch, libc):
    monkeypatch.setattr(host.platform, "libc_ver", lambda: libc)
    assert not host.tune_allocator()
    assert host.settle_heap() == 0
    assert library.asked == []


def test_refusal_of_the_allocator_is_told(library):
    library.answer = 0
    assert not host.tune_allocator()


@pytest.mark.skipif(host.platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_block_is_kept_until_the_heap_is_settled():
    code = """
import ctypes, os
from nas_jax.training import host
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
print(growth_after_free() > 150, host.tune_allocator(), growth_after_free() > 150)
before = resident_mb()
host.settle_heap()
print(before - resident_mb() > 150)
"""
    assert python(code).stdout == "False True True\nTrue\n"


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc")
def test_settled_heap_has_no_holes():
    code = """
import ctypes
from nas_jax.training import host
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
c.free.argtypes, c.mallinfo2.restype = [ctypes.c_void_p], host._HeapSize
def in_holes():
    heap = c.mallinfo2()
    return heap.fordblks - heap.keepcost
tuned = host.tune_allocator()
blocks = [c.malloc(2000 + 37 * (i % 901)) for i in range(4000)]
for block in blocks[::2]:
    c.free(block)
before = in_holes()
closed = host.settle_heap()
print(tuned, before > 30e6, closed > 0.8 * before, in_holes() < 0.2 * before)
print(host.settle_heap() < 0.2 * before)
"""
    assert python(code).stdout == "True True True True\nTrue\n"


# --- compiler flags ------------------------------------------------------------------

WIDE = "--xla_cpu_prefer_vector_width=512"


@pytest.fixture
def cpu(monkeypatch):
    """A CPU with these features, and a process in which JAX has not computed."""

    def made(features):
        told = {"vendor_id": "A", "model": "17", "flags": f"fpu {features}"}
        monkeypatch.setattr(provenance, "cpu", lambda: told)

    monkeypatch.setattr(host, "_jax_computes_already", lambda: False)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    return made


@pytest.mark.parametrize(
    ("features", "given", "left"),
    [
        ("avx2 avx512f", None, WIDE),
        ("avx2 avx512f", "--xla_dump_to=/x", f"--xla_dump_to=/x {WIDE}"),
        ("avx2", "--xla_dump_to=/x", "--xla_dump_to=/x"),
        *[
            ("avx2 avx512f", f"--xla_cpu_prefer_vector_width{rest}", None)
            for rest in ("=256", "=512")
        ],
    ],
)
def test_vector_width_is_set_where_it_helps_and_nobody_chose(
    cpu, monkeypatch, features, given, left
):
    cpu(features)
    if given is not None:
        monkeypatch.setenv("XLA_FLAGS", given)
    left = left or given
    is_set = WIDE in left.split() and given != left
    assert host.set_xla_flags() == ((WIDE,) if is_set else (), ())
    assert os.environ["XLA_FLAGS"] == left


def test_flags_that_come_too_late_are_told_and_not_set(cpu, monkeypatch):
    cpu("avx512f")
    monkeypatch.setattr(host, "_jax_computes_already", lambda: True)
    assert host.set_xla_flags() == ((), (WIDE,))
    assert "XLA_FLAGS" not in os.environ


def test_too_late_is_after_the_first_use_of_a_backend():
    code = """
from nas_jax.training import host
print(host._jax_computes_already())
import jax
print(host._jax_computes_already())
jax.devices()
print(host._jax_computes_already())
"""
    assert python(code).stdout.split() == ["False", "False", "True"]


def test_every_flag_has_its_reason_and_its_measurement():
    for flag in host.XLA_FLAGS:
        assert flag.flag.startswith("--xla_")
        assert "=" in flag.flag
        assert flag.reason
        assert "->" in flag.measured


# --- compile cache -------------------------------------------------------------------


def test_second_process_loads_what_the_first_compiled_bit_for_bit(tmp_path):
    first, second = (
        python(TINY.format(cache=True), XDG_CACHE_HOME=str(tmp_path)) for _ in "ab"
    )
    folder, numbers, heard = first.stdout.splitlines()
    assert int(numbers.split()[0]) > 0  # the memory is told of loaded programs, too
    assert folder == str(tmp_path / "nas_jax" / "compiled" / host.machine())
    assert set(eval(heard)) == {"cache_misses"}
    assert list((tmp_path / "nas_jax" / "compiled").glob("*/*-cache"))
    assert second.stdout.splitlines()[:2] == [folder, numbers]
    assert set(eval(second.stdout.splitlines()[2])) == {"cache_hits"}
    assert first.stderr == second.stderr == ""


@pytest.mark.parametrize(
    ("cache", "environment"),
    [
        (True, {"NAS_JAX_CACHE": "off"}),
        (True, {"JAX_ENABLE_COMPILATION_CACHE": "false"}),
        (False, {}),
        (False, {"JAX_COMPILATION_CACHE_DIR": "theirs"}),
    ],
)
def test_switched_off_nothing_is_written(tmp_path, monkeypatch, cache, environment):
    monkeypatch.chdir(tmp_path)
    found = python(
        TINY.format(cache=cache), XDG_CACHE_HOME=str(tmp_path), **environment
    )
    assert found.stdout.splitlines()[0] == "None"
    assert found.stdout.splitlines()[2] == "[]"
    assert list(tmp_path.iterdir()) == []


def test_folder_of_the_user_is_taken(tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    code = "from nas_jax.training import host; print(host.prepare().cache)"
    given = {"JAX_COMPILATION_CACHE_DIR": str(theirs), "XDG_CACHE_HOME": "/nowhere"}
    assert python(code, **given).stdout == f"{theirs}\n"
    given["NAS_JAX_CACHE"] = str(ours)
    assert python(code, **given).stdout == f"{ours / host.machine()}\n"


def test_folder_that_cannot_be_written_is_one_warning_and_no_more(tmp_path):
    (tmp_path / "file").write_text("")
    code = "from nas_jax.training import host\n" + 2 * "print(host.prepare().cache)\n"
    found = python(code, NAS_JAX_CACHE=str(tmp_path / "file"))
    assert found.stdout == "None\nNone\n"
    assert found.stderr.count("\n") == 1
    assert found.stderr.startswith("nas_jax: warning: compiled programs are not kept: ")
    assert "set NAS_JAX_CACHE to a folder" in found.stderr


def test_cache_can_be_turned_off_and_on_again_in_one_process(tmp_path):
    code = """
from nas_jax.training import host
import jax
jax.jit(lambda x: x + 1)(0)
print(host.prepare(cache=False).cache, host.prepare().cache is None)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: x + 2)(0)
"""
    found = python(code, XDG_CACHE_HOME=str(tmp_path))
    assert found.stdout == "None False\n"
    assert list(tmp_path.rglob("*-cache"))


def test_cache_is_trimmed_from_what_was_read_longest_ago(tmp_path):
    for age, name in enumerate(("new", "middle", "old")):
        path = tmp_path / f"{name}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (1e9 - age, 1e9))
    (tmp_path / "other").write_bytes(bytes(1000))
    host.trim(tmp_path, 300)
    assert len(list(tmp_path.iterdir())) == 4
    host.trim(tmp_path, 250)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "middle-cache",
        "new-cache",
        "other",
    ]


def test_folder_tells_machines_apart(cpu, monkeypatch):
    names = set()
    for features in ("avx2", "avx512f"):
        cpu(features)
        names.add(host.machine())
    cores = {"sched_getaffinity": lambda pid: range(99), "cpu_count": lambda: 99}
    for name, answer in cores.items():
        monkeypatch.setattr(provenance.os, name, answer, raising=False)
    names.add(host.machine())
    assert len(names) == 3


# --- backend -------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["foo", "cuda"])
def test_unknown_backend_is_one_line(asked, tmp_path):
    code = (
        "from nas_jax.cli.main import main; import sys; "
        "sys.exit(main(['evaluate', 'run']))"
    )
    with pytest.raises(subprocess.CalledProcessError) as refused:
        python(code, JAX_PLATFORMS=asked, NAS_JAX_CACHE="off")
    assert refused.value.returncode == 2
    assert refused.value.stderr == (
        "nas_jax: JAX_PLATFORMS: expected one of what this installation has (cpu), got "
        f"'{asked}'; install JAX for it, or let JAX choose without JAX_PLATFORMS\n"
    )


@pytest.mark.parametrize("backend", ["gpu", "tpu"])
def test_a_search_for_a_backend_that_is_not_there_is_one_line(backend):
    """JAX itself would go on with the CPU."""
    words = ["search", "digits_cpu", "--devices.backend", backend]
    code = f"from nas_jax.cli.main import main; import sys; sys.exit(main({words}))"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        python(code, JAX_PLATFORMS="", NAS_JAX_CACHE="off")
    assert refused.value.stderr.splitlines()[-1] == (
        "nas_jax: devices.backend: expected one of what this installation has (cpu), "
        f"got '{backend}'; install JAX for it, or let JAX choose without "
        "devices.backend"
    )


def test_a_backend_is_told_from_where_jax_computes_already():
    assert host.require_backend("cpu") == host.require_backend() == "cpu"
    with pytest.raises(ValueError, match=r"^devices\.backend: expected gpu, JAX comp"):
        host.require_backend("gpu")


def test_the_allocator_is_tuned_where_the_cpu_alone_computes(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert host.is_cpu_alone()  # no plugin is installed with the tests
    monkeypatch.setattr(host.importlib.metadata, "entry_points", lambda group: ["cuda"])
    assert not host.is_cpu_alone()
    assert host.is_cpu_alone("cpu")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert host.is_cpu_alone()


def test_for_a_while_programs_are_compiled_whatever_the_cache_has(tmp_path):
    before = host.cache_folder()
    host.set_cache(str(tmp_path))
    try:
        with host.without_cache():
            assert host.cache_folder() is None
        assert host.cache_folder() == tmp_path
        with pytest.raises(RuntimeError), host.without_cache():
            raise RuntimeError
        assert host.cache_folder() == tmp_path
    finally:
        host.set_cache(None if before is None else str(before))
