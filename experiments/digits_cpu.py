"""A search on scikit-learn's scanned digits for this CPU, in about four minutes.

Command: nas_jax search digits_cpu --seed 0
Hardware: two CPU cores; latency in ONNX Runtime, one thread, batch 64.
Obtained (seeds 0, 1, 2; commit 68b68e8c37af; AMD EPYC): mean test accuracy 97.00 %
searched, 97.77 % hand-designed, 95.27 % cheapest, at a measured latency of
0.55, 0.49, 0.53 of the hand-designed network's. All runs: experiments/README.md.
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
        name="digits_cpu",
        space=SpaceConfig(
            name="digits",
            input_size=16,
            input_channels=1,
            classes=10,
            stem_channels=8,
            stem_stride=2,
            first_block_channels=None,
            stage_widths=(8, 16, 24),
            cells=(2, 2, 2),
            strides=(1, 2, 2),
            head_channels=64,
        ),
        data=DataConfig(
            train_weights=300, train_alphas=300, valid=197, test=1000, shift_pixels=4
        ),
        latency=LatencyConfig(batch=64),
        search=SearchConfig(
            warmup_epochs=250,
            joint_epochs=700,
            batch=50,
            warmup_lr=0.1,
            lr=0.1,
            arch_batch=50,
            arch_every=1,
            arch_lr=0.02,
            expectation="full",
            penalty=0.0,
            penalty_rate=0.003,
            descent_epochs=350,
            target_ratio=0.5,
        ),
        train=TrainConfig(epochs=60, batch=50, lr=0.1),
    )
