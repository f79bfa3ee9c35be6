"""Schedule, estimator and optimisers of the search, as a frozen dataclass. No JAX."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_letters
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Interval

from nas_jax.config.checks import (
    EXACT,
    Amount,
    Count,
    Fraction,
    Natural,
    Positive,
    require,
)
from nas_jax.config.from_json import require_types
from nas_jax.config.naming import meant

ESTIMATOR_ALIASES = {"two": "two_path", "full_v2": "full", "rl": "reinforce"}
"""What the reference implementation calls the estimators."""
NAME = r"[a-z][a-z0-9_]*"
"""Names of estimators."""
ESTIMATORS: dict[str, Any] = {}
"""Estimators by name, as `estimators.register` enters them; ours are among them."""

SCRATCH = "scratch"
"""The start of what has no weights from elsewhere."""
TARGETS = {"latency": "target_ms", "macs": "target_macs", "params": "target_params"}
"""Field that states the target of each cost, in its unit."""
TARGET_FIELDS = (*TARGETS.values(), "target_ratio")
"""Fields of which exactly one states the target."""
EXPECTED = {
    "latency": "expected_latency_ms",
    "macs": "expected_macs",
    "params": "expected_params",
}
"""Name of each expected cost among the metrics, with its unit."""


PEAKS = ("peak_memory", "peak_memory_int8")
"""Costs that are the largest of a network's parts, not their sum."""
SIZES = ("flash", "flash_int8", *PEAKS)
"""Costs in bytes, in float32 or in 8 bits, which are limited and not aimed at."""
SIZE_UNITS = {"B": 1, "KB": 1000, "MB": 1000**2, "KiB": 1024, "MiB": 1024**2}
"""Bytes of each."""


class LimitSpec(NamedTuple):
    """A further limit, parsed; see `SearchConfig.limits`."""

    cost: str
    amount: float
    is_ratio: bool
    table: str | None


def parse_limit(text: str) -> LimitSpec:
    """
    >>> parse_limit("macs:0.6x")
    LimitSpec(cost='macs', amount=0.6, is_ratio=True, table=None)
    >>> parse_limit("latency:80:pixel1.json")
    LimitSpec(cost='latency', amount=80.0, is_ratio=False, table='pixel1.json')
    >>> parse_limit("peak_memory_int8:320KB").amount
    320000.0
    """
    cost, _, rest = text.partition(":")
    amount, _, table = rest.partition(":")
    number, unit = _measured(amount)
    is_ratio, costs = unit == "x", (*TARGETS, *SIZES)
    if cost in SIZES:
        expected = (
            f"{cost}:AMOUNT, with AMOUNT above 0 in {', '.join(SIZE_UNITS)} or x, as "
            f"in {cost}:250KB"
        )
        is_measured = is_ratio or unit in SIZE_UNITS
        number *= SIZE_UNITS.get(unit, 1)
    else:
        expected = (
            "COST:AMOUNT or latency:AMOUNT:TABLE, with COST one of "
            f"{', '.join(costs)} and AMOUNT above 0, as in macs:0.6x"
        )
        is_measured = cost in TARGETS and (is_ratio or unit == "")
    is_limit = is_measured and 0 < number < float("inf")
    if not is_limit or (table and cost != "latency"):
        hint = "" if cost in costs else meant(cost, costs)
        raise ValueError(f"search.limits: expected {expected}, got {text!r:.200}{hint}")
    return LimitSpec(cost, number, is_ratio, table or None)


def _measured(amount: str) -> tuple[float, str]:
    """A number, 0 if it is none, and the unit that follows it.

    >>> _measured("1.5MB"), _measured("1e6"), _measured("0.6x"), _measured("nan")
    ((1.5, 'MB'), (1000000.0, ''), (0.6, 'x'), (0.0, 'nan'))
    """
    digits = amount.rstrip(ascii_letters)
    unit = amount[len(digits) :]
    try:
        return float(digits), unit
    except ValueError:
        return 0.0, unit


def parse_target(text: str, flag: str = "--targets") -> tuple[str, float]:
    """The field that a target sets, and its value: a ratio, or a time.

    Raises `ValueError` for what is neither; of `--target`, also for a number alone,
    which does not say which of the two it is.

    >>> parse_target("0.45x"), parse_target("0.45"), parse_target("0.2ms")
    (('target_ratio', 0.45), ('target_ratio', 0.45), ('target_ms', 0.2))
    """
    # as it is written, it is the name of a folder
    is_plain = re.fullmatch(r"[0-9.e+-]{1,20}(ms|x)?", text)
    try:
        amount = float(text.removesuffix("ms").removesuffix("x")) if is_plain else 0.0
    except ValueError:
        amount = 0.0
    expected = "ratios or milliseconds above 0, as in 0.45,0.6 or 0.25ms"
    is_one = flag == "--target"
    if is_one:
        expected = "0.4x of the hand-designed network's latency, or 0.4ms"
    is_told = not is_one or text.endswith(("ms", "x"))
    require(is_told and 0 < amount < float("inf"), flag, expected, text)
    return ("target_ms" if text.endswith("ms") else "target_ratio"), amount


@dataclass(frozen=True)
class SearchConfig:
    """Schedule and optimisers of the search; the defaults are the paper's.

    Weights: SGD with Nesterov momentum and cosine decay per iteration, in a warm-up
    phase and a joint phase. Architecture parameters: Adam with beta1 = 0.
    """

    warmup_epochs: Natural = 40
    """Epochs that train the weights alone: all those of an elastic space's shared
    supernet. With 0 its networks are compared by trainings alone."""
    joint_epochs: Natural = 120
    """Epochs that train weights and architecture parameters in turn; 0 with an elastic
    space, which has no such parameters."""
    batch: Count = 256
    """Images in a weight step."""
    start: str = SCRATCH
    """Initial weights of the supernet: scratch, drawn at random; or a folder that
    `nas_jax import` wrote, or of a trained network, from which those of every candidate
    are cut."""
    warmup_lr: Positive = 0.05
    """Learning rate of the weights when the warm-up begins."""
    lr: Positive = 0.025
    """Learning rate of the weights when the joint phase begins."""
    momentum: Fraction = 0.9
    """Of the weights' SGD, Nesterov's."""
    weight_decay: Annotated[float, Interval(ge=0, lt=EXACT)] = 4e-5
    """Of the weights."""
    label_smoothing: Fraction = 0.1
    """Share of a label that is spread over all classes."""
    arch_batch: Count = 256
    """Images in an architecture step."""
    arch_every: Count = 5
    """Weight steps per architecture step in the joint phase."""
    arch_start_epoch: Natural = 1
    """First epoch of the joint phase with architecture steps."""
    watch_every_epochs: Count = 1
    """How often the most probable network is tried on `valid`; at the end always."""
    arch_lr: Positive = 1e-3
    """Learning rate of the architecture parameters, Adam's."""
    alpha_init_std: Positive = 1e-3
    """Standard deviation of the alphas at the beginning."""
    estimator: str = "two_path"
    """Gradient of the alphas: two_path or full, straight through two or all candidates
    of a layer; reinforce, by reward; or one registered by the experiment's file. The
    reference's names two, full_v2 and rl mean the first three."""
    estimator_options: tuple[str, ...] = ()
    """NAME=NUMBER for each option of a registered estimator."""
    objective: Literal[
        "constrained", "add_linear", "mul_log", "mnasnet", "tunas", "none"
    ] = "constrained"
    """How the cost joins: constrained holds the expected cost at its target,
    add_linear and mul_log join it to the loss, mnasnet and tunas to the reward of
    reinforce; none leaves it out."""
    expectation: Literal["pair", "full"] = "full"
    """Expected latency over the two sampled candidates, or over all of a layer."""
    reinforce_samples: Annotated[int, Interval(ge=2, lt=EXACT)] = 10
    """Networks sampled per update of reinforce."""
    reinforce_baseline: Literal["leave_one_out", "reference"] = "leave_one_out"
    """What a reward is held against: the mean of the other samples' (unbiased), or the
    reference's moving mean, which contains the sample itself."""
    mnasnet_exponent: Positive = 0.1
    """w of the reward accuracy * (target / cost)^w."""
    tunas_beta: Positive = 0.1
    """beta of the reward accuracy - beta abs(cost / target - 1); our value, not a
    paper's."""
    penalty: float = 0.1
    """Weight lambda of `add_linear`."""
    penalty_weight: Positive = 1.0
    """rho of `constrained` when architecture steps begin."""
    penalty_growth: Annotated[float, Interval(ge=1, lt=EXACT)] = 100.0
    """Factor by which rho grows over all architecture steps."""
    multiplier_gain: Annotated[float, Interval(ge=0, lt=EXACT)] = 10.0
    """How far a multiplier of `constrained` moves over all architecture steps, in units
    of rho times the mean excess E/T - 1."""
    prune_below: Fraction = 0.0
    """Candidates less probable than this are removed while the search runs; 0 keeps
    all to the end, as the reference does."""
    prune_every_epochs: Natural = 0
    """How often that happens in the joint phase; 0 for never."""
    mul_log_alpha: float = 0.2
    """alpha of the loss alpha * CE * (ln cost / ln target)^beta."""
    mul_log_beta: float = 0.3
    """beta of the same."""
    cost: Literal["latency", "macs", "params"] = "latency"
    """What the objective counts: milliseconds by table, multiply-adds, parameters."""
    target_ratio: Positive | None = None
    """Target as a share of the hand-designed baseline's cost. Exactly one target is
    given: this, or the one in the unit of the cost."""
    target_ms: Positive | None = None
    """Target latency of a call with latency.batch images, in milliseconds."""
    target_macs: Amount | None = None
    """Target of the multiply-adds of one image."""
    target_params: Amount | None = None
    """Target of the parameters."""

    max_slack: Positive = 0.01
    """Share of the target that the derived network may leave unspent, if the space has
    networks that spend the rest; 1 for any."""
    finalists: Count = 16
    """How many of the most probable networks within the target are compared by their
    accuracy on `valid` with the weights of the supernet; 1 takes the most probable."""
    drawn: Count = 200
    """How many networks of an elastic space, drawn within the target, the supernet
    compares; the best of them are the finalists."""
    networks_per_step: Annotated[int, Interval(ge=2, le=100)] = 4
    """Networks that one step of a shared supernet trains, the widest among them."""
    trials: Count = 1
    """How many of the best finalists are compared by trainings, in rungs: the quarter
    with the smallest losses on `valid` goes on to trainings four times as long, the
    last of `train.epochs`. 1 takes the best without."""
    limits: tuple[str, ...] = ()
    """Further costs not to be exceeded, with the objective constrained: COST:AMOUNT in
    the unit of the cost, or with an x as a share of the hand-designed baseline's; a
    latency may name a table of another device. Bytes of a device are costs, too: of the
    weights (flash, flash_int8) and of the activations alive at once (peak_memory,
    peak_memory_int8). For example macs:0.6x params:50000 latency:80:pixel1.json
    flash_int8:250KB."""

    @property
    def sums(self) -> tuple[str, ...]:
        """The limits on what adds up over a network: all but those on its peak."""
        return tuple(one for one in self.limits if parse_limit(one).cost not in PEAKS)

    @property
    def peaks(self) -> tuple[str, ...]:
        """The limits on what is the largest of a network's parts."""
        return tuple(one for one in self.limits if one not in self.sums)

    @property
    def weights(self) -> Path | None:
        """The folder of the weights that the supernet starts from, if it does."""
        return None if self.start == SCRATCH else Path(self.start)

    def __post_init__(self) -> None:
        require_types(self, "search.")
        require(self.start != "", "search.start", "scratch or a folder", "")
        name = ESTIMATOR_ALIASES.get(self.estimator, self.estimator)
        object.__setattr__(self, "estimator", name)
        for limit in self.limits:
            parse_limit(limit)
        is_constrained = self.objective == "constrained"
        for field, is_met, expected in (
            (
                "estimator",
                re.fullmatch(NAME, name) is not None,
                "a name of small letters, digits and _",
            ),
            (
                "trials",
                self.trials <= self.finalists,
                f"at most search.finalists = {self.finalists}",
            ),
            (
                "objective",
                is_constrained or not self.limits,
                "constrained with search.limits",
            ),
            (
                "expectation",
                self.expectation == "full" or not is_constrained,
                "'full' with objective constrained, which follows the cost that all "
                "candidates let expect",
            ),
            (
                "prune_below",
                self.prune_every_epochs == 0 or self.prune_below > 0,
                "above 0 with search.prune_every_epochs",
            ),
            (
                "prune_every_epochs",
                self.prune_below == 0 or self.prune_every_epochs > 0,
                "1 or more with search.prune_below",
            ),
            (
                "prune_every_epochs",
                not self.prune_every_epochs
                or self.prune_every_epochs < self.joint_epochs,
                f"less than search.joint_epochs = {self.joint_epochs} (nothing is "
                "pruned after the last)",
            ),
        ):
            require(is_met, f"search.{field}", expected, getattr(self, field))
        targets = {
            f"search.{name}": value
            for name in TARGET_FIELDS
            if (value := getattr(self, name)) is not None
        }
        in_unit = f"search.{TARGETS[self.cost]}"
        for name, value in targets.items():
            require(
                name in (in_unit, "search.target_ratio"),
                name,
                f"{in_unit} or search.target_ratio with search.cost {self.cost}, and "
                "None here",
                value,
            )
        require(
            len(targets) <= 1,
            ", ".join(targets),
            "only one of the two (give the other as None)",
            tuple(targets.values()),
        )


def with_target(config: SearchConfig, text: str) -> SearchConfig:
    """The configuration with this target, as in `0.45x` or `0.2ms`, and no other."""
    name, amount = parse_target(text)
    field: dict[str, Any] = {name: amount}
    return replace(without_target(config), **field)


def without_target(config: SearchConfig) -> SearchConfig:
    """The configuration with no target, equal for searches that differ in it alone."""
    none: dict[str, Any] = dict.fromkeys(TARGET_FIELDS)
    return replace(config, **none)
