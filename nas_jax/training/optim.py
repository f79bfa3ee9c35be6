"""Optimisers, as optax transformations; those of the search are in `schedule`."""

from typing import Any

import jax
import optax

from nas_jax.config.experiment import TrainConfig


def steps_per_epoch(images: int, batch: int) -> int:
    """Full batches in one pass over the data; the rest is left to the next shuffle."""
    return images // batch


def promoting(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """`tx` under standard promotion, which optax needs to join counts and floats."""

    def update(*arguments: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return tx.update(*arguments)

    return optax.GradientTransformation(tx.init, update)


def sgd(
    lr: optax.Schedule, *, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
    """Nesterov SGD as the reference's: decay joins the gradient, of all parameters.

    d = g + wd w;  v <- m v + d;  w <- w - lr (d + m v)
    """
    return promoting(
        optax.chain(
            optax.add_decayed_weights(weight_decay),
            optax.sgd(lr, momentum=momentum, nesterov=True),
        )
    )


def train_weights(
    config: TrainConfig, steps_per_epoch: int
) -> optax.GradientTransformation:
    """Weights of a derived network: one cosine to 0."""
    schedule = optax.cosine_decay_schedule(config.lr, config.epochs * steps_per_epoch)
    return sgd(schedule, momentum=config.momentum, weight_decay=config.weight_decay)
