"""Compiled programs kept from one run to the next, so that only the first waits for the compiler."""

import hashlib
import os
import platform
import stat
from pathlib import Path

import jax
import jaxlib

from vasal_jax.system.processor import cpuinfo

_MAX_BYTES = 2**30  # of the whole folder; what was not used for longest is deleted first
_WORTH_KEEPING = 0.2  # seconds of compilation; JAX's own second would leave out the packaged model's programs


def use_compilation_cache() -> Path | None:
    """Lets JAX keep what it compiles in a folder of the user's, and take it from there.

    The folder is `$XDG_CACHE_HOME/vasal-jax` (`~/.cache/vasal-jax`), one for each version of JAX and kind of processor,
    for a home may be shared by machines of several. What lies in it is run, so it must be the user's own and writable
    by nobody else. A folder chosen in JAX's own way (`JAX_COMPILATION_CACHE_DIR`) is taken as it is.

    Returns:
      The folder; None where there can be none, and then everything is compiled as usual.
    """
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)
    if jax.config.jax_compilation_cache_dir:
        return Path(jax.config.jax_compilation_cache_dir)
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "vasal-jax" / f"jax-{jax.__version__}-{jaxlib.__version__}-{_processor()}"
        for made in (folder.parent, folder):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _own(made.lstat()):
                return None
    except (OSError, RuntimeError):  # no home, or not to be written
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _MAX_BYTES)
    return folder


def _own(status: os.stat_result) -> bool:
    """Whether this is a folder, no link, that belongs to the user and that nobody else may write to."""
    others = stat.S_IWGRP | stat.S_IWOTH
    owner = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return stat.S_ISDIR(status.st_mode) and owner and not status.st_mode & others


def _processor() -> str:
    """A few letters that differ between processors with different instructions."""
    facts = cpuinfo("flags", "Features")
    return hashlib.sha256(f"{platform.machine()} {platform.processor()} {facts}".encode()).hexdigest()[:8]
