"""Accuracy against latency: the networks of one run, or of several."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from markupsafe import Markup
from matplotlib.axes import Axes

from nas_jax.report import quantities as q
from nas_jax.report.plotting import MARKERS, colour, new_axes, style, to_svg
from nas_jax.report.run_files import NetworkResult
from nas_jax.report.styles import kind, run_look

_SEARCHED = "searched"


class Measured(NamedTuple):
    """A network and the run that it is of."""

    run: str
    name: str
    network: NetworkResult


def accuracy_against_latency(
    networks: Mapping[str, NetworkResult], target_ms: float | None
) -> Markup | None:
    """Test accuracy with its interval against measured time with its quartiles.

    Networks of a kind for several targets, or of several widths, are joined by a line.
    None if no network has been tested and measured.
    """
    points = [
        _Point(Measured("", name, found), colour(name), "full")
        for name, found in networks.items()
    ]
    return _scatter(points, target_ms)


def trade_off(found: Sequence[Measured], runs: Sequence[str]) -> Markup | None:
    """The same of several runs: a colour for each run, a shape for each kind.

    `runs` are the names of all of them, in the order of their colours (`run_look`).
    """
    points = []
    for one in found:
        hue, is_hollow = run_look(runs.index(one.run))
        points.append(_Point(one, colour(hue), "none" if is_hollow else "full"))
    return _scatter(points, None)


class _Point(NamedTuple):
    measured: Measured
    colour: str
    fill: Literal["full", "none"]


def _scatter(given: Sequence[_Point], target_ms: float | None) -> Markup | None:
    points = [point for point in given if _position(point) is not None]
    if not points:
        return None
    curves: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for point in points:
        run, name, _ = point.measured
        at = _position(point)
        if kind(name) in (_SEARCHED, "baseline") and at is not None:
            curves.setdefault((run, kind(name), point.colour), []).append(at)
    with style():
        figure, axes = new_axes(4.9, 3.0)
        for (*_, hue), curve in curves.items():
            if len(curve) > 1:
                axes.plot(*zip(*sorted(curve), strict=True), color=hue, lw=1)
        # the searched ones on top of what lies where they do
        for point in sorted(
            points, key=lambda one: kind(one.measured.name) == _SEARCHED
        ):
            _draw(axes, point)
        if target_ms is not None:
            axes.axvline(target_ms, color=colour("muted"), lw=1, ls=(0, (2, 3)))
        axes.set_xlim(left=0)
        axes.set_xlabel("measured latency (ms)")
        axes.set_ylabel("test accuracy (%)")
        return to_svg(figure, "tradeoff", "; ".join(map(_spoken, points)))


def _position(point: _Point) -> tuple[float, float] | None:
    """Measured ms and test accuracy in %, if there are both."""
    found = point.measured.network
    if found.measured_ms is None or not found.test_images:
        return None
    if found.test_accuracy is None:
        return None
    return found.measured_ms, 100 * found.test_accuracy


def _draw(axes: Axes, point: _Point) -> None:
    """The point of one network, with its intervals."""
    found, at = point.measured.network, _position(point)
    assert at is not None and found.test_accuracy is not None
    ms, accuracy = at
    low, high = q.wilson(found.test_accuracy, found.test_images or 1)
    early, late = found.quartiles_ms or (ms, ms)
    axes.errorbar(
        ms,
        accuracy,
        xerr=[[max(ms - early, 0)], [max(late - ms, 0)]],
        yerr=[[accuracy - 100 * low], [100 * high - accuracy]],
        color=point.colour,
        marker=MARKERS.get(kind(point.measured.name), "v"),
        markersize=7,
        fillstyle=point.fill,
        elinewidth=1.3,
        linestyle="none",
    )


def _spoken(point: _Point) -> str:
    """`searched 98.2 % at 0.495 ms`, after the name of the run if there are several."""
    run, name, found = point.measured
    at = f"{q.percent(found.test_accuracy)} at {q.milliseconds(found.measured_ms)}"
    return f"{run} {name} {at}".strip()
