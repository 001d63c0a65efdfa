"""`vasal web` before there is a page: its mistakes, each in one line."""

import sys
import tempfile

import pytest

from vasal_jax.errors import InputError
from vasal_jax.system.terminal import run
from vasal_jax.web.command import WebArgs, web


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share_on": "0.0.0.0"}, "go together"),
        ({"password_file": "secret"}, "go together"),
        ({"share_on": "0.0.0.0", "password_file": "none"}, "cannot be read"),
        ({"share_on": "0.0.0.0", "password_file": "short"}, "8 characters"),
        ({"port": 65536}, "--port"),
        ({"port": -1}, "--port"),
        ({"max_seconds": 0.0}, "--max-seconds"),
        ({"max_seconds": float("nan")}, "--max-seconds"),
        ({"max_megabytes": -1}, "--max-megabytes"),
        ({"max_side": 0}, "--max-side"),
        ({"max_waiting": 2**30}, "--max-waiting"),
    ],
    ids=str,
)
def test_mistakes(tmp_path, options, message):
    (tmp_path / "short").write_text("secret\nsecond line")
    (tmp_path / "secret").write_text("correct horse")
    if "password_file" in options:
        options = {**options, "password_file": tmp_path / options["password_file"]}
    with pytest.raises(InputError, match=message):
        web(WebArgs(**options))


def test_without_gradio_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in [name for name in sys.modules if name.startswith("vasal_jax.web.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("GRADIO_TEMP_DIR", "GRADIO_EXAMPLES_CACHE", "GRADIO_ANALYTICS_ENABLED"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(SystemExit) as end:
        run(lambda: web(WebArgs()))
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: gradio is not installed; this needs pip install 'vasal-jax[web]'\n"
