"""`vasal web` as a process, and a browser on it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = "--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
ROOT = Path(__file__).parents[2]

LACKING = next(
    (reason for lacks, reason in (
        (find_spec("gradio") is None, "Gradio is not installed: pip install 'vasal-jax[web]'"),
        (find_spec("playwright") is None, "playwright is not installed: pip install 'vasal-jax[web-test]'"),
        (CHROMIUM is None, "no chromium is installed: apt-get install chromium"),
    ) if lacks),
    None,
)  # fmt: skip
"""Why no page can be tried in a browser; None where it can."""


class Served:
    """A page that is served.

    Attributes:
      address: of the page.
      temporary: the folder that its private folder lies in.
      process: which serves it; its standard error is a part of its output.
    """

    def __init__(self, process: subprocess.Popen, temporary: Path):
        self.process, self.temporary = process, temporary
        self.said = ""
        while "the page is at" not in self.said:
            line = process.stdout.readline()
            assert line, self.said
            self.said += line
        self.address = re.search(r"http\S+", self.said)[0].rstrip("/")

    def stop(self) -> str:
        """Presses Ctrl-C; gives all that the program said."""
        self.process.send_signal(signal.SIGINT)
        self.said += self.process.communicate(timeout=30)[0]
        return self.said


@contextmanager
def served(temporary: Path, *words: str, program: tuple[str, ...] = ()) -> Iterator[Served]:
    """Serves the page on a free port with its temporary files in a folder."""
    program = program or ("-c", "from vasal_jax.commands.main import main; main()", "web", "--port", "0", *words)
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen([sys.executable, *program], cwd=ROOT, env=environment, **pipes) as process:
        try:
            yield Served(process, temporary)
        finally:
            if process.poll() is None:
                process.kill()


@contextmanager
def browser():
    """A chromium that is driven by playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield opened
        finally:
            opened.close()
