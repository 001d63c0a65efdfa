"""Reading `.npy` files from strangers: numbers come out, code never runs."""

import math
import os
import pickle
from pathlib import Path
from typing import IO

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.inputs.object_arrays import unpickled
from vasal_jax.system.reading import open_regular


def load_array(path: str | os.PathLike) -> np.ndarray:
    """Reads one `.npy` file without ever executing what is in it.

    Args:
      path: a `.npy` file of booleans or numbers, or of objects that are themselves numbers, None, lists,
        tuples or arrays of those (written by Python 2 or 3).

    Returns:
      The array, with the shape and dtype stored. An object array comes back with dtype object; its elements
      are numbers, None, lists (tuples become lists) and arrays.

    Raises:
      InputError: the file is missing, a folder, no `.npy` file, cut short, beyond `limits`, or holds
        anything but numbers.
    """
    path = Path(path)
    with open_regular(path, "a .npy array", limits.MAX_ARRAY_BYTES) as file:
        size = os.fstat(file.fileno()).st_size
        shape, fortran, dtype = read_header(file, path)
        if dtype == np.dtype(object):
            if size > limits.MAX_OBJECT_FILE_BYTES:
                most = limits.MAX_OBJECT_FILE_BYTES
                raise InputError(f"{path}: expected an object array of at most {most} bytes, found {size}")
            return _load_objects(file, shape, path)
        _check_numbers(shape, dtype, size - file.tell(), path)
        values = np.fromfile(file, dtype, count=math.prod(shape))
        return values.reshape(shape, order="F" if fortran else "C")


def read_header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the order is Fortran's, and dtype of an array that begins here in a `.npy` or `.npz` file.

    Raises:
      InputError: no header of an array, or a shape beyond the limits.
    """
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran, dtype = readers[version](file)
    except KeyError as unknown:
        raise InputError(f"{path}: expected a .npy file of version 1 or 2, found version {unknown}") from None
    # The header is a Python literal and a dtype description; crafted ones fail in many ways.
    except Exception as error:
        raise InputError(f"{path}: not a .npy array or cut short ({_one_line(error)})") from None
    if len(shape) > limits.MAX_DIMENSIONS or not all(0 <= length <= limits.MAX_AXIS for length in shape):
        most = f"{limits.MAX_DIMENSIONS} axes of {limits.MAX_AXIS} each"
        raise InputError(f"{path}: expected an array of at most {most}, found shape {str(shape)[:80]}")
    return shape, fortran, dtype


def _check_numbers(shape: tuple[int, ...], dtype: np.dtype, rest: int, path: Path) -> None:
    if dtype.kind not in "biufc":
        raise InputError(f"{path}: expected an array of numbers, found dtype {dtype}")
    needed = math.prod(shape) * dtype.itemsize
    if needed > rest:
        raise InputError(f"{path}: cut short, expected {needed} bytes of data for shape {shape}, found {rest}")


def _load_objects(file: IO[bytes], shape: tuple[int, ...], path: Path) -> np.ndarray:
    try:
        array = unpickled(file)
    except pickle.UnpicklingError as error:
        raise InputError(f"{path}: refused, expected an array of numbers and lists, found {error}") from None
    except MemoryError:
        raise
    # A damaged or crafted pickle ends in nearly any exception; none of them is worth more than this line.
    except Exception as error:
        raise InputError(f"{path}: damaged or cut short object array ({_one_line(error)})") from None
    if not isinstance(array, np.ndarray) or array.shape != shape:
        found = f"shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"{path}: expected an array of shape {shape} as its header says, found {found}")
    return array


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
