"""A small synthetic release: read back as MVVA, written twice, grown, broken off."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from data import mvva, synthetic
from data.gaze import Gaze, Subjects, sample_gaze
from data.splits import NAMES, parse_splits
from data.synthetic import SyntheticArgs, generate, video_ids
from data.synthetic_files import read_truth
from vasal_jax.config import MVVA_GRID
from vasal_jax.errors import InputError
from vasal_jax.inputs.fixations import fixation_density
from vasal_jax.inputs.sound import read_sound
from vasal_jax.inputs.video import read_frames
from vasal_jax.size import Size
from vasal_jax.system.locks import LOCK_NAME, only_one

ROOT = Path(__file__).parents[2]
SMALL = {"videos": 3, "seconds": 2.0, "seed": 4, "size": Size(72, 128), "workers": 1}


def write(folder: Path, **changes) -> Path:
    assert generate(SyntheticArgs(folder, **{**SMALL, **changes})) == 0
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".mp4" and path.name != LOCK_NAME)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def pictures(folder: Path) -> list[np.ndarray]:
    return [np.stack([f.image for f in read_frames(path)]) for path in sorted(folder.rglob("*.mp4"))]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write(tmp_path_factory.mktemp("synthetic"))


def test_the_reader_of_mvva_finds_what_was_written(release):
    dataset, totals = mvva.read_release(release, deep=True, progress=False)
    assert {problem.kind for problem in dataset.problems} == {"invalid fixations"}
    assert [f"{int(record.id):03d}" for record in dataset.records] == sorted(video_ids(3))
    settings = synthetic._settings(SyntheticArgs(release, **SMALL), Gaze())
    for record in dataset.records:
        scene, truth = synthetic._scene(settings, record.id), read_truth(release, record.id)
        assert (record.n_frames, record.fps, record.width, record.height) == (scene.n_frames, scene.fps, 128, 72)
        assert record.fps in (24, 25, 30)
        assert record.n_frames == 2 * record.fps
        boxes, mask = record.tracks()
        assert mask.all()
        np.testing.assert_allclose(boxes, scene.boxes / (128, 72, 128, 72), atol=1e-6)
        np.testing.assert_array_equal(record.talking(), scene.talking == 1)
        np.testing.assert_array_equal(truth.mouth_moving, scene.mouth_moving == 1)
        np.testing.assert_allclose(truth.object_positions, scene.object_positions * 10, rtol=1e-6)
        np.testing.assert_array_equal(truth.openings, scene.openings)
        points = record.fixations()
        assert points.shape == (scene.n_frames, 34, 2)
        assert 0.75 < np.isfinite(points[..., 0]).mean() < 0.97
        subjects = Subjects.sample(synthetic._stream(settings, "subjects"), Gaze())
        sampled = sample_gaze(scene, subjects, synthetic._stream(settings, "gaze", record.id), Gaze())
        np.testing.assert_allclose(points, sampled, rtol=1e-6)
        density = fixation_density(points, (36, 64), sigma=6)
        y, x = np.mgrid[10 : MVVA_GRID.height : 20, 10 : MVVA_GRID.width : 20]
        middles = np.stack([(density * x).sum((1, 2)), (density * y).sum((1, 2))], axis=1)
        np.testing.assert_allclose(middles, np.nanmean(points, axis=1), atol=12)
        for frame in record.frames():  # H.264, but the same picture
            assert np.abs(frame.image.astype(int) - scene.frame(frame.index)).mean() < 8
        heard = np.concatenate(list(read_sound(record.sound)))
        np.testing.assert_allclose(heard, scene.sound, atol=2 / 32767)
        muxed = np.concatenate(list(read_sound(record.video)))[: len(heard)]
        assert np.corrcoef(muxed, heard[: len(muxed)])[0, 1] > 0.9
    assert totals.talking == sum(record.talking().sum() for record in dataset.records) > 0


def test_the_folder_says_what_it_is(release):
    content = json.loads((release / "synthetic.json").read_text())
    assert content["synthetic"] is True
    assert (content["videos"], content["settings"]["seed"], content["settings"]["seconds"]) == (3, 4, 2.0)
    assert content["settings"]["gaze"]["face_scatter"] == list(Gaze().face_scatter)
    assert content["version"] == 2


def test_a_folder_of_version_1_is_gone_on_with(release, tmp_path):
    """Its scenes are made by the law of then, and it says so."""
    folder = write(tmp_path / "old", videos=1, version=1)
    assert json.loads((folder / "synthetic.json").read_text())["version"] == 1
    with pytest.raises(InputError, match=r"synthetic\.json: version is 1, asked for 2"):
        write(folder, videos=2)
    write(folder, videos=2, version=1)
    same, other = (np.array_equal(*pair) for pair in (
        [np.load(root / f"face_talking/{video_ids(1)[0]}.npy") for root in roots]
        for roots in ((folder, write(tmp_path / "again", videos=1, version=1)), (folder, release))
    ))  # fmt: skip
    assert same
    assert not other


def test_every_split_gets_its_share():
    splits = parse_splits()
    count = {name: 0 for name in NAMES}
    for video in video_ids(24):
        count[splits.split_of(video)] += 1
    assert count == {"training": 14, "validation": 5, "test": 5}
    assert {splits.split_of(video) for video in video_ids(3)} == set(NAMES)
    assert len(set(video_ids(343))) == 343
    assert video_ids(343)[:24] == video_ids(24)


def test_a_seed_is_a_dataset_however_many_processes_write_it(release, tmp_path):
    again = write(tmp_path / "again", workers=2)
    assert contents(again) == contents(release)
    for one, two in zip(pictures(release), pictures(again), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'vasal-jax[ray]'")
def test_a_seed_is_a_dataset_whoever_writes_it(release, tmp_path):
    """In a process of its own, as a person runs it: Ray's workers."""
    words = ["--videos", 3, "--seconds", 2, "--seed", 4, "--size", "128x72", "--workers", 2, "--engine", "ray"]
    command = [sys.executable, "-m", "data.synthetic", tmp_path / "r", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert contents(tmp_path / "r") == contents(release)
    for ours, same in zip(pictures(tmp_path / "r"), pictures(release), strict=True):
        np.testing.assert_array_equal(ours, same)


def test_another_seed_is_another_dataset(release, tmp_path):
    ours, theirs = contents(release), contents(write(tmp_path / "other", seed=5, videos=1))
    for name, data in theirs.items():
        assert data != ours[name], name


def test_going_on_writes_what_is_missing_and_nothing_else(release, tmp_path):
    write(tmp_path, videos=1)
    first = next(tmp_path.rglob("*.mp4"))
    stamp = first.stat().st_mtime_ns
    left = first.with_name(".vasal_jax.partial-killed")
    left.mkdir(mode=0o700)
    (left / "lock").touch()
    (left / "partial.mp4").write_bytes(b"what a killed run left")
    write(tmp_path)
    assert first.stat().st_mtime_ns == stamp
    assert not left.exists()
    assert contents(tmp_path) == contents(release)
    (tmp_path / "face_talking" / f"{first.stem}.npy").unlink()
    write(tmp_path)
    assert contents(tmp_path) == contents(release)


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_a_broken_off_run_leaves_nothing_half(tmp_path, kill):
    """Ctrl-C (which a terminal sends to all processes) cleans up; after a kill, the next run does."""
    with writing(tmp_path / "out") as process:
        wait_for(lambda: any("partial.mp4" in names for _, _, names in os.walk(tmp_path / "out")))
        if kill == signal.SIGINT:
            os.killpg(process.pid, kill)
        else:
            process.kill()
        output = process.communicate(timeout=60)[1]
        wait_for(lambda: not group_alive(process.pid))  # the workers go with the first process
    if kill == signal.SIGINT:
        assert_stopped_by_ctrl_c(process, output, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.mp4"):
        if "partial" not in path.name:
            assert sum(1 for _ in read_frames(path)) == 900


def test_ctrl_c_while_the_workers_load_their_modules_ends_in_one_line(tmp_path):
    with writing(tmp_path / "out") as process:
        wait_for(lambda: workers_of(process))
        time.sleep(0.3)  # Python is up in them, its modules are not
        os.killpg(process.pid, signal.SIGINT)
        output = process.communicate(timeout=60)[1]
        wait_for(lambda: not group_alive(process.pid))
    assert_stopped_by_ctrl_c(process, output, tmp_path / "out")


@contextlib.contextmanager
def writing(folder: Path):
    """A run that writes four long videos in two workers; nothing of it is left afterwards."""
    command = [sys.executable, "-m", "data.synthetic", folder, "--videos", "4", "--seconds", "30"]
    command += ["--size", "640x360", "--workers", "2", "--fps", "30"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield process
    finally:
        if group_alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


def workers_of(process: subprocess.Popen) -> list[str]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def assert_stopped_by_ctrl_c(process: subprocess.Popen, output: str, folder: Path) -> None:
    assert process.returncode == 130
    assert "Traceback" not in output
    assert "stopped" in output.splitlines()[-1]
    assert not list(folder.rglob("*.partial-*"))


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, "synthetic.json: seed is 4, asked for 5"),
        ({"size": Size(64, 64)}, "synthetic.json: width is 128, asked for 64"),
        ({"fps": (30.0,)}, "synthetic.json: fps is"),
        ({"videos": 2}, "synthetic.json: videos is 3, asked for 2"),
        ({"size": Size(360, 641)}, "--size: expected even numbers"),
        ({"size": Size(360, 32)}, "--size: expected even numbers"),
        ({"videos": 344}, "--videos: expected 1 to 343, found 344"),
        ({"seconds": 0.2}, "--seconds: expected 1 to 600, found 0.2"),
        ({"seconds": float("nan")}, "--seconds: expected 1 to 600, found nan"),
        ({"seed": -1}, "--seed: expected 0 to"),
        ({"fps": (0.0,)}, "--fps: expected rates"),
        ({"fps": ()}, "--fps: expected rates"),
        ({"workers": 0}, "--workers: expected 1 to"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_touched(release, changes, message):
    before = contents(release)
    with pytest.raises(InputError, match=message):
        write(release, **changes)
    assert contents(release) == before


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="expected a new or empty folder"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match=r"thesis\.txt.*cannot be written"):
        write(tmp_path / "thesis.txt")
    (tmp_path / "synthetic.json").write_text("{")
    with pytest.raises(InputError, match=r"synthetic\.json: damaged"):
        write(tmp_path)
    assert synthetic.main([str(tmp_path), "--videos", "1"]) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_that_cannot_be_written_stops_the_run_with_one_line(tmp_path, workers):
    write(tmp_path, videos=1)
    blocked = tmp_path / "face_tracking" / f"{video_ids(2)[1]}.npy"
    blocked.mkdir()
    with pytest.raises(InputError, match=f"{blocked.name}: is a folder"):
        write(tmp_path, workers=workers)
    assert not list(tmp_path.rglob("*.partial-*"))


def test_truth_of_videos_that_have_none(release, tmp_path):
    with pytest.raises(InputError, match=r"007\.npz: no such file"):
        read_truth(release, "7")
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "007.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match=r"007\.npz: damaged"):
        read_truth(tmp_path, "7")


def test_of_two_that_write_one_folder_the_second_is_refused(tmp_path):
    with only_one(tmp_path, "writing"), pytest.raises(InputError, match="another program is writing a synthetic"):
        write(tmp_path)
    assert not (tmp_path / "synthetic.json").exists()
    write(tmp_path, videos=1)
