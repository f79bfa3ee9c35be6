"""Pickles of `torch.save`, read into data that does nothing.

A pickle is a program: loading one runs whatever it names. Here no name is looked up and
nothing that is named is called. What a state_dict is made of (tensors, parameters,
ordered dicts) is made by functions of this file; anything else, as the arguments of a
training script, becomes a `StandIn`. Every size, offset and stride is checked against
the bytes that are there.
"""

import io
import math
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, NoReturn

import jax.numpy as jnp
import numpy as np
from numpy.lib.stride_tricks import as_strided

BFLOAT16 = np.dtype(jnp.bfloat16)
_DTYPES: dict[str, np.dtype] = {
    f"torch.{name}Storage": np.dtype(dtype)
    for name, dtype in {
        **{"Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": BFLOAT16},
        **{"Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "<i1", "Byte": "<u1"},
        **{"Bool": "|b1", "ComplexFloat": "<c8", "ComplexDouble": "<c16"},
        # the numbers of quantised tensors, which are stand-ins themselves
        **{"QInt8": "<i1", "QUInt8": "<u1", "QInt32": "<i4"},
    }.items()
}
_DTYPES["torch.storage.UntypedStorage"] = np.dtype("|u1")  # of types that NumPy lacks
_OPCODES = """
    PROTO FRAME STOP MARK POP POP_MARK BINPERSID NONE NEWTRUE NEWFALSE INT BININT
    BININT1 BININT2 LONG LONG1 LONG4 BINFLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8
    BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8
    EMPTY_LIST EMPTY_DICT EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL
"""
"""Read as Python does: plain data. Others make objects, and are read below; those that
remain reach outside of the file or no pickler writes them."""
_LARGEST = 2**40  # no file holds more numbers, and arithmetic with them stays exact
_MOST_AXES = 8
_DEEPEST = 100


class Refused(Exception):
    """The file is not what it should be; the message says how, in part of a line."""


def refuse(message: str) -> NoReturn:
    raise Refused(message)


class StandIn(dict[Any, Any]):
    """Something that a pickle names or makes, of which its data are kept.

    The items are there if it is a kind of dict, the attributes in `state`; `arguments`
    are those that it would be made with. Equal to nothing but itself.
    """

    __slots__ = ("arguments", "name", "state")
    __eq__, __ne__ = object.__eq__, object.__ne__
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self, name: str, arguments: Any = ()) -> None:
        self.name, self.arguments = name, arguments
        self.state: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return self.name


class Storage(NamedTuple):
    """A run of numbers; a pickle refers to it before its bytes are read."""

    key: str
    numbers: np.ndarray

    def fill(self, data: bytes) -> None:
        """Takes the bytes; raises `Refused` if they are not as many as declared."""
        if len(data) != (size := self.numbers.nbytes):
            got = f"{size} bytes, there are {len(data)}"
            refuse(f"storage {self.key!r:.60} should have {got}")
        self.numbers[:] = np.frombuffer(data, self.numbers.dtype)


class Unpickler(pickle._Unpickler):
    """Dicts, lists, tuples, numbers, strings, tensors, and stand-ins for all else.

    The unpickler in Python: that in C takes memory for the largest number given to an
    object, and hashes nested keys on the stack of the machine.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    readline: Callable[[], bytes]

    def __init__(self, stream: io.BytesIO, size: int) -> None:
        """`size` is that of the whole file, in bytes."""
        # as PyTorch reads files written under Python 2, whose bytes are strings too
        super().__init__(stream, encoding="utf-8", errors="backslashreplace")
        self.storages: dict[str, Storage] = {}
        self._size = size
        self._declared = self._copied = 0

    def load(self) -> Any:
        found = super().load()
        _require_shallow(found)
        return found

    def find_class(self, module: str, name: str) -> StandIn:
        return StandIn(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Storage | StandIn:
        match pid:
            case ("module", StandIn() as kind, *_):  # the class of a whole model
                return kind
            # in the old format also with a view of the storage
            case ("storage", kind, key, _, size, *view) if view in ([], [None]):
                pass
            case _:
                refuse("it refers to something other than a whole storage")
        if not isinstance(kind, StandIn) or not isinstance(key, str):
            refuse("it refers to a storage without type or key")
        if not _is_count(size):
            refuse(f"storage {key!r:.60} has no valid size")
        if (dtype := _DTYPES.get(kind.name)) is None:
            return kind
        if key not in self.storages:
            self._declared += size * dtype.itemsize
            if (needed := self._declared) > self._size:
                refuse(f"its tensors need {needed} bytes and there are {self._size}")
            self.storages[key] = Storage(key, np.empty(size, dtype))
        numbers = self.storages[key].numbers
        if (numbers.dtype, numbers.size) != (dtype, size):
            refuse(f"storage {key!r:.60} is described in two ways")
        return self.storages[key]

    def _called(self, function: Any, arguments: Any) -> Any:
        """What a pickle makes by a call, where we know it; otherwise a stand-in."""
        match (name := _name(function)), arguments:
            case "collections.OrderedDict", ():
                return {}
            case "collections.OrderedDict", (items,):
                return self._ordered_dict(items)
            case (
                ("torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2"),
                # and requires_grad, hooks
                (storage, offset, shape, strides, *_),
            ):
                return _tensor(storage, offset, shape, strides)
            case (
                (
                    "torch._utils._rebuild_parameter"
                    | "torch._utils._rebuild_parameter_with_state"
                    | "torch.nn.parameter.Parameter"  # until PyTorch 0.3
                ),
                (data, *_),
            ):
                return data
            case (
                (
                    "torch._tensor._rebuild_from_type"
                    | "torch._tensor._rebuild_from_type_v2"
                ),
                (rebuild, _, (*_,) as inner, *_),  # a tensor with attributes
            ):
                return self._called(rebuild, inner)
        return StandIn(name, arguments)

    def _ordered_dict(self, items: Any) -> dict[Any, Any]:
        self._copied += len(items)  # one list may stand in many places
        if self._copied > self._size:
            refuse("its dicts have more entries than it has bytes")
        return {_key(key): value for key, value in items}

    def load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(self._called(function, arguments))

    def load_newobj(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        self.stack.append(StandIn(_name(kind), arguments))

    def load_newobj_ex(self) -> None:
        _, arguments, kind = (self.stack.pop() for _ in range(3))
        self.stack.append(StandIn(_name(kind), arguments))

    def load_obj(self) -> None:
        kind, *arguments = self.pop_mark()
        self.stack.append(StandIn(_name(kind), arguments))

    def load_inst(self) -> None:
        module, name = (self.readline()[:-1].decode() for _ in range(2))
        arguments = self.pop_mark()  # which makes another list the stack
        self.stack.append(StandIn(f"{module}.{name}", arguments))

    def load_set(self) -> None:
        self.stack.append(StandIn("builtins.set"))

    def load_frozenset(self) -> None:
        self.pop_mark()
        self.load_set()

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._top_dict()[_key(key)] = value

    def load_setitems(self) -> None:
        items = self.pop_mark()
        top = self._top_dict()
        for key, value in zip(items[::2], items[1::2], strict=True):
            top[_key(key)] = value

    def _top_dict(self) -> dict[Any, Any]:
        if not isinstance(self.stack[-1], dict):
            raise TypeError("expected a dict")
        return self.stack[-1]

    def load_append(self) -> None:
        self._extend([self.stack.pop()])

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        """Items of a list; those of a set or another class are forgotten."""
        if type(self.stack[-1]) is list:
            self.stack[-1] += items

    def load_build(self) -> None:
        """Attributes; those of a state_dict (`_metadata`) or tensor are forgotten."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], StandIn) and isinstance(state, dict):
            self.stack[-1].state = state

    dispatch: ClassVar[dict[int, Any]] = {
        **{
            code: pickle._Unpickler.dispatch[code]
            for code in (getattr(pickle, name)[0] for name in _OPCODES.split())
        },
        # in Python's own, memory of any size is taken before the bytes are read
        pickle.BYTEARRAY8[0]: pickle._Unpickler.dispatch[pickle.BINBYTES8[0]],
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_newobj,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.OBJ[0]: load_obj,
        pickle.INST[0]: load_inst,
        pickle.EMPTY_SET[0]: load_set,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.ADDITEMS[0]: load_appends,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.BUILD[0]: load_build,
    }


def _name(named: Any) -> str:
    return named.name if isinstance(named, StandIn) else "something"


def _key(key: Any) -> Any:
    """A key as it is, or a stand-in for it.

    The hash of a tuple of tuples may take the machine's stack, or go 2^90 ways.
    """
    return key if key is None or isinstance(key, str | int | float) else StandIn("key")


def _require_shallow(found: Any) -> None:
    """Refuses what a reader of the object could not walk through."""
    level, seen = [found], set()
    for _ in range(_DEEPEST):
        inside: list[Any] = []
        for value in level:
            if isinstance(value, dict | list | tuple) and id(value) not in seen:
                seen.add(id(value))
                inside += value.values() if isinstance(value, dict) else value
                if isinstance(value, StandIn):
                    inside += [value.state, value.arguments]
        if not inside:
            return
        level = inside
    refuse("its objects are nested too deeply")


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any
) -> np.ndarray | StandIn:
    """A view of a storage, from what a pickle says: anything at all may stand here."""
    if isinstance(storage, StandIn):
        return storage
    are_numbers = _is_count(offset) and _are_counts(shape) and _are_counts(strides)
    is_storage = isinstance(storage, Storage)
    if not (is_storage and are_numbers and len(shape) == len(strides)):
        refuse("one of its tensors has no valid storage, offset, shape and strides")
    numbers = storage.numbers
    count = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    is_inside = count == 0 or last < numbers.size
    # an empty one could have axes of any size
    if not (is_inside and _is_count(math.prod(n for n in shape if n > 0))):
        refuse(
            f"a tensor of shape {shape}, strides {strides} and offset {offset} does "
            f"not lie within the {numbers.size} numbers of storage {storage.key!r:.60}"
        )
    if count == 0:
        return np.empty(shape, numbers.dtype)
    if count > numbers.size:  # a stride of 0: it could be of any size
        return StandIn("an expanded tensor")
    steps = [stride * numbers.itemsize for stride in strides]
    return as_strided(numbers[offset:], shape, steps, writeable=False)


def _is_count(value: Any) -> bool:
    """Whether something unpickled is a number of things."""
    return type(value) is int and 0 <= value <= _LARGEST


def _are_counts(value: Any) -> bool:
    is_short = isinstance(value, tuple) and len(value) <= _MOST_AXES
    return is_short and all(map(_is_count, value))
