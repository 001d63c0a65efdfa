"""What all tests share: compiled programs go to a folder of this test run, not to the user's; Ctrl-C can be tested."""

import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile

import pytest

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # processes that a test starts take this one's
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _folder = tempfile.mkdtemp(prefix="vasal-jax-tests-")
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)

# Behind nohup or in a script's background these are ignored, and processes that a test starts inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="module")
def _free_compiled_programs():
    """Modules share hardly any program. Kept to the end, those of all modules took 8 GB of a worker."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
        gc.collect()
