"""Several runs on one page: all their networks, and in which settings they differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from nas_jax.report import comparison, legends, scatter
from nas_jax.report.folder import Run
from nas_jax.report.markup import Html, element
from nas_jax.report.page import about, document, drawings, figure, notes, section
from nas_jax.report.scatter import Measured
from nas_jax.report.styles import kind

_NAMES = ("name", "seed")
"""Settings that are listed for every run, whether or not they differ."""


def render(runs: Sequence[Run]) -> str:
    """The whole document; the runs are named by their folders.

    Raises `ValueError` for fewer than two runs, or two folders of one name.
    """
    named = _named(runs)
    networks = sum(len(run.networks) for run in runs)
    missing = [
        element("p", f"{name}: ", note, class_="note")
        for name, run in named.items()
        for note in notes(run)
    ]
    return document(
        f"{len(runs)} runs",
        element(
            "header",
            element("p", " · ".join(named), class_="run"),
            element("h1", f"{networks} networks of {len(runs)} runs"),
            element("p", _lead(runs), class_="lead"),
        ),
        *missing,
        _curve(named),
        _settings(named),
        *_networks(named),
        element("footer", "Written by nas_jax report from the files of the runs."),
    )


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    named = {run.name: run for run in runs}
    if len(runs) < 2 or len(named) < len(runs):
        raise ValueError(
            "report: expected two or more run folders of different names, got "
            f"{', '.join(run.name for run in runs)}"
        )
    return named


def _lead(runs: Sequence[Run]) -> str:
    """Whether their times may be compared at all."""
    devices = {str(run.result["device"]) for run in runs if "device" in run.result}
    if len(devices) < 2:
        return ""
    return (
        f"The runs were measured on different devices ({', '.join(sorted(devices))}): "
        "their times in ms are not those of one device."
    )


def _curve(named: Mapping[str, Run]) -> Html:
    title = "Accuracy against measured latency"
    found = [
        Measured(run_name, name, network)
        for run_name, run in named.items()
        for name, network in run.networks.items()
    ]
    if not found:
        text = "No network has been retrained, tested and measured yet."
        return section(title, about(text))
    networks = {f"{one.run} {one.name}": one.network for one in found}
    text = comparison.about(networks)
    text += " In the picture a colour is a run and a shape a kind of network; after "
    text += "five runs the colours come again, hollow."
    chart = scatter.trade_off(found, list(named))
    pictures = [] if chart is None else [figure(title, chart, class_="wide")]
    kinds = list(dict.fromkeys(kind(one.name) for one in found))
    return section(
        title,
        about(text),
        *pictures,
        legends.runs(list(named), kinds) if pictures else "",
        comparison.table_of_runs(found),
    )


def _settings(named: Mapping[str, Run]) -> Html:
    """Settings, device and commit as far as they are not the same everywhere."""
    flat = {name: _flat(run.config) | _origin(run) for name, run in named.items()}
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    differing = [
        key
        for key in keys
        if key in _NAMES or len({values.get(key, "–") for values in flat.values()}) > 1
    ]
    head = (element("th", text, scope="col") for text in ("setting", *named))
    rows = (
        element(
            "tr",
            element("th", key, scope="row"),
            *(
                element("td", element("span", values.get(key, "–")), data_label=name)
                for name, values in flat.items()
            ),
        )
        for key in differing
    )
    same = len(keys) - len(differing)
    return section(
        "In which settings the runs differ",
        about(f"{same} other settings are the same in all of them."),
        element(
            "table", element("thead", element("tr", *head)), element("tbody", *rows)
        ),
    )


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`search.target_ratio` and the like, as texts."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            found[f"{prefix}{key}"] = " ".join(map(str, value)) or "none"
        else:
            found[f"{prefix}{key}"] = str(value)
    return found


def _origin(run: Run) -> dict[str, str]:
    found = {key: run.result.get(key) for key in ("device", "commit")}
    if run.targets:
        found["targets"] = ", ".join(one.name for one in run.targets.values())
    return {key: str(value) for key, value in found.items() if value is not None}


def _networks(named: Mapping[str, Run]) -> list[Html]:
    """The searched networks of each run, all with the times of their own table."""
    return [
        section(
            f"Searched networks of {name}",
            *(
                drawings(run.searched, run)
                if run.searched
                else [about("There is no searched network yet.")]
            ),
        )
        for name, run in named.items()
    ]
