"""Everything that is read from outside, by name: see `fuzz.case.Reader`.

Readers that hide behind a checksum (zip, gzip, a digest) are there twice: as they are,
and with what is inside changed before it is packed.
"""

from fuzz import (
    checkpoints,
    guidelines,
    idx,
    measured,
    models,
    networks,
    pictures,
    prepared,
    runs,
    tables,
    words,
)
from fuzz.case import READERS

__all__ = [
    "READERS",
    "checkpoints",
    "guidelines",
    "idx",
    "measured",
    "models",
    "networks",
    "pictures",
    "prepared",
    "runs",
    "tables",
    "words",
]
