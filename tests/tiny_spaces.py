"""Tiny spaces that several tests share, compiled in seconds on a CPU."""

from nas_jax.config import SpaceConfig

ONE_LAYER = SpaceConfig(
    name="tiny",
    input_size=8,
    input_channels=1,
    classes=3,
    stem_channels=8,
    stem_stride=1,
    first_block_channels=None,
    stage_widths=(8,),
    cells=(1,),
    strides=(1,),
    candidates=("mb6_k7", "zero"),
    head_channels=16,
)
"""Of which `zero` is the identity."""
THREE_LAYERS = SpaceConfig(
    name="tiny",
    input_size=8,
    input_channels=1,
    classes=3,
    stem_channels=8,
    stem_stride=1,
    first_block_channels=None,
    stage_widths=(8,),
    cells=(3,),
    strides=(2,),
    candidates=("mb3_k3", "zero", "mb6_k5"),
    head_channels=16,
)
"""2 * 3 * 3 networks: `zero` stands in the middle and layer 0 does not offer it, so
that rows of candidates are not columns."""
TWO_STAGES = SpaceConfig(
    name="two_stages",
    input_size=16,
    stem_channels=8,
    stem_stride=1,
    first_block_channels=None,
    stage_widths=(8, 16),
    cells=(2, 2),
    strides=(1, 2),
    candidates=("mb3_k3", "mb6_k3", "mb3_k7", "mb6_k7", "zero"),
    head_channels=16,
)
"""Kernels of two sizes, expansions of two, and `zero`, in two stages."""
