"""The pickles of object arrays from strangers: numbers come out, code never runs.

The MVVA archives store ragged data as object arrays, which `.npy` files hold as a pickle. A pickle is a
program: even NumPy's own reconstruction functions can be driven to harm by a crafted one (a dtype state with
invented flags corrupts memory). So nothing of NumPy is handed to the pickle here. The few names that an
array's pickle uses are answered with small stand-ins that write down shape, dtype and data; checked arrays
are built from those afterwards.
"""

import math
import pickle
import re
from collections.abc import Callable
from functools import partial
from typing import IO, Any, ClassVar

import numpy as np

from vasal_jax.inputs import limits


def unpickled(file: IO[bytes]) -> object:
    """What a pickle holds that begins here: numbers, None, lists (tuples become lists) and arrays of those.

    Raises:
      pickle.UnpicklingError: it holds anything else, or is beyond `limits`.
      Exception: of nearly any kind, where it is damaged or crafted.
    """
    budget = _Budget()
    return _Builder(budget).build(_NumbersUnpickler(file, budget).load())


class _Budget:
    """What an object array may still take: a pickle can name the same list or text many times over."""

    def __init__(self) -> None:
        self.bytes, self.steps = limits.MAX_OBJECT_BYTES, limits.MAX_OBJECT_STEPS

    def spend(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise pickle.UnpicklingError(f"more than {limits.MAX_OBJECT_BYTES} bytes when expanded")

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise pickle.UnpicklingError(f"more than {limits.MAX_OBJECT_STEPS} instructions")


_LIST_ELEMENT = 64  # bytes of a list's element: the reference and a small object
_ARRAY = 128  # bytes of an array without its numbers


class _DType:
    """Stands in for `numpy.dtype`: booleans, numbers and objects, nothing else."""

    def __init__(self, code, *_):
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not re.fullmatch(r"[<>=|]?(b1|[iu][1248]|f[248]|c8|c16|O[48]?)", code):
            raise pickle.UnpicklingError(f"dtype {code[:40]!r}")
        self.value = np.dtype(object) if "O" in code else np.dtype(code)

    def set_state(self, state, _budget):
        order, *fields = state[1:5]
        if fields != [None, None, None] or order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError("a dtype with fields")
        if self.value != np.dtype(object):
            self.value = self.value.newbyteorder(order)


class _Array:
    """Stands in for an array under reconstruction; `data` is bytes, or a list where dtype is object."""

    dtype: np.dtype | None = None

    def set_state(self, state, budget):
        _version, self.shape, dtype, self.fortran, data = state
        whole = isinstance(self.shape, tuple) and all(type(n) is int and 0 <= n <= limits.MAX_AXIS for n in self.shape)
        if not whole or len(self.shape) > limits.MAX_DIMENSIONS:
            raise pickle.UnpicklingError("an array whose shape is none")
        self.data = _as_bytes(budget, data) if isinstance(data, str) else data
        self.dtype = dtype.value


class _NdArray:
    """Stands in for the name `numpy.ndarray`, which array pickles pass on and never call."""


def _reconstruct(*_) -> _Array:
    return _Array()


def _scalar(budget: _Budget, dtype: _DType, data: bytes | str):
    if dtype.value == np.dtype(object):
        raise pickle.UnpicklingError("a scalar of dtype object")
    return np.frombuffer(_as_bytes(budget, data), dtype.value, count=1)[0]


def _as_bytes(budget: _Budget, data, *_) -> bytes:
    """Bytes as protocol 2 writes them: a string of the characters 0 to 255."""
    if not isinstance(data, str):
        return data
    budget.spend(len(data))
    return data.encode("latin1")


_NAMES = {
    "numpy ndarray": _NdArray,
    "numpy dtype": _DType,
    "numpy.core.multiarray _reconstruct": _reconstruct,
    "numpy._core.multiarray _reconstruct": _reconstruct,
}
_NAMES_THAT_SPEND = {
    "numpy.core.multiarray scalar": _scalar,
    "numpy._core.multiarray scalar": _scalar,
    "_codecs encode": _as_bytes,
}

# What arrays, numbers, lists and tuples need. Left out: instances, persistent ids, extension codes, buffers.
# fmt: off
_OPCODES = [
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK, pickle.DUP,
    pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD, pickle.PUT, pickle.BINPUT,
    pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.NONE,
    pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1,
    pickle.BINFLOAT, pickle.SHORT_BINSTRING, pickle.BINSTRING, pickle.SHORT_BINBYTES,
    pickle.BINBYTES, pickle.BINBYTES8, pickle.SHORT_BINUNICODE, pickle.BINUNICODE, pickle.BINUNICODE8,
    pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_TUPLE, pickle.TUPLE,
    pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3,
]
# fmt: on


_FOREIGN = {
    "a dict": (pickle.EMPTY_DICT, pickle.DICT, pickle.SETITEM, pickle.SETITEMS),
    "a set": (pickle.EMPTY_SET, pickle.FROZENSET, pickle.ADDITEMS),
}
"""What a sound file may hold that is no array of numbers, by what it is."""


# Of the unpickler in Python; the standard library's types name the one in C.
_Instruction = Callable[[Any], None]


def _refusing(what: str) -> _Instruction:
    def refuse(_: "_NumbersUnpickler") -> None:
        raise pickle.UnpicklingError(what)

    return refuse


def _counted(load: _Instruction) -> _Instruction:
    """An instruction that takes a step of the budget."""

    def step(unpickler: "_NumbersUnpickler") -> None:
        unpickler.budget.step()
        load(unpickler)

    return step


class _Bounded:
    """A file of which nobody reads more at a time than any honest file has."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.readline = file.readline

    def read(self, size: int) -> bytes:
        if size > limits.MAX_OBJECT_FILE_BYTES:
            raise EOFError("a text longer than the file")
        return self._file.read(size)


# The unpickler written in Python, because the one in C allocates whatever size a crafted memo index asks for.
class _NumbersUnpickler(pickle._Unpickler):
    # `load` sets these; the standard library's types leave them out.
    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]

    def __init__(self, file: IO[bytes], budget: _Budget):
        super().__init__(_Bounded(file), encoding="latin1")
        self.budget = budget

    def find_class(self, module: str, name: str):
        full = f"{module} {name}"
        if full in _NAMES_THAT_SPEND:
            return partial(_NAMES_THAT_SPEND[full], self.budget)
        try:
            return _NAMES[full]
        except KeyError:
            printable = f"{module}.{name}"[:200].encode("unicode_escape").decode()
            raise pickle.UnpicklingError(f"the name {printable}") from None

    def load_build(self):
        # The general BUILD sets attributes of whatever is on the stack, our functions included.
        state = self.stack.pop()
        if type(self.stack[-1]) not in (_Array, _DType):
            raise pickle.UnpicklingError("a state for something that is no array")
        self.stack[-1].set_state(state, self.budget)

    def load_long1(self):
        size = self.read(1)[0]
        if size > 9:  # no number of 64 bits has more bytes
            raise pickle.UnpicklingError(f"a whole number of {size} bytes")
        self.append(pickle.decode_long(self.read(size)))

    dispatch: ClassVar[dict[int, _Instruction]] = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _OPCODES}
    dispatch |= {code[0]: _refusing(what) for what, codes in _FOREIGN.items() for code in codes}
    dispatch |= {pickle.BUILD[0]: load_build, pickle.LONG1[0]: load_long1}
    dispatch = {code: _counted(load) for code, load in dispatch.items()}


class _Builder:
    """Turns stand-ins into arrays, counting bytes so that a small file cannot become a huge array."""

    def __init__(self, budget: _Budget):
        self._budget = budget

    def build(self, thing, depth: int = 0):
        if thing is None or isinstance(thing, (bool, int, float, complex, np.generic)):
            return thing
        if depth > limits.MAX_OBJECT_DEPTH:
            raise pickle.UnpicklingError(f"lists more than {limits.MAX_OBJECT_DEPTH} deep")
        if isinstance(thing, (list, tuple)):
            self._budget.spend(_LIST_ELEMENT * (1 + len(thing)))
            return [self.build(item, depth + 1) for item in thing]
        if isinstance(thing, _Array) and thing.dtype is not None:
            return self._array(thing, thing.dtype, depth)
        raise pickle.UnpicklingError(f"an element of type {type(thing).__name__.lstrip('_')}")

    def _array(self, array: _Array, dtype: np.dtype, depth: int) -> np.ndarray:
        size, holds_objects = math.prod(array.shape), dtype == np.dtype(object)
        if len(array.data) != size * (1 if holds_objects else dtype.itemsize):
            raise pickle.UnpicklingError(f"data of length {len(array.data)} for shape {array.shape}")
        self._budget.spend(_ARRAY + size * (_LIST_ELEMENT if holds_objects else dtype.itemsize))
        if not holds_objects:
            values = np.frombuffer(array.data, dtype).copy()
            return values.reshape(array.shape, order="F" if array.fortran else "C")
        values = np.empty(size, object)
        for index, item in enumerate(array.data):
            values[index] = self.build(item, depth + 1)
        return values.reshape(array.shape)  # NumPy lists objects in C order whatever the memory order
