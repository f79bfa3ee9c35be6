"""Run by the Python of an environment with litert-quantizer, which this one may lack.

    PYTHON litert_quantise.py FLOAT.tflite IMAGES.npy TARGET.tflite

Post-training quantisation to 8-bit integers, weights per output channel and activations
per tensor; the ranges of the activations are what IMAGES (float32 `[N H W C]`, as the
network takes them) give in the float model. Input and output stay float32: the file is
called like the float one. It shares the environment of `measure.litert_convert`, which
says why there is one. Imports nothing of this package.
"""

import sys
from pathlib import Path

SIGNATURE, INPUT = "serving_default", "images"


def quantise(source: Path, images: Path, target: Path) -> None:
    """Writes the 8-bit form of a float model."""
    import numpy as np
    from litert_quantizer import qtyping, quantizer

    found = quantizer.Quantizer(str(source))
    found.add_static_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
    )
    for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        found.update_quantization_recipe(
            regex=".*",
            operation_name=end,
            algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE,
        )
    given = [{INPUT: image[None]} for image in np.load(images)]
    ranges = found.calibrate({SIGNATURE: given}, num_threads=1)
    found.quantize(ranges).export_model(str(target), overwrite=True)


if __name__ == "__main__":
    quantise(*map(Path, sys.argv[1:]))
