"""The paper's search on CIFAR-10: a PyramidNet of tree cells, accuracy alone.

Command: nas_jax search cifar10_tree --data.path cifar-10-binary.tar.gz
Hardware: one GPU or more (648 open operations).
Obtained: not yet run.

The space is that of the published network (B = 18, F = 400). 5,000 training images are
held out for the alphas, whose Adam runs at 0.006, and the found network is trained for
300 epochs, as the paper has it; the 200 epochs of search are second-hand knowledge of
it. Cutout with squares of 16 pixels belongs to the reported results. Batches, weight
learning rates and the missing warm-up are ours; mean and standard deviation are the
usual ones of CIFAR-10.
"""

from nas_jax.config import DataConfig, Experiment, SearchConfig, TrainConfig, TreeConfig


def get_config() -> Experiment:
    return Experiment(
        name="cifar10_tree",
        space=TreeConfig(),
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
        search=SearchConfig(
            warmup_epochs=0,
            joint_epochs=200,
            batch=64,
            lr=0.1,
            arch_batch=64,
            arch_every=1,
            arch_lr=0.006,
            objective="none",
        ),
        train=TrainConfig(epochs=300, batch=64, lr=0.1),
    )
