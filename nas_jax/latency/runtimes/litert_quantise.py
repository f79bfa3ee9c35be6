"""8-bit integers from a float LiteRT model; a part of `litert_convert`'s process.

Post-training quantisation, weights per output channel and activations per tensor; the
ranges of the activations are the widest that given images cause in the float model.
Needs litert-quantizer in the environment. Imports nothing of this package.
"""

from pathlib import Path

SIGNATURE, INPUT = "serving_default", "images"


def quantise(source: Path, images: Path, target: Path, floats: set[str]) -> None:
    """Writes the 8-bit form of a float model.

    Args:
      source: the float model.
      images: a `.npy` file, float32 `[calls B H W C]`: what gives the ranges.
      target: the file to write.
      floats: of "input" and "output", the ends that stay float32.
    """
    import numpy as np
    from litert_quantizer import calibrator, qtyping, quantizer, recipe_manager
    from litert_quantizer.utils import qsv_utils

    ops, recipe = qtyping.TFLOperationName, recipe_manager.RecipeManager()
    recipe.add_static_config(
        ".*", ops.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8
    )
    for name, end in (("input", ops.INPUT), ("output", ops.OUTPUT)):
        if name in floats:
            recipe.add_quantization_config(
                ".*", end, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE
            )
    # the quantiser's own average of each image's range cuts off what only some have
    ranges = calibrator.Calibrator(
        str(source), num_threads=1, qsv_update_func=qsv_utils.min_max_update
    )
    inputs = [{INPUT: one} for one in np.load(images)]
    ranges.calibrate({SIGNATURE: inputs}, recipe)
    rules = recipe.get_quantization_recipe()
    result = quantizer.Quantizer(str(source), rules).quantize(ranges.get_model_qsvs())
    result.export_model(str(target), overwrite=True)
