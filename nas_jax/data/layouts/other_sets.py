"""Data that are no pictures with labels, named with the way to make them such."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from nas_jax.config.naming import SHOWN, few
from nas_jax.data import foreign
from nas_jax.data.layouts import name_patterns, split_names, tree
from nas_jax.data.layouts.tree import Tree

_COMMANDS = {
    ".zip": "unzip {file} -d {folder}",
    ".7z": "7z x {file} -o{folder}",
    ".rar": "unrar x {file} {folder}/",
} | dict.fromkeys(
    (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".tar.zst"),
    "mkdir {folder} && tar -xf {file} -C {folder}",
)
_ARRAYS = {
    *(".npy", ".npz", ".parquet", ".arrow", ".tfrecord", ".tfrecords", ".h5", ".hdf5"),
    *(".mat", ".pkl", ".pickle", ".pt", ".pth", ".lmdb", ".mdb", ".rec", ".bin"),
    *(".feather", ".array_record", ".idx", ".msgpack"),
}


def refuse_file(path: Path) -> NoReturn:
    """Raises `ValueError` for a file where a folder or a file of labels is expected."""
    if _suffix(path.name) in _COMMANDS:
        raise ValueError(
            f"{path}: expected a folder of pictures, got an archive; unpack it: "
            f"{_command(path)}"
        )
    with path.open("rb") as file:
        head = file.read(foreign.HEAD)
    got = foreign.kind_of(head)
    if path.suffix.lower() in tree.picture_suffixes():
        got = "one picture"
    raise ValueError(
        f"{path}: expected a folder of pictures, or a file of their labels (.csv, "
        f".tsv, .jsonl), got {got or 'another file'}; name the folder that it lies in"
    )


def refuse_without_pictures(found: Tree) -> NoReturn:
    """Raises `ValueError` for a folder without pictures, and says what it holds."""
    archives = [name for name in found.others if _suffix(name) in _COMMANDS]
    if archives:
        commands = [_command(found.root / name) for name in archives[:SHOWN]]
        raise ValueError(
            f"{found.root}: expected pictures, got archives ({few(archives)}); unpack "
            f"them: {'; '.join(commands)}"
        )
    arrays = [name for name in found.others if _suffix(name) in _ARRAYS]
    records = [name for name in arrays + found.others if "tfrecord" in name]
    got = tree.kinds(found) or "an empty folder"
    if any("ubyte" in name or "idx" in name for name in found.others):
        cure = "set data.name to idx"
    elif records:
        cure = "set data.name to tfds:NAME for what tensorflow-datasets has prepared"
    elif arrays:
        cure = "write every image as a PNG into a folder of its class"
    else:
        cure = "name the folder that holds the folders of the classes"
    raise ValueError(
        f"{found.root}: expected one folder per class with pictures in it, as in "
        f"{found.root / 'cat' / 'one.jpg'}, got {got}; {cure}"
    )


def refuse_without_labels(found: Tree, names: Sequence[str], why: str) -> NoReturn:
    """Raises `ValueError` for pictures side by side, and proposes how to name labels.

    Args:
      found: all files.
      names: of the pictures without labels.
      why: what files of labels lack, if there are any.
    """
    folder = (found.root / names[0]).parent
    count = f"{len(names)} pictures side by side"
    where = f"{folder}: expected one folder per class, got {count}"
    if boxes := _boxes(found, names):
        raise ValueError(
            f"{where} and {boxes}: a data set for detection, with boxes in place of "
            "one label a picture; cut the boxes out into a folder per class"
        )
    proposal = name_patterns.proposal(names)
    if (
        folder != found.root
        and proposal is None
        and not why
        and split_names.spelled(folder.name) is None
    ):
        empty = [one for one in found.empty if (found.root / one).parent != folder]
        no_others = f" ({few(empty)} {'is' if len(empty) == 1 else 'are'} empty)"
        raise ValueError(
            f"{folder.parent}: expected a folder of pictures for each of at least 2 "
            f"classes, got one class, {folder.name}{no_others if empty else ''}; add "
            "the others"
        )
    rule = proposal or (
        "if the names hold labels, say where, as in --data.label-pattern "
        "'{label}_{number}'"
    )
    advice = f"{why}; or {rule}" if why else f"{rule}; or list their labels"
    raise ValueError(f"{where} ({few(names)}); {advice}; or move them into folders")


def _boxes(found: Tree, names: Sequence[str]) -> str | None:
    """The files that hold the boxes of a set for detection."""
    stems = {Path(name).stem for name in names}
    for suffix, kind in ((".txt", "YOLO"), (".xml", "Pascal VOC")):
        files = [
            name
            for name in found.others
            if name.lower().endswith(suffix) and Path(name).stem in stems
        ]
        if files:
            return f"{len(files)} {suffix} files of their names ({kind})"
    for name in found.others:
        if name.lower().endswith(".json") and (found.root / name).is_file():
            with (found.root / name).open("rb") as file:
                head = file.read(1 << 16)
            if b'"bbox"' in head or (b'"images"' in head and b'"file_name"' in head):
                return f"{name} (COCO)"
    return None


def _suffix(name: str) -> str:
    lower = name.lower()
    double = [one for one in _COMMANDS if one.count(".") == 2 and lower.endswith(one)]
    return double[0] if double else os.path.splitext(lower)[1]


def _command(path: Path) -> str:
    suffix = _suffix(path.name)
    folder = str(path)[: -len(suffix)]
    return _COMMANDS[suffix].format(
        file=shlex.quote(str(path)), folder=shlex.quote(folder)
    )
