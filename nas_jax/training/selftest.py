"""A self-test of the compiler: what training steps add up, against NumPy's float64.

Some releases add up wrongly and say nothing: jaxlib 0.10.2 on CPU in one pattern that
no step of ours has (github.com/jax-ml/jax/issues/39103). So the sums of our own steps
are held against an oracle, with as many rows as a real batch has.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from nas_jax.networks import batch_norm, depthwise, layers
from nas_jax.training import losses

TOLERANCE = 1e-4
"""Of the largest value. Right sums in float32 are off by 2e-5 at most (that of a batch
normalisation, whose terms cancel), wrong ones were seen to be by 2e-3 or more."""
BATCH, SIDE, CHANNELS = 33, 32, 24
"""33,792 rows: more than 32,768, from which on sums were seen to be wrong."""
CLASSES = 10
UNUSED = "jax#39103, which nas_jax does not compute"
"""A pattern that is known to go wrong, and none of ours."""


class Check(NamedTuple):
    """A computation, and how far it is off the oracle, as a share of the largest."""

    name: str
    error: float

    @property
    def is_right(self) -> bool:
        return self.error <= TOLERANCE

    @property
    def is_ours(self) -> bool:
        """Whether steps compute it."""
        return self.name != UNUSED


def run() -> tuple[Check, ...]:
    """Every computation, compiled and run on the backend of JAX; a few seconds.

    >>> all(one.is_right for one in run() if one.is_ours)
    True
    """
    rng = np.random.default_rng(0)
    shape = BATCH, SIDE, SIDE, CHANNELS
    x, dy = (rng.normal(1, 1, shape).astype(np.float32) for _ in range(2))
    mix, other = (rng.normal(size=(1, 1, CHANNELS, CHANNELS)) for _ in range(2))
    mix = mix.astype(np.float32)
    scale, bias = other[0, 0, :2].astype(np.float32)
    window = rng.normal(size=(3, 3, 1, CHANNELS)).astype(np.float32)
    answers = rng.normal(size=(40_000, CLASSES)).astype(np.float32)
    labels = rng.integers(CLASSES, size=len(answers))
    rows = np.zeros((BATCH * SIDE * SIDE, 3), np.float32)
    rows[:, 0] = np.arange(len(rows))
    cases: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
        "mean and variance of a batch": (batch_norm.moments, _moments, (x,)),
        "those of a 1x1 convolution": (
            lambda x, mix: batch_norm.moments(layers.product(x, mix)),
            lambda x, mix: _moments(x @ mix[0, 0]),
            (x, mix),
        ),
        "gradients of a batch normalisation": (
            _normalise_gradients,
            _normalise_gradients_oracle,
            (x, scale, bias, dy),
        ),
        "gradient of a 1x1 convolution": (
            lambda x, mix, dy: jax.grad(
                lambda mix: (layers.product(x, mix) * dy).sum()
            )(mix),
            lambda x, _, dy: np.einsum("bhwc,bhwd->cd", x, dy)[None, None],
            (x, mix, dy),
        ),
        "gradient of a depthwise convolution": (
            lambda x, window, dy: jax.grad(
                lambda window: (depthwise.depthwise(x, window, 1) * dy).sum()
            )(window),
            _depthwise_gradient,
            (x, window, dy),
        ),
        "gradient of a gate": (
            lambda x, dy: jnp.vdot(dy, x),
            lambda x, dy: (dy * x).sum(),
            (x, dy),
        ),
        "cross-entropy of 40,000 answers": (
            losses.cross_entropy,
            _cross_entropy,
            (answers, labels),
        ),
        UNUSED: (
            jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2)),
            lambda rows: (rows**2).sum(1),
            (rows,),
        ),
    }
    with jax.default_matmul_precision("highest"):  # a GPU would round to fewer bits
        return tuple(
            Check(name, _off(jax.jit(ours)(*given), oracle(*map(_wide, given))))
            for name, (ours, oracle, given) in cases.items()
        )


def require_right() -> None:
    """Raises `ValueError` if a computation of ours is wrong here."""
    if wrong := refusal(run()):
        raise ValueError(f"{where()}: {wrong}")


def where() -> str:
    """What compiles, and for which backend."""
    return f"jaxlib {jaxlib.__version__} on {jax.default_backend()}"


def refusal(checks: Sequence[Check]) -> str:
    """What of ours is wrong, and what mends it; empty if all is right."""
    wrong = [one for one in checks if one.is_ours and not one.is_right]
    named = ", ".join(f"{one.name} ({one.error:.1g})" for one in wrong)
    if not wrong:
        return ""
    return (
        f"expected sums as NumPy's within {TOLERANCE:g}, got others of {named}; "
        "install another jaxlib (0.12 or newer where Python allows), or set XLA_FLAGS="
        "--xla_cpu_experimental_ynn_fusion_type="
    )


def _wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64) if values.dtype == np.float32 else values


def _off(found: Any, expected: Any) -> float:
    """The largest deviation over all arrays, each as a share of its largest value."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    shares = [
        np.abs(np.asarray(ours, np.float64) - right).max() / np.abs(right).max()
        for ours, right in pairs
    ]
    return float(np.max(shares))  # NaN stays


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean((0, 1, 2)), x.var((0, 1, 2))


def _normalise_gradients(x: Any, scale: Any, bias: Any, dy: Any) -> Any:
    def total(x: Any, scale: Any, bias: Any) -> Any:
        mean, var = batch_norm.moments(jax.lax.stop_gradient(x))
        return (batch_norm.normalise(x, scale, bias, mean, var, 1e-3) * dy).sum()

    return jax.grad(total, (0, 1, 2))(x, scale, bias)


def _normalise_gradients_oracle(
    x: np.ndarray, scale: np.ndarray, bias: np.ndarray, dy: np.ndarray
) -> Any:
    axes = (0, 1, 2)
    mean, var = _moments(x)
    normal = (x - mean) / np.sqrt(var + 1e-3)
    own = scale / np.sqrt(var + 1e-3)
    back = dy - dy.mean(axes) - normal * (dy * normal).mean(axes)
    return own * back, (dy * normal).sum(axes), dy.sum(axes)


def _depthwise_gradient(
    x: np.ndarray, window: np.ndarray, dy: np.ndarray
) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [
        [
            (padded[:, i : i + SIDE, j : j + SIDE] * dy).sum((0, 1, 2))
            for j in range(len(window))
        ]
        for i in range(len(window))
    ]
    return np.array(taps)[:, :, None]


def _cross_entropy(answers: np.ndarray, labels: np.ndarray) -> Any:
    spread = np.log(np.exp(answers).sum(1))
    return (spread - answers[np.arange(len(labels)), labels]).mean()
