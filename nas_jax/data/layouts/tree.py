"""The files below a folder: pictures by their suffix, or by how they begin; and others.

Nothing is decoded. A file is opened only where its suffix is unknown, so that a hundred
thousand files are listed in a second or two.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from nas_jax.config.naming import shown
from nas_jax.data import foreign
from nas_jax.data.pictures import FORMATS

SYSTEM = (
    *("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"),
    *("lost+found", "__pycache__"),
)
"""Folders that nobody made: copies and thumbnails of what lies beside them."""
BESIDE = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".md", ".yaml"),
    *(".yml", ".html", ".htm", ".log", ".ini", ".db", ".py", ".ipynb", ".mat", ".pkl"),
    *(".md5", ".sha1", ".sha256", ".mp4", ".avi", ".mov", ".mkv", ".webm", ".wav"),
    *(".mp3", ".zip", ".gz", ".tar", ".npy", ".npz", ".parquet", ".lnk", ".xlsx"),
}
"""Suffixes of what often lies beside pictures, and is not opened."""


class Tree(NamedTuple):
    """What lies below a folder; names are relative to it, in the order of folders."""

    root: Path
    pictures: list[str]
    others: list[str]
    """Files that are no pictures, except hidden ones."""
    empty: list[str]
    """Folders with nothing in them."""
    hidden: int
    """Hidden files and folders, and those of the system."""


def walk(root: Path) -> Tree:
    """All files below a folder, links followed.

    Raises `ValueError` for a folder that cannot be read.
    """
    suffixes = picture_suffixes() | foreign.UNREAD.keys()
    pictures, others, empty, hidden = [], [], [], 0
    for folder, folders, files in os.walk(root, onerror=_refuse, followlinks=True):
        inside = Path(folder).relative_to(root).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        seen = [one for one in folders if not _is_hidden(one)]
        visible = [one for one in files if not _is_hidden(one)]
        hidden += len(folders) - len(seen) + len(files) - len(visible)
        folders[:] = [one for one in seen if not _leads_back(folder, one)]
        if not seen and not visible:
            empty.append(inside)
        for file in visible:
            name, suffix = f"{prefix}{file}", _suffix(file)
            if suffix in BESIDE or suffix in foreign.DRAWINGS:
                others.append(name)
            elif suffix in suffixes or _begins(os.path.join(folder, file)):
                pictures.append(name)
            else:
                others.append(name)
    for names in (pictures, others, empty):
        names.sort(key=lambda name: name.split("/"))
    return Tree(root, pictures, others, empty, hidden)


def picture_suffixes() -> set[str]:
    """The suffixes of the formats that are read, in small letters, with the dot."""
    known = Image.registered_extensions()
    return {suffix for suffix, form in known.items() if form in FORMATS} | {
        *(".jif", ".jfi", ".pjpeg", ".pjp", ".mpo")
    }


def fault(path: str) -> str | None:
    """Why a file cannot be a picture, as far as that shows without reading it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "a name that is not UTF-8: rename it"
    if not os.path.isfile(path):
        if os.path.lexists(path):
            return "a link to nothing" if os.path.islink(path) else "no regular file"
        return "no such file"
    if not os.access(path, os.R_OK):
        return "you may not read it: change its permissions"
    kind = foreign.UNREAD.get(_suffix(path))
    return foreign.unread(kind) if kind else None


def kinds(tree: Tree) -> str:
    """The files that are no pictures, counted by kind.

    >>> kinds(Tree(Path(), [], ["a.xml", "b.XML", "c.svg"], [], 1))
    '2 .xml, 1 .svg (SVG, which is not read: convert it to a PNG), 1 hidden'
    """
    return ", ".join(_counted(tree))


def _counted(tree: Tree) -> Iterator[str]:
    for suffix, count in Counter(map(_suffix, tree.others)).most_common():
        kind = foreign.DRAWINGS.get(suffix)
        advice = f" ({foreign.unread(kind)})" if kind else ""
        yield f"{count} {shown(suffix) or 'without a suffix'}{advice}"
    if tree.hidden:
        yield f"{tree.hidden} hidden"


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in SYSTEM


def _leads_back(folder: str, name: str) -> bool:
    """Whether a folder is a link to one that it lies in, which has no end."""
    path = os.path.join(folder, name)
    if not os.path.islink(path):
        return False
    here, there = os.path.realpath(folder), os.path.realpath(path)
    return os.path.commonpath([here, there]) == there


def _begins(path: str) -> bool:
    """Whether a file begins as a picture of a format that is read, or nearly is."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            head = file.read(foreign.HEAD)
    except OSError:
        return False
    # TGA has no beginning of its own, and that of DIB is a small number alone
    known = [one for one in FORMATS if one in Image.OPEN and one != "DIB"]
    begins = [Image.OPEN[one][1] for one in known]
    return any(accept and accept(head[:16]) for accept in begins) or (
        head[4:12] in (b"ftypheic", b"ftypmif1")
    )


def _refuse(error: OSError) -> None:
    raise ValueError(
        f"{error.filename}: expected a folder that can be read, got {error.strerror}; "
        "change its permissions"
    ) from error
