"""Preferences of a device, by stage: counted by hand."""

import numpy as np
import pytest

from nas_jax.report import preferences
from nas_jax.spaces import builders
from tests import tiny_spaces

SPACE = builders.mobile(tiny_spaces.TWO_STAGES)


def path(*names):
    known = [op.name for op in SPACE.candidates]
    return np.array([known.index(name) for name in names])


def test_by_stage():
    ops = path("mb3_k3", "zero", "mb6_k7", "mb3_k3")
    first, second = preferences.by_stage((2, 2), SPACE, ops)
    assert first == {"depth": 1, "kernels": {"3": 1.0}, "expansion": 3.0}
    assert second == {"depth": 2, "kernels": {"3": 0.5, "7": 0.5}, "expansion": 4.5}


def test_a_stage_of_which_nothing_is_left_has_no_expansion():
    ops = path("zero", "zero", "mb6_k7", "mb6_k7")
    first, second = preferences.by_stage((2, 2), SPACE, ops)
    assert first == {"depth": 0, "kernels": {}, "expansion": None}
    assert second["expansion"] == 6.0


def test_stages_of_another_space_are_refused():
    ops = path("mb3_k3", "mb3_k3", "mb3_k3", "mb3_k3")
    with pytest.raises(ValueError, match=r"expected 4 layers in all, got 3"):
        preferences.by_stage((2, 1), SPACE, ops)
    with pytest.raises(ValueError, match="path"):
        preferences.by_stage((2, 2), SPACE, ops[:3])
