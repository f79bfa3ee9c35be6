"""Names in a line for the user: printable, not too long, the first few of many."""

import difflib
from collections.abc import Iterable

SHOWN = 5
"""Things that a line names; all are counted."""
LONGEST = 100
"""Characters of a name in a line."""


def few(things: Iterable[str], most: int = SHOWN) -> str:
    """The first of some things, and how many more there are.

    >>> few("abcdefgh")
    'a, b, c, d, e and 3 more'
    """
    every = list(things)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(shown(one, 3 * LONGEST) for one in every[:most]) + more


def meant(word: str, known: Iterable[str], before: str = "") -> str:
    """The end of a message about a wrong word: the nearest right one, if one is near.

    `before` is what stands before the word where it is written.

    >>> meant("serch", ["search", "start"]), meant("x", ["search"])
    ('; did you mean search?', '')
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {before}{near[0]}?" if near else ""


def shown(name: str, longest: int = LONGEST) -> str:
    """A name as it can stand in a line: printable, and not too long.

    >>> shown("a\\nb.jpg")
    'a\\\\nb.jpg'
    """
    safe = name if name.isprintable() else ascii(name)[1:-1]
    half = longest // 2 - 2
    return safe if len(safe) <= longest else f"{safe[:half]}...{safe[-half:]}"
