"""Memory of compiled programs: the compiler's estimate against what is free."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from nas_jax.config.checks import reason


def needed_bytes(compiled: Any) -> int:
    """Bytes of a call beyond its arguments: temporaries, and outputs not donated."""
    sizes = compiled.memory_analysis()
    outputs = sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    return sizes.temp_size_in_bytes + outputs


def available_bytes() -> int | None:
    """Free memory of a device of this process; None if unknown.

    Simulated devices of a CPU have equal parts of the main memory.
    """
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        free = host_bytes()
        return None if free is None else free // jax.local_device_count()
    stats = device.memory_stats() or {}
    if "bytes_limit" not in stats:
        return None
    return stats["bytes_limit"] - stats["bytes_in_use"]


def host_bytes(root: Path = Path("/")) -> int | None:
    """Free main memory, of the machine and its control groups; None without /proc.

    Memory that only holds a copy of files counts as free. /proc and /sys are mounted
    at `root`.
    """
    try:
        kibibytes = _numbers(root / "proc/meminfo", ":")["MemAvailable"]
    except (OSError, KeyError):
        return None
    return min([kibibytes * 1024, *_left_in_groups(root)])


def _left_in_groups(root: Path) -> list[int]:
    """Bytes left under every limit on this process, of control groups v1 and v2."""
    files = (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    left = []
    for folder in _group_folders(root):
        for limit, used, reclaimable in files:
            try:
                most = int((folder / limit).read_text())  # "max" without a limit
                taken = int((folder / used).read_text())
                taken -= _numbers(folder / "memory.stat", " ").get(reclaimable, 0)
            except (OSError, ValueError):
                continue
            left.append(most - taken)
    return left


def _group_folders(root: Path) -> list[Path]:
    """Folders of the control group of this process, of those around it, and the mount.

    In a container the path may be that outside of it.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            top = root / "sys/fs/cgroup" / controllers
            group = top / path.lstrip("/")
            folders += [group, *(up for up in group.parents if up.is_relative_to(top))]
    return folders


def _numbers(path: Path, separator: str) -> dict[str, int]:
    """The lines `name<separator> number ...` of a file."""
    pairs = (line.partition(separator) for line in path.read_text().splitlines())
    return {name: int(rest.split()[0]) for name, _, rest in pairs if rest.strip()}


def require_fit(
    needed: Mapping[str, int], knobs: Mapping[str, str], available: int | None
) -> None:
    """Raises `ValueError` if a program needs more bytes than are available.

    `knobs` names the settings to lower for each; None available is unknown, and refuses
    nothing.
    """
    if available is None:
        return
    for name, size in needed.items():
        if size > available:
            raise ValueError(
                f"{name}: expected at most {_gigabytes(available)} of memory, which "
                f"is free, got an estimate of {_gigabytes(size)}; lower {knobs[name]}"
            )


def exhausted(
    error: BaseException, needed: Mapping[str, int | None], knobs: Mapping[str, str]
) -> ValueError:
    """The error for lack of memory, naming the programs, the largest first.

    `error` is one of `checks.is_exhausted`. None needed is that of a program which the
    compiler had no room for.
    """
    programs = [
        f"{name} ({'no' if size is None else _gigabytes(size)} estimate; lower "
        f"{knobs[name]})"
        for name, size in sorted(needed.items(), key=lambda item: -(item[1] or 0))
    ]
    return ValueError(
        f"out of memory: expected room for {', '.join(programs)}, got {reason(error)}"
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB"
