"""The paper's tables and figures, beside what was computed or measured here."""
