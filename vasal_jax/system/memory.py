"""How the process deals with memory that it has freed."""

import contextlib
import ctypes
import os
import sys
from importlib.util import find_spec
from typing import Any

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8  # glibc's names for `mallopt`
_KEPT = 2**31 - 1  # bytes at the top of the heap that are not worth giving back
_PAD = 64 * 2**20

HUGE_PAGES = "glibc.malloc.hugetlb=1"  # for the variable GLIBC_TUNABLES


def keep_freed_memory(one_heap: bool) -> bool:
    """Tells glibc to keep large blocks for the next ones of their size, instead of giving them back.

    A clip after the other asks for the same large blocks again and again; given back each time, they are faulted in and
    zeroed page by page, which takes as long as some of the arithmetic. To be called at the start of a program that runs
    for long, before the first computation; peak memory stays about the same.

    Args:
      one_heap: all threads take from one heap. XLA computes on a CPU in threads of its own, whose heaps glibc limits to
        64 MB, so that larger blocks are mapped and faulted in anew all the same. But threads wait for each other: those
        of a large program's training step for longer than they gain (see `use_huge_pages`), and the many that compile
        for an accelerator seven times as long as they compile.

    Returns:
      Whether the C library took it; False where it is not glibc.
    """
    mallopt = _of_glibc("mallopt")
    settings = [(_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _PAD)]
    if one_heap:
        settings.append((_ARENA_MAX, 1))
    return mallopt is not None and all(mallopt(*setting) for setting in settings)


def cpu_computes() -> bool:
    """Whether this JAX has a CPU alone. It is not asked itself, since it would start threads, which have heaps."""
    return os.environ.get("JAX_PLATFORMS") == "cpu" or not any(map(find_spec, ("jax_plugins", "libtpu")))


def use_huge_pages() -> None:
    """Starts the program anew with huge pages for glibc's large blocks, which it has no call for, only a variable.

    A training step then faults in its memory 2 MB at a time in place of 4 kB. To be called before anything else is
    done or loaded. Nothing happens where there is no Linux, or where `GLIBC_TUNABLES` already says a word on it.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform.startswith("linux") and "glibc.malloc.hugetlb" not in tunables:
        os.environ["GLIBC_TUNABLES"] = f"{tunables}:{HUGE_PAGES}".strip(":")
        with contextlib.suppress(OSError):  # it cannot be started anew, so it goes on as it is
            os.execv(sys.executable, sys.orig_argv)


def give_back_freed_memory() -> bool:
    """Gives what has been freed until now back to the system, once, whatever `keep_freed_memory` has said.

    Returns:
      Whether there was any; False where the C library is not glibc.
    """
    trim = _of_glibc("malloc_trim")
    return trim is not None and bool(trim(ctypes.c_size_t(0)))


def _of_glibc(function: str) -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), function, None)  # musl has neither
