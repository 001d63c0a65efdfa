"""A synthetic release prepared, read back by TensorFlow Datasets, broken off, damaged."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from data import mvva, shards
from data.beam_jobs import in_beam
from data.builder import main
from data.datasets import open_dataset
from data.examples import frame_examples
from data.prepared import PreparedSplit
from data.splits import NAMES
from data.synthetic import SyntheticArgs, generate
from tests.data import test_stavis
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.tracking import intersection_over_union
from vasal_jax.inputs.fixations import SIGMA
from vasal_jax.scenes import Scene
from vasal_jax.size import Size
from vasal_jax.system.locks import only_one

ROOT = Path(__file__).parents[2]
CHALLENGE = ROOT / "tests/fixtures/challenge"


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Three videos, one in each split."""
    folder = tmp_path_factory.mktemp("release")
    generate(SyntheticArgs(folder, videos=3, seconds=1.5, seed=4, size=Size(72, 128), workers=1))
    return folder


@pytest.fixture(scope="module")
def records(release):
    return {record.id: record for record in mvva.read_release(release, progress=False)[0].records}


def prepare(release: Path, out: Path, *flags: str) -> int:
    return main([str(release), str(out), "--processes", "1", *flags])


def prepared_folder(out: Path) -> Path:
    return next(out.glob("face_saliency/*/1.0.0"))


def contents(out: Path) -> dict[str, list]:
    """All examples of each split; their fields have no order on disk."""
    splits = {name: PreparedSplit(out, name) for name in NAMES}
    counts = {name: sum(video.frames for video in split.videos) for name, split in splits.items()}
    return {name: list(map(tf.train.Example.FromString, splits[name].read(range(counts[name])))) for name in NAMES}


@pytest.fixture(scope="module")
def prepared(release, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    assert prepare(release, out) == 0
    return out


def test_only_shards_are_removed_at_the_end(tmp_path):
    for name in ("7.array_record", "7.json", "notes.json", "notes.txt"):
        (tmp_path / name).touch()
    shards.remove_shards(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.json", "notes.txt"]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "8.array_record").touch()
    shards.remove_shards(tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_tensorflow_datasets_reads_every_frame_as_it_was_put_in(prepared, records):
    builder = tfds.builder_from_directory(prepared_folder(prepared))
    assert sum(split.num_examples for split in builder.info.splits.values()) == sum(
        r.n_frames for r in records.values()
    )
    for split, videos in builder.info.metadata["videos"].items():
        source = builder.as_data_source(split)
        (video,) = videos
        for index, example in enumerate(frame_examples(records[video["id"]], SIGMA)):
            found = source[index]
            for name in ("boxes", "mask", "talking", "talking_known", "face_map", "mel", "density", "fixations"):
                np.testing.assert_array_equal(found[name], example[name])
            for name in ("frame", "crops"):
                picture = cv2.imdecode(np.frombuffer(example[name].getvalue(), np.uint8), cv2.IMREAD_COLOR)
                # Two decoders of the same JPEG may round differently.
                assert np.abs(found[name].astype(int) - picture[..., ::-1]).mean() < 1
        assert index + 1 == len(source)


def test_settings_are_recorded_and_name_the_folder(prepared, release, tmp_path):
    split = PreparedSplit(prepared, "training")
    assert split.folder.parent.name == "mvva_sigma28"
    assert split.settings == {
        "dataset": "synthetic (seed 4, 1.5 s, 128x72, version 2)",
        "split_rule": "test=281-343; validation=220-280; training=all others",
        "sigma": 28.0,
    }
    assert prepare(release, tmp_path, "--sigma", "66", "--split", "test=1-100") == 0
    other = PreparedSplit(tmp_path, "test")
    assert other.folder.parent.name.startswith("mvva_sigma66_split_")
    assert other.settings["sigma"] == 66
    assert other.settings["split_rule"] == "test=1-100; training=all others"


def test_a_second_run_finds_it_there(prepared, release, capsys):
    before = contents(prepared)
    assert prepare(release, prepared) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert contents(prepared) == before


def test_a_killed_run_is_gone_on_with(prepared, release, tmp_path):
    command = [sys.executable, "-m", "data.builder", str(release), str(tmp_path), "--processes", "2"]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    folder = "face_saliency/*/1.0.0.shards"
    while not (shards := [path for path in tmp_path.glob(f"{folder}/*.json") if ".partial" not in path.name]):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list(tmp_path.glob("face_saliency/*/1.0.0"))
    first = shards[0].with_suffix(".array_record")
    made = first.stat().st_mtime_ns
    kept = tmp_path / "kept"
    os.link(first, kept)  # the same file, under whatever name
    assert prepare(release, tmp_path) == 0
    assert kept.stat().st_mtime_ns == made
    assert kept.stat().st_nlink == 2
    assert contents(tmp_path) == contents(prepared)
    assert not list(tmp_path.glob(folder))


def test_what_cannot_be_used_is_left_out_and_counted(release, tmp_path, capsys):
    broken = tmp_path / "release"
    shutil.copytree(release, broken)
    video = sorted(broken.rglob("*.mp4"))[0]
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle - 2000 : middle + 2000] = bytes(4000)
    video.write_bytes(data)
    next(broken.rglob("all_videos_all_frames_fixation")).joinpath(
        f"{sorted(broken.rglob('*.mp4'))[1].stem}.npy"
    ).unlink()
    assert prepare(broken, tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert "2 of 3 videos left out" in captured.out
    assert video.name in captured.err
    assert "has no fixations" in captured.err
    assert "Traceback" not in captured.err
    metadata = json.loads((prepared_folder(tmp_path / "out") / "metadata.json").read_text())
    assert len(metadata["left_out"]) == 2
    assert len([video for videos in metadata["videos"].values() for video in videos]) == 1


def test_nothing_usable_ends_with_2_and_leaves_nothing(release, tmp_path, capsys):
    broken = tmp_path / "release"
    shutil.copytree(release, broken)
    for video in broken.rglob("*.mp4"):
        video.write_bytes(b"not a video")
    assert prepare(broken, tmp_path / "out") == 2
    assert "expected usable videos, found none among 3" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.array_record*"))


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from data.beam_jobs import in_beam
from data.builder import main
sys.exit(main(sys.argv[1:]))
"""


def test_no_space_ends_with_2_and_what_is_whole_stays(prepared, release, tmp_path):
    command = [sys.executable, "-c", FULL_DISK, str(release), str(tmp_path), "--processes", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert ".array_record: cannot be written (" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.array_record*"))
    assert prepare(release, tmp_path) == 0
    assert contents(tmp_path) == contents(prepared)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--sigma", "-1"), "--sigma: expected more than 0"),
        (("--split", "test=nothing.txt"), "nothing.txt: no such file, expected a list of videos"),
        (("--dataset", "DIEM"), "no STAViS layout"),
    ],
)
def test_mistakes_end_with_2(release, tmp_path, capsys, flags, message):
    assert prepare(release, tmp_path, *flags) == 2
    assert message in capsys.readouterr().err


def test_no_folder_ends_with_2(tmp_path, capsys):
    assert prepare(tmp_path / "nothing", tmp_path / "out") == 2
    assert "no such folder" in capsys.readouterr().err


def test_a_stavis_dataset_by_its_fold_lists_and_its_own_maps(tmp_path):
    root, out = tmp_path / "data", tmp_path / "out"
    test_stavis.write_dataset(root, "DIEM", ["clip_1", "other clip"])
    test_stavis.write_list(root, "DIEM_list_train_1_fps.txt", f"clip_1 {test_stavis.FRAMES} 25")
    test_stavis.write_list(root, "DIEM_list_test_1_fps.txt", f"other clip {test_stavis.FRAMES} 25")
    assert prepare(root, out, "--dataset", "DIEM", "--sigma", "own-maps") == 0
    training, test = PreparedSplit(out, "training"), PreparedSplit(out, "test")
    assert [video.id for video in training.videos] == ["clip_1"]
    assert [video.id for video in test.videos] == ["other clip"]
    assert training.settings["sigma"] is None
    source = tfds.builder_from_directory(training.folder).as_data_source("training")
    assert len(source) == test_stavis.FRAMES
    np.testing.assert_allclose(source[0]["density"], 1 / 1024, rtol=1e-5)  # its maps are of one grey
    assert source[0]["boxes"].shape == (0, 4)
    points = test_stavis.truth("clip_1")[0][0]
    expected = (points + 0.5) / (test_stavis.GRID[1], test_stavis.GRID[0])
    assert {tuple(p) for p in np.round(source[0]["fixations"], 5)} == {
        tuple(p) for p in np.round(expected, 5).astype("f4")
    }


def test_a_challenge_under_its_own_name_with_its_own_maps(tmp_path):
    """Every frame's density is the ground truth's, its fixations are those of the file."""
    assert prepare(CHALLENGE, tmp_path) == 0
    assert prepared_folder(tmp_path).parent.name == "challenge_own_maps"
    records, _ = open_dataset(CHALLENGE, progress=False)
    split = PreparedSplit(tmp_path, "test")
    assert [video.id for video in split.videos] == ["0003", "0042", "0017"]
    of_each = (split.read(range(video.first, video.first + video.frames)) for video in split.videos)
    examples = map(tf.train.Example.FromString, chain.from_iterable(of_each))
    for record in records.records[2:]:
        points = record.fixations()
        for index in range(record.n_frames):
            stored = next(examples).features.feature
            density = np.array(stored["density"].float_list.value).reshape(32, 32)
            truth = cv2.resize(record.density_picture(index), (32, 32), interpolation=cv2.INTER_AREA)
            np.testing.assert_allclose(density, truth / truth.sum(), atol=1e-6)
            x = np.array(stored["fixations"].float_list.value).reshape(-1, 2)[:, 0]
            np.testing.assert_allclose(x, (points[index, :, 0] + 0.5) / record.grid[1], atol=1e-6)


def test_faces_are_found_where_a_dataset_brings_none(tmp_path, capsys):
    """As found, and nobody said who talks; without the flag there are none."""
    root, out, scene = tmp_path / "data", tmp_path / "out", Scene.make(5, seconds=0.2)
    test_stavis.write_dataset(root, "DIEM", ["clip"])
    test_stavis.write_list(root, "DIEM_list_test_1_fps.txt", f"clip {test_stavis.FRAMES} 25")
    for index in range(test_stavis.FRAMES):
        picture = cv2.cvtColor(scene.frame(index), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(root / "video_frames/DIEM/clip" / f"img_{index + 1:05d}.jpg"), picture)
    for flags, folder, faces in (
        ([], "diem_own_maps", "none"),
        (["--faces", "auto"], "diem_own_maps_found_faces", "found"),
    ):
        assert prepare(root, out, "--dataset", "DIEM", "--sigma", "own-maps", *flags) == 0
        builder = tfds.builder_from_directory(out / "face_saliency" / folder / "1.0.0")
        (video,) = builder.info.metadata["videos"]["test"]
        assert video["faces"] == faces
    assert "faces of 1 of 1 videos are found, not annotated" in capsys.readouterr().out
    example = builder.as_data_source("test")[0]
    truth = scene.boxes[0] / (scene.width, scene.height, scene.width, scene.height)
    assert (intersection_over_union(truth, example["boxes"][example["mask"]]).max(1) > 0.5).all()
    assert not example["talking_known"].any()
    assert example["crops"].shape == (64, 64 * len(example["mask"]), 3)
    assert example["face_map"].any()


def test_annotated_faces_stay(release, tmp_path):
    assert prepare(release, tmp_path, "--faces", "auto") == 0
    metadata = json.loads((prepared_folder(tmp_path) / "metadata.json").read_text())
    assert [video["faces"] for videos in metadata["videos"].values() for video in videos] == ["annotated"] * 3


# `tfds build` without the other subcommands of `tfds`, which import apache-beam.
TFDS_BUILD = """
from absl import app
from tensorflow_datasets.scripts.cli import build, cli_utils
app.run(lambda args: args.execute(), flags_parser=cli_utils.make_flags_parser(build.Args, description="build"))
"""


def test_the_command_of_tensorflow_datasets_builds_it(prepared, release, tmp_path):
    command = [sys.executable, "-P", "-c", TFDS_BUILD, "data/builder.py"]
    command += ["--manual_dir", str(release), "--data_dir", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert contents(tmp_path) == contents(prepared)


@pytest.mark.skipif(find_spec("apache_beam") is None, reason="Beam is not installed: pip install 'vasal-jax[beam]'")
def test_a_runner_of_beam_makes_the_same_shards(prepared, release, tmp_path):
    command = [sys.executable, "-P", "-c", TFDS_BUILD, "data/builder.py"]
    command += ["--manual_dir", str(release), "--data_dir", str(tmp_path)]
    command += ["--beam_pipeline_options", "runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert contents(tmp_path) == contents(prepared)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'vasal-jax[ray]'")
def test_workers_of_ray_make_the_same_shards(prepared, release, tmp_path):
    command = [sys.executable, "-m", "data.builder", release, tmp_path, "--engine", "ray", "--processes", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert contents(tmp_path) == contents(prepared)


def test_beam_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(InputError, match="Apache Beam, which is not installed"):
        list(in_beam(print, [()], None, None))


@pytest.mark.parametrize("damage", ["shard", "metadata", "nothing there", "two there"])
def test_a_damaged_dataset_is_named(prepared, tmp_path, damage):
    copy = tmp_path / "copy"
    shutil.copytree(prepared, copy)
    folder = prepared_folder(copy)
    if damage == "shard":
        shard = next(folder.glob("*training*"))
        shard.write_bytes(shard.read_bytes()[:-1000])
        message = f"{shard}: missing or cut short"
    elif damage == "metadata":
        (folder / "metadata.json").write_text("{")
        message = f"{folder / 'metadata.json'}: damaged"
    elif damage == "nothing there":
        shutil.rmtree(folder)
        message = f"{copy}: expected a prepared dataset, found none"
    else:
        shutil.copytree(folder, folder.parent.with_name("mvva_sigma66") / "1.0.0")
        message = f"{copy}: has 2 prepared datasets"
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        PreparedSplit(copy, "training")


def test_a_split_that_is_not_there_is_named(prepared):
    with pytest.raises(InputError, match="has no split 'tests', expected one of training, validation, test"):
        PreparedSplit(prepared, "tests")


def test_of_two_at_once_the_second_is_refused(release, tmp_path, capsys):
    with only_one(tmp_path / "face_saliency" / "mvva_sigma28", "preparing"):
        assert prepare(release, tmp_path) == 2
    assert "mvva_sigma28: another program is preparing this dataset here" in capsys.readouterr().err
    assert prepare(release, tmp_path) == 0


def test_errors_of_readers_are_not_taken_for_those_of_the_disk(records, tmp_path, monkeypatch):
    """A library that reads may raise what the writer raises of a full disk."""
    (record, *_) = records.values()
    for error in (RuntimeError("cannot cache function '__o_fold'"), OSError("stale file handle")):

        def fail(*_, error=error):
            yield from ()
            raise error

        monkeypatch.setattr(shards, "frame_examples", fail)
        video, shard, problem = shards.make_shard(record, SIGMA, tmp_path)
        assert (video, shard) == (record.id, None)
        assert problem == f"{record.video}: cannot be read ({type(error).__name__}: {error})"
        assert list(tmp_path.iterdir()) == []


def test_errors_of_the_writer_are_the_disk_s(records, tmp_path, monkeypatch):
    class Full(shards.ArrayRecordWriter):
        def write(self, record):
            raise RuntimeError("INTERNAL: no space left; at writer.cc")

    (record, *_) = records.values()
    monkeypatch.setattr(shards, "ArrayRecordWriter", Full)
    with pytest.raises(InputError, match=r"array_record: cannot be written \(INTERNAL: no space left\)"):
        shards.make_shard(record, SIGMA, tmp_path)
