"""Whether the memory that a program may have is enough, or has run out."""

import mmap
import sys

LEAST_ADDRESS_SPACE = 3 * 2**30
"""Bytes below which JAX may end the program in native code: with 2.4e9, on two cores, its compiler aborts."""

_LARGE_BLOCK = 256 * 2**20


def end_if_starved() -> None:
    """Ends the program with a line and exit code 2 where the address space is limited below `LEAST_ADDRESS_SPACE`.

    To be called before libraries are loaded: with less, they fail to load or crash, in native code and without a word.
    """
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_ADDRESS_SPACE:
        needed = f"expected {LEAST_ADDRESS_SPACE >> 20} MB or more, found {limit >> 20} MB"
        print(f"error: too little memory is allowed (ulimit -v): {needed}; raise the limit", file=sys.stderr)
        sys.exit(2)


def is_scarce() -> bool:
    """Whether a block of the size of a large picture cannot be had."""
    try:
        mmap.mmap(-1, _LARGE_BLOCK).close()  # its pages are not touched
    except (OSError, MemoryError):
        return True
    return False
