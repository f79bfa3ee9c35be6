"""A latency table as CSV, for spreadsheets; `table_import` reads it back.

A row per part, times in ms, empty where a source stated nothing; `fixed_ms` is the row
"fixed". Provenance and validation are comments, which do not come back.
"""

import csv
import io
import json
from dataclasses import astuple, fields

from nas_jax.table_import import FIXED
from nas_jax.table_schema import Entry
from nas_jax.tables import LatencyTable


def write(table: LatencyTable) -> str:
    """The text of the file."""
    text = io.StringIO()
    facts = {**table.provenance, "validation": table.validation}
    for name, value in facts.items():
        text.write(f"# {name}: {json.dumps(value)}\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["key", *(field.name for field in fields(Entry))])
    if table.fixed_ms:
        rows.writerow([FIXED, repr(table.fixed_ms), "", "", "", "", ""])
    for key, entry in table.entries.items():
        numbers = ["" if value is None else repr(value) for value in astuple(entry)]
        rows.writerow([key, *numbers])
    return text.getvalue()
