"""How a program's memory allocator deals with blocks that have been freed."""

import contextlib
import ctypes
import os
import sys
import threading
import time
from typing import Any, Literal, NamedTuple

from vasal_jax.system.accelerators import has_gpu, has_tpu

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8  # glibc's names for `mallopt`
_KEPT = 2**31 - 1  # bytes at the top of the heap that are not worth giving back
_PAD = 64 * 2**20
_TRIM_PERIOD = 20.0  # seconds; a trim takes some hundredths of one, and what it gives back is faulted in again

HUGE_PAGES = "glibc.malloc.hugetlb=1"  # for the variable GLIBC_TUNABLES


class _Policy(NamedTuple):
    """What a program asks of glibc, by the kind of device on which JAX computes."""

    huge_pages: tuple[str, ...]  # a training step faults in its memory 2 MB at a time in place of 4 kB
    keep_freed: tuple[str, ...]  # each clip allocates the same large blocks; returned blocks are faulted in again
    one_heap: tuple[str, ...]  # blocks over 64 MB fit a heap only if it is the only one; threads wait for each other
    trim: tuple[str, ...]  # memory freed after compiling would come on top of the most that a clip takes


_CPU, _ACCELERATOR = "cpu", "accelerator"
_POLICIES = {
    # Reading clips gains by kept memory. A training step on a CPU loses: one heap makes its threads wait, and several
    # hold no block over 64 MB.
    "train": _Policy(huge_pages=(_CPU, _ACCELERATOR), keep_freed=(_ACCELERATOR,), one_heap=(), trim=()),
    # On two cores no block of a clip is too large for one of several heaps.
    "predict": _Policy(huge_pages=(), keep_freed=(_CPU, _ACCELERATOR), one_heap=(), trim=(_CPU, _ACCELERATOR)),
    # Batches of videos need larger blocks. The many threads that compile for an accelerator would wait for one heap
    # seven times as long as they compile.
    "evaluate": _Policy(huge_pages=(), keep_freed=(_CPU, _ACCELERATOR), one_heap=(_CPU,), trim=()),
}


def tune(program: Literal["train", "predict", "evaluate"]) -> None:
    """Sets the memory allocator of this process as the program needs it. For commands alone, never for the library.

    To be called before the first computation. "train" starts the process anew (for huge pages there is no call, only
    an environment variable), so there it must come before anything else is loaded. Nothing happens where the C library
    is not glibc.
    """
    policy, device = _POLICIES[program], _CPU if jax_runs_on_cpu() else _ACCELERATOR
    if device in policy.huge_pages:
        use_huge_pages()
    if device in policy.keep_freed:
        keep_freed_memory(one_heap=device in policy.one_heap)
        trim_now_and_then(_TRIM_PERIOD)
    if device in policy.trim:
        trim_after_compiling()


def keep_freed_memory(one_heap: bool) -> bool:
    """Tells glibc to keep freed blocks for the next ones of their size, instead of returning them to the system.

    Each clip allocates the same large blocks. If glibc returns them to the system, each allocation faults its pages in
    again and zeroes them, which takes as long as some of the arithmetic. Peak memory stays about the same.

    Args:
      one_heap: all threads allocate from one heap. XLA computes on a CPU in its own threads, whose heaps glibc limits
        to 64 MB; larger blocks are mapped and faulted in anew all the same.

    Returns:
      Whether the C library took it; False where it is not glibc.
    """
    mallopt = _of_glibc("mallopt")
    settings = [(_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _PAD)]
    if one_heap:
        settings.append((_ARENA_MAX, 1))
    return mallopt is not None and all(mallopt(*setting) for setting in settings)


def jax_runs_on_cpu() -> bool:
    """Whether JAX has a CPU alone. JAX itself is not asked, since it would start threads, which have heaps."""
    return os.environ.get("JAX_PLATFORMS") == "cpu" or not (has_gpu() or has_tpu())


def use_huge_pages() -> None:
    """Starts the program anew with huge pages for glibc's large blocks.

    Nothing happens where there is no Linux, or where `GLIBC_TUNABLES` already speaks of huge pages.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform.startswith("linux") and "glibc.malloc.hugetlb" not in tunables:
        os.environ["GLIBC_TUNABLES"] = f"{tunables}:{HUGE_PAGES}".strip(":")
        with contextlib.suppress(OSError):  # it cannot be started anew, so it goes on as it is
            os.execv(sys.executable, sys.orig_argv)


def give_back_freed_memory() -> bool:
    """Returns all freed memory to the system, once, whatever `keep_freed_memory` has set.

    Returns:
      Whether there was any; False where the C library is not glibc.
    """
    trim = _of_glibc("malloc_trim")
    return trim is not None and bool(trim(ctypes.c_size_t(0)))


def trim_now_and_then(period: float) -> None:
    """Returns freed memory to the system every `period` seconds, until the process ends.

    A heap that is kept frays: small blocks that live on stand between the large ones, and it grows by some kilobytes a
    frame for hours. One trim takes all of that back.
    """

    def trim() -> None:
        while True:
            time.sleep(period)
            give_back_freed_memory()

    if _of_glibc("malloc_trim") is not None:
        threading.Thread(target=trim, name="trim", daemon=True).start()


def trim_after_compiling() -> None:
    """Returns freed memory to the system each time that JAX has compiled a program, until the process ends."""
    import jax.monitoring

    jax.monitoring.register_event_duration_secs_listener(_trim_if_compiled)


def _trim_if_compiled(event: str, duration_secs: float, **_: str | int) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        give_back_freed_memory()


def _of_glibc(function: str) -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), function, None)  # musl has neither
