"""What a device prefers: the operations of a network, stage by stage.

ProxylessNAS, section 4.3 and figure 4: networks searched for a GPU, a CPU and a phone
differ in depth, kernel sizes and expansions, and the stages of a network differ, too.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from nas_jax.space import SearchSpace


def by_stage(
    cells: Sequence[int], space: SearchSpace, path: Sequence[int] | np.ndarray
) -> list[dict[str, Any]]:
    """For each stage the MBConvs kept, shares of their kernels, mean expansion.

    Args:
      cells: searchable layers of every stage, as in `SpaceConfig.cells`.
      space: the space of the path.
      path: candidate indices, Int `[L]`.

    Returns:
      One dict per stage: `depth`, `kernels` (shares by size, as text for JSON) and
      `expansion`, which is None where nothing was kept.

    Raises:
      ValueError: for a path that is not one of the space, or if `cells` do not add up
        to its layers.
    """
    indices = space.check_path(path)
    if sum(cells) != len(indices):
        raise ValueError(
            f"cells {tuple(cells)}: expected {len(indices)} layers in all, got "
            f"{sum(cells)}; give those of the space"
        )
    found = []
    for end, count in zip(np.cumsum(cells), cells, strict=True):
        ops = [space.candidates[k] for k in indices[end - count : end]]
        kept = [op for op in ops if op.expansion]
        kernels = Counter(op.kernel for op in kept)
        found.append(
            {
                "depth": len(kept),
                "kernels": {
                    str(kernel): kernels[kernel] / len(kept)
                    for kernel in sorted(kernels)
                },
                "expansion": sum(op.expansion for op in kept) / len(kept)
                if kept
                else None,
            }
        )
    return found
