"""Everything that is read from outside, by name: see `fuzz_case.Reader`.

Readers that hide behind a checksum (zip, gzip, a digest) are there twice: as they are,
and with what is inside changed before it is packed.
"""

import fuzz_checkpoints
import fuzz_guidelines
import fuzz_measured
import fuzz_models
import fuzz_networks
import fuzz_pictures
import fuzz_prepared
import fuzz_runs
import fuzz_tables
import fuzz_words
from fuzz_case import READERS

__all__ = [
    "READERS",
    "fuzz_checkpoints",
    "fuzz_guidelines",
    "fuzz_measured",
    "fuzz_models",
    "fuzz_networks",
    "fuzz_pictures",
    "fuzz_prepared",
    "fuzz_runs",
    "fuzz_tables",
    "fuzz_words",
]
