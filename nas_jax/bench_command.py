"""The verb `bench`: which benches there are, their flags, their output.

What a bench imports is imported when its flags have been read.
"""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nas_jax import overrides, process
from nas_jax.bench.devices_settings import DevicesBenchConfig
from nas_jax.bench.quality_settings import (
    EnumeratedConfig,
    EnumerationConfig,
    SpecialisationConfig,
)
from nas_jax.bench.settings import (
    EngineConfig,
    EstimatorsConfig,
    ExportConfig,
    InputConfig,
    ResumeConfig,
    ScalingConfig,
    SoakConfig,
)

Config = (
    EngineConfig
    | EstimatorsConfig
    | ScalingConfig
    | EnumerationConfig
    | EnumeratedConfig
    | SpecialisationConfig
    | InputConfig
    | ExportConfig
    | ResumeConfig
    | SoakConfig
    | DevicesBenchConfig
)


class Bench(NamedTuple):
    """A module of `nas_jax.bench`, and its settings, if it can be told any.

    The module has `run`, `table`, `HOW_TO_READ` and, if `draws`, `plot`.
    """

    module: str
    config: Config | None = None
    draws: bool = False


BENCHES = {
    "estimators": Bench("comparison", EstimatorsConfig()),
    "pruning": Bench("pruning"),
    "engine": Bench("engine", EngineConfig()),
    "scaling": Bench("scaling", ScalingConfig(), draws=True),
    "input": Bench("input", InputConfig()),
    "devices": Bench("devices", DevicesBenchConfig()),
    "enumeration": Bench("enumerated.enumeration", EnumerationConfig()),
    "enumerated": Bench("enumerated.comparison", EnumeratedConfig()),
    "export": Bench("export", ExportConfig()),
    "specialisation": Bench("specialisation", SpecialisationConfig()),
    "guidelines": Bench("guidelines"),
    "resume": Bench("resume", ResumeConfig()),
    "soak": Bench("soak", SoakConfig()),
}
_PICTURES = (".pdf", ".png", ".svg")


def parse(name: str, words: Sequence[str]) -> Config | None:
    """The settings of a bench; `--help` prints them and leaves.

    Raises:
      ValueError: for an unknown bench, an unknown field or a refused value.
    """
    if name not in BENCHES:
        raise ValueError(f"bench {name!r}: expected one of {', '.join(BENCHES)}")
    config = BENCHES[name].config
    if config is not None:
        # a list may be written with commas as well
        pieces = [piece for word in words for piece in word.split(",")]
        return overrides.parse(config, pieces, f"nas_jax bench {name}")
    if words and "--help" not in words:
        raise ValueError(f"bench {name}: expected no fields, got {' '.join(words)}")
    return None


def run(
    name: str,
    words: Sequence[str],
    json_file: Path | None,
    plot_file: Path | None,
    *,
    cache: bool,
) -> None:
    """Measures, writes the numbers and the picture, prints the table.

    Raises:
      ValueError: as `parse`, and for files that could not be written afterwards.
    """
    config = parse(name, words)
    bench = BENCHES[name]
    if plot_file is not None:
        if not bench.draws:
            able = ", ".join(name for name, bench in BENCHES.items() if bench.draws)
            raise ValueError(f"bench {name}: expected no --plot (only {able} draws)")
        if plot_file.suffix not in _PICTURES:
            raise ValueError(
                f"--plot {plot_file}: expected a name that ends in one of "
                f"{', '.join(_PICTURES)}"
            )
    for flag, file in (("--json", json_file), ("--plot", plot_file)):
        if file is not None and not file.parent.is_dir():
            raise ValueError(
                f"{flag} {file}: expected an existing folder {file.parent}"
            )
    # Before the first computation: threads that exist already keep their own heaps.
    timed = (
        config
        if isinstance(config, EngineConfig | ScalingConfig | InputConfig)
        else None
    )
    process.prepare(cache=cache, pixels=timed.pixels if timed else 0)
    from nas_jax import terminal

    module: Any = importlib.import_module(f"nas_jax.bench.{bench.module}")
    result = module.run(*(() if config is None else (config, terminal.Terminal())))
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")
    if plot_file is not None:
        module.plot(result, plot_file)
    print(terminal.aligned(module.table(result)))
    print(module.HOW_TO_READ)
