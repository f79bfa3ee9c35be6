"""The figures of `benchmarks engine`, what each should be, and whether it is."""

from typing import Any, NamedTuple

from benchmarks.settings import Part


class Figure(NamedTuple):
    """A figure, the part of the bench that gives it, and the most it should be."""

    name: str
    part: Part
    goal: float | None
    unit: str = ""


FIGURES = (
    Figure("plain_over_torch_plain", "torch", 0.72),
    Figure("weight_step_over_plain", "time", 1.10),
    Figure("arch_step_over_plain", "time", 0.95),
    Figure("weight_step_over_torch", "torch", 0.83),
    Figure("arch_step_over_torch", "torch", 1.00),
    Figure("weight_memory_over_plain", "memory", 1.00),
    Figure("arch_memory_over_plain", "memory", 1.00),
    Figure("weight_memory_over_plain_224", "memory", 1.00),
    Figure("arch_memory_over_plain_224", "memory", 1.00),
    Figure("all_paths_memory_over_ours", "memory", None),
    Figure("compile_seconds", "compile", 40, " s"),
    Figure("compile_gib", "compile", 3, " GiB"),
    Figure("warm_start_seconds", "compile", 8, " s"),
    Figure("growth_2_to_12", "growth", 1.05),
)


def verdict(value: float | None, goal: float | None) -> str:
    """Met up to the goal itself; what was not measured or has no goal has neither.

    >>> verdict(0.67, 0.67), verdict(0.671, 0.67), verdict(None, 0.67)
    ('met', 'missed', '')
    """
    if value is None or goal is None:
        return ""
    return "met" if value <= goal else "missed"


def rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and a row per figure, as text.

    `result` has every figure by name, None where `not_run` says why for its part, and
    `by_medians` those of times once more.
    """
    header = ("figure", "value", "by medians", "goal", "")
    found: list[tuple[str, ...]] = [header]
    for name, part, goal, unit in FIGURES:
        value, median = result[name], result["by_medians"].get(name)
        found.append(
            (
                name,
                f"not run: {result['not_run'][part]}"
                if value is None
                else f"{value:.3f}{unit}",
                "" if median is None else f"{median:.3f}{unit}",
                "" if goal is None else f"<= {goal:g}{unit}",
                verdict(value, goal),
            )
        )
    return found
