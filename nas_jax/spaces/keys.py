"""Keys of latency tables read back: `part.key` -> the part.

A table knows its parts by key alone. What is computed from a table without a space,
such as the arithmetic that an entry stands for, starts here.
"""

import re
from collections.abc import Callable

from nas_jax.spaces.operations import Block, OpSpec, strided
from nas_jax.spaces.parts import Classifier, Head, Norm, NormConv, Part, Stem, Widen

SIZE = r"[1-9][0-9]{0,6}"
"""A side, a width, a stride: from 1, and not beyond `checks.LARGEST` by far."""
_IN = rf"(?P<size>{SIZE})x(?P=size)x(?P<channels>{SIZE})"
_ENDS = _IN + rf"->(?P<out_size>{SIZE})x(?P=out_size)x(?P<out_channels>{SIZE})"
_STRIDED = _ENDS + rf" s(?P<stride>{SIZE})"


def _ends(found: re.Match[str]) -> dict[str, int]:
    return {
        "in_channels": int(found["channels"]),
        "out_channels": int(found["out_channels"]),
        "input_size": int(found["size"]),
    }


def _strided(found: re.Match[str]) -> dict[str, int]:
    return {**_ends(found), "stride": int(found["stride"])}


def _stem(found: re.Match[str]) -> Part:
    return Stem(**_strided(found), activate=not found["linear"])


def _head(found: re.Match[str]) -> Part:
    return Head(**_ends(found))


def _classifier(found: re.Match[str]) -> Part:
    return Classifier(int(found["channels"]), int(found["classes"]), int(found["size"]))


def _norm(found: re.Match[str]) -> Part:
    return Norm(int(found["channels"]), int(found["size"]), bool(found["relu"]))


def _norm_conv(found: re.Match[str]) -> Part:
    return NormConv(
        **_strided(found),
        kernel=int(found["kernel"]),
        groups=int(found["groups"]),
        activate=bool(found["relu"]),
    )


def _widen(found: re.Match[str]) -> Part:
    return Widen(**_strided(found))


def _block(found: re.Match[str]) -> Part:
    op = OpSpec.parse(found["op"])
    return Block(op, **_strided(found), shortcut=bool(found["skip"]))


# the block last: the name of its operation is any word
_FORMS: tuple[tuple[str, Callable[[re.Match[str]], Part]], ...] = (
    (rf"stem {_STRIDED}(?P<linear> linear)?", _stem),
    (rf"head {_ENDS}", _head),
    (rf"classifier {_IN}->(?P<classes>{SIZE})", _classifier),
    (rf"norm {_IN}(?P<relu> relu)?", _norm),
    (
        rf"(?P<relu>relu-)?conv_k(?P<kernel>{SIZE})_g(?P<groups>{SIZE}) {_STRIDED}",
        _norm_conv,
    ),
    (rf"widen {_STRIDED}", _widen),
    (rf"(?P<op>\w+) {_STRIDED}(?P<skip> skip)?", _block),
)


def parse(key: str) -> Part:
    """The part whose `key` this is.

    Raises `ValueError` for what no part writes, and for an operation of a user's own
    that is not registered in this process.

    >>> parse("mb6_k3 14x14x80->14x14x80 s1 skip").op.name
    'mb6_k3'
    """
    for form, make in _FORMS:
        if not (found := re.fullmatch(form, key)):
            continue
        part = make(found)
        # sizes that do not follow from the stride would be lost on the way back
        if part.key == key:
            return part
        groups = found.groupdict()
        if "stride" in groups:
            side = strided(int(groups["size"]), int(groups["stride"]))
            raise ValueError(
                f"part {key!r}: expected an output side of {side} at stride "
                f"{groups['stride']}, got {groups['out_size']}"
            )
        break
    raise ValueError(
        f"part {key!r}: expected a key such as 'mb6_k3 14x14x80->14x14x80 s1 skip' "
        "(operation, input -> output as height x width x channels, stride)"
    )
