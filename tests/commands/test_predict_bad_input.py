"""What cannot be predicted on or written to: one line, exit code 2, nothing left behind, nothing lost."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tests.helpers.media import picture, write_video, write_wav
from tests.helpers.models import narrow_model
from vasal_jax import weights
from vasal_jax.commands.predict import predict
from vasal_jax.commands.predict_args import PACKAGED_WEIGHTS, PredictArgs
from vasal_jax.models import ModelConfig
from vasal_jax.system.terminal import run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def video(tmp_path) -> Path:
    return write_video(tmp_path / "v.mkv", 6)


def refusal(capfd, video: Path, **options) -> str:
    """The one line that a command ends with; its warnings come before."""
    folder = video.parent
    before = sorted(path for path in folder.rglob("*") if not path.is_dir()) if folder.is_dir() else []
    assert run(lambda: predict(PredictArgs(video, **options))) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if not line.startswith("warning: ")]
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert lines[-1] == errors[0]
    assert len(lines) <= 2  # the error, and what the progress bar leaves
    if folder.is_dir():
        assert sorted(path for path in folder.rglob("*") if not path.is_dir()) == before
    return errors[0]


def _file(name: str, content: bytes):
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def _without_frames(folder: Path) -> Path:
    path = write_video(folder / "v.mkv", 3)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])  # up to the first cluster
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.mp4", "no such file"),
        (lambda folder: folder / "none" / "none.mp4", "no such file"),
        (lambda folder: folder, "is a folder, expected a video; for a folder of frames say"),
        (lambda folder: Path("/dev/zero"), "is a folder or device"),
        (lambda folder: folder / ("n" * 300), "no such file"),
        (lambda folder: Path(""), "is a folder, expected a video"),
        (_fifo, "is a folder or device"),
        (_file("empty.mp4", b""), "not a video"),
        (_file("text.mp4", b"not a video at all\n" * 200), "error: "),
        (_file("noise.mp4", np.random.default_rng(0).bytes(50000)), "error: "),
        (_without_frames, "not a video"),
        (lambda folder: write_wav(folder / "s.wav", np.zeros(800)), "no video stream"),
    ],
    ids=[
        "missing", "folder-missing", "folder", "device", "long-name", "empty-name", "pipe", "empty", "text", "noise",
        "no-frames", "sound-only",
    ],
)  # fmt: skip
def test_video(tmp_path, capfd, make, message):
    path = make(tmp_path)
    line = refusal(capfd, path)
    assert message in line
    assert str(path) in line


def test_no_video_at_all(capfd):
    assert run(lambda: predict(PredictArgs())) == 2
    assert "expected a VIDEO" in capfd.readouterr().err


@pytest.mark.parametrize("n", [1, 5, 6, 11, 12, 16])
def test_released_needs_17_frames(tmp_path, capfd, n):
    line = refusal(capfd, write_video(tmp_path / "v.mkv", n), released=True)
    assert f"needs 17 frames or more, found {n}" in line


def _tracks(values) -> object:
    def make(folder: Path) -> Path:
        np.save(folder / "t.npy", values)
        return folder / "t.npy"

    return make


def _broken_map(folder: Path) -> Path:
    (folder / "maps").mkdir()
    (folder / "maps" / "0.jpg").write_bytes(b"no picture")
    return folder / "maps"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.npy", "no such file"),
        (_tracks(np.zeros((6, 4))), "expected face tracks"),
        (_tracks(np.zeros((6, 2, 5))), "expected face tracks"),
        (_tracks(np.zeros((6, 2000, 4))), "at most 1024 faces"),
        (_tracks(np.array(["a", "b"])), "t.npy: "),
        (_file("t.npy", b"\x93NUMPY"), "t.npy: "),
        (_file("t.txt", b"1 2 3 4"), "expected a folder"),
        (lambda folder: folder, "expected face maps"),
    ],
    ids=["missing", "2-d", "5-numbers", "crowd", "words", "cut", "text", "no-pictures"],
)
def test_faces(video, tmp_path, capfd, make, message):
    (tmp_path / "f").mkdir()
    assert message in refusal(capfd, video, faces=str(make(tmp_path / "f")))


def test_face_maps(video, tmp_path, capfd):
    maps, narrow = _broken_map(tmp_path), tmp_path / "narrow.safetensors"
    assert "makes its own and needs the boxes" in refusal(capfd, video, faces=str(maps))
    weights.save(narrow_model(), narrow)
    assert "expected a PNG or JPEG picture" in refusal(capfd, video, faces=str(maps), weights=narrow)


def test_sound(video, tmp_path, capfd):
    assert "no such file" in refusal(capfd, video, sound=tmp_path / "none.wav")
    assert "not a video or sound file" in refusal(capfd, video, sound=_file("s.wav", b"RIFF")(tmp_path))


def _changed(**changes: np.ndarray):
    def make(folder: Path) -> Path:
        _, values = weights.read(PACKAGED_WEIGHTS)
        metadata = {"vasal_config": ModelConfig.tiny().to_json()}
        values = {key.replace("__", "."): value for key, value in (values | changes).items()}
        (folder / "w.safetensors").write_bytes(safetensors.numpy.save(values, metadata=metadata))
        return folder / "w.safetensors"

    return make


def _of_other_config(folder: Path) -> Path:
    _, values = weights.read(PACKAGED_WEIGHTS)
    metadata = {"vasal_config": ModelConfig.released().to_json()}
    (folder / "w.safetensors").write_bytes(safetensors.numpy.save(values, metadata=metadata))
    return folder / "w.safetensors"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.safetensors", "no such weights"),
        (lambda folder: folder, "not an Orbax weights folder"),
        (_file("w.safetensors", b""), "not a readable .safetensors"),
        (_file("w.safetensors", PACKAGED_WEIGHTS.read_bytes()[:-100]), "not a readable .safetensors"),
        (_file("w.pkl", b"cos\nsystem\n(S'touch /tmp/owned'\ntR."), "w.pkl: "),
    ],
    ids=["missing", "folder", "empty", "cut", "pickle"],
)
def test_weights(video, tmp_path, capfd, make, message):
    (tmp_path / "w").mkdir()
    assert message in refusal(capfd, video, weights=make(tmp_path / "w"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_of_other_config, "expected shape"),
        (_changed(visual__conv1_1__bias=np.full(16, np.nan, np.float32)), "visual.conv1_1.bias: holds NaN or Inf"),
    ],
    ids=["other-config", "NaN"],
)
def test_weights_that_do_not_fit_are_all_listed(video, tmp_path, capfd, make, message):
    """The one error of more than one line: a line for each parameter that does not fit."""
    assert run(lambda: predict(PredictArgs(video, weights=make(tmp_path)))) == 2
    printed = capfd.readouterr().err
    assert "do not fit the model config" in printed
    assert message in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.mkv", "w.safetensors"]


def test_weights_that_overflow(video, tmp_path, capfd):
    config, values = weights.read(PACKAGED_WEIGHTS)
    huge = {key: value * np.float32(1e20 if key.startswith("fusion") else 1) for key, value in values.items()}
    weights.write(config, huge, tmp_path / "w.safetensors")
    outputs = {"maps": tmp_path / "m.npz", "overlay": tmp_path / "o.mp4"}
    assert "frame 0: the map is not finite" in refusal(capfd, video, weights=tmp_path / "w.safetensors", **outputs)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"overlay": "none/o.mp4"}, "does not exist"),
        ({"overlay": "file/o.mp4"}, "is not a folder"),
        ({"maps": "/proc/m.npz"}, "cannot be written"),
        ({"maps": "/dev/full"}, "is a device or pipe"),
        ({"maps": "pipe"}, "is a device or pipe"),
        ({"overlay": "o.gif"}, "expected a name in .mp4"),
        ({"saliency": "o"}, "expected a name in .mp4"),
        ({"overlay": ""}, "expected a name in .mp4"),
        ({"maps": ""}, "is a folder"),
        ({"overlay": "folder.mp4"}, "is a folder, expected a file name"),
        ({"maps": "n" * 300}, "cannot be written"),
        ({"frames": "file"}, "is a file, expected a folder"),
        ({"frames": "folder.mp4"}, "holds other files (kept.txt)"),
        ({"frames": "."}, "holds other files"),
        ({"overlay": "o.mp4", "saliency": "o.mp4"}, "another output"),
        ({"overlay": "o.mp4", "saliency": "link.mp4"}, "another output"),
        ({"frames": "m", "maps": "m"}, "another output"),
        ({"frames": "frames", "maps": "frames/m.npz"}, "is inside"),
        ({"overlay": "v.mkv"}, "is an input"),
        ({"overlay": "../test/v.mkv"}, "is an input"),
        ({"maps": "w.safetensors"}, "is an input"),
        ({"frames": "faces"}, "is an input"),
    ],
    ids=str,
)
def test_outputs(tmp_path, capfd, outputs, message):
    folder = tmp_path / "test"
    folder.mkdir()
    video = write_video(folder / "v.mkv", 2)
    for name in ("folder.mp4", "frames", "faces"):
        (folder / name).mkdir()
    (folder / "folder.mp4" / "kept.txt").touch()
    (folder / "faces" / "00000.png").touch()
    (folder / "file").write_text("kept")
    (folder / "link.mp4").symlink_to("o.mp4")
    (folder / "w.safetensors").write_bytes(PACKAGED_WEIGHTS.read_bytes())
    os.mkfifo(folder / "pipe")
    paths = {key: folder / name if name else Path("") for key, name in outputs.items()}
    inputs = {"weights": folder / "w.safetensors", "faces": str(folder / "faces")}
    assert message in refusal(capfd, video, **inputs, **paths)
    assert (folder / "file").read_text() == "kept"


def script(*arguments: str | Path, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "predict.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_the_script_ends_with_2_and_one_line(tmp_path):
    done = script(tmp_path / "none.mp4")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path}/none.mp4: no such file, expected a video or sound file\n"
    done = script("--", "-x.mp4", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("arguments", [["--no-such-flag"], ["a.mp4", "--dtype", "float8"], ["a.mp4", "b.mp4"]])
def test_unknown_arguments(arguments):
    done = script(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [[], ["predict"], ["convert"], ["demo"]])
def test_help(command):
    code = f"import sys; sys.argv = {['vasal', *command, '--help']!r}; from vasal_jax.commands.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: vasal " + " ".join(command))
    assert "{None}" not in done.stdout or command == ["convert"]


def test_a_name_that_is_no_text(tmp_path):
    """Linux takes any bytes as a name, also those that are no UTF-8."""
    name = os.fsdecode(b"v\xff.mkv")
    write_video(tmp_path / "v.mkv", [picture()] * 2).rename(tmp_path / name)
    done = script(tmp_path / name)
    assert done.returncode == 0, done.stderr
    assert "wrote" in done.stdout
    assert (tmp_path / os.fsdecode(b"v\xff_overlay.mp4")).exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_full_standard_output(video):
    with open("/dev/full", "w") as full:
        command = [sys.executable, ROOT / "predict.py", video]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: [Errno 28] No space left on device"
    assert "Traceback" not in done.stderr
