"""What a device prefers: the operations of a network, stage by stage.

ProxylessNAS, section 4.3 and figure 4: networks searched for a GPU, a CPU and a phone
differ in depth, kernel sizes and expansions, and the stages of a network differ, too.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from nas_jax.report import quantities as q
from nas_jax.report.run_files import RunFiles
from nas_jax.report.table import Cell, Row, Table
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace

_COLUMNS = ("stage", "blocks kept", "kernels", "mean expansion")


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


def stages(run: RunFiles, network: Architecture) -> Table | None:
    """One row per stage; None for a space that has no stages, or a foreign network."""
    cells = getattr(run.experiment and run.experiment.space, "cells", None)
    path = run.path_of(network)
    if path is None or run.space is None or cells is None:
        return None
    found = by_stage(cells, run.space, path)
    rows: list[Row] = []
    for end, count, stage in zip(np.cumsum(cells), cells, found, strict=True):
        last = run.space.layers[end - 1]
        side = last.output_size
        shares = {int(kernel): share for kernel, share in stage["kernels"].items()}
        words = [f"{k}×{k} {q.percent(share, 0)}" for k, share in shares.items()]
        row = (
            f"{stage['depth']} of {count}",
            Cell(", ".join(words) or q.ABSENT, shares=shares),
            q.fixed(stage["expansion"], 1),
        )
        rows.append(Row(f"{len(rows) + 1}: {side}×{side}×{last.out_channels}", row))
    return Table(_COLUMNS, tuple(rows))
