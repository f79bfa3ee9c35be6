"""Accuracy against latency: the networks of one run, or of several."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

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


_CURVES = {"searched": "searched", "baseline": "baseline", "scaled": "baseline"}
"""Kinds that are joined by a line, and the kind whose line that is."""
_SIDES = (
    *((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)),
    *((1, 3), (-1, 3), (1, -3), (-1, -3)),
)
"""Where the name of a point may stand: to the right, to the left, above, below, ..."""
_AWAY = 7.0
"""Points between a mark and its name."""


def accuracy_against_latency(
    networks: Mapping[str, NetworkResult],
    target_ms: float | None,
    tried_ms: Sequence[float] = (),
) -> Markup | None:
    """Test accuracy with its interval against measured time with its quartiles.

    Every network has its name beside it. Those of several targets are joined by a line,
    and so are the hand-designed one and what it was scaled to. `tried_ms` are ticks at
    the foot: what was timed and compared, and never tested. None if no network has been
    tested and measured.
    """
    found = [Measured("", name, network) for name, network in networks.items()]
    return _scatter(found, lambda one: (one.name, False), target_ms, tried_ms, True)


def trade_off(found: Sequence[Measured], runs: Sequence[str]) -> Markup | None:
    """The same of several runs: a colour for each run, a shape for each kind.

    `runs` are the names of all of them, in the order of their colours (`run_look`).
    """
    return _scatter(found, lambda one: run_look(runs.index(one.run)), None)


def _scatter(
    found: Sequence[Measured],
    look: Callable[[Measured], tuple[str, bool]],
    target_ms: float | None,
    tried_ms: Sequence[float] = (),
    is_named: bool = False,
) -> Markup | None:
    """The picture; `look` gives the colour of a network and whether it is hollow."""
    points = [(one, one.at) for one in found if one.at is not None]
    if not points:
        return None
    curves: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for one, at in points:
        if kind(one.name) in _CURVES:
            joined = _CURVES[kind(one.name)]
            hue = joined if is_named else look(one)[0]
            curves.setdefault((one.run, joined, colour(hue)), []).append(at)
    with style():
        figure, axes = new_axes(4.9, 3.0)
        for (*_, hue), curve in curves.items():
            if len(curve) > 1:
                axes.plot(*zip(*sorted(curve), strict=True), c=hue, lw=1)
        spans: list[tuple[tuple[float, float], ...]] = []
        # the searched ones on top of what lies where they do
        for one, at in sorted(
            points, key=lambda point: kind(point[0].name) == "searched"
        ):
            hue, is_hollow = look(one)
            ms, accuracy = at
            images = one.network.test_images or 1
            low, high = (100 * end for end in q.wilson(accuracy / 100, images))
            early, late = one.network.quartiles_ms or (ms, ms)
            axes.errorbar(
                ms,
                accuracy,
                xerr=[[max(ms - early, 0)], [max(late - ms, 0)]],
                yerr=[[accuracy - low], [high - accuracy]],
                color=colour(hue),
                marker=MARKERS.get(kind(one.name), "v"),
                markersize=7,
                fillstyle="none" if is_hollow else "full",
                elinewidth=1.3,
                linestyle="none",
            )
            spans.append(((early, accuracy), (late, accuracy)))
            spans.append(((ms, low), (ms, high)))
        if target_ms is not None:
            axes.axvline(target_ms, color=colour("muted"), lw=1, ls=(0, (2, 3)))
        if tried_ms:
            foot = axes.get_xaxis_transform()
            axes.vlines(tried_ms, 0, 0.03, color=colour("muted"), lw=1, transform=foot)
        # room for a name to the right of the slowest
        slowest = max(ms for _, (ms, _) in points)
        axes.set_xlim(0, (is_named and 1.2 * slowest) or None)
        axes.set_xlabel("measured latency (ms)")
        axes.set_ylabel("test accuracy (%)")
        if is_named:
            named = [(one.name, at, colour(look(one)[0])) for one, at in points]
            _name(figure, axes, named, spans)
        return to_svg(figure, "tradeoff", "; ".join(str(one) for one, _ in points))


def _name(
    figure: Figure,
    axes: Axes,
    points: Sequence[tuple[str, tuple[float, float], str]],
    spans: Sequence[tuple[tuple[float, float], ...]],
) -> None:
    """Writes names beside points, where they cover neither marks nor other names.

    The `spans` are the error bars, from end to end. A name for which there is no such
    place is left out: the table below has them all.
    """
    figure.draw_without_rendering()  # settles the axes, which the names then fit into
    figure.set_layout_engine("none")
    away = _AWAY * figure.dpi / 72
    taken = [
        Bbox.from_bounds(x - away / 2, y - away / 2, away, away)
        for x, y in axes.transData.transform([at for _, at, _ in points])
    ]
    ends = (axes.transData.transform(span) for span in spans)
    taken += [Bbox(end).padded(away / 6) for end in ends]
    # the searched ones choose first
    for text, at, hue in sorted(points, key=lambda one: kind(one[0]) != "searched"):
        for label, box in _places(axes, text, at, hue):
            inside = axes.bbox.padded(2)
            fits = all(inside.contains(*corner) for corner in (box.min, box.max))
            if fits and not box.count_overlaps(taken):
                taken.append(box)
                break
            label.remove()


def _places(
    axes: Axes, text: str, at: tuple[float, float], hue: str
) -> Iterator[tuple[Annotation, Bbox]]:
    """The name of a point at each of its sides, with its extent on the canvas."""
    for right, up in _SIDES:
        label = axes.annotate(
            text,
            at,
            xytext=(_AWAY * right, _AWAY * up),
            textcoords="offset points",
            ha={1: "left", 0: "center", -1: "right"}[right],
            va="center" if up == 0 else "bottom" if up > 0 else "top",
            color=hue,
            fontsize=9,
        )
        yield label, label.get_window_extent()
