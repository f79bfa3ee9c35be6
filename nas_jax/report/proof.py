"""What a derivation proves of its network, in words."""

from collections.abc import Mapping
from typing import Any


def words(derivation: Mapping[str, Any]) -> str:
    """The claim that is proven, of the fields in `result.json`.

    >>> words({"log_prob_gap": 0.0, "is_spent": True})
    'the best there is'
    >>> words({"log_prob_gap": 0.5, "excluded": 20})
    'the best has at most e^0.5 times it; 20 passed over that exceed a limit by a hair'
    """
    gap, excluded = derivation["log_prob_gap"], derivation.get("excluded", 0)
    parts = [
        f"the best has at most e^{gap:.3g} times it" if gap else "the best there is"
    ]
    if excluded:
        parts.append(f"{excluded} passed over that exceed a limit by a hair")
    if not derivation.get("is_spent", True):
        is_proven = derivation.get("is_proven", True)
        parts.append(
            "no network within the limits spends more of the target"
            if is_proven
            else "none was found that spends more of the target, which does not prove "
            "that none does"
        )
    return "; ".join(parts)
