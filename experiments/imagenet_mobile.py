"""The paper's search for a phone: ImageNet, Pixel 1 at batch 1, 80 ms.

Command: nas_jax search imagenet_mobile
Hardware: the reference assumes four GPUs; the shipped table stands for the phone.
Data: ImageNet 2012 prepared by tensorflow-datasets as ArrayRecord, in its default
folder or in --data.path; docs/data.md has the command.
Obtained: not yet run.

The reference's settings: `full_v2` gradients, mul_log, 40 + 120 epochs. Of the 50,000
training images that it holds out and both trains the alphas and watches progress on,
40,000 train the alphas here and 10,000 are watched. Batches are full ones, 4,809 per
epoch for its 4,810. What is found is trained by the reference's recipe.
"""

from nas_jax.config import (
    DataConfig,
    Experiment,
    LatencyConfig,
    SearchConfig,
    SpaceConfig,
    recipes,
)


def get_config() -> Experiment:
    return Experiment(
        name="imagenet_mobile",
        space=SpaceConfig(),
        data=DataConfig(
            name="tfds:imagenet2012",
            test_split="validation",
            train_weights=1_231_167,
            train_alphas=40_000,
            valid=10_000,
            test=50_000,
            shift_pixels=0,
            flip=True,
            brightness=32 / 255,
            saturation=0.5,
        ),
        latency=LatencyConfig(table="latency_tables/pixel1_tflite.json", batch=1),
        search=SearchConfig(
            estimator="full",
            objective="mul_log",
            expectation="full",
            target_ms=80.0,
        ),
        train=recipes.PAPER_IMAGENET,
    )
