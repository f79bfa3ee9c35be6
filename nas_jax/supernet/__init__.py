"""The over-parameterised network: all candidates stored, one path run.

A path is data (Int `[L]`), so one compiled program serves every path. `gather` takes
the sampled candidates out of the tables, a step differentiates and updates them only,
`scatter` puts them back: unsampled candidates stay bit-unchanged. Never `vmap` over
paths: a switch would become a select and run all branches.

    rows = supernet.rows_of(space, path)
    sampled = supernet.gather(params, rows)
    stats = supernet.gather(batch_stats, rows)
    logits, new_stats = supernet.apply(space, sampled, stats, rows, images)

How parameters are stored is private to this package.
"""

from nas_jax.supernet.paths import apply, apply_full, apply_two_path
from nas_jax.supernet.storage import (
    candidate,
    extract,
    gather,
    init,
    insert,
    rows_of,
    scatter,
    select,
)

__all__ = [
    "apply",
    "apply_full",
    "apply_two_path",
    "candidate",
    "extract",
    "gather",
    "init",
    "insert",
    "rows_of",
    "scatter",
    "select",
]
