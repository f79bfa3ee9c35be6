"""Latency tables: read, written, checked, measured."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas_jax.latency.tables import LatencyTable


def load(name: str | os.PathLike[str]) -> LatencyTable:
    """A latency table: a file, or the name of one that comes with the package.

    >>> load("digits_cpu_onnxruntime").provenance["runtime"]
    'onnxruntime'
    """
    from nas_jax.config import shipped
    from nas_jax.latency import tables

    name = os.fspath(name)
    if "/" not in name and not name.endswith(".json"):
        name = f"latency_tables/{name}.json"
    return tables.load(shipped.table_file(name))
