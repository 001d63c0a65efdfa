"""Text from files and names, made fit to be shown."""

import subprocess
import sys

import pytest
from rich.table import Table

from vasal_jax.errors import InputError
from vasal_jax.evaluation import tables
from vasal_jax.system import terminal
from vasal_jax.system.text import csv_cell, printable

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\nwrote all\x9b31m\u202egnp\u2028x\u200b\udcff[/y]"


def test_control_characters_are_shown():
    shown = printable(HOSTILE)
    assert shown == r"\x1b]0;owned\x07\x1b[2J\r\nwrote all\x9b31m\u202egnp\u2028x\u200b\udcff[/y]"
    assert printable("Grüße, 顔 🙂/ñ.mp4") == "Grüße, 顔 🙂/ñ.mp4"


def test_long_texts_are_cut():
    assert len(printable("x" * 10**7, longest=100)) < 120
    assert printable("a" * 300 + "z", longest=100).startswith("aaaa")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", " =1", "\t=1", "=cmd|' /C calc'!A0"])
def test_no_cell_is_a_formula(text):
    assert not csv_cell(text).lstrip().startswith(("=", "+", "-", "@"))
    assert csv_cell("a=b") == "a=b"


@pytest.mark.parametrize("error", [InputError(f"{HOSTILE}: bad"), OSError(HOSTILE)])
def test_an_error_is_one_line(error, capfd):
    def fail() -> int:
        raise error

    assert terminal.run(fail) == 2
    _, said = capfd.readouterr()
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert said.startswith("error: ")


def test_an_error_about_several_things_has_a_line_for_each(capfd):
    def fail() -> int:
        raise InputError("w.pt: 2 problems:", "a\n  b", "c")

    assert terminal.run(fail) == 2
    assert capfd.readouterr().err.splitlines() == ["error: w.pt: 2 problems:", r"  a\n  b", "  c"]


WARNS = """
import logging
from vasal_jax.system.terminal import progress_bar, run, say

def command():
    logging.getLogger("vasal_jax.x").warning("%s: odd", TEXT)
    with progress_bar() as bar:
        bar.add_task(TEXT, total=1, note=TEXT)
    say(TEXT)
    return 0

run(command)
"""


def test_logs_bars_and_lines_obey_nothing():
    done = subprocess.run([sys.executable, "-c", f"TEXT = {HOSTILE!r}{WARNS}"], capture_output=True, check=True)
    for stream in (done.stdout, done.stderr):
        assert b"\x1b]0" not in stream
        assert b"\x07" not in stream
    assert done.stdout.count(b"\n") == 1
    assert b"[/y]" in done.stderr


def test_tables_take_nothing_for_markup(capsys):
    table = Table("a", title="[/b]")
    table.add_row("[/y] [red]x")
    terminal.show(table)
    assert "[/y] [red]x" in capsys.readouterr().out


ROW = {
    "name": f"a|b*c[x](javascript:1)<script>_d_ e_f{HOSTILE}",
    "mean_over_videos": dict.fromkeys(tables.METRICS, 0.5),
    "mean_over_frames": dict.fromkeys(tables.METRICS, 0.5),
    "ci95": dict.fromkeys(tables.METRICS),
    "videos": {},
    "frames_skipped": 1,
    "frames": {},
    "truth": "people",
}
RESULTS = {"settings": {"dataset": "x\n\\end{document}<b>"}, "rows": [ROW]}


def test_markdown_shows_names_as_they_are():
    text = tables.markdown(RESULTS)
    assert r"a\|b\*c\[x\](javascript:1)\<script\>\_d\_ e_f" in text
    assert "\x1b" not in text
    assert r"\<b\>" in text


def test_latex_shows_names_as_they_are():
    text = tables.latex(RESULTS)
    assert "\x1b" not in text
    assert all(line.startswith("%") for line in text.splitlines() if "end{document}" in line)
