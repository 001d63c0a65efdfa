"""`train.py` from the command line: to its end, broken off and gone on with, and with everything that goes wrong."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

import vasal_jax
from data.builder import main as prepare
from data.prepared import PreparedSplit
from data.synthetic import SyntheticArgs, generate
from train import main
from vasal_jax.size import Size
from vasal_jax.system.locks import LOCK_NAME, only_one
from vasal_jax.training.loop import _Signals

ROOT = Path(__file__).parents[2]
STEPS = 6
# The released graph, as narrow as it goes.
NARROW = {"texture": [1] * 6, "motion": [1] * 4, "combine": [1] * 3, "lstm": [1, 1], "audio": [1] * 4, "fusion": [1]}
FLAGS = [
    *(str(word) for name, widths in NARROW.items() for word in (f"--model.{name}", *widths)),
    *("--model.dtype", "float32", "--clips.length", "2", "--batch-size", "2", "--updates", str(STEPS)),
    *("--optimizer.warmup", "1", "--optimizer.learning-rate", "0.01", "--optimizer.ema-decay", "0.9"),
    *("--loop.log-every", "1", "--loop.validate-every", "3", "--loop.overlays", "1", "--checkpoints.every-steps", "1"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three videos of ten frames, one in each split."""
    root, out = tmp_path_factory.mktemp("release"), tmp_path_factory.mktemp("prepared")
    generate(SyntheticArgs(root, videos=3, seconds=1.0, seed=4, size=Size(72, 128), fps=(10,), workers=1))
    assert prepare([str(root), str(out), "--processes", "1"]) == 0
    return out


def command(data: Path, run: Path, *flags: str) -> list[str]:
    return ["mvva", *FLAGS, "--data", str(data), "--run", str(run), *map(str, flags)]


def rows(run: Path, name: str = "steps.csv") -> list[dict[str, str]]:
    with (run / name).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Compiled code for all runs of this file, in this process and in others."""
    folder = tmp_path_factory.mktemp("compiled")
    usual = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(folder))
    compilation_cache.reset_cache()
    yield folder
    jax.config.update("jax_compilation_cache_dir", usual)
    compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def unbroken(data, cache, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "unbroken"
    assert main(command(data, run, "--export", run / "best.safetensors")) == 0
    return run


def test_a_run_leaves_its_config_curves_and_weights(unbroken, data):
    config = json.loads((unbroken / "config.json").read_text())
    assert config["learning"]["updates"] == STEPS
    assert config["learning"]["dataset"] == PreparedSplit(data, "training").settings
    steps, validation = rows(unbroken), rows(unbroken, "validation.csv")
    assert [int(row["step"]) for row in steps] == list(range(1, STEPS + 1))
    assert [int(row["step"]) for row in validation] == [3, 6]
    assert all(np.isfinite(float(value)) for row in steps + validation for value in row.values())
    assert float(steps[-1]["loss"]) < float(steps[0]["loss"])
    assert list((unbroken / "tensorboard").glob("events.*"))
    best = min(validation, key=lambda row: float(row["kl"]))
    model = vasal_jax.load(unbroken / "best.safetensors")
    assert model.config.texture == (1,) * 6
    assert str(model.memory) == "reset/2"
    assert float(best["kl"]) > 0


@pytest.mark.parametrize(
    ("flags", "memory", "starts"),
    [
        ([], "overlap/2", [0, 2, 4, 6, 8]),  # as in prediction: each clip of the lane goes on from the one before
        (["--memory", "continuous"], "continuous", [0, 2, 4, 6, 8]),
        (["--memory", "reset/4"], "reset/4", [0, 2, 4, 6, 8]),
        (["--memory", "reset"], "reset/2", [0, 4, 8]),  # each clip starts afresh, so two are run at once
    ],
)
def test_validation_remembers_as_predictions_do_unless_told(data, tmp_path, monkeypatch, flags, memory, starts):
    given = []
    monkeypatch.setattr("train.fit", lambda *args: given.append(args[4]))
    assert main(command(data, tmp_path / "run", *flags)) == 0
    (validation,) = given
    assert str(validation.memory) == memory
    assert [int(batch["frame"][0, 0]) for batch in validation.batches()] == starts


def test_a_finished_run_has_nothing_left_to_do_but_to_export(unbroken, data, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(unbroken, copy)
    assert main(command(data, copy, "--export", tmp_path / "again.safetensors")) == 0
    assert rows(copy) == rows(unbroken)
    assert (tmp_path / "again.safetensors").read_bytes() == (unbroken / "best.safetensors").read_bytes()


def start(data: Path, run: Path, cache: Path) -> subprocess.Popen:
    """A run as a process of its own; with the code compiled before, so that a kill rarely hits compilation."""
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        [sys.executable, "train.py", *command(data, run)], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )


def wait_for_step(process: subprocess.Popen, run: Path, step: int) -> None:
    deadline = time.monotonic() + 240
    while not (run / "steps.csv").exists() or len(rows(run)) < step:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_after_a_kill_the_curve_goes_on_to_the_bit(unbroken, data, cache, tmp_path):
    run = tmp_path / "run"
    process = start(data, run, cache)
    wait_for_step(process, run, 4)
    process.kill()
    process.communicate()
    assert main(command(data, run)) == 0
    assert rows(run) == rows(unbroken)
    assert rows(run, "validation.csv") == rows(unbroken, "validation.csv")


@pytest.mark.slow
def test_after_20_kills_at_any_moment_the_curve_goes_on_to_the_bit(unbroken, data, cache, tmp_path):
    run, drawn = tmp_path / "run", random.Random(0)
    begin = time.monotonic()
    assert start(data, tmp_path / "timed", cache).wait() == 0
    length = time.monotonic() - begin
    killed = 0
    while killed < 20:
        process = start(data, run, cache)
        time.sleep(drawn.uniform(0.2, 1.1) * length)
        if process.poll() is None:
            process.kill()
            killed += 1
        elif killed < 20:
            shutil.rmtree(run)  # it came to its end: begin anew
        process.communicate()
    assert main(command(data, run)) == 0
    assert rows(run) == rows(unbroken)
    assert rows(run, "validation.csv") == rows(unbroken, "validation.csv")


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_stops_a_training_between_two_steps(ignored):
    """But not behind nohup."""
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with _Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.caught == (None if ignored else signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, usual)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), pytest.param(signal.SIGHUP, 130, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_the_same_command_goes_on(unbroken, data, cache, tmp_path, number, code):
    run = tmp_path / "run"
    process = start(data, run, cache)
    wait_for_step(process, run, 1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if f"stopped by {number.name} and saved" in errors:  # else it was at its last step
        assert process.returncode == code
        assert len(rows(run)) < STEPS
    assert "Traceback" not in errors
    assert not [path for path in run.rglob("*") if ".partial" in path.name]
    assert main(command(data, run)) == 0
    assert rows(run) == rows(unbroken)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(unbroken, data, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    newest, before = sorted((run / "checkpoints").iterdir())[:-3:-1]
    largest = max(
        (path for path in (newest / "state").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    largest.write_bytes(content)
    assert main(command(data, run)) == 0
    assert f"{newest}: passed over" in capsys.readouterr().err
    assert int(before.name) == STEPS - 1
    assert rows(run) == rows(unbroken)


def test_another_config_in_the_run_folder_is_refused(unbroken, data, capsys):
    assert main(command(data, unbroken, "--optimizer.learning-rate", "0.5")) == 2
    error = capsys.readouterr().err
    assert f"{unbroken}: holds a run with another config (optimizer.learning_rate was 0.01, is 0.5)" in error
    assert "Traceback" not in error


def test_two_trainings_into_one_run_folder_are_refused(data, tmp_path, capsys):
    run = tmp_path / "run"
    with only_one(run, "training"):
        assert main(command(data, run)) == 2
    assert f"{run}: another program is training here" in capsys.readouterr().err
    assert sorted(path.name for path in run.iterdir()) == [LOCK_NAME]


def test_logs_may_change_between_two_runs(unbroken, data, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(unbroken, copy)
    assert main(command(data, copy, "--loop.log-every", "2", "--checkpoints.keep", "1")) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--data", "nowhere"), "nowhere: expected a prepared dataset, found none"),
        (("--run", "/proc/run"), "/proc/run: cannot be written"),
        (("--init", "nothing.safetensors"), "nothing.safetensors: no such weights"),
        (("--batch-size", "0"), "batch_size must be an integer from 1 on"),
        (("--optimizer.warmup", "6"), "warmup must be shorter"),
        (("--optimizer.freeze", "nonsense"), "'nonsense' names no parameter"),
        (("--loss.faces", "1"), "need a model with a face branch"),
        (("--export", "weights.bin"), "must be a .safetensors file"),
        (("--loop.profile", "5"), "steps such as 100..110"),
    ],
)
def test_mistakes_end_with_2_and_one_line(data, tmp_path, capsys, flags, message):
    try:
        code = main(command(data, tmp_path / "run", *flags))
    except SystemExit as refusal:  # the command line itself refuses what no config can hold
        code = refusal.code
    assert code == 2
    error = " ".join(capsys.readouterr().err.split())
    assert message in error
    assert "Traceback" not in error


def test_batches_that_are_not_finite_stop_the_run_and_are_named(data, tmp_path, capsys):
    """A learning rate without bounds blows the weights up; the run says on which videos it noticed."""
    flags = ("--optimizer.learning-rate", "1e30", "--optimizer.kind", "adam", "--updates", "20")
    assert main(command(data, tmp_path / "run", *flags)) == 2
    error = capsys.readouterr().err
    (video,) = PreparedSplit(data, "training").videos
    assert f"not finite 3 times in a row, the last time on videos {video.id};" in error


def test_data_that_goes_away_stops_the_run_with_all_saved(unbroken, data, cache, tmp_path):
    copy, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(data, copy)
    process = start(copy, run, cache)
    wait_for_step(process, run, 1)
    for video in PreparedSplit(copy, "training").videos:
        video.shard.write_bytes(bytes(video.shard.stat().st_size))
    _, errors = process.communicate(timeout=120)
    if process.returncode == 2:  # else all it needed had been read ahead
        assert "cannot be read" in errors
        assert "Traceback" not in errors
        saved = sorted(path.name for path in (run / "checkpoints").iterdir())
        assert int(saved[-1]) >= len(rows(run))
    assert main(command(data, run)) == 0
    assert rows(run) == rows(unbroken)


@pytest.mark.parametrize("program", ["train.py", "data/builder.py"])
def test_without_the_training_extra_one_line_names_it(program):
    without = "import sys, runpy; sys.modules['array_record'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"
    ended = subprocess.run([sys.executable, "-c", without, ROOT / program], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.endswith("error: array_record is not installed; this needs pip install 'vasal-jax[train]'\n")
    assert "Traceback" not in ended.stderr
