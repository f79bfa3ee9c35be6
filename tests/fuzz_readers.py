"""Everything that is read from outside, by name: see `fuzz_case.Reader`.

Readers that hide behind a checksum (zip, gzip, a digest) are there twice: as they are,
and with what is inside changed before it is packed.
"""

import fuzz_models
import fuzz_pictures
import fuzz_prepared
import fuzz_runs
import fuzz_tables
from fuzz_case import READERS

__all__ = [
    "READERS",
    "fuzz_models",
    "fuzz_pictures",
    "fuzz_prepared",
    "fuzz_runs",
    "fuzz_tables",
]
