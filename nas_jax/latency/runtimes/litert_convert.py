"""Run by the Python of an environment with litert-converter, which this one may lack.

    PYTHON litert_convert.py    reads lines "SOURCE TARGET" from standard input

A tab stands between the two. SOURCE is StableHLO as text, TARGET the `.tflite` to
write; "done" answers each line. The converter pins old libraries, so it lives in an
environment of its own, without JAX:

    python -m venv litert_env && litert_env/bin/pip install litert-converter==0.5.0

Its interface is undocumented, hence the exact version. For files of 8-bit integers
(`export.litert_quantise`) the same environment needs litert-quantizer==0.11.0 as well.
Imports nothing of this package.
"""

import sys
from pathlib import Path


def convert(source: Path, target: Path) -> None:
    """Writes the LiteRT model of a StableHLO module."""
    from litert_converter.mlir import ir, passmanager
    from litert_converter.mlir._mlir_libs import converter_api_ext as api

    context = ir.Context()
    api.prepare_mlir_context(context)
    context.allow_unregistered_dialects = True
    with context, ir.Location.unknown():
        module = ir.Module.parse(source.read_text(encoding="utf-8"))
        api.set_signature(
            module.operation,
            signature_name="serving_default",
            input_names=["images"],
            output_names=["outputs"],
        )
        passes = passmanager.PassManager()
        api.run_convert_to_tfl_passes(module, passes, api.ConvertToTFLConfig())
        target.write_bytes(api.export_flatbuffer_to_bytes(module.operation))


def main() -> None:
    """Serves until standard input ends."""
    for line in sys.stdin:
        source, target = line.rstrip("\n").split("\t")
        convert(Path(source), Path(target))
        print("done", flush=True)


if __name__ == "__main__":
    main()
