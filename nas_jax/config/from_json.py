"""Dataclasses from JSON, and the types of their fields, checked by pydantic.

Strictly: an integer may stand for a float, a list for a tuple, a bool for no number,
nothing for a text. An error names the first wrong field, in one line.
"""

import json
import re
import typing
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

Extra = Literal["forbid", "ignore"]
_STRICT = {"strict": True, "extra": "forbid", "allow_inf_nan": False}

_WORDS = {
    "a valid integer": "an integer",
    "a valid array": "a list",
    "a valid string": "a text",
    "a valid": "a",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "above",
    "less than": "below",
}
"""Words of pydantic's errors, and ours."""


class Strict:
    """The base of dataclasses that are read from JSON and hold finite numbers only."""

    __pydantic_config__ = _STRICT


def from_json(
    kind: Any, document: Any, prefix: str = "", *, extra: Extra = "forbid"
) -> Any:
    """A document as a dataclass, or whatever else a type annotation can say.

    Args:
      kind: the annotation; ranges are those of `annotated_types`.
      document: what `json.loads` gives.
      prefix: before the names of fields in errors, as "space." or "table.json: ".
      extra: "ignore" for an object that may have other keys.

    Raises:
      ValueError: naming the first field that is missing, unknown or wrong, what was
        expected and what came.
    """
    # only as JSON a list is taken for a tuple
    return _validated(prefix, _adapter(kind).validate_json, json.dumps(document), extra)


def fields(name: str, hints: dict[str, Any]) -> Any:
    """The annotation of an object with these fields, which stays a dict."""
    make: Any = TypedDict  # to mypy its fields are literals
    kind = make(name, hints)
    kind.__pydantic_config__ = _STRICT | {"arbitrary_types_allowed": True}
    return kind


def require_types(config: Any, prefix: str = "") -> None:
    """Raises `ValueError` if a field of a dataclass is not what its annotation says.

    Python checks none, and a text where a number belongs would fail far from where it
    was written.
    """
    kind: Any = type(config)
    _validated(prefix, _adapter_of_fields(kind).validate_python, vars(config))


def _validated(
    prefix: str, validate: Callable[..., Any], value: Any, extra: Extra = "forbid"
) -> Any:
    from pydantic import ValidationError  # 0.1 s, which `nas_jax --help` can do without

    try:
        return validate(value, strict=True, extra=extra)
    except ValidationError as error:
        raise ValueError(_line(error, prefix)) from error


@cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter  # as above

    return TypeAdapter(kind)


@cache
def _adapter_of_fields(kind: Any) -> "TypeAdapter[Any]":
    return _adapter(
        fields(kind.__name__, typing.get_type_hints(kind, include_extras=True))
    )


def _line(error: "ValidationError", prefix: str) -> str:
    """The first error; of a union the first of the class that has the fewest."""
    branches: dict[tuple[str, ...], list[Any]] = {}
    for one in error.errors(include_url=False):
        classes = tuple(filter(_is_class, map(str, one["loc"])))
        branches.setdefault(classes, []).append(one)
    first = min(branches.values(), key=len)[0]
    path = [str(key) for key in first["loc"] if not _is_class(str(key))]
    name = f"{prefix}{'.'.join(path)}".rstrip(".,: ") or error.title
    got = f"{first['input']!r:.60}"
    match first["type"]:
        case "value_error":  # of a class's own check, which names the field
            return "".join(prefix.rpartition(": ")[:2]) + str(first["ctx"]["error"])
        case "missing":
            return f"{name}: expected a value, got none"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"{name}: expected no such key, got {got}"
    expected = re.sub(r"^\w+ should (be|have) ", "", first["msg"])
    for theirs, ours in _WORDS.items():
        expected = expected.replace(theirs, ours)
    return f"{name}: expected {expected}, got {got}"


def _is_class(key: str) -> bool:
    """Whether a step of a path is the class of a union; keys are in small letters."""
    return key[:1].isupper()
