"""The steps of a search in PyTorch: the peer of `python -m benchmarks engine`.

The same space, batch, paths and optimisers as ours, in eager PyTorch as a careful user
of it would write the method. The network is in `torch_network`. Every step does the
whole work of its kind, optimiser included, and is finished when it returns.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import numpy as np
from jaxtyping import Int

from benchmarks import torch_network
from benchmarks.torch_network import Module, Tensor
from nas_jax.config.search import SearchConfig
from nas_jax.data.batches import Batch
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.space import SearchSpace

available = torch_network.available

Step = Callable[[], None]
Ops = Sequence[OpSpec]

# Where learning rates, momentum, decay and smoothing come from: the paper's.
CONFIG = SearchConfig()
# Graphs that break or fall back to eager raise; each module keeps its own.
_COMPILE: dict[str, Any] = {
    "fullgraph": True,
    "dynamic": False,
    "isolate_recompiles": True,
}


class Peer:
    """Supernet and alphas in PyTorch on one batch; its steps are callables.

    `network` holds all candidates (`torch_network.build`), `alphas` the architecture
    parameters `[L K]`, at first 0. With `compiled` plain networks run in
    `torch.compile` as a whole, candidates of the supernet and the parts around them one
    by one: a path is never seen twice in a search, its candidates are.

    Args:
      searched: a chain of inverted bottlenecks.
      batch: the images `[B H W C]` and labels of every step.
      channels_last: memory format of images and weights.
      seed: of the initial weights.
      device: PyTorch's name of it.
      compiled: whether to use `torch.compile`.

    Raises:
      ValueError: without PyTorch, or without its `isolate_recompiles` if `compiled`;
        for another kind of space.
    """

    def __init__(
        self,
        searched: SearchSpace,
        batch: Batch,
        *,
        channels_last: bool,
        seed: int = 0,
        device: str = "cpu",
        compiled: bool = False,
    ):
        torch_network.require()
        torch_network.check_space(searched)
        import torch

        self.searched = searched
        self._seed, self._device, self._compiled = seed, device, compiled
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        if compiled and "isolate_recompiles" not in signature(torch.compile).parameters:
            raise ValueError(
                "compiled=True: expected a PyTorch whose torch.compile has "
                f"'isolate_recompiles', got {torch.__version__}; upgrade it"
            )
        planes = torch.tensor(np.asarray(batch.images)).permute(0, 3, 1, 2)
        self._images = planes.to(device).contiguous(memory_format=self._layout)
        self._labels = torch.tensor(
            np.asarray(batch.labels), dtype=torch.long, device=device
        )
        self.alphas = torch.zeros(searched.mask.shape, device=device)

    @functools.cached_property
    def network(self) -> Module:
        """All candidates, trained by the weight steps."""
        return self._by_part(self._build(_all_candidates(self.searched)))

    def plain_step(self, paths: Int[np.ndarray, "S L"]) -> Step:
        """A training step of the plain network of a path, the next path at every call.

        Each network has its own weights and optimiser.
        """
        import torch

        steps = []
        for ops in self._ops(paths):
            network = self._build([(op,) for op in ops])
            run = functools.partial(torch_network.run_path, self.searched, network, ops)
            forward = torch.compile(run, **_COMPILE) if self._compiled else run
            steps.append(self._training(forward, _sgd(network)))
        return _in_turn(steps)

    def weight_step(self, paths: Int[np.ndarray, "S L"]) -> Step:
        """A step on the supernet's weights along the next path at every call.

        Cross-entropy with label smoothing; the optimiser passes over candidates without
        a gradient, so the others keep weights and momentum (as in the reference).
        """
        optimiser = _sgd(self.network)
        run = functools.partial(torch_network.run_path, self.searched, self.network)
        runs = [functools.partial(run, ops) for ops in self._ops(paths)]
        return _in_turn([self._training(forward, optimiser) for forward in runs])

    def arch_step(
        self, pairs: tuple[Int[np.ndarray, "S L"], Int[np.ndarray, "S L"]]
    ) -> Step:
        """A step on the alphas by the next (active, inactive) paths at every call.

        Section 3.2.1 and the appendix on two paths: y = o_active(x); with dy the
        gradient of the loss by y, the gates of both have G_k = <dy, o_k(x)>, Zero's is
        0. With q the softmax over the two alphas their gradient is
        q_k (G_k - sum_j q_j G_j); Adam with beta1 = 0 moves them, and a shift keeps the
        sum of exp(alpha) over the two. Weights need no gradient. Running statistics of
        both candidates move, as in the reference.
        """
        import torch

        optimiser = torch.optim.Adam(
            [self.alphas], lr=CONFIG.arch_lr, betas=(0.0, 0.999)
        )
        active, inactive = (self._ops(paths) for paths in pairs)
        indices = torch.tensor(np.stack(pairs, axis=2), dtype=torch.long).to(
            self._device
        )
        network = self._frozen()

        def step(two: Sequence[tuple[OpSpec, OpSpec]], pair: Tensor) -> None:
            gate_gradients = self.gate_gradients(network, two)
            with torch.no_grad():
                old = self.alphas.gather(1, pair)
                q = old.softmax(1)
                mean = (q * gate_gradients).sum(1, keepdim=True)
                self.alphas.grad = torch.zeros_like(self.alphas).scatter_add_(
                    1, pair, q * (gate_gradients - mean)
                )
                optimiser.step()
                new = self.alphas.gather(1, pair)
                shift = new.logsumexp(1, keepdim=True) - old.logsumexp(1, keepdim=True)
                self.alphas.scatter_(1, pair, new - shift)
            self._finish()

        return _in_turn(
            [
                functools.partial(step, list(zip(*two, strict=True)), pair)
                for *two, pair in zip(active, inactive, indices, strict=True)
            ]
        )

    def gate_gradients(
        self, network: Module, two: Sequence[tuple[OpSpec, OpSpec]]
    ) -> Tensor:
        """G `[L 2]` of the pairs (active, inactive) of all layers; loss unsmoothed."""
        import torch

        outputs: list[tuple[Tensor | None, Tensor | None]] = []
        blocks: list[Tensor] = []

        def run_block(index: int, x: Tensor) -> Tensor:
            active, inactive = two[index]
            y = torch_network.run_candidate(network, index, active, x)
            with torch.no_grad():
                other = torch_network.run_candidate(network, index, inactive, x)
            outputs.append((y, other))
            block = torch_network.join(self.searched, index, x, y)
            # the first gradient that is asked for: nothing before it needs one
            blocks.append(block if block.requires_grad else block.requires_grad_())
            return block

        logits = torch_network.forward(network, run_block, self._images)
        loss = torch.nn.functional.cross_entropy(logits, self._labels)
        # A block is x + y or y, so the gradient by y is the one by the block.
        dys = torch.autograd.grad(loss, blocks)
        zero = torch.zeros((), device=self._device)
        with torch.no_grad():
            rows = [
                torch.stack([zero if y is None else (dy * y).sum() for y in ys])
                for dy, ys in zip(dys, outputs, strict=True)
            ]
            return torch.stack(rows)

    def _training(self, forward: Callable[[Tensor], Tensor], optimiser: Any) -> Step:
        import torch

        def step() -> None:
            optimiser.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(
                forward(self._images),
                self._labels,
                label_smoothing=CONFIG.label_smoothing,
            )
            loss.backward()
            optimiser.step()
            self._finish()

        return step

    def _finish(self) -> None:
        if self._images.is_cuda:
            import torch

            torch.cuda.synchronize()

    def _ops(self, paths: Int[np.ndarray, "S L"]) -> list[Ops]:
        if len(paths) == 0:
            raise ValueError("paths: expected at least one, got none; draw some")
        return [
            [self.searched.candidates[k] for k in self.searched.check_path(path)]
            for path in paths
        ]

    def _build(self, candidates: Sequence[Ops]) -> Module:
        network = torch_network.build(self.searched, candidates, self._seed)
        return network.to(self._device, memory_format=self._layout)

    def _by_part(self, network: Module) -> Module:
        """The supernet, its modules compiled one by one if asked for."""
        if self._compiled:
            for part in (network["before"], network["after"]):
                part.compile(**_COMPILE)
            for layer in network["layers"]:
                for candidate in layer.values():
                    candidate.compile(**_COMPILE)
        return network

    def _frozen(self) -> Module:
        """The same numbers in memory as `network`, no gradient for them."""
        import torch

        everything = _all_candidates(self.searched)
        with torch.device("meta"):
            frozen = torch_network.build(self.searched, everything, self._seed)
        frozen.load_state_dict(self.network.state_dict(), assign=True)
        return self._by_part(frozen.requires_grad_(False))


def _all_candidates(searched: SearchSpace) -> list[Ops]:
    return [layer.candidates for layer in searched.layers]


def _in_turn(steps: Sequence[Step]) -> Step:
    """The next of the steps at every call, then from the first again."""
    endless = itertools.cycle(steps)
    return lambda: next(endless)()


def _sgd(network: Module) -> Any:
    """Nesterov SGD as the reference has it, decay on all parameters."""
    import torch

    return torch.optim.SGD(
        network.parameters(),
        lr=CONFIG.lr,
        momentum=CONFIG.momentum,
        weight_decay=CONFIG.weight_decay,
        nesterov=True,
    )
