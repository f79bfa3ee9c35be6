"""A plain training in PyTorch, as a practitioner would write it: the peer of `recipe`.

Its own loop, optimisers, schedule and augmentation; nothing of `nas_jax.training`. Only
the network is ours (`torch_network`). One thread, and channels last, which is faster.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import torch_network
from benchmarks.settings import Setting
from benchmarks.torch_network import Module, Tensor
from nas_jax.spaces.operations import Block
from nas_jax.spaces.space import SearchSpace

WARMUP = 0.1
"""Share of the steps over which the rate rises."""
SMOOTHING = 0.1
DECAYS = {"sgd": 5e-4, "adamw": 0.05}
"""The usual weight decay of either; not of vectors, that is of BN and biases."""


@dataclass(frozen=True)
class Peer:
    """A network, trained with settings; images are bytes `[N H W C]`."""

    space: SearchSpace
    blocks: Sequence[Block]
    images: np.ndarray
    labels: np.ndarray
    epochs: int
    batch: int

    def trained(self, setting: Setting, seed: int) -> Module:
        """The network after all epochs, in evaluation mode."""
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        made = torch_network.build(
            self.space, [[block.op] for block in self.blocks], seed
        )
        model = made.to(memory_format=torch.channels_last)
        optimiser = _optimiser(model, setting)
        steps = self.epochs * (len(self.labels) // self.batch)
        rate = torch.optim.lr_scheduler.LambdaLR(optimiser, _rises_and_falls(steps))
        loss_fn = torch.nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
        model.train()
        for images, labels in itertools.islice(self._batches(setting), steps):
            loss = loss_fn(self._logits(model, images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
        return model.eval()

    def accuracy(self, model: Module, images: np.ndarray, labels: np.ndarray) -> float:
        """Share of images that are right."""
        import torch

        with torch.no_grad():
            parts = torch.from_numpy(images).split(500)
            guesses = [self._logits(model, self._normal(part)) for part in parts]
        return float((torch.cat(guesses).argmax(1).numpy() == labels).mean())

    def _logits(self, model: Module, images: Tensor) -> Tensor:
        ops = [block.op for block in self.blocks]
        return torch_network.run_path(self.space, model, ops, images)

    def _batches(self, setting: Setting) -> Iterator[tuple[Tensor, Tensor]]:
        """Shuffled batches without end, the rest of every epoch dropped."""
        import torch

        images, labels = torch.from_numpy(self.images), torch.from_numpy(self.labels)
        while True:
            order = torch.randperm(len(labels))
            for chosen in order.split(self.batch)[: len(labels) // self.batch]:
                augmented = _augmented(images[chosen], setting)
                yield self._normal(augmented), labels[chosen].long()

    def _normal(self, images: Tensor) -> Tensor:
        """Floats `[B C H W]` of mean 0 and deviation 1 over the training images."""
        import torch

        axes = (0, 1, 2)
        mean = torch.tensor(self.images.mean(axes, dtype=np.float64)).float()
        std = torch.tensor(self.images.std(axes, dtype=np.float64)).float()
        normal = (images.float() - mean) / std
        return normal.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _augmented(images: Tensor, setting: Setting) -> Tensor:
    """Every image mirrored or not, and moved; black comes in."""
    import torch

    count, height, width, _ = images.shape
    if setting.flip:
        mirrored = torch.rand(count) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(2), images)
    by = setting.shift_pixels
    padded = torch.nn.functional.pad(images, (0, 0, by, by, by, by))
    corners = torch.randint(0, 2 * by + 1, (count, 2)).tolist()
    pairs = zip(padded, corners, strict=True)
    return torch.stack([x[r : r + height, c : c + width] for x, (r, c) in pairs])


def _optimiser(model: Module, setting: Setting) -> Any:
    import torch

    groups = [
        {"params": own, "weight_decay": decay}
        for decay, own in (
            (DECAYS[setting.optimiser], [p for p in model.parameters() if p.ndim > 1]),
            (0.0, [p for p in model.parameters() if p.ndim == 1]),
        )
    ]
    if setting.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=setting.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=setting.lr)


def _rises_and_falls(steps: int) -> Any:
    """Linear up, then a cosine to 0."""
    warm = WARMUP * steps

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2

    return share
