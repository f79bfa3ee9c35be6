"""Recipes of training by name, for experiments to take and change. No JAX.

train=dataclasses.replace(recipes.PAPER_IMAGENET, dropout=0.3)
"""

from dataclasses import replace

from nas_jax.config.experiment import TrainConfig

PAPER_IMAGENET = TrainConfig(
    epochs=300,
    batch=256,
    optimiser="sgd",
    lr=0.05,
    momentum=0.9,
    weight_decay=4e-5,
    decays="weights",
    label_smoothing=0.1,
    dropout=0.1,
    augmentation="strong_jitter",
)
"""How the reference trains the networks that it found on ImageNet.

One cosine without warm-up or average of weights. Dropout is that of Proxyless-Mobile;
the one for CPUs has 0.2, the one for GPUs and the wide one for phones 0.3. The
reference decays the classifier's bias as well.
"""


def fine_tuning(epochs: int, batch: int) -> TrainConfig:
    """A training from the weights of another task, on hundreds of pictures and more.

    A tenth of the rate of `small_data`, as is usual (Kornblith et al., CVPR 2019), with
    the same warm-up and average.
    """
    return replace(small_data(epochs, batch), lr=0.03 * batch / 64, weight_decay=1e-4)


def small_data(epochs: int, batch: int) -> TrainConfig:
    """A training from scratch on some thousands of small pictures.

    SGD at a rate in proportion to the batch (Goyal et al. 2017, arXiv 1706.02677), a
    tenth of the time to warm up, the average over the last twentieth. `python -m
    benchmarks recipe` holds it against PyTorch (docs/training.md).
    """
    return TrainConfig(
        epochs=epochs,
        batch=batch,
        optimiser="sgd",
        lr=0.3 * batch / 64,
        warmup_epochs=epochs / 10,
        weight_decay=5e-4,
        decays="weights",
        ema_epochs=epochs / 20,
        label_smoothing=0.1,
    )
