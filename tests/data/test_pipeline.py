"""Batches of a prepared synthetic release against its videos, over seeds, steps, processes and augmentations."""

import itertools
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data import decoding, mvva, pipeline
from data.builder import main
from data.clips import ClipOptions, sampled_clip, training_parts
from data.prepared import PreparedSplit, PreparedVideo
from data.synthetic import SyntheticArgs, generate
from tests.helpers.batches import unpacked_by_hand
from vasal_jax.batch import PackedBatch, packed_names
from vasal_jax.errors import InputError
from vasal_jax.inputs.clips import VideoClips
from vasal_jax.inputs.faces.crops import crop_faces, model_crops
from vasal_jax.inputs.fixations import fixation_density
from vasal_jax.inputs.video import read_frames
from vasal_jax.size import Size

FLOATS = ("frames", "frames_past", "mel", "face_map", "face_crops", "face_boxes", "density", "fixations")
STILL = ClipOptions(length=4, faces=6, flip=False, colour=0, gain=0)


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Five videos, three of them in training."""
    folder = tmp_path_factory.mktemp("release")
    generate(SyntheticArgs(folder, videos=5, seconds=1.2, seed=4, size=Size(180, 320), workers=1))
    return folder


@pytest.fixture(scope="module")
def records(release):
    return {record.id: record for record in mvva.read_release(release, progress=False)[0].records}


@pytest.fixture(scope="module")
def prepared(release, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    assert main([str(release), str(out), "--processes", "1"]) == 0
    return out


def training_batches(*arguments, **options):
    """The pipeline's, unpacked."""
    return map(unpacked_by_hand, pipeline.training_batches(*arguments, **options))


def evaluation_batches(*arguments, **options):
    return map(unpacked_by_hand, pipeline.evaluation_batches(*arguments, **options))


def take(batches, count: int) -> list[dict[str, np.ndarray]]:
    return list(itertools.islice(batches, count))


def assert_same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def joined(batches: list[dict]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_evaluation_shows_every_frame_once_as_it_is_in_the_video(prepared, records):
    """The prepared path against the video file: JPEG takes up to 2 grey levels on average, 16 bits take half a 257th of
    one from sound, the rest is exact."""
    (video,) = PreparedSplit(prepared, "test").videos
    record = records[video.id]
    found = joined(list(evaluation_batches(prepared, "test", 2, STILL)))
    assert sorted(found["frame"][found["valid"]]) == list(range(record.n_frames))
    images = [frame.image for frame in read_frames(record.video)]
    boxes, mask = record.tracks()
    columns = mask.shape[1]
    assert 2 <= columns <= 6
    grid_density = fixation_density(record.fixations(), (32, 32), record.grid)
    for number, clip in enumerate(VideoClips(record.video, 4, sound=record.sound)):
        here = {name: values[number] for name, values in found.items()}
        assert here["video"] == record.id
        for name in ("frames", "frames_past"):
            apart = np.abs(here[name] - clip.batch[name][0])
            assert apart.mean() < 2
            assert apart.max() < 100
            assert np.corrcoef(here[name].ravel(), clip.batch[name].ravel())[0, 1] > 0.99
        np.testing.assert_allclose(here["mel"], clip.batch["mel"][0], rtol=0, atol=1 / 514 + 1e-5)
        at = here["frame"]
        np.testing.assert_array_equal(here["face_boxes"][:, :columns], boxes[at])
        np.testing.assert_array_equal(here["face_mask"][:, :columns], mask[at])
        assert not here["face_mask"][:, columns:].any()
        np.testing.assert_array_equal(here["talking"][:, :columns], record.talking()[:, at].T)
        np.testing.assert_array_equal(here["density"], grid_density[at])
        crops = np.stack([model_crops(crop_faces(images[i], boxes[i], mask[i]), mask[i]) for i in at])
        assert np.abs(here["face_crops"][:, :columns] - crops).mean() < 2.5
        assert not here["face_crops"][:, columns:].any()


def test_fixations_are_in_cells_of_the_density(prepared):
    (batch,) = take(evaluation_batches(prepared, "validation", 1, STILL), 1)
    for points, density in zip(batch["fixations"][0], batch["density"][0], strict=True):
        points = points[~np.isnan(points).any(-1)]
        assert len(points) > 10
        pixels = points * (1280 / 32, 720 / 32)
        np.testing.assert_allclose(fixation_density(pixels, (32, 32)), density, atol=1e-5)


def test_face_maps_peak_at_the_faces_and_have_the_released_scale(prepared):
    (batch,) = take(evaluation_batches(prepared, "test", 1, STILL), 1)
    maps, boxes, mask = batch["face_map"][0, 0, ..., 0], batch["face_boxes"][0, 0], batch["face_mask"][0, 0]
    assert maps.min() == pytest.approx(-14.9, abs=1e-3)
    assert maps.max() == pytest.approx(240.1, abs=1e-3)
    for x1, y1, x2, y2 in boxes[mask]:
        assert maps[int((y1 + y2) * 16), int((x1 + x2) * 16)] > maps.mean()


def test_flips_move_everything_alike(prepared):
    still = joined(take(training_batches(prepared, 1, 3, STILL), 8))
    flipped = joined(take(training_batches(prepared, 1, 3, ClipOptions(length=4, colour=0, gain=0)), 8))
    turned = [not np.array_equal(a, b) for a, b in zip(still["density"], flipped["density"], strict=True)]
    assert 0 < sum(turned) < 8
    for name, values in still.items():
        same, other = values[~np.array(turned)], values[turned]
        np.testing.assert_array_equal(flipped[name][~np.array(turned)], same)
        found = flipped[name][turned]
        if name in ("frames", "frames_past", "face_map", "face_crops"):
            np.testing.assert_array_equal(found, np.flip(other, -2))
        elif name == "density":
            np.testing.assert_array_equal(found, np.flip(other, -1))
        elif name == "fixations":
            np.testing.assert_allclose(found, other * (-1, 1) + (32, 0), atol=1e-5)
        elif name == "face_boxes":
            mirrored = 1 - other[..., [2, 1, 0, 3]]
            mirrored[..., [1, 3]] = other[..., [1, 3]]
            expected = np.where(still["face_mask"][turned][..., None], mirrored, 0)
            np.testing.assert_allclose(found, expected, atol=1e-6)
        else:
            np.testing.assert_array_equal(found, other)


def test_the_same_seed_gives_the_same_batches_and_another_one_others(prepared):
    options = ClipOptions(length=4)
    first, again, other = (take(training_batches(prepared, 2, seed, options), 3) for seed in (5, 5, 6))
    for a, b in zip(first, again, strict=True):
        assert_same(a, b)
    assert any(not np.array_equal(a["frame"], b["frame"]) for a, b in zip(first, other, strict=True))


def test_fields_that_are_not_wanted_are_left_out_and_the_others_the_same(prepared):
    options, wanted = ClipOptions(length=4), ("mel", "face_crops", "face_mask", "density")
    (whole,), (part,) = (take(training_batches(prepared, 2, 5, options, fields=f), 1) for f in (None, wanted))
    assert_same(part, {name: whole[name] for name in (*wanted, "video")})
    for fields in (None, wanted):
        (packed,) = take(pipeline.training_batches(prepared, 2, 5, options, fields=fields), 1)
        assert packed.keys() == ({*packed_names(wanted), "video"} if fields else PackedBatch.__required_keys__)


def test_a_training_goes_on_at_any_step(prepared):
    options = ClipOptions(length=4)
    through = take(training_batches(prepared, 4, 1, options), 9)  # beyond the first epoch
    resumed = take(training_batches(prepared, 4, 1, options, start=5), 4)
    for a, b in zip(through[5:], resumed, strict=True):
        assert_same(a, b)


def test_processes_share_out_each_batch(prepared):
    options = ClipOptions(length=4)
    whole = take(training_batches(prepared, 4, 1, options), 6)
    shares = [take(training_batches(prepared, 4, 1, options, process=p, processes=2), 6) for p in range(2)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert_same(batch, joined(parts))
    whole = joined(list(evaluation_batches(prepared, "training", 4, STILL)))
    parts = [list(evaluation_batches(prepared, "training", 4, STILL, process=p, processes=2)) for p in range(2)]
    assert len(parts[0]) == len(parts[1])
    seen = [
        (video, i)
        for part in parts
        for b in part
        for video, frames, valid in zip(b["video"], b["frame"], b["valid"], strict=True)
        for i in frames[valid]
    ]
    assert len(seen) == len(set(seen)) == sum(video.frames for video in PreparedSplit(prepared, "training").videos)
    assert set(seen) == {
        (video, i)
        for video, frames, valid in zip(whole["video"], whole["frame"], whole["valid"], strict=True)
        for i in frames[valid]
    }


def test_an_epoch_takes_every_part_of_every_video_once(prepared):
    videos = PreparedSplit(prepared, "training").videos
    parts = len(training_parts(videos, STILL))
    for epoch in range(2):
        clips = joined(take(training_batches(prepared, 1, 0, STILL, start=epoch * parts), parts))
        for video in videos:
            here = clips["video"] == video.id
            # A clip that overhangs the start shows frame 0 first; the number of frames that it lacks gives its start.
            lacking = np.where(clips["frame"][here][:, 0] == 0, (~clips["valid"][here]).sum(1), 0)
            starts = np.sort(clips["frame"][here][:, 0] - lacking)
            # The possible starts are cut into n equal parts, and the k-th of n starts lies in the k-th part.
            count = -(-(video.frames + 3) // 4)
            edges = np.arange(count + 1) / count * (video.frames + 3) - 3
            assert (starts >= np.floor(edges[:-1])).all()
            assert (starts <= edges[1:]).all()


@pytest.mark.parametrize(
    "options",
    [ClipOptions(length=16), ClipOptions(length=5, max_stride=3), ClipOptions(length=12, reverse=True)],
)
def test_every_frame_of_a_video_is_seen_equally_often(options):
    """Counted over 3000 epochs: each is in as many clips as any other, the first and the last ones too."""
    videos = [PreparedVideo("a", 0, 40, 25.0, 1, Path("a")), PreparedVideo("b", 40, 9, 25.0, 1, Path("b"))]
    parts, epochs = training_parts(videos, options), 3000
    seen = {video.id: np.zeros(video.frames) for video in videos}
    for place in range(epochs * len(parts)):
        clip = sampled_clip(parts, place, 0, options)
        np.add.at(seen[clip.video.item().decode()], clip.frame[clip.valid], 1)
    for counts in seen.values():
        np.testing.assert_allclose(counts / counts.mean(), 1, atol=0.08)
        assert 0.9 < counts.mean() / epochs < 1.6  # and about once an epoch


@pytest.mark.parametrize(("stride", "reverse"), [(1, False), (2, False), (1, True)])
def test_a_state_warms_up_but_for_that_of_a_start(stride, reverse):
    """Then frames of the start count more than the others, all others alike, and no clip is drawn for nothing."""
    video = PreparedVideo("a", 0, 60, 25.0, 1, Path("a"))
    options = ClipOptions(length=12, warm_up=6, max_stride=stride, reverse=reverse)
    parts, seen = training_parts([video], options), np.zeros(60)
    for place in range(500 * len(parts)):
        clip = sampled_clip(parts, place, 0, options)
        assert clip.valid.any()
        assert (clip.frame[0] < stride and not clip.reverse) or not clip.valid[:6].any()
        np.add.at(seen, clip.frame[clip.valid], 1)
    alike = seen[12 * stride : 48] if reverse else seen[12 * stride :]
    np.testing.assert_allclose(alike / alike.mean(), 1, atol=0.2)
    assert seen[0] > 1.2 * alike.mean()


def test_a_video_shorter_than_the_warm_up_is_seen_from_its_start():
    video, options = PreparedVideo("a", 0, 4, 25.0, 1, Path("a")), ClipOptions(length=12, warm_up=6)
    parts = training_parts([video], options)
    clips = [sampled_clip(parts, place, 0, options) for place in range(100)]
    assert all(clip.valid.any() and clip.frame[0] == 0 for clip in clips)


def test_a_share_of_clips_begins_with_its_video():
    """Of which each video has its part, and the other clips are those that there were."""
    video, usual = PreparedVideo("a", 0, 60, 25.0, 1, Path("a")), ClipOptions(length=12)
    parts = training_parts([video], usual)
    plain = [sampled_clip(parts, place, 0, usual) for place in range(400)]
    more = [sampled_clip(parts, place, 0, ClipOptions(length=12, starts=0.4)) for place in range(400)]
    changed = [not np.array_equal(a.frame, b.frame) for a, b in zip(plain, more, strict=True)]
    assert np.mean(changed) == pytest.approx(0.4, abs=0.07)
    for clip, differs in zip(more, changed, strict=True):
        assert not differs or (clip.frame == np.arange(12)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warm_up": -1}, "warm_up from 0 to 11"),
        ({"warm_up": 12}, "warm_up from 0 to 11"),
        ({"starts": 1.5}, r"starts in 0\.\.1"),
    ],
)
def test_options_of_starts_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        ClipOptions(length=12, **options)


def test_a_clip_that_overhangs_begins_with_the_first_frame_or_ends_with_the_last(prepared):
    clips = joined(take(training_batches(prepared, 1, 0, STILL), 40))
    frames = {video.id: video.frames for video in PreparedSplit(prepared, "training").videos}
    overhanging = ~clips["valid"].all(1)
    assert overhanging.any()
    for video, frame, valid in zip(*(clips[n][overhanging] for n in ("video", "frame", "valid")), strict=True):
        count = valid.sum()
        assert valid[:count].all()
        assert (np.diff(frame[:count]) == 1).all()
        assert frame[0] == 0 or frame[count - 1] == frames[str(video)] - 1
        assert (frame[count:] == frame[count - 1]).all()


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_a_lane_shows_whole_videos_frame_after_frame(prepared, lanes):
    batches = list(evaluation_batches(prepared, "training", lanes, STILL, lanes=True))
    videos = {video.id: video.frames for video in PreparedSplit(prepared, "training").videos}
    shown = []
    for lane in range(lanes):
        frames, ids = (
            np.concatenate([batch[name][lane][batch["valid"][lane]] for batch in batches])
            if name == "frame"
            else [batch[name][lane] for batch in batches for _ in range(batch["valid"][lane].sum())]
            for name in ("frame", "video")
        )
        while len(frames):
            video = ids[0]
            np.testing.assert_array_equal(frames[: videos[video]], np.arange(videos[video]))
            assert set(ids[: videos[video]]) == {video}
            frames, ids = frames[videos[video] :], ids[videos[video] :]
            shown.append(str(video))
    assert sorted(shown) == sorted(videos)


def test_strides_spread_the_frames_and_keep_the_distance_to_the_past(prepared):
    options = ClipOptions(length=4, max_stride=3, flip=False, colour=0, gain=0)
    clips = joined(take(training_batches(prepared, 1, 0, options), 12))
    inside = clips["valid"].all(1)
    steps = np.diff(clips["frame"][inside], axis=1)
    assert set(np.unique(steps)) == {1, 2, 3}
    assert (steps == steps[:, :1]).all()
    frames = joined(list(evaluation_batches(prepared, "training", 1, STILL)))
    at = {(v, i): (n, t) for n, v in enumerate(frames["video"]) for t, i in enumerate(frames["frame"][n])}
    for n, video in enumerate(clips["video"]):
        for t, i in enumerate(clips["frame"][n]):
            np.testing.assert_array_equal(clips["frames"][n, t], frames["frames"][at[video, i]])
            np.testing.assert_array_equal(clips["frames_past"][n, t], frames["frames"][at[video, max(i - 5, 0)]])
            np.testing.assert_array_equal(clips["mel"][n, t], frames["mel"][at[video, i]])


def test_backwards_everything_runs_backwards(prepared):
    plain = ClipOptions(length=4, flip=False, colour=0, gain=0)
    clips = joined(
        take(training_batches(prepared, 1, 0, ClipOptions(length=4, reverse=True, flip=False, colour=0, gain=0)), 12)
    )
    backwards = np.diff(clips["frame"], axis=1)[:, 0] == -1
    assert 0 < backwards.sum() < 12
    whole = joined(list(evaluation_batches(prepared, "training", 1, plain)))
    at = {(v, i): (n, t) for n, v in enumerate(whole["video"]) for t, i in enumerate(whole["frame"][n])}
    frames = {video.id: video.frames for video in PreparedSplit(prepared, "training").videos}
    for n in np.flatnonzero(backwards):
        video = clips["video"][n]
        for t, i in enumerate(clips["frame"][n]):
            np.testing.assert_array_equal(clips["frames"][n, t], whole["frames"][at[video, i]])
            past = min(i + 5, frames[video] - 1)
            np.testing.assert_array_equal(clips["frames_past"][n, t], whole["frames"][at[video, past]])
            # In the middle of a video, the k-th picture is that of frame i - 8 + k; backwards i + 8 - k, mirrored.
            if 8 <= i < frames[video] - 9:
                forwards = whole["mel"][at[video, i + 1]][::-1, :, ::-1]
                np.testing.assert_array_equal(clips["mel"][n, t], forwards)


def test_colour_and_gain_change_pictures_and_sound_within_their_ranges(prepared):
    changed = joined(take(training_batches(prepared, 1, 4, ClipOptions(length=4, flip=False, colour=0.3, gain=6)), 6))
    still = joined(take(training_batches(prepared, 1, 4, STILL), 6))
    for name in FLOATS:
        if name in ("frames", "frames_past", "face_crops", "mel"):
            assert not np.array_equal(changed[name], still[name])
        else:
            np.testing.assert_array_equal(changed[name], still[name])
    mean = np.array((123.68, 116.779, 103.939), np.float32)
    assert (changed["frames"] + mean).min() >= -1e-3
    assert (changed["frames"] + mean).max() <= 255.001
    assert not changed["face_crops"][~changed["face_mask"]].any()
    heard = np.abs(changed["mel"] - still["mel"])
    assert heard.max() <= 6 / 80 * 255 + 1e-3
    assert (changed["mel"][still["mel"] == 0] == 0).mean() > 0.999  # what is not silent may round to 0, and be louder
    for a, b in zip(changed["frames"], still["frames"], strict=True):  # each clip has one change
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.97


def test_sound_gets_louder_and_silence_stays_silent():
    video = PreparedVideo("a", 0, 40, 25.0, 1, Path("a"))
    plan = sampled_clip(training_parts([video], STILL), 0, 0, STILL)
    mel = np.array([[[0, 1e-3, 100, 250]]], np.float32)
    louder = decoding._heard(mel, plan._replace(gain=np.float32(6)))
    np.testing.assert_allclose(louder, [[[0, 19.126, 119.125, 255]]], atol=1e-3)
    softer = decoding._heard(mel, plan._replace(gain=np.float32(-6), reverse=np.True_))
    np.testing.assert_allclose(softer, [[[230.875, 80.875, 0, 0]]], atol=1e-3)


def test_with_fewer_places_than_faces_the_largest_are_kept(prepared, records):
    (batch,) = take(evaluation_batches(prepared, "training", 1, ClipOptions(length=4, faces=1)), 1)
    boxes, mask = records[str(batch["video"][0])].tracks()
    assert mask.shape[1] >= 2
    area = ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))[batch["frame"][0]].sum(0)
    np.testing.assert_array_equal(batch["face_boxes"][0, :, 0], boxes[batch["frame"][0], area.argmax()])


def test_a_clip_longer_than_the_video_repeats_its_end(prepared):
    (video,) = PreparedSplit(prepared, "test").videos
    (batch,) = take(evaluation_batches(prepared, "test", 1, ClipOptions(length=60)), 1)
    frames = video.frames
    assert batch["valid"][0].sum() == frames
    np.testing.assert_array_equal(batch["frame"][0], np.minimum(np.arange(60), frames - 1))
    np.testing.assert_array_equal(batch["frames"][0, frames:], batch["frames"][0, [frames - 1] * (60 - frames)])


def test_a_shard_that_goes_away_is_named(prepared, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(prepared, copy)
    batches = training_batches(copy, 1, 0, ClipOptions(length=4))
    next(batches)
    for video in PreparedSplit(copy, "training").videos:
        video.shard.write_bytes(bytes(video.shard.stat().st_size))
    with pytest.raises(InputError, match=r"array_record-0000.*cannot be read"):
        take(batches, 40)


def test_a_damaged_picture_is_named_with_its_shard(prepared, monkeypatch):
    read = PreparedSplit.read
    monkeypatch.setattr(PreparedSplit, "read", lambda *a: [x.replace(b"\xff\xd8\xff", b"\0\0\0") for x in read(*a)])
    with pytest.raises(InputError, match=r"array_record-0000.*: a stored picture is damaged"):
        next(training_batches(prepared, 1, 0, ClipOptions(length=4)))


@pytest.mark.parametrize(
    "options", [ClipOptions(length=12), ClipOptions(length=1), ClipOptions(length=5, max_stride=3, reverse=True)]
)
def test_places_for_pictures_suffice_and_none_is_too_many(options):
    videos = [PreparedVideo("a", 0, 90, 25.0, 1, Path("a")), PreparedVideo("b", 90, 7, 25.0, 1, Path("b"))]
    parts = training_parts(videos, options)
    plans = [sampled_clip(parts, place, 0, options) for place in range(400)]
    assert max(len(plan.pictures) for plan in plans) == options.pictures
    assert max(len(plan.sounds) for plan in plans) == options.sounds


def test_a_packed_clip_of_the_released_model_takes_under_four_megabytes(prepared):
    fields = ("frames", "frames_past", "mel", "face_map", "density", "fixations", "valid")
    (batch,) = take(pipeline.training_batches(prepared, 1, 0, ClipOptions(), fields=fields), 1)
    assert sum(value.nbytes for name, value in batch.items() if name != "video") < 4e6


def test_an_empty_record_is_an_unreadable_one(prepared, monkeypatch):
    split = PreparedSplit(prepared, "training")
    (shard,) = {split.video_of(index).shard for index in (0, 1)}
    monkeypatch.setitem(split._readers, shard, SimpleNamespace(read=lambda indices: [b""] * len(indices)))
    with pytest.raises(InputError, match=r"array_record-0000.*cannot be read \(a record is empty\)"):
        split.read([0, 1])


def test_a_script_may_end_while_batches_are_read_ahead(prepared):
    lines = [
        "import time",
        "from data import pipeline",
        "read = pipeline.PreparedSplit.read",
        "pipeline.PreparedSplit.read = lambda *args: (time.sleep(0.2), read(*args))[1]  # surely at it at the end",
        f"batches = pipeline.training_batches({str(prepared)!r}, 1, 0, pipeline.ClipOptions(length=4))",
        "next(batches)",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 3, "processes": 2}, "batch size 3: expected a multiple of the number of processes, 2"),
        ({"batch_size": 2, "processes": 2, "process": 2}, "process 2: expected 0 to 1"),
        ({"batch_size": 0}, "batch size 0"),
    ],
)
def test_batches_that_cannot_be_shared_out_are_refused(prepared, arguments, message):
    with pytest.raises(InputError, match=message):
        next(training_batches(prepared, seed=0, options=STILL, **arguments))


@pytest.mark.parametrize("change", [{"length": 0}, {"faces": 65}, {"max_stride": 0}, {"colour": 1.5}, {"gain": -1}])
def test_options_out_of_range_are_refused(change):
    with pytest.raises(InputError, match=f"clips: expected .*{next(iter(change))}"):
        ClipOptions(**change)


def test_faces_without_flags_are_unknown_in_batches(release, tmp_path):
    """Only two faces have rows of flags. Whether the others talk is unknown, which differs from silence."""
    copy = tmp_path / "copy"
    shutil.copytree(release, copy)
    for path in (copy / "face_talking").glob("*.npy"):
        np.save(path, np.load(path)[:2])
    assert main([str(copy), str(tmp_path / "out"), "--processes", "1"]) == 0
    records = {record.id: record for record in mvva.read_release(copy, progress=False)[0].records}
    more = 0
    for batch in evaluation_batches(tmp_path / "out", "validation", 1, STILL):
        known, mask = batch["talking_known"][0], batch["face_mask"][0]
        faces = records[str(batch["video"][0])].tracks()[1].shape[1]
        more += faces > 2
        np.testing.assert_array_equal(known[:, :2], mask[:, :2])
        assert not known[:, 2:].any()
        assert not batch["talking"][0][:, 2:].any()
    assert more
