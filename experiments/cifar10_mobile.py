"""A search on CIFAR-10 among mobile networks, for the latency of this CPU.

Command: nas_jax search cifar10_mobile --data.path cifar-10-binary.tar.gz
Hardware: one GPU for the search; latency in ONNX Runtime on this CPU, one thread.
Obtained: not yet run.

The paper's mobile space at 32x32: the stem and the first stage keep the resolution, so
the last maps are 4x4 as of a 128x128 ImageNet image. As in the paper's CIFAR-10 search
5,000 training images are held out; 4,500 train the alphas and 500 are watched. Schedule
and rates are ours; mean and standard deviation are the usual ones of CIFAR-10.
"""

from nas_jax.config import (
    DataConfig,
    Experiment,
    LatencyConfig,
    SearchConfig,
    SpaceConfig,
    TrainConfig,
)


def get_config() -> Experiment:
    return Experiment(
        name="cifar10_mobile",
        space=SpaceConfig(
            name="cifar10_mobile",
            input_size=32,
            classes=10,
            stem_stride=1,
            strides=(1, 2, 2, 1, 2, 1),
        ),
        data=DataConfig(
            name="cifar10",
            train_weights=45_000,
            train_alphas=4_500,
            valid=500,
            test=10_000,
            shift_pixels=4,
            flip=True,
            cutout_pixels=16,
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2470, 0.2435, 0.2616),
        ),
        latency=LatencyConfig(batch=1),
        search=SearchConfig(
            warmup_epochs=40,
            joint_epochs=120,
            batch=128,
            warmup_lr=0.05,
            lr=0.025,
            arch_batch=128,
            target_ratio=0.5,
        ),
        train=TrainConfig(epochs=300, batch=128, lr=0.05),
    )
