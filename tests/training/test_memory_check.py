"""What a program needs and what there is, from files as Linux writes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.training import memory

GIB = 1024**3
MEMINFO = """MemTotal:       16000000 kB
MemFree:         1000000 kB
MemAvailable:    8000000 kB
HugePages_Total:       0
"""
STAT = "cache 500\ninactive_file {inactive}\ntotal_inactive_file {total}\n"


@pytest.fixture
def machine(tmp_path):
    """Writes files of /proc and /sys below a folder; returns the folder."""

    def made(files):
        for name, text in {"proc/meminfo": MEMINFO, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return made


def group(folder, limit, used, version=2):
    """Files of a control group that holds 1 GiB of file copies it could drop."""
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        2: ("memory.max", "memory.current"),
    }[version]
    stat = STAT.format(
        inactive=GIB if version == 2 else 0, total=GIB if version == 1 else 0
    )
    texts = (f"{limit}\n", f"{used}\n", stat)
    files = (*names, "memory.stat")
    return {
        f"sys/fs/cgroup/{folder}{file}": text
        for file, text in zip(files, texts, strict=True)
    }


WHOLE = 8_000_000 * 1024


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, WHOLE),
        # v2: the limit of the group itself, of one around it, and none
        (
            {"proc/self/cgroup": "0::/a/b\n", **group("a/b/", 4 * GIB, 2 * GIB)},
            3 * GIB,
        ),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                **group("a/b/", "max", 2 * GIB),
                **group("a/", 3 * GIB, 2 * GIB),
            },
            2 * GIB,
        ),
        ({"proc/self/cgroup": "0::/a\n", **group("a/", "max", GIB)}, WHOLE),
        # in a container the mount is the group, whatever its path outside
        ({"proc/self/cgroup": "0::/x/y\n", **group("", 2 * GIB, GIB)}, 2 * GIB),
        # v1
        (
            {
                "proc/self/cgroup": "5:devices:/\n4:memory:/a\n0::/\n",
                **group("memory/a/", 2 * GIB, GIB, version=1),
                **group("memory/", 2**63 - 4096, 9 * GIB, version=1),
            },
            2 * GIB,
        ),
        # the machine may be the narrower one
        ({"proc/self/cgroup": "0::/a\n", **group("a/", 64 * GIB, GIB)}, WHOLE),
    ],
)
def test_free_memory_is_the_least_of_machine_and_groups(machine, files, expected):
    assert memory.host_bytes(machine(files)) == expected


def test_where_nobody_tells_nothing_is_known(tmp_path):
    assert memory.host_bytes(tmp_path) is None


def test_this_machine_has_memory():
    found = memory.host_bytes()
    assert found is None or 0 < found < 2**50


class Device:
    platform = "gpu"

    def __init__(self, stats):
        self.stats = stats

    def memory_stats(self):
        return self.stats


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        ({"bytes_limit": 100, "bytes_in_use": 30, "num_allocs": 1}, 70),
        ({}, None),
        (None, None),
    ],
)
def test_a_device_tells_its_own(monkeypatch, stats, expected):
    monkeypatch.setattr(memory.jax, "local_devices", lambda: [Device(stats)])
    assert memory.available_bytes() == expected


def test_simulated_devices_share_the_main_memory(monkeypatch):
    monkeypatch.setattr(memory, "host_bytes", lambda: 801)
    monkeypatch.setattr(memory.jax, "local_device_count", lambda: 8)
    assert memory.available_bytes() == 100
    monkeypatch.setattr(memory, "host_bytes", lambda: None)
    assert memory.available_bytes() is None


def test_need_is_temporaries_and_outputs_but_not_donated_ones():
    def step(state, x):
        # the sort needs a copy of its own
        return state + 1, jnp.sort(x * 2)[::-1][:10]

    state, x = np.zeros(3000, np.float32), np.zeros(100_000, np.float32)
    kept = memory.needed_bytes(jax.jit(step).lower(state, x).compile())
    donated = jax.jit(step, donate_argnums=0).lower(state, x).compile()
    assert kept - memory.needed_bytes(donated) == state.nbytes
    assert 0.9 * x.nbytes < memory.needed_bytes(donated) < 5 * x.nbytes


def test_what_does_not_fit_is_one_line_with_the_knob():
    needed = {"small": 10**9, "large": 14_200_000_000}
    knobs = {"small": "a", "large": "search.batch"}
    memory.require_fit(needed, knobs, 14_200_000_000)
    memory.require_fit(needed, knobs, None)
    with pytest.raises(ValueError) as refused:
        memory.require_fit(needed, knobs, 9_900_000_000)
    assert str(refused.value) == (
        "large: expected at most 9.9 GB of memory, which is free, got an estimate of "
        "14.2 GB; lower search.batch"
    )
