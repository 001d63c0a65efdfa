"""What all tests share: compiled programs go to a folder of this test run, not to the user's."""

import atexit
import os
import shutil
import tempfile

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # processes that a test starts take this one's
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _folder = tempfile.mkdtemp(prefix="vasal-jax-tests-")
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)
