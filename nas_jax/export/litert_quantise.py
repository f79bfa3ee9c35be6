"""Run by the Python of an environment with litert-quantizer, which this one may lack.

    PYTHON litert_quantise.py FLOAT.tflite IMAGES.npy TARGET.tflite

Post-training quantisation to 8-bit integers, weights per output channel and activations
per tensor; the ranges of the activations are the widest that IMAGES (float32
`[N H W C]`, as the network takes them) give in the float model. Input and output stay
float32: the file is called like the float one. Its environment is that of
`latency.runtimes.litert_convert`, which says why there is one. Imports nothing of this
package.
"""

import sys
from pathlib import Path

SIGNATURE, INPUT = "serving_default", "images"


def quantise(source: Path, images: Path, target: Path) -> None:
    """Writes the 8-bit form of a float model."""
    import numpy as np
    from litert_quantizer import calibrator, qtyping, quantizer, recipe_manager
    from litert_quantizer.utils import qsv_utils

    ops, recipe = qtyping.TFLOperationName, recipe_manager.RecipeManager()
    recipe.add_static_config(
        ".*", ops.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8
    )
    for end in (ops.INPUT, ops.OUTPUT):
        recipe.add_quantization_config(
            ".*", end, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE
        )
    # the quantiser's own average of each image's range cuts off what only some have
    ranges = calibrator.Calibrator(
        str(source), num_threads=1, qsv_update_func=qsv_utils.min_max_update
    )
    inputs = [{INPUT: image[None]} for image in np.load(images)]
    ranges.calibrate({SIGNATURE: inputs}, recipe)
    rules = recipe.get_quantization_recipe()
    result = quantizer.Quantizer(str(source), rules).quantize(ranges.get_model_qsvs())
    result.export_model(str(target), overwrite=True)


if __name__ == "__main__":
    quantise(*map(Path, sys.argv[1:]))
