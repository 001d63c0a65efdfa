"""`vasal export` as a person uses it."""

import sys

import pytest

from tests.helpers.models import narrow_model
from vasal_jax import exported, save
from vasal_jax.commands import main
from vasal_jax.commands.export import ExportArgs, export
from vasal_jax.system.terminal import run


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save(narrow_model(), path)
    return str(path)


def test_the_form_is_told_from_the_name(weights, tmp_path, capsys, monkeypatch):
    out = tmp_path / "m.onnx"
    monkeypatch.setattr(sys, "argv", ["vasal", "export", weights, str(out)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert not ended.value.code
    assert f"wrote {out} (onnx, {out.stat().st_size:,} bytes)" in capsys.readouterr().out
    assert exported.load(out).description.config == narrow_model().config


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("m.bin", {}, "expected a name with .jax, .onnx or .tflite, or --format"),
        ("none/m.onnx", {}, "does not exist"),
        ("m.onnx", {"videos": 3}, "onnx: takes any number of videos, frames and faces"),
        ("m.tflite", {"faces": 3}, "without a face branch takes no number of faces"),
        ("m.tflite", {"frames": 0}, "expected 1 to 1024 videos, frames and faces"),
    ],
)
def test_mistakes(weights, tmp_path, capsys, out, options, message):
    assert run(lambda: export(ExportArgs(weights, tmp_path / out, **options))) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_is_not_installed(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "vasal_jax.exported.onnx_form", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert run(lambda: export(ExportArgs(weights, tmp_path / "m.onnx"))) == 2
    assert "onnx is not installed; onnx needs pip install 'vasal-jax[export]'" in capsys.readouterr().err
