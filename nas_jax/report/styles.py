"""Looks of networks, runs and kernels: names of the colours in `palette.css`."""

NETWORK_COLOURS = ("searched", "baseline", "cheapest", "random")
RUN_COLOURS = (*NETWORK_COLOURS, "other")
"""The same hues, for runs side by side."""


def kernel_colour(kernel: int) -> str:
    """Colour of a kernel size; 0 (no kernel) is grey."""
    if kernel == 0:
        return "var(--fixed)"
    return f"var(--k{kernel})" if kernel in (3, 5, 7) else "var(--kx)"


def kind(name: str) -> str:
    """Networks of a kind are numbered and look alike: `random_2` is a `random`."""
    return name.rstrip("0123456789").rstrip("_")


def is_tried(name: str) -> bool:
    """Whether a network was one of several that were compared by trainings."""
    return name.startswith("trial_") or "_rung_" in name


def network_colour(name: str) -> str:
    """Colour of a kind of network."""
    return f"var(--{kind(name)})" if kind(name) in NETWORK_COLOURS else "var(--other)"


def run_look(place: int) -> tuple[str, bool]:
    """Colour of a run among several, and whether its marks are hollow."""
    rounds, hue = divmod(place, len(RUN_COLOURS))
    return RUN_COLOURS[hue], rounds % 2 == 1
