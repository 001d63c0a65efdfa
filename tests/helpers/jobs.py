"""Work for workers in other processes, which find it by its name."""

import logging
import os
import signal
import time
from pathlib import Path

from vasal_jax.errors import InputError
from vasal_jax.system import stopping


def do(what: str, folder: Path) -> str:
    """Leaves a file for each time that it is begun, and does as it is told."""
    (folder / f"{what}-{os.getpid()}-{time.time_ns()}").touch()
    if what == "kills":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "kills once" and len(list(folder.glob("kills once-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "warns":
        logging.getLogger("vasal_jax.test").warning("something is %s", "odd")
    if what == "fails":
        raise InputError("a person's mistake")
    if what == "waits":
        for _ in range(1000):
            stopping.check()
            time.sleep(0.02)
    return what.upper()
