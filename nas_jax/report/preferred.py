"""What the device prefers: depth, kernels and expansion of every stage, in a table."""

from collections.abc import Mapping
from typing import Any

from nas_jax import preferences
from nas_jax.architecture import Architecture
from nas_jax.report import quantities as q
from nas_jax.report.folder import Run, path_of
from nas_jax.report.markup import Html, element
from nas_jax.report.styles import kernel_colour

_COLUMNS = ("blocks kept", "kernels", "mean expansion")


def stages(run: Run, network: Architecture) -> Html | None:
    """One row per stage; None for a space that has no stages, or a foreign network."""
    path = path_of(run, network)
    cells = _cells(run)
    if path is None or run.space is None or sum(cells) != len(path):
        return None
    found = preferences.by_stage(cells, run.space, path)
    rows = []
    end = 0
    for place, (count, stage) in enumerate(zip(cells, found, strict=True), start=1):
        last = run.space.layers[end + count - 1]
        end += count
        side = last.output_size
        name = f"{place}: {side}×{side}×{last.out_channels}"
        expansion = stage["expansion"]
        cells_of_row = (
            f"{stage['depth']} of {count}",
            _kernels(stage["kernels"]),
            "–" if expansion is None else f"{expansion:.1f}",
        )
        rows.append(
            element(
                "tr",
                element("th", name, scope="row"),
                *(
                    element("td", element("span", text), data_label=label)
                    for label, text in zip(_COLUMNS, cells_of_row, strict=True)
                ),
            )
        )
    head = (element("th", text, scope="col") for text in ("stage", *_COLUMNS))
    return element(
        "table", element("thead", element("tr", *head)), element("tbody", *rows)
    )


def _cells(run: Run) -> tuple[int, ...]:
    """Layers of every stage, if the space has any."""
    space: Any = run.config.get("space")
    cells = space.get("cells") if isinstance(space, dict) else None
    return tuple(cells) if isinstance(cells, list) else ()


def _kernels(shares: Mapping[str, float]) -> Html:
    """The shares as one bar in the colours of the kernels, and in words."""
    if not shares:
        return element("span", "–")
    boxes, left = [], 0.0
    for kernel, share in shares.items():
        colour = kernel_colour(int(kernel))
        boxes.append(
            element("rect", x=left, y=0, width=100 * share, height=14, fill=colour)
        )
        left += 100 * share
    bar = element(
        "svg",
        *boxes,
        viewBox="0 0 100 14",
        preserveAspectRatio="none",
        class_="shares",
        aria_hidden="true",
    )
    words = ", ".join(
        f"{size}×{size} {q.whole_percent(share)}" for size, share in shares.items()
    )
    return element("span", bar, words)
