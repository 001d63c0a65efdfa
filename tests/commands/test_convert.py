"""`convert_weights.py` as a person uses it."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.golden import drawn_state
from tests.weights.test_pytorch import tensors, vgg16_state
from vasal_jax import weights
from vasal_jax.commands.convert import ConvertArgs, convert
from vasal_jax.models import ModelConfig
from vasal_jax.system.terminal import run
from vasal_jax.weights import parameters, pytorch

ROOT = Path(__file__).parents[2]
TINY = ModelConfig.tiny()


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    path = tmp_path / "tiny.pkl"
    torch.save(tensors(drawn_state(TINY, 11)), path, _use_new_zipfile_serialization=False)
    return path


def command(*paths: Path, **options) -> int:
    return run(lambda: convert(ConvertArgs(paths, preset="tiny", **options)))


@pytest.mark.parametrize("middle", ["w.safetensors", "folder"])
def test_there_and_back_is_bit_for_bit(checkpoint, tmp_path, middle, capsys):
    assert command(checkpoint, tmp_path / middle) == 0
    assert command(tmp_path / middle, tmp_path / "back.pt") == 0
    found, expected = (pytorch.read(path) for path in (tmp_path / "back.pt", checkpoint))
    assert found.keys() == expected.keys()
    assert all(found[key].tobytes() == expected[key].tobytes() for key in expected)
    assert "459,457 parameters" in capsys.readouterr().out


def test_verify_prints_every_stage_and_then_writes(checkpoint, tmp_path, capsys):
    assert command(checkpoint, tmp_path / "w.safetensors", verify=True) == 0
    printed = capsys.readouterr().out
    for stage in ("object_conv4_preact", "motion", "combine_preact", "convlstm", "audio_conv3_preact", "logits"):
        assert stage in printed
    assert printed.count("pass") == 7
    assert "fail" not in printed
    assert (tmp_path / "w.safetensors").exists()


def test_verify_finds_a_wrong_layout(checkpoint, tmp_path, capsys, monkeypatch):
    """A kernel turned the wrong way round has the right shape: only the numbers tell."""
    ours = "audio.conv2b.kernel"
    sources, layout = pytorch.TABLE[ours]
    wrong = layout._replace(to_jax=lambda k: k.T)
    monkeypatch.setitem(pytorch.TABLE, ours, (sources, wrong))
    assert command(checkpoint, tmp_path / "w.safetensors", verify=True) == 1
    printed = capsys.readouterr().out
    failed = {line.split()[0] for line in printed.splitlines() if line.rstrip().endswith("fail")}
    assert failed == {"audio_conv3_preact", "logits", "saliency"}
    assert "nothing was written" in printed
    assert not (tmp_path / "w.safetensors").exists()


def test_verify_alone_writes_nothing(checkpoint, tmp_path):
    assert command(checkpoint, verify=True) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.pkl"]


def test_vgg16_starts_a_model(tmp_path):
    torch.save(vgg16_state(TINY.texture), tmp_path / "vgg16.pth")
    assert command(tmp_path / "w.safetensors", vgg16=tmp_path / "vgg16.pth", seed=3) == 0
    assert command(tmp_path / "again.safetensors", vgg16=tmp_path / "vgg16.pth", seed=3) == 0
    values = parameters.arrays(weights.load(tmp_path / "w.safetensors"))
    texture = pytorch.vgg16_texture(tmp_path / "vgg16.pth", TINY)
    assert all(np.array_equal(values[key], texture[key]) for key in texture)
    assert all(np.any(value) for key, value in values.items() if key.endswith("kernel"))
    assert (tmp_path / "w.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_nothing_is_written_or_lost_when_the_source_is_wrong(checkpoint, tmp_path, capsys):
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"earlier weights")
    broken = drawn_state(TINY, 11)
    broken["conv1_1.bias"][3] = np.nan
    del broken["conv1_2.bias"]
    torch.save(tensors(broken), checkpoint)
    assert command(checkpoint, out) == 2
    error = capsys.readouterr().err
    assert "conv1_1.bias: holds NaN or Inf" in error
    assert "missing entry conv1_2.bias" in error
    assert out.read_bytes() == b"earlier weights"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.pkl", "w.safetensors"]


def test_a_failed_write_keeps_the_earlier_output(checkpoint, tmp_path, capsys, monkeypatch):
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"earlier weights")

    def full(self, data):
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert command(checkpoint, out) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert out.read_bytes() == b"earlier weights"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.pkl", "w.safetensors"]


@pytest.mark.parametrize(
    ("out", "to", "message"),
    [
        ("w.safetensors", "pytorch", "--to pytorch writes a name with .pt"),
        ("w", "safetensors", "--to safetensors writes a name with .safetensors"),
        ("no/such/folder/w.safetensors", None, "does not exist"),
    ],
)
def test_names_that_do_not_fit(checkpoint, tmp_path, capsys, out, to, message):
    assert command(checkpoint, tmp_path / out, to=to) == 2
    assert message in capsys.readouterr().err


def test_count_of_paths(checkpoint, tmp_path, capsys):
    assert command(checkpoint) == 2
    assert command(checkpoint, tmp_path / "a", tmp_path / "b") == 2
    assert capsys.readouterr().err.count("expected IN and OUT") == 2


def script(*arguments: str | Path, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "convert_weights.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_the_script_ends_with_2_and_one_line(tmp_path):
    done = script(tmp_path / "none.pkl", tmp_path / "w.safetensors")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [f"error: {tmp_path}/none.pkl: no such weights; expected .safetensors, "
                                                "an Orbax folder or a PyTorch checkpoint"]  # fmt: skip


def test_without_pytorch_it_says_so(checkpoint, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "torch.py").write_text("raise ImportError('no torch here')")
    done = script(checkpoint, tmp_path / "w.safetensors", env={"PYTHONPATH": str(blocked), "HOME": str(tmp_path)})
    assert done.returncode == 2
    assert "PyTorch is not installed" in done.stderr
    assert "Traceback" not in done.stderr
    shutil.rmtree(blocked)
