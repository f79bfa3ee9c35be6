"""A limit on the largest of a network's parts, against every network there is."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas_jax.search.peaks import Peaks


@st.composite
def problems(draw):
    """Peaks of up to 5^4 networks, with ties; some candidates are not offered."""
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = rng.random(shape) < 0.7
    mask[:, 0] = True
    candidates = rng.integers(1, 9, shape).astype(float)
    fixed = float(rng.integers(0, 9))
    return Peaks(candidates, fixed), mask, draw(st.integers(1, 9))


def every_path(mask):
    return {path for path in itertools.product(*map(np.flatnonzero, mask))}


@given(problems())
def test_candidates_within_are_those_of_all_networks_within(problem):
    """And of no other: the limit is exact."""
    peaks, mask, limit = problem
    kept = mask & peaks.within(limit)
    within = {path for path in every_path(mask) if peaks.of_path(path) <= limit}
    if peaks.fixed > limit or not kept.any(axis=1).all():
        assert not within
    else:
        assert within == every_path(kept)


@given(problems())
def test_reachable_is_the_range_of_all_networks(problem):
    peaks, mask, limit = problem
    all_ = [peaks.of_path(path) for path in every_path(mask)]
    assert peaks.reachable(mask) == (min(all_), max(all_))
    # a limit at or above the least leaves every layer a candidate
    if limit >= min(all_):
        assert (mask & peaks.within(limit)).any(axis=1).all()


def test_a_peak_as_large_as_the_limit_keeps_it_in_spite_of_rounding():
    peaks = Peaks(np.array([[0.3, 0.4]]), 0.0)
    assert 0.1 * 3 > 0.3 and peaks.within(0.1 * 3).tolist() == [[True, False]]
    assert Peaks(np.array([[0.1 * 3]]), 0.0).within(0.3).all()
