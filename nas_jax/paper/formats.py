"""A table as text, Markdown, CSV or LaTeX."""

import csv
import io
from collections.abc import Callable

from nas_jax.paper.tables import Table


def markdown(table: Table) -> str:
    """A pipe table, the notes as a list below it."""
    lines = [table.header, tuple("---" for _ in table.header), *table.rows]
    body = "\n".join("| " + " | ".join(map(_piped, row)) + " |" for row in lines)
    notes = "\n".join(f"- {_piped(note)}" for note in table.notes)
    return f"**{table.title}**\n\n{body}\n\n{notes}"


def _piped(text: str) -> str:
    return text.replace("|", r"\|").replace("*", r"\*")


def as_csv(table: Table) -> str:
    """Header and rows alone: notes are no rows."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([table.header, *table.rows])
    return out.getvalue().rstrip("\n")


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{special: f"\\{special}" for special in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


def latex(table: Table) -> str:
    """A `table` environment; it needs the package booktabs."""
    columns = "l" + "r" * (len(table.header) - 1)
    rows = [
        " & ".join(map(_escaped, row)) + r" \\" for row in (table.header, *table.rows)
    ]
    notes = " ".join(f"{_escaped(note)}." for note in table.notes)
    lines = (
        r"\begin{table}",
        rf"\caption{{{_escaped(table.title)}. {notes}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        *(r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule"),
        r"\end{tabular}",
        r"\end{table}",
    )
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.translate(_LATEX)


FORMATS: dict[str, Callable[[Table], str]] = {
    "markdown": markdown,
    "csv": as_csv,
    "latex": latex,
}
"""Besides plain text, which `terminal` aligns."""
