"""Videos of all kinds, decoded with their times."""

import gc
import logging
from fractions import Fraction
from types import GeneratorType

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from tests.helpers.media import picture, write_video, write_wav
from vasal_jax.errors import InputError
from vasal_jax.inputs import limits, video
from vasal_jax.inputs.audio import hop_at
from vasal_jax.inputs.media import MAX_DECODER_THREADS
from vasal_jax.inputs.video import model_frame, probe, read_frames


def _moving(n: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    return [np.roll(picture(height, width), 3 * t, axis=1) for t in range(n)]


def _quarters(image: np.ndarray) -> str:
    """Colours of the four quarters, row by row: r, g, b or 0."""
    h, w = image.shape[0] // 4, image.shape[1] // 4
    spots = [image[y, x].astype(int) for y in (h, 3 * h) for x in (w, 3 * w)]
    return "".join("rgb"[s.argmax()] if s.max() > 100 else "0" for s in spots)


def test_frames_come_in_order_and_hold_the_pictures(tmp_path):
    frames = _moving(7)
    path = write_video(tmp_path / "a.mkv", frames, codec="ffv1", pix_fmt="bgr0")
    found = read_frames(path)
    assert isinstance(found, GeneratorType)
    found = list(found)
    assert [f.index for f in found] == list(range(7))
    for frame, expected in zip(found, frames, strict=True):
        assert frame.image.dtype == np.uint8
        np.testing.assert_array_equal(frame.image, expected)
    info = probe(path)
    assert (info.width, info.height, info.fps, info.rotation) == (64, 48, 25.0, 0)
    assert info.frames == 7
    assert info.duration == pytest.approx(7 / 25, abs=0.01)
    assert not info.has_sound
    assert not info.variable_rate


def test_frames_are_freed_at_once(tmp_path):
    """And not when garbage is collected, by when dozens can have come together."""
    path = write_video(tmp_path / "a.mkv", _moving(7))
    gc.collect()
    gc.disable()
    try:
        assert len([frame.index for frame in read_frames(path)]) == 7
        assert not any(type(each) is av.VideoFrame for each in gc.get_objects())
    finally:
        gc.enable()


# Which colour lies where after turning red-green/blue-black counter-clockwise.
@pytest.mark.parametrize(
    ("rotation", "mirrored", "expected"),
    [(0, False, "rgb0"), (90, False, "g0rb"), (180, False, "0bgr"), (-90, False, "br0g"), (0, True, "gr0b")],
)
def test_rotation_and_mirroring_are_applied(tmp_path, rotation, mirrored, expected):
    path = write_video(tmp_path / "a.mp4", 3, rotation=rotation, mirrored=mirrored)
    images = [frame.image for frame in read_frames(path)]
    assert [_quarters(image) for image in images] == [expected] * 3
    info = probe(path)
    assert images[0].shape == (info.height, info.width, 3)
    assert images[0].shape[:2] == ((64, 48) if rotation % 180 else (48, 64))
    if not mirrored:
        assert info.rotation == rotation % 360


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (33, 27), (64, 20)])
@pytest.mark.parametrize("pix_fmt", ["gray", "yuv420p10le", "yuv420p", "bgr0"])
def test_odd_sizes_and_pixel_formats(tmp_path, size, pix_fmt):
    grey = [np.full((*size, 3), level, np.uint8) for level in (40, 200)]
    path = write_video(tmp_path / "a.nut", grey, codec="rawvideo", pix_fmt=pix_fmt)
    with av.open(str(path)) as container:
        assert container.streams.video[0].pix_fmt == pix_fmt
    for frame, expected in zip(read_frames(path), grey, strict=True):
        np.testing.assert_allclose(frame.image, expected, atol=2)
        assert model_frame(frame.image).shape == (256, 256, 3)
    assert (probe(path).height, probe(path).width) == size


RATES = [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(15)]


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_constant_rates_give_exact_times_and_the_released_hops(tmp_path, rate, suffix):
    n, fps = 300, float(rate)
    path = write_video(tmp_path / f"a.{suffix}", [picture(16, 16)] * n, rate=rate)
    times = [frame.time for frame in read_frames(path)]
    assert probe(path).fps == fps
    assert times == [i / fps for i in range(n)]
    assert [hop_at(t) for t in times] == [int((1000 / fps) * i / (512 * 1000 / 22050)) for i in range(n)]


@pytest.mark.parametrize("fps", [float(r) for r in RATES])
def test_hops_are_the_released_ones_for_ten_minutes(fps):
    for i in range(int(590 * fps)):
        assert hop_at(i / fps) == int((1000 / fps) * i / (512 * 1000 / 22050))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_rate_keeps_the_stamps(tmp_path, suffix):
    stamps = [0, 33, 71, 90, 150, 275, 301, 366, 1366, 1400]
    path = write_video(tmp_path / f"a.{suffix}", _moving(10), rate=30, stamps_ms=stamps)
    times = [frame.time for frame in read_frames(path)]
    np.testing.assert_allclose(times, np.array(stamps) / 1000, atol=1.1e-3)
    assert (np.diff(times) > 0).all()
    if suffix == "mp4":  # Matroska declares the rate its writer intended
        assert probe(path).variable_rate
        assert probe(path).fps < 10


def test_dropped_frames_leave_the_others_where_they_were(tmp_path):
    kept = [0, 1, 2, 7, 8, 9, 12]
    stamps = [round(1000 * i / 30) for i in kept]
    path = write_video(tmp_path / "a.mkv", _moving(7), rate=30, stamps_ms=stamps)
    assert [frame.time for frame in read_frames(path)] == [i / 30 for i in kept]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [([None] * 4, [0, 0.04, 0.08, 0.12]), ([0.0, 0.04, 0.04, 0.0], [0, 0.04, 0.08, 0.12]), ([5.0, 5.5], [0, 0.5])],
)
def test_missing_and_backward_stamps(monkeypatch, tmp_path, stamps, expected):
    path = write_video(tmp_path / "a.mkv", len(stamps))
    real = video._RgbConverter.__call__
    drawn = iter(stamps)
    monkeypatch.setattr(video._RgbConverter, "__call__", lambda *a: (next(drawn), 0.001, real(*a)[2]))
    np.testing.assert_allclose([frame.time for frame in read_frames(path)], expected, atol=1e-9)


def test_first_stamp_is_time_zero(tmp_path):
    path = write_video(tmp_path / "a.mkv", 4, stamps_ms=[5000, 5040, 5080, 5120])
    assert [frame.time for frame in read_frames(path)] == [0, 0.04, 0.08, 0.12]


def test_cover_picture_is_not_the_video(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(codec, rate=25) for codec in ("mjpeg", "mpeg4")]
        for stream, (height, width) in zip(streams, ((32, 32), (48, 64)), strict=True):
            stream.height, stream.width = height, width
            stream.pix_fmt = "yuvj420p" if height == 32 else "yuv420p"
        streams[0].disposition = Disposition.attached_pic
        for stream, n in zip(streams, (1, 5), strict=True):
            for _ in range(n):
                frame = av.VideoFrame.from_ndarray(picture(stream.height, stream.width), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    with av.open(str(path)) as container:
        assert [bool(s.disposition & Disposition.attached_pic) for s in container.streams.video].count(True) == 1
    assert (probe(path).width, probe(path).height) == (64, 48)
    assert [frame.image.shape for frame in read_frames(path)] == [(48, 64, 3)] * 5


@pytest.mark.parametrize("suffix", ["mkv", "avi", "mp4"])
def test_truncated_file_gives_what_decodes_and_one_warning(tmp_path, suffix, caplog):
    rng = np.random.default_rng(0)
    noise = list(rng.integers(0, 255, (50, 48, 64, 3), np.uint8))
    path = write_video(tmp_path / f"a.{suffix}", noise, options={"movflags": "faststart"} if suffix == "mp4" else None)
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    frames = list(read_frames(path))
    assert 20 < len(frames) < 40
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "a." + suffix in warnings[0].getMessage()
    assert "\n" not in warnings[0].getMessage()


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
@pytest.mark.parametrize("suffix", ["mpg", "vob"])
def test_an_mpeg_program_stream_that_is_cut_short_is_told(tmp_path, suffix, codec, caplog):
    rng = np.random.default_rng(0)
    noise = list(rng.integers(0, 255, (50, 48, 64, 3), np.uint8))
    whole = write_video(tmp_path / f"whole.{suffix}", noise, codec=codec, sound=rng.random(44100), sound_codec="mp2")
    assert len(list(read_frames(whole))) == 50
    assert not caplog.records
    content = whole.read_bytes()
    pictures = content.rindex(b"\0\0\1\xe0")
    for length in (pictures + 30, pictures - 1000, pictures // 2, pictures // 4096 * 2048, 2048 * 9 + 5):
        caplog.clear()
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(content[:length])
        frames = list(read_frames(path))
        assert 0 < len(frames) <= 50
        (record,) = caplog.records
        assert record.getMessage().startswith(f"{path}: damaged or cut short, {len(frames)} frames decoded (")
    path.write_bytes(content + b"\0\0\1\xb9")  # an end that some programs write
    caplog.clear()
    assert len(list(read_frames(path))) == 50
    assert not caplog.records


def test_damage_part_way_is_skipped_with_a_warning(tmp_path, caplog):
    path = write_video(tmp_path / "a.avi", _moving(40), codec="png", pix_fmt="rgb24")
    parts = path.read_bytes().split(b"\x89PNG")
    assert len(parts) == 41
    path.write_bytes(b"\x89PNG".join(parts[:11]) + b"\x00BAD" + b"\x89PNG".join(parts[11:]))
    frames = list(read_frames(path))
    times = [frame.time for frame in frames]
    undamaged = [i / 25 for i in range(40) if i != 10]
    assert len(undamaged) - MAX_DECODER_THREADS < len(times)
    assert set(times) <= set(undamaged)
    assert times == sorted(times)
    assert len(caplog.records) == 1
    assert "damaged or cut short" in caplog.text


def test_change_of_size_keeps_the_first_size(tmp_path):
    parts = [write_video(tmp_path / f"{h}.ts", [picture(h, 64)] * 4, codec="mpeg2video") for h in (48, 32)]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = list(read_frames(path))
    assert len(frames) > 5
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert _quarters(frames[-1].image) == "rgb0"
    assert (np.diff([frame.time for frame in frames]) > 0).all()


def _cut_before_the_first_frame(tmp_path):
    path = write_video(tmp_path / "header.mkv", 3)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])  # up to the first cluster
    return path


def _sound_only(tmp_path):
    return write_wav(tmp_path / "sound.wav", np.zeros(800))


def _written(name, content):
    def write(tmp_path):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    "make",
    [
        lambda tmp_path: tmp_path / "nothing.mp4",
        lambda tmp_path: tmp_path,
        _written("empty.mp4", b""),
        _written("text.txt", b"not a video\n" * 500),
        _written("noise.mp4", bytes(range(256)) * 40),
        _cut_before_the_first_frame,
        _sound_only,
    ],
    ids=["missing", "folder", "empty", "text", "noise", "zero-frames", "sound-only"],
)
def test_what_is_no_video_raises_one_line(tmp_path, make):
    path = make(tmp_path)
    for read in (probe, lambda p: list(read_frames(p))):
        with pytest.raises(InputError) as error:
            read(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_absurd_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_SIDE", 63)
    path = write_video(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="63 pixels a side, found 64x48"):
        probe(path)
    with pytest.raises(InputError, match="63 pixels a side, found 64x48"):
        list(read_frames(path))


def test_abandoned_stream_closes_the_file(tmp_path):
    path = write_video(tmp_path / "a.mp4", 20)
    frames = read_frames(path)
    assert next(frames).index == 0
    frames.close()
    path.unlink()


def test_model_frame_is_opencvs_resize_minus_the_mean():
    image = np.random.default_rng(0).integers(0, 255, (90, 161, 3), np.uint8)
    found = model_frame(image)
    assert found.dtype == np.float32
    bgr = cv2.resize(image[..., ::-1], (256, 256), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(found + np.array([123.68, 116.779, 103.939]), bgr[..., ::-1], atol=1e-4)


def test_a_sound_longer_than_the_pictures_is_no_cut(tmp_path, caplog):
    path = write_video(tmp_path / "v.mkv", frames=10, sound=np.zeros(5 * 22050, np.float32))
    assert len(list(read_frames(path))) == 10
    assert not caplog.records
