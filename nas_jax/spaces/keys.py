"""The parser of latency-table keys: from `part.key` to the part.

A table knows its parts by key alone. What is computed from a table without a space,
such as the arithmetic that an entry stands for, starts here.
"""

import re
from typing import Any, get_args

from nas_jax.config.space import ActivationName, HiddenForm
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import (
    Classifier,
    Head,
    Hidden,
    Norm,
    NormConv,
    Part,
    Stem,
    Widen,
)

SIZE = r"[1-9][0-9]{0,6}"
"""A side, a width, a stride: from 1, and not beyond `checks.LARGEST` by far."""
_IN = rf"(?P<input_size>{SIZE})x(?P=input_size)x(?P<in_channels>{SIZE})"
_ENDS = _IN + rf"->(?P<out_size>{SIZE})x(?P=out_size)x(?P<out_channels>{SIZE})"
_STRIDED = _ENDS + rf" s(?P<stride>{SIZE})"
_KNOWN = "|".join(get_args(ActivationName))
_ACTIVATION = rf"(?P<activation>linear|{_KNOWN})"
_HIDDEN = rf"(?P<hidden>{SIZE} (?:{'|'.join(get_args(HiddenForm))}) (?:{_KNOWN}))"
_CONV = rf"conv_k(?P<kernel>{SIZE})_g(?P<groups>{SIZE})"

# groups are named after fields; the block last: the name of its operation is any word
_FORMS: tuple[tuple[type[Any], str], ...] = (
    (Stem, rf"stem {_STRIDED}(?: {_ACTIVATION})?"),
    (Head, rf"head {_ENDS}(?: {_ACTIVATION})?"),
    (Classifier, rf"classifier {_IN}->(?:{_HIDDEN}->)?(?P<classes>{SIZE})"),
    (Norm, rf"norm {_IN.replace('in_channels', 'channels')}(?P<activate> relu)?"),
    (NormConv, rf"(?P<activate>relu-)?{_CONV} {_STRIDED}"),
    (Widen, rf"widen {_STRIDED}"),
    (Block, rf"(?P<op>[\w.]+) {_STRIDED}(?P<shortcut> skip)?"),
)


def parse(key: str) -> Part:
    """The part whose `key` this is.

    Raises `ValueError` for what no part writes, and for an operation of a user's own
    that is not registered in this process.

    >>> parse("mb6_k3 14x14x80->14x14x80 s1 skip").op.name
    'mb6_k3'
    """
    matches = ((kind, re.fullmatch(form, key)) for kind, form in _FORMS)
    kind, match = next((pair for pair in matches if pair[1]), (None, None))
    if kind is not None and match is not None:
        fields = {name: _value(name, text) for name, text in match.groupdict().items()}
        out_size = fields.pop("out_size", None)
        part = kind(**fields)
        # sizes that do not follow from the stride would be lost on the way back
        if part.key == key:
            return part
        if "stride" in fields:
            raise ValueError(
                f"part {key!r}: expected an output side of {part.output_size} at "
                f"stride {part.stride}, got {out_size}"
            )
    raise ValueError(
        f"part {key!r}: expected a key such as 'mb6_k3 14x14x80->14x14x80 s1 skip' "
        "(operation, input -> output as height x width x channels, stride)"
    )


def _value(name: str, text: str | None) -> Any:
    match name:
        case "activate" | "shortcut":
            return bool(text)
        case "activation":
            return {None: "relu6", "linear": "none"}.get(text, text)
        case "hidden":
            return None if text is None else _hidden(*text.split())
        case "op":
            return OpSpec.parse(text or "")
    return int(text or "")


def _hidden(channels: str, form: Any, activation: Any) -> Hidden:
    return Hidden(int(channels), form, activation)
