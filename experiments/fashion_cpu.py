"""A search on pictures of garments for this CPU, in six to ten minutes: `make search`.

Command: nas_jax search fashion_cpu --seed 0
Hardware: two CPU cores; latency in ONNX Runtime, one thread, batch 16.
Obtained (seed 0; commit bbfebe8; two virtual cores of a Xeon): 82.5 % searched at
0.572 ms, 82.3 % the hand-designed one scaled to that latency, 78.5 and 78.3 % random,
83.5 % hand-designed at 1.095 ms.

The pictures are 10,000 of Fashion-MNIST, which the package brings along. The side of
the images and the widths of all stages are choices beside the operations. Eight
networks within the target are drawn and compared by short trainings, the best two by
trainings in full; two scaled versions of the hand-designed network are compared
likewise, and two networks drawn at random stand beside the one that was chosen.
"""

from nas_jax.config import (
    DataConfig,
    ElasticConfig,
    Experiment,
    LatencyConfig,
    SearchConfig,
    recipes,
)


def get_config() -> Experiment:
    return Experiment(
        name="fashion_cpu",
        space=ElasticConfig(
            name="fashion",
            input_sizes=(20, 28, 40),
            input_channels=1,
            classes=10,
            stem_widths=(8, 16),
            stage_choices=((8, 16), (16, 24), (24, 32, 48)),
            cells=(1, 2, 2),
            strides=(1, 2, 2),
            head_channels=64,
        ),
        data=DataConfig(
            name="fashion_mnist",
            train_weights=None,
            train_alphas=1250,
            valid=1250,
            test=None,
            flip=True,
            mean=(0.286,),
            std=(0.353,),
        ),
        latency=LatencyConfig(batch=16, repeats=10),
        search=SearchConfig(
            warmup_epochs=0, joint_epochs=0, trials=8, target_ratio=0.5
        ),
        train=recipes.small_data(epochs=4, batch=64),
        random_networks=2,
        scaled_networks=2,
    )
