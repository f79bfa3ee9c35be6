"""The training of a shared supernet, and the networks that it finds best.

The networks are given: those of an elastic space that keep a target. Only weights that
some of them have are trained, and every step trains several of them on one batch
(`sandwich`). Images of one side come for `BLOCK` steps on end, sides in proportion to
their networks.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nas_jax.base import PRNGKey, PyTree, stream
from nas_jax.config.search import SearchConfig
from nas_jax.data.batches import Augment, Batch, Split, batch_at, permutations
from nas_jax.search import sandwich, scoring
from nas_jax.spaces.architecture import Architecture
from nas_jax.supernet import shared
from nas_jax.training import compiler, finite, optim
from nas_jax.training.compiler import Call, Compile
from nas_jax.training.loop import Epoch, Reached, TrainState, save_nothing

BLOCK = 8
"""Steps on end with images of one side."""
SEEN = 2
"""Batches of training images from which a network's batch statistics are estimated."""
PIECE = 250
"""Images of one batch when networks are compared."""
SCORED = 1000
"""Validation images by which networks are compared, at most."""
RISE = 0.05
"""Share of the steps in which the rate rises from 0."""
CLIP = 5.0
"""Largest norm of a step's gradient."""


class SideData(NamedTuple):
    """Images of one side: for training, and as evaluated, the same images of each."""

    train: Split
    valid: Split
    augment: Augment


@dataclass(frozen=True)
class SharedProblem:
    """Networks to train at once and to compare, and their images by side."""

    networks: tuple[Architecture, ...]
    config: SearchConfig
    data: Mapping[int, SideData]

    @property
    def sides(self) -> tuple[int, ...]:
        """Those that networks have, rising."""
        return tuple(sorted({one.stem.input_size for one in self.networks}))

    def of_side(self, side: int) -> list[Architecture]:
        return [one for one in self.networks if one.stem.input_size == side]

    @property
    def images(self) -> int:
        """To train with."""
        return len(next(iter(self.data.values())).train.labels)

    @property
    def steps_per_epoch(self) -> int:
        return optim.steps_per_epoch(self.images, self.config.batch)

    @property
    def widest(self) -> Architecture:
        """The network whose weights are all weights."""
        return shared.widest([shared.widest(self.of_side(one)) for one in self.sides])

    @property
    def optimiser(self) -> optax.GradientTransformation:
        """SGD whose rate rises, then falls as a cosine; gradients are clipped.

        Kernels of the widest network get gradients from few networks, and the first
        steps of a network with many channels are large.
        """
        steps = self.config.warmup_epochs * self.steps_per_epoch
        rise = max(1, int(RISE * steps))
        rate = optax.join_schedules(
            [
                optax.linear_schedule(0.0, self.config.warmup_lr, rise),
                optax.cosine_decay_schedule(self.config.warmup_lr, steps - rise),
            ],
            [rise],
        )
        sgd = optim.sgd(
            rate,
            momentum=self.config.momentum,
            weight_decay=self.config.weight_decay,
            decays="weights",
        )
        return optim.promoting(optax.chain(optax.clip_by_global_norm(CLIP), sgd))


def init(
    key: PRNGKey,
    problem: SharedProblem,
    weights: tuple[PyTree, PyTree] | None = None,
) -> TrainState:
    """The state before the first step, from weights of the widest network if given."""
    return sandwich.init(key, problem.widest, problem.optimiser, weights)


def run(
    key: PRNGKey,
    problem: SharedProblem,
    *,
    compile: Compile = compiler.on_first_call,
    after: Reached | None = None,
    between_steps: Callable[[Reached], None] = save_nothing,
) -> Iterator[Epoch]:
    """The epochs of the supernet's training, each run when it is asked for.

    Args:
      key: everything random derives from it.
      problem: networks, settings, images.
      compile: prepares the steps, one per side.
      after: the place to continue from, bit for bit as if never stopped.
      between_steps: called within an epoch, to save; the next step donates the state.

    Raises:
      ValueError: after an epoch in which it diverged; for networks that cannot share.
    """
    if after is None:
        after = Reached(init(key, problem))
    state, collected = jax.tree.map(jnp.copy, after.state), list(after.collected)
    sampled = _Sampled(key, problem)
    ready = compile(programs(key, problem, state))
    per_epoch, begun = problem.steps_per_epoch, int(state.step)
    for epoch in range(begun // per_epoch, problem.config.warmup_epochs):
        end = (epoch + 1) * per_epoch
        for step in range(max(begun, epoch * per_epoch), end):
            side, batch, choices = sampled(step)
            state, metrics = ready[_step_name(side)](state, batch, choices)
            collected.append(metrics)
            if step < end - 1:
                between_steps(Reached(state, collected))
        numbers = jax.tree.map(float, jax.device_get(collected))
        losses = [values["search/loss"] for values in numbers]
        finite.require("the shared supernet", losses, state.params, end, per_epoch)
        collected = []
        mean = jax.tree.map(lambda *values: float(np.mean(values)), *numbers)
        yield Epoch(epoch, state, mean)


class _Sampled:
    """Side, batch and networks of every step, functions of (key, step)."""

    def __init__(self, key: PRNGKey, problem: SharedProblem) -> None:
        self._problem = problem
        self._order = permutations(key, "order", problem.images)
        self._seeds = np.asarray(jax.random.key_data(stream(key, "choices")))
        of_sides = [problem.of_side(side) for side in problem.sides]
        self._choices = [[shared.choice(one) for one in found] for found in of_sides]
        self._widest = [shared.choice(shared.widest(found)) for found in of_sides]
        self._shares = np.array([len(found) for found in of_sides], float)

    def __call__(self, step: int) -> tuple[int, Batch, shared.Choice]:
        problem, config = self._problem, self._problem.config
        block = np.random.default_rng((*self._seeds, 0, step // BLOCK))
        place = block.choice(len(self._shares), p=self._shares / self._shares.sum())
        side, known = problem.sides[place], self._choices[place]
        rng = np.random.default_rng((*self._seeds, 1, step))
        drawn = rng.integers(len(known), size=config.networks_per_step - 1)
        choices = [self._widest[place], *(known[number] for number in drawn)]
        batch = batch_at(problem.data[side].train, self._order, config.batch, step)
        return side, batch, shared.stack(choices)


def _step_name(side: int) -> str:
    return f"supernet step at {side} pixels"


def programs(
    key: PRNGKey, problem: SharedProblem, state: TrainState
) -> dict[str, Call]:
    """The step of every side, with arguments of the shapes that it gets."""
    sampled, tx = _Sampled(key, problem), problem.optimiser
    examples: dict[int, tuple[Any, ...]] = {}
    step = 0
    while len(examples) < len(problem.sides):
        side, *rest = sampled(step)
        examples.setdefault(side, tuple(rest))
        step += BLOCK
    return {
        _step_name(side): Call(
            sandwich.make_step(
                shared.widest(problem.of_side(side)),
                tx,
                problem.data[side].augment,
                problem.config.label_smoothing,
            ),
            (state, *examples[side]),
            "search.batch or space.input_sizes",
            (
                dataclasses.replace(shared.widest(problem.of_side(side)), name="any"),
                problem.config,
                problem.steps_per_epoch,
                problem.data[side].augment,
            ),
        )
        for side in problem.sides
    }


def scores(problem: SharedProblem, state: TrainState) -> Iterator[scoring.Score]:
    """Loss and accuracy of every network on validation images, in their order."""
    ready: dict[int, tuple[Any, Batch, Batch]] = {}
    for network in problem.networks:
        side = network.stem.input_size
        if side not in ready:
            data = problem.data[side]
            ready[side] = (
                scoring.make_score(shared.widest(problem.of_side(side))),
                _pieces(data.train.evaluated(), SEEN * PIECE),
                _pieces(data.valid.evaluated(), SCORED),
            )
        score, seen, valid = ready[side]
        yield score(state.params, shared.choice(network), seen, valid)


def _pieces(split: Split, most: int) -> Batch:
    """Images evenly over a split, in pieces `[P B ...]` of `PIECE` or all in one."""
    size = min(most, len(split.labels))
    size = size // PIECE * PIECE or size
    places = np.linspace(0, len(split.labels) - 1, size).round().astype(int)
    images, labels = split.take(np.unique(places))
    pieces = -(-len(labels) // PIECE)
    used = len(labels) // pieces * pieces
    return Batch(
        *(one[:used].reshape(pieces, -1, *one.shape[1:]) for one in (images, labels))
    )
