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


def near(word: str, known: Iterable[str]) -> list[str]:
    """The known words that one was meant as: at most three that begin with it, or the
    nearest. Upper case counts as lower; dashes in front, which flags share, do not
    make words alike.

    >>> near("Serch", ["search", "start"]), near("prox", ["proxy_b", "proxy_a"])
    (['search'], ['proxy_a', 'proxy_b'])
    >>> near("--nonsense", ["--seed"]), near("--sed", ["--seed"])
    ([], ['--seed'])
    """
    every = {one.lower().lstrip("-"): one for one in known}
    typed = word.lower().lstrip("-")
    found = sorted(one for one in every if len(typed) > 2 and one.startswith(typed))
    found = found or difflib.get_close_matches(typed, every, n=1)
    return [every[one] for one in found[:3]]


def meant(word: str, known: Iterable[str], before: str = "") -> str:
    """The end of a message about a wrong word: the right ones that are near, if any.

    `before` is what stands before the word where it is written.

    >>> meant("serch", ["search", "start"]), meant("x", ["search"])
    ('; did you mean search?', '')
    >>> meant("mob", ["mobile", "mobile_14"], "net_")
    '; did you mean net_mobile or net_mobile_14?'
    """
    return one_of([f"{before}{one}" for one in near(word, known)])


def one_of(names: Iterable[str]) -> str:
    """The end of a message that asks which of some names was meant, if there are any.

    >>> one_of(["a", "b", "c"]), one_of([])
    ('; did you mean a, b or c?', '')
    """
    *others, last = [*names] or [""]
    listed = f"{', '.join(others)} or {last}" if others else last
    return f"; did you mean {listed}?" if last else ""


def shown(name: str, longest: int = LONGEST) -> str:
    """A name as it can stand in a line: printable, and not too long.

    >>> shown("a\\nb.jpg")
    'a\\\\nb.jpg'
    """
    safe = name if name.isprintable() else ascii(name)[1:-1]
    half = longest // 2 - 2
    return safe if len(safe) <= longest else f"{safe[:half]}...{safe[-half:]}"
