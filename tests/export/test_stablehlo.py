"""The StableHLO form of a network."""

import re

import jax
import numpy as np
import pytest

from nas_jax.export import stablehlo


def test_stablehlo_is_for_three_platforms_each_in_its_own_form(exported):
    content = (exported / "export" / "searched.stablehlo").read_bytes()
    found = jax.export.deserialize(bytearray(content))
    assert found.platforms == ("cpu", "cuda", "tpu")
    text = found.mlir_module()
    groups = re.findall(
        r"= stablehlo\.convolution\(.*feature_group_count = (\d+)", text
    )
    # the stem; on other platforms than the CPU the two depthwise convolutions
    assert groups.count("24") == 2 * groups.count("1") > 0
    assert set(groups) == {"1", "24"}
    assert "stablehlo.optimization_barrier" in text


def test_stablehlo_that_only_xla_finds_wrong_is_one_line(exported):
    content = (exported / "export" / "searched.stablehlo").read_bytes()
    found = stablehlo.decode(content.replace(b"main", b"mbin"), "m.stablehlo")
    with pytest.raises(ValueError, match=r"^m\.stablehlo: expected a program that XLA"):
        found.run(np.zeros((1, 8, 8, 1), np.float32))
