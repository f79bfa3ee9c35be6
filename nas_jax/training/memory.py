"""Whether a compiled program fits in memory, asked before it runs, or told afterwards.

The compiler knows how much a program takes (`memory_analysis`); the operating system or
the device knows how much there is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from nas_jax.config.checks import reason


def needed_bytes(compiled: Any) -> int:
    """What a call takes beyond its arguments: temporaries, and outputs of its own.

    Outputs in the place of donated arguments take nothing.
    """
    sizes = compiled.memory_analysis()
    outputs = sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    return sizes.temp_size_in_bytes + outputs


def available_bytes() -> int | None:
    """Free memory of a device of this process; None where nobody tells.

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
    """Main memory that can still be taken: of the machine, and of the control groups.

    Memory that only holds a copy of files counts as free. None where /proc does not
    tell.

    Args:
      root: where /proc and /sys are mounted.
    """
    try:
        kibibytes = _numbers(root / "proc/meminfo", ":")["MemAvailable"]
    except (OSError, KeyError):
        return None
    return min([kibibytes * 1024, *_left_in_groups(root)])


def _left_in_groups(root: Path) -> list[int]:
    """What every limit above this process leaves, of control groups v1 and v2."""
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
    """Folders of the control group of this process and of those around it.

    In a container the path may be that outside of it; the mount itself is looked at,
    too.
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
            own = top / path.lstrip("/")
            folders += [own, *(up for up in own.parents if up.is_relative_to(top))]
    return folders


def _numbers(path: Path, separator: str) -> dict[str, int]:
    """The lines `name<separator> number ...` of a file."""
    pairs = (line.partition(separator) for line in path.read_text().splitlines())
    return {name: int(rest.split()[0]) for name, _, rest in pairs if rest.strip()}


def require_fit(
    needed: Mapping[str, int], knobs: Mapping[str, str], available: int | None
) -> None:
    """Raises `ValueError` if a program needs more memory than there is.

    Args:
      needed: bytes of every program.
      knobs: what to lower for each.
      available: bytes; None if unknown, and then nothing is refused.
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
    """What to say when there was no room: the programs, the largest first.

    Args:
      error: what `is_exhausted` found.
      needed: bytes of the programs that may have run; None where the compiler itself
        had no room.
      knobs: what to lower for each.
    """
    told = [
        f"{name} ({'no' if size is None else _gigabytes(size)} estimate; lower "
        f"{knobs[name]})"
        for name, size in sorted(needed.items(), key=lambda one: -(one[1] or 0))
    ]
    return ValueError(
        f"out of memory: expected room for {', '.join(told)}, got {reason(error)}"
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB"
