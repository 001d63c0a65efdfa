"""What the command lines share."""

import dataclasses

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
