"""Reading `.npy` files from strangers: numbers come out, code never runs.

The MVVA archives store ragged data as object arrays, which `.npy` files hold as a pickle. A pickle is a
program: even NumPy's own reconstruction functions can be driven to harm by a crafted one (a dtype state with
invented flags corrupts memory). So nothing of NumPy is handed to the pickle here. The few names that an
array's pickle uses are answered with small stand-ins that write down shape, dtype and data; checked arrays
are built from those afterwards.
"""

import math
import os
import pickle
import re
from pathlib import Path
from typing import ClassVar

import numpy as np

from vasal_jax.errors import InputError

MAX_BYTES = 512 * 2**20  # a video of MVVA needs less than 1 MiB
MAX_ELEMENTS = MAX_BYTES // 8  # after expansion: a pickle can name the same list many times over
MAX_DEPTH = 8  # arrays and lists within each other


def load_array(path: str | os.PathLike) -> np.ndarray:
    """Reads one `.npy` file without ever executing what is in it.

    Args:
      path: a `.npy` file of booleans or numbers, or of objects that are themselves numbers, None, lists,
        tuples or arrays of those (written by Python 2 or 3).

    Returns:
      The array, with the shape and dtype stored. An object array comes back with dtype object; its elements
      are numbers, None, lists (tuples become lists) and arrays.

    Raises:
      InputError: the file is missing, a folder, no `.npy` file, cut short, larger than `MAX_BYTES`, or holds
        anything but numbers.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise InputError(f"{path}: expected an array file of at most {MAX_BYTES} bytes, found {size}")
            shape, fortran, dtype = _read_header(file, path)
            rest = size - file.tell()
            if dtype == np.dtype(object):
                return _load_objects(file, shape, path)
            _check_numbers(shape, dtype, rest, path)
            values = np.fromfile(file, dtype, count=math.prod(shape))
            return values.reshape(shape, order="F" if fortran else "C")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a .npy array") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, expected a .npy array") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def _read_header(file, path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran, dtype = readers[version](file)
    except KeyError:
        raise InputError(f"{path}: expected a .npy file of version 1 or 2, found version {version}") from None
    # The header is a Python literal and a dtype description; crafted ones fail in many ways.
    except Exception as error:
        raise InputError(f"{path}: not a .npy array or cut short ({_one_line(error)})") from None
    if any(length < 0 for length in shape):
        raise InputError(f"{path}: expected a shape of whole numbers, found {shape}")
    return shape, fortran, dtype


def _check_numbers(shape: tuple[int, ...], dtype: np.dtype, rest: int, path: Path) -> None:
    if dtype.kind not in "biufc":
        raise InputError(f"{path}: expected an array of numbers, found dtype {dtype}")
    needed = math.prod(shape) * dtype.itemsize
    if needed > rest:
        raise InputError(f"{path}: cut short, expected {needed} bytes of data for shape {shape}, found {rest}")


def _load_objects(file, shape: tuple[int, ...], path: Path) -> np.ndarray:
    try:
        array = _Builder().build(_NumbersUnpickler(file, encoding="latin1").load())
    except pickle.UnpicklingError as error:
        raise InputError(f"{path}: refused, expected an array of numbers and lists, found {error}") from None
    # A damaged or crafted pickle ends in nearly any exception; none of them is worth more than this line.
    except Exception as error:
        raise InputError(f"{path}: damaged or cut short object array ({_one_line(error)})") from None
    if not isinstance(array, np.ndarray) or array.shape != shape:
        found = f"shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"{path}: expected an array of shape {shape} as its header says, found {found}")
    return array


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


class _DType:
    """Stands in for `numpy.dtype`: booleans, numbers and objects, nothing else."""

    def __init__(self, code, *_):
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not re.fullmatch(r"[<>=|]?(b1|[iu][1248]|f[248]|c8|c16|O[48]?)", code):
            raise pickle.UnpicklingError(f"dtype {code[:40]!r}")
        self.value = np.dtype(object) if "O" in code else np.dtype(code)

    def set_state(self, state):
        order, *fields = state[1:5]
        if fields != [None, None, None] or order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError("a dtype with fields")
        if self.value != np.dtype(object):
            self.value = self.value.newbyteorder(order)


class _Array:
    """Stands in for an array under reconstruction; `data` is bytes, or a list where dtype is object."""

    dtype: np.dtype | None = None

    def set_state(self, state):
        _version, self.shape, dtype, self.fortran, data = state
        self.data = _as_bytes(data) if isinstance(data, str) else data
        self.dtype = dtype.value


class _NdArray:
    """Stands in for the name `numpy.ndarray`, which array pickles pass on and never call."""


def _reconstruct(*_) -> _Array:
    return _Array()


def _scalar(dtype: _DType, data: bytes | str):
    if dtype.value == np.dtype(object):
        raise pickle.UnpicklingError("a scalar of dtype object")
    return np.frombuffer(_as_bytes(data), dtype.value, count=1)[0]


def _as_bytes(data, *_) -> bytes:
    """Bytes as protocol 2 writes them: a string of the characters 0 to 255."""
    return data.encode("latin1") if isinstance(data, str) else data


_NAMES = {
    "numpy ndarray": _NdArray,
    "numpy dtype": _DType,
    "numpy.core.multiarray _reconstruct": _reconstruct,
    "numpy._core.multiarray _reconstruct": _reconstruct,
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
    pickle.LONG4, pickle.BINFLOAT, pickle.SHORT_BINSTRING, pickle.BINSTRING, pickle.SHORT_BINBYTES,
    pickle.BINBYTES, pickle.BINBYTES8, pickle.SHORT_BINUNICODE, pickle.BINUNICODE, pickle.BINUNICODE8,
    pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_TUPLE, pickle.TUPLE,
    pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3,
]
# fmt: on


# The unpickler written in Python, because the one in C allocates whatever size a crafted memo index asks for.
class _NumbersUnpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str):
        try:
            return _NAMES[f"{module} {name}"]
        except KeyError:
            printable = f"{module}.{name}"[:200].encode("unicode_escape").decode()
            raise pickle.UnpicklingError(f"the name {printable}") from None

    def load_build(self):
        # The general BUILD sets attributes of whatever is on the stack, our functions included.
        state = self.stack.pop()
        if type(self.stack[-1]) not in (_Array, _DType):
            raise pickle.UnpicklingError("a state for something that is no array")
        self.stack[-1].set_state(state)

    dispatch: ClassVar = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _OPCODES}
    dispatch[pickle.BUILD[0]] = load_build


class _Builder:
    """Turns stand-ins into arrays, counting elements so that a small file cannot become a huge array."""

    def __init__(self):
        self.left = MAX_ELEMENTS

    def build(self, thing, depth: int = 0):
        if thing is None or isinstance(thing, (bool, int, float, complex, np.generic)):
            return thing
        if depth > MAX_DEPTH:
            raise pickle.UnpicklingError(f"lists more than {MAX_DEPTH} deep")
        if isinstance(thing, (list, tuple)):
            self._count(len(thing))
            return [self.build(item, depth + 1) for item in thing]
        if isinstance(thing, _Array) and thing.dtype is not None:
            return self._array(thing, depth)
        raise pickle.UnpicklingError(f"an element of type {type(thing).__name__.lstrip('_')}")

    def _array(self, array: _Array, depth: int) -> np.ndarray:
        size = math.prod(array.shape)
        if len(array.data) != size * (array.dtype.itemsize if array.dtype != np.dtype(object) else 1):
            raise pickle.UnpicklingError(f"data of length {len(array.data)} for shape {array.shape}")
        self._count(size)
        if array.dtype != np.dtype(object):
            values = np.frombuffer(array.data, array.dtype).copy()
            return values.reshape(array.shape, order="F" if array.fortran else "C")
        values = np.empty(size, object)
        for index, item in enumerate(array.data):
            values[index] = self.build(item, depth + 1)
        return values.reshape(array.shape)  # NumPy lists objects in C order whatever the memory order

    def _count(self, elements: int) -> None:
        self.left -= elements
        if self.left < 0:
            raise pickle.UnpicklingError(f"more than {MAX_ELEMENTS} elements")
