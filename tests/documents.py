"""The code blocks and the commands of the documents, for the tests that hold them."""

import itertools
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])


class Code(NamedTuple):
    """A fenced or an indented block; the language of an indented one is ""."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Code]:
    """All code of a page, in order."""
    tokens = MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    found = []
    for token in tokens:
        is_code = token.type in ("fence", "code_block")
        # ```{toctree} and the like are read by the site's builder itself
        if is_code and not token.info.startswith("{"):
            first = token.map[0] + (token.type == "fence")
            found.append(Code(token.info.strip(), token.content, first))
    return found


def commands(text: str, program: str) -> list[list[str]]:
    """The words after `program`, one word or more, of every command of a block.

    Comments are left out.

    A line that ends in a backslash goes on; `list|show` stands for two commands; what
    an output is redirected to does not belong to one.
    """
    found, first = [], program.split()
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True) if line.startswith(program) else []
        if words[: len(first)] == first:
            words = list(itertools.takewhile(lambda word: word != ">", words))
            choices = [
                word.split("|") if re.fullmatch(r"[a-z]+(\|[a-z]+)+", word) else [word]
                for word in words[len(first) :]
            ]
            found += [list(one) for one in itertools.product(*choices)]
    return found
