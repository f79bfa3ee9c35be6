"""Run by the Python of an environment with litert-converter, which this one may lack.

    PYTHON litert_convert.py    reads lines from standard input

    SOURCE TARGET               SOURCE is StableHLO as text, TARGET the `.tflite`
    SOURCE IMAGES TARGET ENDS   the 8-bit form of SOURCE, a `.tflite`: `litert_quantise`

Tabs stand between the words; ENDS are joined by commas, and may be none. "done" answers
each line. The converter pins old libraries, so it lives in an environment of its own,
without JAX:

    python -m venv litert_env && litert_env/bin/pip install litert-converter==0.5.0

Its interface is undocumented, hence the exact version. For files of 8-bit integers the
same environment needs litert-quantizer==0.11.0 as well. Imports nothing of this
package.
"""

import os
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
    # what libraries print goes to the log: standard output is for answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        words = line.rstrip("\n").split("\t")
        if len(words) == 2:
            convert(*map(Path, words))
        else:
            # from the folder of this file, which is no package here
            from litert_quantise import quantise

            quantise(*map(Path, words[:3]), floats=set(words[3].split(",")))
        print("done", file=answers, flush=True)


if __name__ == "__main__":
    main()
