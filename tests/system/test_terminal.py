"""What the command lines share."""

import dataclasses
import logging
import os
import subprocess
import sys
import threading
import warnings

import av
import cv2
import pytest
import tyro
from rich.console import Console

from vasal_jax.size import Size
from vasal_jax.system import terminal
from vasal_jax.system.terminal import SizeArgument, progress_bar


@dataclasses.dataclass
class Arguments:
    """Arguments of a command."""

    size: SizeArgument = Size(360, 640)


def test_a_size_is_width_times_height_on_the_command_line():
    assert tyro.cli(Arguments, args=[]).size == Size(height=360, width=640)
    assert tyro.cli(Arguments, args=["--size", "1280x720"]).size == Size(height=720, width=1280)


@pytest.mark.parametrize("text", ["big", "640", "640X360", "-640x360", "640x360x3", "1e3x5", "1000000x1"])
def test_other_sizes_cost_exit_code_2(text, capsys):
    with pytest.raises(SystemExit) as ended:
        tyro.cli(Arguments, args=[f"--size={text}"])
    assert ended.value.code == 2
    assert "WIDTHxHEIGHT" in capsys.readouterr().err


def test_a_progress_bar_shows_texts_as_they_are(monkeypatch):
    console = Console(width=120, force_terminal=True, color_system=None)
    monkeypatch.setattr(terminal, "console", console)
    with console.capture() as capture, progress_bar() as bar:
        task = bar.add_task("[/y] a.mp4", total=5, note="[b]")
        bar.update(task, advance=2)
    assert "[/y] a.mp4" in capture.get()
    assert "2/5" in capture.get()
    assert "[b]" in capture.get()


def _run(command: str, closed: str = "", **environment: str) -> subprocess.CompletedProcess:
    """Runs a command's function in a process of its own, with some of its streams closed."""
    program = f"import sys; from vasal_jax.system.terminal import run; sys.exit(run(lambda: {command}))"
    shell = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, program]
    return subprocess.run(shell, capture_output=True, text=True, env=os.environ | environment, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_change_no_exit_code(closed):
    done = _run("print('wrote a.mp4') or 0", closed)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("wrote a.mp4\n" if closed == "2>&-" else "")
    failed = _run("(_ for _ in ()).throw(__import__('vasal_jax').InputError('a.mp4: no such file'))", closed)
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert failed.stderr == ("error: a.mp4: no such file\n" if closed == ">&-" else "")


@pytest.mark.parametrize("platforms", ["cuda", "nonesuch"])
def test_a_platform_without_devices_costs_one_line(platforms):
    done = _run("len(__import__('jax').devices()) and 0", JAX_PLATFORMS=platforms)
    if platforms == "cuda" and done.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"JAX_PLATFORMS says {platforms}" in line
    assert "Traceback" not in done.stderr


def test_a_warning_is_said_once(capsys):
    logger = logging.getLogger("vasal_jax.inputs.video")

    def command() -> int:
        for name in ("a.mp4", "a.mp4", "b.mp4"):
            logger.warning("%s: no sound", name)
        return 0

    assert terminal.run(command) == 0
    assert capsys.readouterr().err.splitlines() == ["warning: a.mp4: no sound", "warning: b.mp4: no sound"]


def test_a_fault_that_a_command_survives_shows_where_it_was(capfd):
    def command() -> int:
        for name in ("vasal_jax.commands", "some.library"):
            try:
                raise RuntimeError("odd\x1b[2J")
            except RuntimeError:
                logging.getLogger(name).warning("a\nb failed", exc_info=True)
        return 0

    assert terminal.run(command) == 0
    said = capfd.readouterr().err
    assert said.count("warning: a\\nb failed") == 2
    assert said.count("RuntimeError: odd\\x1b[2J") == said.count("Traceback") == 1  # a library's own would be noise
    assert "test_terminal.py" in said


def test_what_libraries_warn_of_has_the_same_form_and_is_said_once(capsys):
    def command() -> int:
        for _ in range(2):
            warnings.warn("a value\nof NaN", RuntimeWarning, stacklevel=1)
            logging.getLogger("some.library").warning("falling back to %s", "cpu")
        return 0

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert terminal.run(command) == 0
    assert capsys.readouterr().err.splitlines() == [r"warning: a value\nof NaN", "warning: falling back to cpu"]


class _OfXla(RuntimeError):
    """As JAX raises it."""


LACKS = [
    MemoryError("Unable to allocate 3.00 GiB for an array"),
    MemoryError(),
    _OfXla("RESOURCE_EXHAUSTED: Out of memory allocating 5 bytes.\nBuffers:\n"),
    RuntimeError("can't start new thread"),
    av.error.MemoryError(12, "Cannot allocate memory"),
    cv2.error("OpenCV: (-4:Insufficient memory) Failed to allocate 5 bytes in function 'OutOfMemoryError'"),
]


@pytest.mark.parametrize("error", LACKS, ids=repr)
def test_a_lack_of_memory_costs_one_line_about_memory(error, capsys):
    def fail() -> int:
        raise error

    assert terminal.run(fail) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: not enough memory (")
    assert line.endswith("); free some, or raise the limit (ulimit -v)")


def test_threads_that_run_out_of_memory_say_nothing(capsys):
    def fail() -> None:
        raise MemoryError

    class Fails:
        """Raises in its destructor."""

        def __del__(self):
            raise MemoryError

    def command() -> int:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        Fails()
        return 0

    assert terminal.run(command) == 0
    assert capsys.readouterr().err == ""
