"""Accuracy against latency: the networks of one run, or of several."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from nas_jax.report import quantities as q
from nas_jax.report.plotting import MARKERS, colour, new_axes, style, to_svg
from nas_jax.report.run_files import NetworkResult
from nas_jax.report.styles import kind, run_look


class Measured(NamedTuple):
    """A network and the run that it is of."""

    run: str
    name: str
    network: NetworkResult

    @property
    def at(self) -> tuple[float, float] | None:
        """Measured ms and the accuracy that counts in %, if there are both."""
        ms, accuracy = self.network.measured_ms, self.network.shipped_accuracy
        if ms is None or accuracy is None or not self.network.test_images:
            return None
        return ms, 100 * accuracy

    def __str__(self) -> str:
        """`searched 98.2 % at 0.495 ms`, after the name of the run if there is one."""
        accuracy = q.percent(self.network.shipped_accuracy)
        at = f"{accuracy} at {q.milliseconds(self.network.measured_ms)}"
        return f"{self.run} {self.name} {at}".strip()


def accuracy_against_latency(
    networks: Mapping[str, NetworkResult], target_ms: float | None
) -> Markup | None:
    """Test accuracy with its interval against measured time with its quartiles.

    Networks of a kind for several targets, or of several widths, are joined by a line.
    None if no network has been tested and measured.
    """
    found = [Measured("", name, network) for name, network in networks.items()]
    return _scatter(found, lambda one: (one.name, False), target_ms)


def trade_off(found: Sequence[Measured], runs: Sequence[str]) -> Markup | None:
    """The same of several runs: a colour for each run, a shape for each kind.

    `runs` are the names of all of them, in the order of their colours (`run_look`).
    """
    return _scatter(found, lambda one: run_look(runs.index(one.run)), None)


def _scatter(
    found: Sequence[Measured],
    look: Callable[[Measured], tuple[str, bool]],
    target_ms: float | None,
) -> Markup | None:
    """The picture; `look` gives the colour of a network and whether it is hollow."""
    points = [(one, one.at) for one in found if one.at is not None]
    if not points:
        return None
    curves: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for one, at in points:
        if kind(one.name) in ("searched", "baseline"):
            of = (one.run, kind(one.name), colour(look(one)[0]))
            curves.setdefault(of, []).append(at)
    with style():
        figure, axes = new_axes(4.9, 3.0)
        for (*_, hue), curve in curves.items():
            if len(curve) > 1:
                axes.plot(*zip(*sorted(curve), strict=True), c=hue, lw=1)
        # the searched ones on top of what lies where they do
        for one, at in sorted(
            points, key=lambda point: kind(point[0].name) == "searched"
        ):
            hue, is_hollow = look(one)
            ms, accuracy = at
            low, high = q.wilson(accuracy / 100, one.network.test_images or 1)
            early, late = one.network.quartiles_ms or (ms, ms)
            axes.errorbar(
                ms,
                accuracy,
                xerr=[[max(ms - early, 0)], [max(late - ms, 0)]],
                yerr=[[accuracy - 100 * low], [100 * high - accuracy]],
                color=colour(hue),
                marker=MARKERS.get(kind(one.name), "v"),
                markersize=7,
                fillstyle="none" if is_hollow else "full",
                elinewidth=1.3,
                linestyle="none",
            )
        if target_ms is not None:
            axes.axvline(target_ms, color=colour("muted"), lw=1, ls=(0, (2, 3)))
        axes.set_xlim(left=0)
        axes.set_xlabel("measured latency (ms)")
        axes.set_ylabel("test accuracy (%)")
        return to_svg(figure, "tradeoff", "; ".join(str(one) for one, _ in points))
