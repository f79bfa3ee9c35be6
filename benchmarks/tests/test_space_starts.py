"""The bench of first starts, space by space."""

import pytest

from benchmarks import compile_cost, space_starts
from benchmarks.settings import SpaceStartsConfig
from nas_jax.config import families
from nas_jax.training.progress import Progress

FOUND = {"compile_seconds": 90.0, "compile_gib": 1.5, "warm_start_seconds": 8.04}


def test_every_space_is_measured_at_the_side_asked_for(monkeypatch):
    asked = []

    def measure(space, batch, is_tuned, watch):
        asked.append((space, batch))
        return FOUND

    monkeypatch.setattr(compile_cost, "measure", measure)
    names = ("fbnet", "mobilenet_v3")
    found = space_starts.run(SpaceStartsConfig(names, input_size=64), Progress())
    assert [(one.name, one.input_size, batch) for one, batch in asked] == [
        ("fbnet", 64, 16),
        ("mobilenet_v3", 64, 16),
    ]
    assert asked[0][0].candidates == families.FBNET.candidates
    found["rows"][1] |= {"compile_seconds": 90.1}
    assert [row[:3] for row in space_starts.table(found)[1:]] == [
        ("fbnet", "90.0", "met"),
        ("mobilenet_v3", "90.1", "missed"),
    ]


def test_unknown_space_is_refused_by_name():
    with pytest.raises(ValueError, match=r"spaces: expected names of .* got 'v3'"):
        SpaceStartsConfig(("v3", "fbnet"))
