"""Progress and tables on a terminal, and in plain text without one.

Every command begins with this module, so what only some need is imported by these.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nas_jax.config import overrides
from nas_jax.config.experiment import LatencyConfig
from nas_jax.config.from_json import from_json
from nas_jax.training.progress import Progress

if TYPE_CHECKING:
    from tqdm import tqdm

EVERY_S = 30.0
"""Between two lines about a loop, where there is no terminal."""


class Answer(NamedTuple):
    """A verb's answer: for JSON, as text, and the exit code of its command."""

    found: dict[str, Any]
    text: str
    code: int = 0


class Terminal(Progress):
    """A line per stage and the progress of loops, on standard error.

    On a terminal loops have a bar, elsewhere a line from time to time. What a loop
    takes is told from its second step on: the first one compiles.
    """

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._noted = ""

    def phase(self, title: str) -> None:
        _write(f"· {title}")

    def line(self, text: str) -> None:
        _write(f"  {text}")

    def steps(self, iterable: Any, *, total: int, desc: str) -> Iterator[Any]:
        if not sys.stderr.isatty():
            yield from self._lines(iterable, total, desc)
            return
        from tqdm import tqdm

        self._bar = bar = tqdm(total=total, desc=f"  {desc}", leave=False)
        with bar:
            for done, step in enumerate(iterable, start=1):
                yield step
                if done == 1:  # its time is that of compiling
                    bar.initial = 1
                    bar.unpause()
                bar.update()

    def _lines(self, iterable: Any, total: int, desc: str) -> Iterator[Any]:
        from tqdm import tqdm

        begun = said = time.monotonic()
        self._noted = ""
        for done, step in enumerate(iterable, start=1):
            yield step
            now = time.monotonic()
            if done == 1:  # its time is that of compiling
                begun = now
            elif now - said >= EVERY_S and done < total:
                said = now
                left = (now - begun) / (done - 1) * (total - done)
                about = tqdm.format_interval(left)
                self.line(f"{desc}: {done} of {total}{self._noted}, about {about} left")

    def note(self, **values: str) -> None:
        self._noted = "".join(f", {name} {value}" for name, value in values.items())
        if self._bar is not None:
            self._bar.set_postfix(values)


def tell_fields(fields: Mapping[str, Any]) -> None:
    """Prints the new values of an experiment, for whoever reads the log."""
    if fields:
        print(f"fields: {' '.join(overrides.words(fields))}", file=sys.stderr)


def _write(text: str) -> None:
    """A line on standard error, above the bar, if there is one."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


def comparison_table(networks: dict[str, Any]) -> str:
    """Networks side by side, one a line; then what their accuracies hide.

    Those of an older run have no balanced accuracy.
    """
    from nas_jax.training import scores

    found = {
        name: from_json(scores.Reported, network, f"networks.{name}: ", extra="ignore")
        for name, network in networks.items()
    }
    has_int8 = any(one.test_accuracy_int8 is not None for one in found.values())
    kinds = {
        "test acc.": "test_accuracy",
        **({"in 8 bits": "test_accuracy_int8"} if has_int8 else {}),
        **(
            {"balanced": "balanced_accuracy"}
            if scores.is_balance_telling(found)
            else {}
        ),
    }
    header = ("network", *kinds, "params", "MACs", "predicted ms")
    rows = [(*header, "measured ms [q25, q75]", "meas./pred.")]
    for name, network in networks.items():
        predicted, ratio = (
            "-" if network.get(key) is None else f"{network[key]:.{digits}f}"
            for key, digits in (("predicted_ms", 4), ("measured_over_predicted", 2))
        )
        sizes = (f"{network['params']:,}", f"{network['macs']:,}")
        shares = [getattr(found[name], kind) for kind in kinds.values()]
        accuracies = ("-" if one is None else f"{one:.1%}" for one in shares)
        measured = timing(network["measured_ms"])
        cells = (*sizes, predicted, measured, ratio)
        rows.append((name, *accuracies, *cells))
    return "\n".join([aligned(rows), *scores.remarks(found)])


def how_timed(calls: LatencyConfig) -> str:
    """What the milliseconds and ratios of a comparison are of."""
    return (
        f"ms per call of {calls.batch} images, {calls.threads} thread(s); meas./pred. "
        "is of the fastest rounds, at the table's pace"
    )


def timing(ms: dict[str, float]) -> str:
    """Median and quartiles."""
    return f"{ms['median']:.4f} [{ms['q25']:.4f}, {ms['q75']:.4f}]"


def description(size: dict[str, Any]) -> str:
    """The layers and the size of a network or space."""
    header = ("layer", "op", "input", "in", "out", "stride", "MACs", "params")
    rows = [header]
    for layer in size["layers"]:
        numbers = (str(layer[key]) for key in ("input", "in", "out", "stride"))
        costs = (f"{layer[key]:,}" for key in ("macs", "params"))
        rows.append((layer["name"], layer["op"], *numbers, *costs))
    rest = [f"{key}: {_short(value)}" for key, value in size.items() if key != "layers"]
    if "searchable_layers" in size:
        whose = "the layers, macs, params and bytes are those of the largest network"
        rest.insert(0, whose)
    shown = rows if len(rows) <= _ROWS else [*rows[:_ROWS], ("...",) + ("",) * 7]
    return aligned(shown) + "\n" + "\n".join(rest)


_ROWS = 60
"""More layers than this are cut; `--json` has them all."""


def _short(value: Any) -> str:
    """A number or a list of them, as short as it can be read."""
    if isinstance(value, list) and len(set(value)) == 1 and len(value) > 1:
        return f"{len(value)} x {value[0]}"
    if isinstance(value, int) and value >= 10**15:
        digits = str(value)
        return f"{digits[0]}.{digits[1]}e{len(digits) - 1}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [
            cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)
        ]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)
