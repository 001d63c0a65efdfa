"""Compiled programs kept from one run to the next, so that only the first waits for the compiler."""

import hashlib
import logging
import os
import platform
import stat
from pathlib import Path

import jax
from jaxlib.version import __version__ as jaxlib_version

from vasal_jax.system.processor import cpuinfo

logger = logging.getLogger(__name__)

_MAX_BYTES = 2**30  # of the whole folder; what was not used for longest is deleted first
_WORTH_KEEPING = 0.2  # seconds of compilation; JAX's own second would leave out the packaged model's programs


def use_compilation_cache() -> Path | None:
    """Lets JAX keep what it compiles in a folder of the user's, and take it from there.

    The folder is the one that `JAX_COMPILATION_CACHE_DIR` names, or `$XDG_CACHE_HOME/vasal-jax` (`~/.cache/vasal-jax`),
    in it one for each version of JAX and kind of processor, for a home may be shared by machines of several. What lies
    in the folder is run, so it is made for the user alone, and one that others own or may write to is not used: one
    logged warning says so.

    Returns:
      The folder; None where there can be none, and then everything is compiled as usual.
    """
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)
    named = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue] (JAX adds it as it runs)
    if named and "://" in named:  # a bucket of a cloud, whose owner says who may write
        return Path(named)
    try:
        folders = [Path(os.path.realpath(named))] if named else _own_folders()
        for folder in folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home, or not to be written
        jax.config.update("jax_compilation_cache_dir", None)
        return None
    for folder in folders:
        if problem := _problem(folder):
            logger.warning("%s: not used for compiled programs, which are code: %s", folder, problem)
            jax.config.update("jax_compilation_cache_dir", None)
            return None
    if not named:
        jax.config.update("jax_compilation_cache_dir", str(folders[-1]))
        jax.config.update("jax_compilation_cache_max_size", _MAX_BYTES)
    return folders[-1]


def _own_folders() -> list[Path]:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    above = Path(base) / "vasal-jax"
    return [above, above / f"jax-{jax.__version__}-{jaxlib_version}-{_processor()}"]


def _problem(folder: Path) -> str | None:
    """Why others could change what lies in a folder; None where they cannot."""
    if not hasattr(os, "getuid"):
        return None
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return "it is a link or a file"
    if status.st_uid != os.getuid():
        return "another user owns it"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write to it; chmod 700 {folder}"
    for above in Path(os.path.realpath(folder)).parents:
        status = above.stat()
        sticky = status.st_mode & stat.S_ISVTX  # then only its owner may rename what lies there
        if status.st_uid not in (0, os.getuid()) or (status.st_mode & stat.S_IWOTH and not sticky):
            return f"others may replace it, for they may write to {above}"
    return None


def _processor() -> str:
    """A few letters that differ between processors with different instructions."""
    facts = cpuinfo("flags", "Features")
    return hashlib.sha256(f"{platform.machine()} {platform.processor()} {facts}".encode()).hexdigest()[:8]
