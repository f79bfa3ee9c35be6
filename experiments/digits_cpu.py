"""not yet run"""

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
            stage_widths=(16, 32, 64),
            cells=(2, 2, 2),
            strides=(1, 2, 2),
            head_channels=128,
        ),
        data=DataConfig(train_weights=100, train_alphas=100, valid=200, test=1397),
        latency=LatencyConfig(batch=16),
        search=SearchConfig(
            warmup_epochs=60,
            joint_epochs=180,
            batch=50,
            warmup_lr=0.05,
            lr=0.05,
            arch_batch=50,
            arch_every=1,
            arch_lr=0.03,
            expectation="full",
            penalty=0.1,
            penalty_rate=0.02,
            target_ratio=0.5,
        ),
        train=TrainConfig(epochs=80, batch=50, lr=0.05),
    )
