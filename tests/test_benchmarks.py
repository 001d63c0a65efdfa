"""The benchmarks' arithmetic and running, with benchmarks that take no time; how fast anything is, is not tested."""

import dataclasses
import json
import os
import sys
from functools import partial
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest
import torch
from scipy.io import wavfile

from benchmarks import clips_a_device, released_way
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.harness import machine, runner, videos
from benchmarks.harness.processes import (
    ROOT,
    as_train_py_has_it,
    finished,
    in_fresh_process,
)
from benchmarks.harness.side_by_side import Comparison, Row, compare
from benchmarks.harness.torch_side import torch_device
from tests.helpers.models import narrow_model
from vasal_jax import predict
from vasal_jax.errors import InputError
from vasal_jax.inputs.sound import SAMPLE_RATE
from vasal_jax.models import ModelConfig
from vasal_jax.system.memory import HUGE_PAGES
from vasal_jax.weights import pytorch
from vasal_jax.weights.parameters import arrays

KEYS = ["work", "against", "device", "dtype", "allocator", "rounds", "ours_s", "theirs_s"]
KEYS += ["ratio", "ratio_min", "ratio_max", "goal"]
FAKE = """
import os
from benchmarks.harness.side_by_side import Comparison

def measure(rounds=2, faster=4.0):
    work = "kept" if os.environ.get("MALLOC_MMAP_MAX_") == "0" else "default"
    return [Comparison(work, "theirs", "float32", [1.0] * rounds, [faster] * rounds, goal=2.0)]
"""


def row(ours: list[float], theirs: list[float], goal: float | None = None) -> Row:
    return Row.of(Comparison("work", "theirs", "float32", ours, theirs, goal), "cpu", "kept")


def test_a_row_has_medians_and_ratios_round_by_round():
    found = row([1.0, 2.0, 4.0], [3.0, 2.0, 20.0])
    assert (found.rounds, found.ours_s, found.theirs_s) == (3, 2.0, 3.0)
    assert (found.ratio, found.ratio_min, found.ratio_max) == (3.0, 1.0, 5.0)


@pytest.mark.parametrize(("goal", "met"), [(1.5, True), (1.6, False), (None, None)])
def test_whether_a_goal_is_met(goal, met):
    assert row([2.0], [3.0], goal).met is met


def test_a_row_is_written_under_the_agreed_keys():
    assert list(dataclasses.asdict(row([1.0], [1.0]))) == KEYS


def writing_side(log: Path, name: str):
    def write(word: str) -> None:
        with log.open("a") as file:
            file.write(f"{word} {os.getpid()}\n")

    write(f"make-{name}")
    return partial(write, name)


def test_sides_take_turns_and_are_made_once(tmp_path):
    log = tmp_path / "log"
    side = partial(writing_side, log)
    goals = {("float32", "a"): 1.0, ("float32", "b"): None, ("bfloat16", "b"): None}
    found = compare("work", goals, side, side, rounds=2)
    calls, processes = zip(*(line.split() for line in log.read_text().splitlines()), strict=True)
    assert [(each.dtype, each.against, each.goal) for each in found] == [(*pair, goal) for pair, goal in goals.items()]
    assert found[0].ours == found[1].ours
    names = ["float32", "bfloat16", "a", "b"]
    made = [word for name in names for word in (f"make-{name}", name, name)]
    turns = [word for name in names for word in (name, name)]  # one that does not count first
    assert list(calls) == made + turns * 2
    where = dict(zip(calls, processes, strict=True))
    assert where["float32"] == where["bfloat16"] != where["a"] == where["b"]
    assert str(os.getpid()) not in processes


def test_help_lists_every_benchmark(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.partition("names:\n")[2].splitlines()]
    assert dict(lines) == BENCHMARKS


def test_every_benchmark_can_be_run_alone():
    for name in BENCHMARKS:
        text = (ROOT / "benchmarks" / f"{name}.py").read_text()
        assert "\ndef measure(rounds: int = " in text
        assert f'sys.exit(command("{name}", __doc__' in text


def test_an_unknown_name_is_one_line(capsys):
    assert main(["forward", "nonsense"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "nonsense" in err
    assert all(name in err for name in BENCHMARKS)


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Benchmarks named fake, broken and lacking, on a CPU."""
    (tmp_path / "fake.py").write_text(FAKE)
    (tmp_path / "broken.py").write_text("def measure():\n    raise ValueError\n")
    (tmp_path / "lacking.py").write_text("import no_such_package\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(machine, "ask", lambda: machine.Machine("cpu", "the conditions"))


def test_a_benchmark_runs_in_both_allocator_settings(fakes, tmp_path, capfd):
    out = tmp_path / "rows.json"
    rows, code = runner.report(["fake"], {"rounds": 3}, json_file=out)
    assert code == 0
    assert [each.work for each in rows] == [each.allocator for each in rows] == ["default", "kept"]
    assert {(each.rounds, each.ratio, each.met) for each in rows} == {(3, 4.0, True)}
    assert json.loads(out.read_text()) == [dataclasses.asdict(each) for each in rows]
    printed = capfd.readouterr().out
    assert printed.startswith("the conditions\n")
    assert printed.count("theirs ms") == 1


def test_an_accelerator_has_one_setting(fakes, monkeypatch):
    monkeypatch.setattr(machine, "ask", lambda: machine.Machine("NVIDIA H200", "the conditions"))
    rows, code = runner.report(["fake"], {}, allocator="kept")
    assert ([each.allocator for each in rows], code) == (["device"], 0)


def test_what_fails_leaves_the_others_standing(fakes, capfd):
    rows, code = runner.report(["lacking", "fake", "broken"], {}, allocator="default")
    assert ([each.work for each in rows], code) == (["default"], 2)
    assert "error: lacking needs no_such_package, which is not installed" in capfd.readouterr().err


@pytest.mark.parametrize(("strict", "ratio", "code"), [(True, 1.0, 1), (True, 2.0, 0), (False, 1.0, 0)])
def test_a_missed_goal_is_an_exit_code_where_it_is_a_limit(monkeypatch, strict, ratio, code):
    asked = []

    def report(*words):
        asked.append(words)
        return [row([1.0], [ratio], goal=1.5)], 0

    monkeypatch.setattr(runner, "report", report)
    monkeypatch.setattr(sys, "argv", ["face", "--faces", "2", "--allocator", "kept", "--json", "OUT"])
    assert runner.command("face", "First line.\nMore.", strict=strict, faces=(int, "how many")) == code
    assert asked == [(["benchmarks.face"], {"faces": 2}, "kept", Path("OUT"))]


def test_a_torch_without_cuda_beside_a_gpu_is_named(monkeypatch):
    assert torch_device() == "cpu"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="install torch for CUDA"):
        torch_device()


def test_steps_of_several_clips_train_on_what_training_reads(monkeypatch):
    config = dataclasses.replace(clips_a_device.CONFIG, model=narrow_model().config)
    config = dataclasses.replace(config, clips=dataclasses.replace(config.clips, length=2))
    monkeypatch.setattr(clips_a_device, "CONFIG", config)
    found = clips_a_device.measure(2, rounds=1)
    assert found.seconds > 0
    batch = clips_a_device.drawn_batch(("frames", "frames_past", "mel", "density", "valid"), 2)
    assert batch["valid"].all()
    np.testing.assert_allclose(batch["density"].sum((2, 3)), 1, rtol=1e-5)
    for at, of in (("frame_at", "pictures"), ("past_at", "pictures"), ("mel_at", "mel_pictures")):
        assert 0 <= batch[at].min() <= batch[at].max() < batch[of].shape[1]


def test_a_command_is_seen_from_outside():
    # From a small process: a child begins with the memory of the one that starts it, and this one's may be gigabytes.
    held = in_fresh_process(finished, ["-c", "x = bytearray(300_000_000); x[::4096] = b'x' * len(x[::4096])"])
    assert held.seconds > 0
    assert 300e6 < held.peak < 2e9
    with pytest.raises(InputError, match=r"-c .*exit code 3 \(out of luck\)"):
        finished(["-c", "import sys; print('out of luck'); sys.exit(3)"])


def test_a_fresh_process_hands_back_what_it_found():
    assert in_fresh_process(divmod, 7, 2) == (3, 1)


def test_a_fresh_process_can_have_the_memory_of_train_py(monkeypatch):
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")
    assert in_fresh_process(os.getenv, "GLIBC_TUNABLES", environment=as_train_py_has_it()) == HUGE_PAGES
    assert in_fresh_process(os.getenv, "MALLOC_MMAP_MAX_", environment=as_train_py_has_it()) is None
    assert os.environ["MALLOC_MMAP_MAX_"] == in_fresh_process(os.getenv, "MALLOC_MMAP_MAX_") == "0"


def test_the_releases_way_of_working_gives_the_released_maps(tmp_path, monkeypatch):
    model = narrow_model()
    monkeypatch.setattr(ModelConfig, "released", lambda: model.config)
    video, sound, weights, out = (tmp_path / name for name in ("v.mp4", "s.wav", "w.pt", "o.mp4"))
    wavfile.write(sound, SAMPLE_RATE, videos.draw_faces(video, 20 / videos.FPS, width=320, height=180))
    pytorch.write(arrays(model), weights)
    maps, coloured = [], released_way.coloured
    monkeypatch.setattr(released_way, "coloured", lambda frame, map: (maps.append(map), coloured(frame, map))[1])
    released_way.main(*map(str, (video, sound, weights, out)), "cpu")
    expected = predict(model, video, sound=sound, faces=None, released=True)
    assert expected.shape == (12, 32, 32)
    np.testing.assert_allclose(np.stack(maps), expected, rtol=0, atol=1e-4)
    assert cv2.VideoCapture(str(out)).read()[1].shape == (180, 320, 3)
