"""The page as a hosted space runs it, which says by GRADIO_SERVER_NAME and GRADIO_SERVER_PORT where to listen."""

import os
import sys

from vasal_jax.system.terminal import run
from vasal_jax.web.command import serve_page
from vasal_jax.web.limits import Limits

LIMITS = Limits(megabytes=50, seconds=30.0, side=1280, waiting=16)


def main() -> int:
    """Serves the page until it is stopped; returns the exit code."""
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    return serve_page(host, int(os.environ.get("GRADIO_SERVER_PORT", "7860")), (), LIMITS, password=None)


if __name__ == "__main__":
    sys.exit(run(main))
