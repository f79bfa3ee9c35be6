"""JSON from outside, parsed once for all readers: what may stand in it is bounded.

Python's parser keeps the last of two equal keys, recurses as deep as the text nests,
and makes integers of any length and texts that no file can hold. None of that is in a
file of ours, and each is an exception somewhere behind the reader.
"""

import json
from collections.abc import Iterable
from typing import Any

DEEPEST = 60
"""Objects and lists in each other; what we write has ten."""
DIGITS = 18
"""Of an integer: it fits in 64 bits."""


def parse(text: str | bytes, where: str, advice: str = "") -> Any:
    """The document in a text; NaN and the infinities are let through.

    Raises `ValueError` in a line that begins with `where` and ends with `advice`, for
    what is no JSON, a key that comes twice, an integer of more than `DIGITS` digits,
    nesting deeper than `DEEPEST`, half of a character.
    """
    try:
        document = json.loads(text, object_pairs_hook=unique, parse_int=_integer)
        _check(document)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: expected JSON, got {error}{advice}") from error
    return document


def parse_object(text: str | bytes, where: str, advice: str = "") -> dict[str, Any]:
    """The document if it is an object; otherwise raises `ValueError` as `parse`."""
    document = parse(text, where, advice)
    if not isinstance(document, dict):
        got = f"{document!r:.60}"
        raise ValueError(f"{where}: expected a JSON object, got {got}{advice}")
    return document


def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a key that occurs twice, of which JSON would silently keep the last."""
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"the key {key!r:.60} twice")
        document[key] = value
    return document


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > DIGITS:
        raise ValueError(f"an integer of more than {DIGITS} digits, {digits:.30}...")
    return int(digits)


def _check(document: Any) -> None:
    """Level by level: a walk that recurses could be led too deep itself."""
    level = [document]
    for _ in range(DEEPEST + 1):
        below: list[Any] = []
        for one in level:
            if isinstance(one, str):
                one.encode()  # half of a character is a UnicodeEncodeError
            elif isinstance(one, dict):
                below += [*one.keys(), *one.values()]
            elif isinstance(one, list):
                below += one
        if not below:
            return
        level = below
    raise ValueError(f"objects or lists more than {DEEPEST} deep in each other")
