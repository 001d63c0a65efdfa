"""`Evaluation` against metrics computed in float64 from maps and fixations, its rows, and resuming."""

import dataclasses
import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.helpers.media import write_video, write_wav
from tests.helpers.models import narrow_model
from tests.helpers.recorded_video import RecordedVideo
from vasal_jax import metrics, predict
from vasal_jax.ablations import ABLATIONS
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth, centre_prior
from vasal_jax.evaluation.map_folders import find_maps
from vasal_jax.evaluation.people import half_row
from vasal_jax.evaluation.rows import also_against_half, baseline_rows, folder_row, model_rows
from vasal_jax.evaluation.scores import Evaluation, frame_notes
from vasal_jax.inputs.fixations import fixation_density
from vasal_jax.metrics.saliency import METRICS
from vasal_jax.models import VASal

GRID = (72, 128)
CONVENTIONS = Conventions(size=(36, 64), sigma=5.0, negatives=200, seed=3)


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    time = np.arange(40000) / 22050
    for name, tone in {"a": 300, "b": 900, "c": 2500}.items():
        rng = np.random.default_rng(tone)
        noise = [np.kron(rng.integers(0, 255, (9, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(30)]
        write_video(folder / f"{name}.mkv", noise, codec="ffv1", pix_fmt="bgr0")
        write_wav(folder / f"{name}.wav", 0.5 * np.sin(2 * np.pi * tone * time) * (time % 0.3 < 0.2))
    return folder


def recorded(media: Path, name: str, n_frames: int, seed: int) -> RecordedVideo:
    """One of the files of `media`, cut to `n_frames`."""
    return RecordedVideo(name, n_frames, media / f"{name}.mkv", media / f"{name}.wav", seed)


@pytest.fixture
def videos(media) -> list[RecordedVideo]:
    lengths = {"a": 26, "b": 12, "c": 5}
    return [recorded(media, n, lengths[n], seed) for seed, n in enumerate("abc")]


@pytest.fixture(scope="module")
def model() -> VASal:
    return narrow_model()


def evaluation_of(videos, work: Path, conventions: Conventions = CONVENTIONS) -> Evaluation:
    return Evaluation([GroundTruth.of(video) for video in videos], conventions, centre_prior(videos, conventions), work)


def assert_equal(first, second) -> None:
    """Compares bit for bit; NaN equals NaN."""
    assert jax.tree.structure(first) == jax.tree.structure(second)
    jax.tree.map(np.testing.assert_array_equal, first, second)


def by_hand(video: RecordedVideo, maps: np.ndarray, prior: np.ndarray) -> dict[str, np.ndarray]:
    """CC, KL, NSS and IG of maps (F, 36, 64), frame by frame in float64."""
    points = video.fixations()
    density = fixation_density(points, CONVENTIONS.size, GRID, CONVENTIONS.sigma)
    found = {name: [] for name in ("CC", "KL", "NSS", "IG")}
    for p, q, frame in zip(maps.astype(float), density.astype(float), points, strict=True):
        x, y = (np.floor(frame[np.isfinite(frame[:, 0])]) / 2).astype(int).T  # a pixel of the map is 2x2 of the grid
        p, looked, eps = p / p.sum(), len(x) > 0, metrics.EPSILON
        found["CC"].append(np.corrcoef(p.ravel(), q.ravel())[0, 1] if looked else np.nan)
        found["KL"].append((q * np.log(eps + q / (p + eps))).sum() if looked else np.nan)
        found["NSS"].append(((p - p.mean()) / p.std())[y, x].mean() if looked else np.nan)
        gain = np.log2(eps + p[y, x]) - np.log2(eps + prior[y, x] / prior.sum(dtype=float))
        found["IG"].append(gain.mean() if looked else np.nan)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.filterwarnings("ignore:invalid value")
def test_scores_are_those_of_the_maps(videos, model, tmp_path):
    """Two videos at once, of different lengths; the frame at which nobody looks has no scores."""
    evaluation, rows, done = evaluation_of(videos, tmp_path / "two"), model_rows("m", {}, []), []
    scores = evaluation.run(rows, model=model, batch=2, advance=done.append)["m"]
    assert sum(done) == 43
    assert list(scores) == ["a", "b", "c"]
    alone = evaluation_of(videos, tmp_path / "one")
    alone.run(rows, model=model)
    for video in videos:
        maps = evaluation.maps(rows[0], video)
        assert maps.shape == (video.n_frames, 32, 32)
        np.testing.assert_allclose(maps, alone.maps(rows[0], video), rtol=1e-5)
        assert set(scores[video.id]) == set(METRICS)
        large = np.asarray(metrics.resized(maps, CONVENTIONS.size))
        for name, expected in by_hand(video, large, evaluation.prior).items():
            np.testing.assert_allclose(scores[video.id][name], expected, atol=1e-5, err_msg=name)
            assert np.isnan(expected).nonzero()[0].tolist() == [1]


def test_maps_are_those_of_a_stream(videos, model, tmp_path):
    video = dataclasses.replace(videos[0], n_frames=30, boxes=None)
    evaluation, rows = evaluation_of([video], tmp_path), model_rows("m", {}, [])
    evaluation.run(rows, model=model)
    expected = predict(model, video.video, sound=video.sound, faces=None)
    np.testing.assert_allclose(evaluation.maps(rows[0], video), expected, atol=1e-6 * expected.max())
    assert expected.max() > 2 * expected.mean()


def test_every_row_has_the_memory_of_a_stream(videos, model, tmp_path):
    """Three videos of different lengths share two lanes, so that a lane changes its video while the other runs on."""
    videos = [dataclasses.replace(video, n_frames=n, boxes=None) for video, n in zip(videos, (30, 23, 17), strict=True)]
    memories = [Memory.parse(words) for words in ("continuous", "reset/4", "overlap/8")]
    rows = [row for memory in memories for row in model_rows(str(memory), {}, [], memory)]
    evaluation = evaluation_of(videos, tmp_path)
    evaluation.run(rows, model=model, batch=2)
    for video in videos:
        heard = slice(None if video.n_frames == 30 else video.n_frames - 8)  # the last frames hear sound beyond the cut
        maps = {row.name: evaluation.maps(row, video)[heard] for row in rows}
        for words, found in maps.items():
            expected = predict(model, video.video, sound=video.sound, memory=words)[: len(found)]
            np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max(), err_msg=f"{video.id} {words}")
        for words, first in (("reset/4", 4), ("overlap/8", 8)):
            apart = np.abs(maps["continuous"] - maps[words]).max((1, 2))
            assert apart[first:].max(initial=0) > 10 * apart[:first].max()


def test_stopping_and_going_on_gives_the_same(videos, model, tmp_path):
    rows = [
        *model_rows("m", {}, ["muted"]),
        *baseline_rows([GroundTruth.of(v) for v in videos], np.ones((36, 64)), CONVENTIONS),
    ]
    whole = evaluation_of(videos, tmp_path / "whole").run(rows, model=model)

    def stop(frames: int) -> None:
        if (done.append(frames) or sum(done)) > 30:
            raise KeyboardInterrupt

    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        evaluation_of(videos, tmp_path / "parts").run(rows, model=model, advance=stop)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}
    assert len(before) == len(rows)  # one video is through
    for video in videos:
        video.reads = 0
    done = []
    again = evaluation_of(videos, tmp_path / "parts").run(rows, model=model, advance=done.append)
    assert [video.reads for video in videos] == [0, 1, 1]
    assert sum(done) == 43
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert_equal(again, whole)


def test_only_what_is_new_is_computed(videos, model, tmp_path):
    """A new row is scored alone. With another seed or model, or a damaged file, rows are scored again."""
    run = lambda rows, **kwargs: evaluation_of(videos[1:], tmp_path, **kwargs).run(rows, model=model)  # noqa: E731
    rows = model_rows("m", {"weights": 1}, [])
    first = run(rows)
    people = baseline_rows([GroundTruth.of(video) for video in videos[1:]], np.ones((36, 64), np.float32), CONVENTIONS)
    assert_equal(run([*rows, *people])["m"], first["m"])
    assert [video.reads for video in videos] == [0, 1, 1]
    path = next(path for path in tmp_path.iterdir() if path.name.startswith("c-"))
    path.write_bytes(path.read_bytes()[:200])
    assert_equal(run([*rows, *people])["m"], first["m"])
    assert videos[1].reads == 1
    run(model_rows("m", {"weights": 2}, []))
    assert videos[1].reads == 2
    run(rows, conventions=dataclasses.replace(CONVENTIONS, seed=4))
    assert videos[1].reads == 3


def test_files_of_an_earlier_version_are_told_of_and_never_taken(videos, tmp_path, caplog):
    rows = baseline_rows([], np.ones((36, 64), np.float32), CONVENTIONS)
    first = evaluation_of(videos[:2], tmp_path).run(rows)
    assert not caplog.records
    for path in tmp_path.iterdir():
        with np.load(path) as kept:
            settings = json.loads(str(kept["settings"]))
            arrays = {name.removeprefix("all subjects: "): 7 + kept[name] for name in kept if name != "settings"}
        del settings["format"], settings["truths"]
        path.unlink()
        np.savez(tmp_path / f"{path.stem[:6]}.npz", settings=np.array(json.dumps(settings)), **arrays)
    assert_equal(evaluation_of(videos[:2], tmp_path).run(rows), first)
    assert caplog.messages[0] == f"{tmp_path}: 4 files of an earlier version are not used; they may be removed"


def test_ablations_take_away_what_they_say(videos, model, tmp_path):
    """The row of an ablation equals the model's own row on videos without what the ablation takes away."""
    rows = model_rows("m", {}, list(ABLATIONS))
    evaluation = evaluation_of(videos, tmp_path)
    evaluation.run(rows, model=model)
    names = ["m", "m, muted", "m, another video's sound", "m, no faces", "m, no motion"]
    assert [row.name for row in rows] == names
    maps = {row.name: {video.id: evaluation.maps(row, video) for video in videos} for row in rows}

    def equals(row: str, **changes) -> list[str]:
        """The videos for which the row has the maps of the unchanged model on the changed video."""
        changed = [dataclasses.replace(video, **changes) for video in videos]
        other = evaluation_of(changed, tmp_path)
        other.run(rows[:1], model=model)
        return [v.id for v in changed if np.array_equal(other.maps(rows[0], v), maps[row][v.id])]

    everything = ["a", "b", "c"]
    assert equals("m, muted", sound=None) == everything
    assert equals("m, no faces", boxes=None) == everything
    heard = [equals("m, another video's sound", sound=video.sound) for video in videos]
    assert sorted(chain.from_iterable(heard)) == everything  # each sound is used once,
    assert all(video.id not in ids for video, ids in zip(videos, heard, strict=True))  # and never with its own video
    for row in names[1:]:
        assert all(np.abs(maps[row][video] - maps["m"][video]).max() > 1e-6 for video in everything), row


def maps_folder(root: Path, videos, conventions: Conventions = CONVENTIONS) -> Path:
    """Writes the densities of the videos as maps."""
    root.mkdir()
    for video in videos:
        density = fixation_density(video.fixations(), conventions.size, GRID, conventions.sigma)
        np.savez(root / f"{video.id}.npz", maps=density)
    return root


def scored_folder(videos, folder: Path, work: Path, allow_missing: bool = False):
    maps, _ = find_maps(folder, {video.id: video.n_frames for video in videos})
    return evaluation_of(videos, work).run([folder_row(folder, maps, CONVENTIONS, allow_missing)])[folder.name]


def test_truth_against_itself_is_perfect(videos, tmp_path):
    scores = scored_folder(videos, maps_folder(tmp_path / "truth", videos), tmp_path / "work")
    for video in videos:
        looked = np.arange(video.n_frames) != 1
        for metric, perfect in {"CC": 1, "SIM": 1, "KL": 0}.items():
            np.testing.assert_allclose(scores[video.id][metric][looked], perfect, atol=1e-5)
            assert np.isnan(scores[video.id][metric][1])
        assert (scores[video.id]["AUC-J"][looked] > 0.85).all()
        assert video.reads == 0


def test_maps_of_another_size_are_resized_and_that_is_said_once(videos, tmp_path, caplog):
    folder = maps_folder(tmp_path / "large", videos, dataclasses.replace(CONVENTIONS, size=GRID))
    scores = scored_folder(videos, folder, tmp_path / "work")
    assert np.nanmin(scores["a"]["CC"]) > 0.999
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [f"{folder}: maps of 128x72 are resized to the truth's 64x36"]


def test_maps_that_are_not_finite(videos, tmp_path):
    folder = maps_folder(tmp_path / "maps", videos)
    with np.load(folder / "a.npz") as arrays:
        maps = arrays["maps"]
    maps[20, 3, 3] = np.nan
    np.savez(folder / "a.npz", maps=maps)
    with pytest.raises(InputError, match=r"a\.npz: the map of frame 20 of video a has values that are not finite"):
        scored_folder(videos, folder, tmp_path / "work")
    scores = scored_folder(videos, folder, tmp_path / "work", allow_missing=True)
    for metric in METRICS:
        assert np.isnan(scores["a"][metric]).nonzero()[0].tolist() == [1, 20], metric


def test_baselines(videos, tmp_path):
    truths, prior = [GroundTruth.of(video) for video in videos], centre_prior(videos, CONVENTIONS)
    rows = [*map(also_against_half, baseline_rows(truths, prior, CONVENTIONS)), half_row(CONVENTIONS)]
    scores = evaluation_of(videos, tmp_path).run(rows)
    assert list(scores) == [
        "centre prior", "centre prior, against half", "uniform map", "uniform map, against half", "half against half",
    ]  # fmt: skip
    looked = np.arange(26) != 1
    for metric, chance in {"CC": 0, "NSS": 0, "AUC-J": 0.5, "AUC-B": 0.5, "sAUC": 0.5}.items():
        np.testing.assert_array_equal(scores["uniform map"]["a"][metric][looked], np.float32(chance))
    np.testing.assert_array_equal(scores["centre prior"]["a"]["IG"][looked], 0)
    assert np.nanmean(scores["half against half"]["a"]["NSS"]) > np.nanmean(scores["centre prior"]["a"]["NSS"])


def test_a_line_against_half_is_that_of_the_second_half_s_own_fixations(videos, model, tmp_path):
    """Both lines have the same maps, from one run of the model; the half is that of the row `half against half`."""
    (row,) = model_rows("m", {}, [])
    evaluation = evaluation_of(videos, tmp_path / "both")
    scores = evaluation.run([also_against_half(row), half_row(CONVENTIONS)], model=model)
    assert [video.reads for video in videos] == [1, 1, 1]
    second = [GroundTruth.of(video).halves(CONVENTIONS)[1].points for video in videos]
    fewer = [dataclasses.replace(video, points=points) for video, points in zip(videos, second, strict=True)]
    alone = evaluation_of(fewer, tmp_path / "alone")
    for metric in ("CC", "SIM", "KL", "NSS", "AUC-J"):  # the others depend on the fixations of all subjects
        expected = alone.run([row], model=model)["m"]
        for video in videos:
            found = scores["m, against half"][video.id][metric]
            np.testing.assert_allclose(found, expected[video.id][metric], rtol=1e-5, atol=1e-6)
            assert not np.allclose(found, scores["m"][video.id][metric], equal_nan=True)


def test_the_density_of_the_gaze_itself_where_it_is_known(videos, tmp_path):
    """Here the density of the subjects' own fixations stands in for the law, so CC against them is 1."""
    for video in videos:
        density = fixation_density(video.fixations(), CONVENTIONS.size, GRID, CONVENTIONS.sigma)
        video.law = np.where(density.any((1, 2), keepdims=True), density, 1 / density[0].size)
    rows = baseline_rows([GroundTruth.of(video) for video in videos], np.ones((36, 64), np.float32), CONVENTIONS)
    assert [row.name for row in rows] == ["centre prior", "uniform map", "density of the gaze itself"]
    scores = evaluation_of(videos, tmp_path).run(rows)["density of the gaze itself"]
    assert np.nanmin(scores["a"]["CC"]) > 0.9999
    videos[0].law = None
    assert len(baseline_rows([GroundTruth.of(video) for video in videos], np.ones((36, 64)), CONVENTIONS)) == 2


def test_each_digest_changes_with_what_it_is_of_alone(videos, tmp_path):
    """`compare` refuses tables by them: of all fixations or the dataset's own maps, of the prior, of the negatives."""

    def digests(shift=0.25, prior=1.0, seed=3, own_map=None) -> dict[str, str]:
        truths = [  # a shift inside pixels leaves the negatives as they are
            GroundTruth.of(dataclasses.replace(video, points=np.floor(video.fixations()) + shift, own_map=own_map))
            for video in videos
        ]
        conventions = dataclasses.replace(CONVENTIONS, seed=seed)
        return Evaluation(truths, conventions, np.full(CONVENTIONS.size, prior, np.float32), tmp_path).digests

    usual = digests()
    assert usual == digests()
    dark, light = digests(own_map=np.zeros((9, 16))), digests(own_map=np.ones((9, 16)))
    for one, other, name in (
        (usual, digests(shift=0.5), "truth_sha256"),
        (dark, light, "truth_sha256"),
        (usual, digests(prior=2.0), "centre_prior_sha256"),
        (usual, digests(seed=4), "negatives_sha256"),
    ):
        assert [key for key in one if one[key] != other[key]] == [name]


def test_one_video_alone_has_no_shuffled_auc(videos, tmp_path):
    scores = evaluation_of(videos[:1], tmp_path).run(baseline_rows([], np.ones((36, 64), np.float32), CONVENTIONS))
    assert np.isnan(scores["uniform map"]["a"]["sAUC"]).all()
    assert np.isfinite(scores["uniform map"]["a"]["AUC-J"]).sum() == 25


def test_a_video_with_fewer_frames_than_announced(videos, model, tmp_path):
    videos[0].n_frames = 31
    with pytest.raises(InputError, match=r"a\.mkv: expected 31 frames, found 30"):
        evaluation_of(videos, tmp_path).run(model_rows("m", {}, []), model=model)


def test_a_map_that_is_not_finite_is_an_error(videos, tmp_path):
    damaged = narrow_model(1e20)
    with pytest.raises(InputError, match=r"m: the map of frame 0 of video . is not finite"):
        evaluation_of(videos, tmp_path).run(model_rows("m", {}, []), model=damaged)


def test_notes_of_frames(videos):
    notes = frame_notes(videos[1])
    assert notes["seconds"][-1] == 11 / 25
    assert notes["faces"].tolist() == [2] * 12
    assert notes["speaking"].tolist() == [2, 0, 1, 1, 1, 0, 2, 0, 1, 1, 1, 0]
    assert list(frame_notes(dataclasses.replace(videos[1], boxes=None))) == ["seconds"]


def test_faces_without_flags_are_not_silent(videos):
    """A frame with a face without a talking flag belongs to no group by speaker."""
    known = np.ones((2, 12), bool)
    known[1, 4:] = False
    notes = frame_notes(dataclasses.replace(videos[1], known=known))
    np.testing.assert_array_equal(notes["speaking"], [2, 0, 1, 1] + [np.nan] * 8)
    absent = np.ones((12, 2), bool)
    absent[4:, 1] = False
    notes = frame_notes(dataclasses.replace(videos[1], known=known, mask=absent))
    assert notes["speaking"].tolist() == [2, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 0]


RUN = """
import sys
from pathlib import Path
from tests.evaluation import test_scores as test
from tests.helpers.models import narrow_model
from vasal_jax.evaluation.people import half_row
from vasal_jax.evaluation.rows import also_against_half, baseline_rows, model_rows
from vasal_jax.evaluation.ground_truth import GroundTruth

media, work = map(Path, sys.argv[1:])
lengths = {"a": 26, "b": 12, "c": 5, "d": 29, "e": 14}
videos = [test.recorded(media, name, length, seed) for seed, (name, length) in enumerate(lengths.items())]
evaluation = test.evaluation_of(videos, work)
rows = model_rows("m", {}, ["muted", "another video's sound"])
rows += baseline_rows(evaluation.truths, evaluation.prior, test.CONVENTIONS)
evaluation.run(rows, model=narrow_model(), advance=lambda frames: print(frames, flush=True))
"""


def kept(work: Path) -> dict[str, dict[str, np.ndarray]]:
    files = {}
    for path in work.iterdir():
        with np.load(path) as arrays:
            files[path.name] = dict(arrays)
    return files


@pytest.mark.slow
def test_killed_resumed_and_on_four_devices_it_is_the_same(media, tmp_path):
    """Bit for bit, maps and scores, with as many threads: XLA splits sums among them, which moves the last bits."""
    for name, source in {"d": "a", "e": "b"}.items():
        for suffix in (".mkv", ".wav"):
            (media / f"{name}{suffix}").write_bytes((media / f"{source}{suffix}").read_bytes())
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | {"NPROC": "4"}

    def start(work: str, **more: str) -> subprocess.Popen:
        command = [sys.executable, "-c", RUN, media, tmp_path / work]
        return subprocess.Popen(
            command, cwd=Path(__file__).parents[2], env=environment | more, stdout=subprocess.PIPE, text=True
        )

    assert start("whole").wait(300) == 0
    process = start("parts")
    frames = 0
    while frames < 40:
        frames += int(process.stdout.readline())
    process.kill()
    process.wait()
    done = len(list((tmp_path / "parts").glob("*.npz")))
    assert 0 < done < len(list((tmp_path / "whole").iterdir()))
    assert start("parts").wait(300) == 0
    assert start("four", XLA_FLAGS="--xla_force_host_platform_device_count=4").wait(300) == 0
    whole = kept(tmp_path / "whole")
    assert len(whole) == 5 * 6
    for work in ("parts", "four"):
        assert_equal(kept(tmp_path / work), whole)
