"""What a careless or hostile hand does to a file, drawn by hypothesis.

Bytes are changed, cut, put in and spliced anywhere. Documents (JSON, a JSON object a
line, text of fields in lines) are also changed where it hurts: a value becomes a
hostile one, a key goes, comes, or comes twice.
"""

import copy
import json
import re
from typing import Any

from hypothesis import strategies as st

_DEEP = "@deep@"
_TWICE = "@twice@"
_NUMBERS = (
    *(float("nan"), float("inf"), 1e308, 5e-324, -1, 0, -0.5, 0.5, 1e-3, 1.5, 2, 7),
    *(10**3, 10**5, 10**9, 2**31, 2**63, 10**30, 10**400),
)
_TEXTS = (
    *(
        "",
        " ",
        "x",
        "../../../evil",
        "/tmp/evil",
        "a" * 5000,
        "\0",
        "\ud800",
        "\x1b[2J",
    ),
    *("NaN", "-1", "1e400", "9" * 5000, "0.5ms", "None", "mb6_k999999999", "zero"),
    *("true", "trial_1", "a\nb", "%s{0}", "ü", "１"),
)
_VALUES: tuple[Any, ...] = (
    *_NUMBERS,
    *_TEXTS,
    *(None, True, False, [], {}, [[]], [1], ["x"], {"x": 1}, {"": {}}, [None] * 50),
    _DEEP,
)
_BYTES = (
    *(b"\0", b"\xff", b"\xff" * 8, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\n"),
    *(
        b"../../evil",
        b"[" * 2000,
        b"9" * 5000,
        b"\xc3",
        b"-",
        b'"',
        b",",
        b"{}",
        b"1e999",
    ),
)


@st.composite
def changed(draw, seeds, form="bytes"):
    """One of the contents `seeds`, changed one to three times; `form` of `FORMS`."""
    content = draw(st.sampled_from(seeds))
    ways = FORMS[form]
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        content = draw(st.sampled_from(ways))(draw, content, seeds)
    return content


def _place(draw, length):
    return draw(st.integers(0, max(length - 1, 0)))


def _flipped(draw, content, seeds):
    place, byte = _place(draw, len(content)), draw(st.binary(min_size=1, max_size=1))
    return content[:place] + byte + content[place + 1 :]


def _cut_off(draw, content, seeds):
    return content[: _place(draw, len(content))]


def _cut_out(draw, content, seeds):
    place = _place(draw, len(content))
    return content[:place] + content[place + draw(st.integers(1, 64)) :]


def _put_in(draw, content, seeds):
    place = _place(draw, len(content))
    put = draw(st.one_of(st.sampled_from(_BYTES), st.binary(min_size=1, max_size=8)))
    over = draw(st.booleans())
    return content[:place] + put + content[place + (len(put) if over else 0) :]


def _spliced(draw, content, seeds):
    other = draw(st.sampled_from(seeds))
    return content[: _place(draw, len(content))] + other[_place(draw, len(other)) :]


def _document(draw, content, seeds):
    """A JSON document with one place changed; bytes, if it is no JSON any more."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return _flipped(draw, content, seeds)
    holder = {"": document}
    # the whole last: hypothesis likes what comes first, and little is left of it then
    root, *places = _places(holder)
    places.append(root)
    where, key = draw(st.sampled_from(places))
    match draw(st.sampled_from(("replace", "copy", "drop", "add", "twice", "wrap"))):
        case "replace":
            where[key] = draw(st.sampled_from(_VALUES))
        case "copy":
            other, at = draw(st.sampled_from(places))
            where[key] = copy.deepcopy(other[at])
        case "drop":
            del where[key]
        case "add" if isinstance(where, dict):
            where[draw(st.sampled_from(_TEXTS))] = draw(st.sampled_from(_VALUES))
        case "twice" if isinstance(where, dict):
            where[f"{key}{_TWICE}"] = draw(st.sampled_from(_VALUES))
        case _:
            where[key] = [where[key]]
    if "" not in holder:
        return b""
    deep = draw(st.sampled_from((60, 900, 20_000))) if _DEEP in str(where) else 0
    text = json.dumps(holder[""]).replace(f'"{_DEEP}"', "[" * deep + "]" * deep)
    return text.replace(_TWICE, "").encode()


def _places(holder):
    """(container, key) of every value in it, however deep."""
    stack = [holder]
    while stack:
        one = stack.pop()
        for key, value in list(
            one.items() if isinstance(one, dict) else enumerate(one)
        ):
            yield one, key
            if isinstance(value, dict | list):
                stack.append(value)


def _line_of_json(draw, content, seeds):
    lines = content.split(b"\n")
    place = _place(draw, len(lines))
    lines[place] = _document(draw, lines[place], (b"{}",))
    return b"\n".join(lines)


def _field(draw, content, seeds):
    """A field of one line (between separators) made another, or the line moved."""
    lines = content.split(b"\n")
    place = _place(draw, len(lines))
    match draw(st.sampled_from(("replace", "replace", "drop", "line", "twice"))):
        case "line":
            lines.pop(place)
        case "twice":
            lines.insert(_place(draw, len(lines)), lines[place])
        case way:
            parts = re.split(rb"([^\w.]+|(?<=\d)x|->)", lines[place])
            values = [str(one) for one in (*_NUMBERS, *_TEXTS)]
            new = draw(st.sampled_from(values)) if way == "replace" else ""
            parts[_place(draw, len(parts))] = new.encode(errors="surrogatepass")
            lines[place] = b"".join(parts)
    return b"\n".join(lines)


_ANY = (_flipped, _cut_off, _cut_out, _put_in, _spliced)
FORMS = {
    "bytes": _ANY,
    "json": (*(_document,) * 25, *_ANY),
    "json lines": (*(_line_of_json,) * 25, *_ANY),
    "fields": (*(_field,) * 25, *_ANY),
}
