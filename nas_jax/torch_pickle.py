"""Pickles of `torch.save`, read without PyTorch and without running anything.

A pickle is a program: loading one runs whatever it names. Here it may name the few
things that a `state_dict` is made of (`_ALLOWED`, and storages of plain numbers), and
each of them stands for inert data of ours; any other name is refused before it is
looked up. Tensors come out as records of what the pickle says about them, unchecked;
`torch_file` makes arrays of them.
"""

import io
import pickle
import pickletools
from typing import Any, NamedTuple, NoReturn

_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
# No file holds more numbers, and arithmetic with them stays exact in every library.
_LARGEST = 2**40


class Refused(Exception):
    """The file is not what it should be; the message says how, in part of a line."""


def refuse(message: str) -> NoReturn:
    raise Refused(message)


class Storage(NamedTuple):
    """A run of `size` numbers, named before its bytes are read."""

    key: str
    dtype: str
    size: int


class Tensor(NamedTuple):
    """What a pickle says about a tensor: anything at all may stand here."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any


class _Nested(NamedTuple):
    """How deep an object goes, and how many objects it stands for."""

    depth: int
    objects: int


_DEEPEST = 100
_MOST = 1_000_000
# the arguments of a call may become keys
_HASHING = ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "FROZENSET", "ADDITEMS")
_GROWING = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")

# Objects that a pickle can reach are immutable, or made anew by every pickle.


class _Rebuild:
    """Stands for `torch._utils._rebuild_tensor`."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
        return Tensor(storage, offset, shape, strides)


class _RebuildV2:
    """The second version adds `requires_grad` and hooks, which are not data."""

    __slots__ = ()

    def __call__(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        requires_grad: Any,
        backward_hooks: Any,
    ) -> Tensor:
        return Tensor(storage, offset, shape, strides)


class _Dict(dict):
    """Stands for `OrderedDict`; forgets attributes (a state_dict's `_metadata`)."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


_ALLOWED = {
    ("collections", "OrderedDict"): _Dict,
    ("torch._utils", "_rebuild_tensor"): _Rebuild(),
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildV2(),
}


def load(stream: io.BytesIO) -> tuple[Any, dict[str, Storage]]:
    """The object of the next pickle of a stream, and the storages it refers to.

    Raises `Refused` if the pickle is damaged or names what is not allowed.
    """
    start = stream.tell()
    try:
        _check_opcodes(stream)
        unpickler = _Unpickler(stream.getvalue()[start : stream.tell()])
        return unpickler.load(), unpickler.storages
    except Refused:
        raise
    except Exception as error:  # a damaged pickle raises many kinds
        refuse(f"its pickle is damaged or cut ({reason(error)})")


def _check_opcodes(stream: io.BytesIO) -> None:
    """Follows a pickle without making its objects, and refuses what exhausts memory.

    The unpickler makes a list as long as the largest number given to an object, and
    the hash of a tuple in a tuple in a tuple is taken on the stack of the machine.
    `stack` and `memo` hold how deeply each object is nested and how many there are in
    it, those it has twice counted twice, as its hash does; None is a mark.
    """
    start = stream.tell()
    stack: list[_Nested | None] = []
    memo: dict[Any, _Nested | None] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if opcode.name == "MEMOIZE" else argument] = stack[-1]
        elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif opcode.name == "MARK":
            stack.append(None)
        else:
            made = _taken(stack, opcode)
            if made.depth > _DEEPEST:
                refuse("its objects are nested too deeply")
            stack += [made] * len(opcode.stack_after)
    largest = max((number for number in memo if isinstance(number, int)), default=0)
    if largest > stream.tell() - start:
        refuse(f"its pickle numbers an object {largest}, more than it can have")


def _taken(stack: list[_Nested | None], opcode: pickletools.OpcodeInfo) -> _Nested:
    """Takes the arguments of an opcode off the stack; what it makes of them."""
    count = len(opcode.stack_before)
    taken: list[_Nested | None] = []
    if pickletools.markobject in opcode.stack_before:
        count = opcode.stack_before.index(pickletools.markobject)
        while (one := stack.pop()) is not None:
            taken.append(one)
    taken += [stack.pop() for _ in range(count)]
    hashed = taken if opcode.name in _HASHING else ()
    if opcode.name in ("SETITEM", "SETITEMS", "DICT"):  # value and key by turns
        hashed = taken[1::2]
    if any(one is not None and one.objects > _MOST for one in hashed):
        refuse("its keys are nested too deeply")
    known = [one for one in taken if one is not None]
    count = 1 + sum(one.objects for one in known)
    if opcode.name in _GROWING:  # the object itself was below what it takes in
        inside = max((one.depth for one in known[:-1]), default=0)
        return _Nested(max(known[-1].depth, 1 + inside), count)
    return _Nested(1 + max((one.depth for one in known), default=0), count)


class _Unpickler(pickle.Unpickler):
    """Resolves no name of the outside world."""

    def __init__(self, pickled: bytes) -> None:
        # as PyTorch reads files written under Python 2
        super().__init__(io.BytesIO(pickled), encoding="utf-8")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        refuse(
            f"it names {f'{module}.{name}'!r:.80}, which no state_dict needs and which "
            "may run code; save the state_dict alone"
        )

    def persistent_load(self, pid: Any) -> Storage:
        # ("storage", type, key, place, size), in the old format also a view of it
        is_tuple = isinstance(pid, tuple) and len(pid) in (5, 6)
        if not is_tuple or pid[0] != "storage" or pid[5:] not in ((), (None,)):
            refuse("it refers to something other than a whole storage")
        _, dtype, key, _, size = pid[:5]
        if dtype not in _STORAGES.values() or not isinstance(key, str):
            refuse("it refers to a storage without type or key")
        if not is_count(size):
            refuse(f"storage {key!r:.60} has no valid size")
        storage = Storage(key, dtype, size)
        if self.storages.setdefault(key, storage) != storage:
            refuse(f"storage {key!r:.60} is described in two ways")
        return storage


def is_count(value: Any) -> bool:
    """Whether something unpickled is a number of things."""
    return type(value) is int and 0 <= value <= _LARGEST


def reason(error: Exception) -> str:
    """A part of a line about an error that others raised."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
