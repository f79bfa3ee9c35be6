"""Writes licences.md beside this file: what the package needs, and under which terms.

    make licences

Names, versions and licences are those that the installed packages state of themselves.
"""

import importlib.metadata
import re
from pathlib import Path

from packaging.requirements import Requirement

PAGE = Path(__file__).with_suffix(".md")
HEAD = """# Licences

nas_jax is under Apache-2.0. It needs the packages below (what they need in turn is
among them); each states its licence of itself. Written by `make licences` from the
installed packages; nothing of theirs is contained in ours. Ours contains a part of
Fashion-MNIST, copyright 2017 Zalando SE, under the Expat licence, which lies beside it
(`nas_jax/data/shipped/fashion_mnist`).

| package | version | licence | |
|---|---|---|---|
"""


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(name: str) -> list[str]:
    """What a distribution needs here, without its extras."""
    found = map(Requirement, importlib.metadata.requires(name) or [])
    return [
        one.name
        for one in found
        if one.marker is None or one.marker.evaluate({"extra": ""})
    ]


def closure(name: str) -> list[str]:
    """All that is installed for a distribution's sake, by name."""
    found: set[str] = set()
    left = needed(name)
    while left:
        one = normalised(left.pop())
        if one not in found:
            found.add(one)
            left += needed(one)
    return sorted(found)


def licence(name: str) -> str:
    """What a distribution says: an expression, a short text, or classifiers."""
    stated = importlib.metadata.metadata(name)
    text = (stated.get("License") or "").strip()
    classified = [
        one.rpartition(" :: ")[2]
        for one in stated.get_all("Classifier") or []
        if one.startswith("License :: ")
    ]
    is_short = text and len(text) <= 40 and "\n" not in text
    found = stated.get("License-Expression") or (text if is_short else "")
    return found or ", ".join(classified) or text.partition("\n")[0]


def page() -> str:
    direct = set(map(normalised, needed("nas_jax")))
    rows = [
        f"| {name} | {importlib.metadata.version(name)} | {licence(name)} "
        f"| {'direct' if name in direct else ''} |\n"
        for name in closure("nas_jax")
    ]
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
