"""Videos out: the codec, exact times, colours, and sound that stays where it was."""

import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from tests.helpers.media import write_wav
from vasal_jax.errors import InputError
from vasal_jax.inputs.sound import read_sound
from vasal_jax.inputs.video import probe, read_frames
from vasal_jax.outputs import video
from vasal_jax.outputs.heatmap import grey_map, overlay
from vasal_jax.outputs.video import check_name, video_writer

FLASH = 30  # the frame that is white, at 1.2 s, where the sound clicks
RATE = 48000


def _clap(path: Path, codec: str, layout: str = "stereo", video_start: float = 0.0, video: bool = True) -> Path:
    """2 s of black with one white frame, and silence with one click at the same time."""
    pcm = np.zeros((2 * RATE, {"mono": 1, "stereo": 2, "5.1": 6}[layout]), np.float32)
    pcm[FLASH * RATE // 25 : FLASH * RATE // 25 + 200] = 0.8
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=25) if video else None
        sound = container.add_stream(codec, rate=RATE, layout=layout)
        if video:
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
            for index in range(50):
                image = np.full((48, 64, 3), 255 * (index == FLASH), np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = index + round(25 * video_start), Fraction(1, 25)
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
        resampler = av.AudioResampler(sound.format.name, layout, RATE)
        for begin in range(0, len(pcm), 1024):
            block = np.ascontiguousarray(pcm[begin : begin + 1024].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = begin + round(RATE * video_start)
            for converted in resampler.resample(frame):
                container.mux(sound.encode(converted))
        container.mux(sound.encode(None))
    return path


def _write(path: Path, sound=None, n: int = 50, fps: float = 25.0, times=None) -> Path:
    with video_writer(path, 64, 48, fps, sound) as write:
        for index in range(n):
            time = times[index] if times else index / fps
            write(np.full((48, 64, 3), 255 * (index == FLASH), np.uint8), time)
    return path


def _flash_time(path: Path) -> float:
    return next(frame.time for frame in read_frames(path) if frame.image.mean() > 128)


def _click_time(path: Path) -> float:
    sound = np.concatenate(list(read_sound(path)))
    return int(np.argmax(np.abs(sound) > 0.2)) / 22050


@pytest.mark.parametrize("out", ["o.mp4", "o.mkv", "o.mov"])
@pytest.mark.parametrize(
    ("name", "codec", "layout", "start"),
    [
        ("a.mp4", "aac", "stereo", 0.0),
        ("a.mp4", "aac", "5.1", 0.0),
        ("a.mp4", "libmp3lame", "stereo", 0.0),
        ("a.mkv", "ac3", "5.1", 0.0),
        ("a.mkv", "aac", "stereo", 5.0),
        ("a.ts", "aac", "stereo", 0.0),
        ("a.avi", "pcm_s16le", "stereo", 0.0),
        ("a.mkv", "pcm_s16le", "5.1", 3.0),
        ("a.mkv", "flac", "mono", 0.0),
        ("a.mkv", "libopus", "stereo", 0.0),
    ],
)
def test_sound_comes_along_in_step(tmp_path, name, codec, layout, start, out):
    source = _clap(tmp_path / name, codec, layout, start)
    before = _click_time(source) - _flash_time(source)
    path = _write(tmp_path / out, source)
    with av.open(str(path)) as container:
        assert [stream.codec_context.name for stream in container.streams] == [
            "h264",
            {"aac": "aac", "ac3": "ac3", "libmp3lame": "mp3float"}.get(codec, "aac"),
        ]
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        copied = container.streams.audio[0].codec_context
        assert copied.sample_rate == RATE
        if codec in ("aac", "ac3"):
            assert copied.layout.nb_channels == {"stereo": 2, "5.1": 6}[layout]
    assert _flash_time(path) == FLASH / 25
    assert abs(_click_time(path) - _flash_time(path) - before) < 1024 / RATE
    assert abs(before) < 0.05


@pytest.mark.parametrize(
    ("name", "codec"), [("a.wav", "pcm_s16le"), ("a.m4a", "aac"), ("a.mka", "flac"), ("a.ts", "aac")]
)
def test_sound_of_a_sound_file(tmp_path, name, codec):
    source = _clap(tmp_path / name, codec, video=False)
    path = _write(tmp_path / "o.mp4", source)
    assert abs(_click_time(path) - _click_time(source)) < 1024 / RATE


def test_samples_as_sound(tmp_path):
    samples = np.zeros(44100, np.float32)
    samples[26460:26660] = 0.8
    path = _write(tmp_path / "o.mp4", samples)
    assert abs(_click_time(path) - 1.2) < 1024 / 22050


def test_sound_is_cut_where_the_pictures_end(tmp_path):
    path = _write(tmp_path / "o.mp4", write_wav(tmp_path / "a.wav", np.full(22050 * 8, 0.5)), n=25)
    assert sum(map(len, read_sound(path))) == pytest.approx(22050, abs=2048)


def test_damaged_sound_does_not_harm_the_pictures(tmp_path):
    for name, codec, start in (("a.mp4", "aac", 0.1), ("a.avi", "pcm_s16le", 0.3), ("a.mkv", "flac", 0.7)):
        source = _clap(tmp_path / name, codec)
        data = bytearray(source.read_bytes())
        middle = slice(int(start * len(data)), int((start + 0.1) * len(data)))
        data[middle] = np.random.default_rng(0).bytes(middle.stop - middle.start)
        source.write_bytes(data)
        assert len(list(read_frames(_write(tmp_path / "o.mp4", source)))) == 50


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(15)]
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_rates_are_kept_exactly(tmp_path, rate, suffix):
    path = _write(tmp_path / f"o.{suffix}", n=60, fps=float(rate))
    info = probe(path)
    assert (info.fps, info.frames, info.variable_rate) == (float(rate), 60, False)
    assert [frame.time for frame in read_frames(path)] == [i / float(rate) for i in range(60)]


def test_uneven_times_are_kept(tmp_path):
    times = [0, 0.033, 0.0712, 0.15, 0.15001, 1.366, 7.0]
    path = _write(tmp_path / "o.mp4", n=7, fps=30.0, times=times)
    np.testing.assert_allclose([frame.time for frame in read_frames(path)], times, atol=2e-4)


def test_colours_and_greys_come_back(tmp_path):
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (255, 255, 255), (0, 0, 0), (128, 128, 128)]
    with video_writer(tmp_path / "c.mp4", 64, 48, 25) as write:
        for index, colour in enumerate(colours):
            write(np.full((48, 64, 3), colour, np.uint8), index / 25)
    found = [frame.image.mean((0, 1)) for frame in read_frames(tmp_path / "c.mp4")]
    np.testing.assert_allclose(found, colours, atol=5)
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert container.streams.video[0].codec_context.colorspace == 1  # BT.709
    with video_writer(tmp_path / "g.mp4", 63, 47, 25) as write:
        for index in range(6):
            write(np.full((47, 63), 51 * index, np.uint8), index / 25)
    found = [frame.image for frame in read_frames(tmp_path / "g.mp4")]
    assert {image.shape for image in found} == {(48, 64, 3)}
    for index, image in enumerate(found):
        assert np.abs(image.astype(int) - 51 * index).max() <= 3


@pytest.mark.parametrize(("height", "width", "colour_levels"), [(720, 1280, 2), (51, 77, 4)])
def test_heat_laid_over_planes_is_the_overlay_within_two_levels(height, width, colour_levels):
    """Of pictures of every hue. Colours have half the resolution, which tells where a map is hardly smaller."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]
    smooth = np.exp(-((rows - 12) ** 2 + (columns - 20) ** 2) / 30)
    context = SimpleNamespace(height=height + height % 2, width=width + width % 2, time_base=Fraction(1, 25))
    reformatter = VideoReformatter()
    image = cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    for saliency in (smooth, smooth + rng.random((32, 32)) / 20, np.zeros((32, 32))):
        grey = grey_map(saliency.astype(np.float32), width, height)
        before = image.copy()
        found = video._video_frame(image, grey, context, reformatter).to_ndarray()
        expected = video._video_frame(overlay(image, grey), None, context, reformatter).to_ndarray()
        off = np.abs(found.astype(int) - expected)
        assert off[: context.height].max() <= 2
        assert off[context.height :].max() <= colour_levels
        np.testing.assert_array_equal(image, before)


def test_the_same_pictures_make_the_same_file_whatever_memory_held_before(tmp_path):
    program = """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from vasal_jax.outputs.video import video_writer
        picture = np.kron([[0, 255], [90, 30]], np.ones((24, 32))).astype(np.uint8)
        with video_writer(Path(sys.argv[1]), 64, 48, 25) as write:
            for index in range(8):
                write(np.roll(picture, index, 1), index / 25)"""
    for held in ("1", "100", "200"):  # glibc fills what it hands out with the complement
        command = [sys.executable, "-c", program, str(tmp_path / f"{held}.mp4")]
        subprocess.run(command, env=os.environ | {"MALLOC_PERTURB_": held}, check=True)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "o.mp4"
    path.write_bytes(b"earlier")
    writing = video_writer(path, 64, 48, 25)
    writing.__enter__()(np.zeros((48, 64, 3), np.uint8), 0.0)
    assert not writing.__exit__(RuntimeError, RuntimeError("stop"), None)
    assert path.read_bytes() == b"earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["o.mp4"]


def test_an_error_of_the_encoder_reaches_who_writes_and_its_thread_ends(tmp_path, monkeypatch):
    made = []

    def refusing(image, *_):
        made.append(image)
        raise av.FFmpegError(28, "No space left on device")

    monkeypatch.setattr(video, "_video_frame", refusing)
    written = 0
    refused = pytest.raises(InputError, match=r"o\.mp4: cannot be written \(No space left on device\)")
    with refused, video_writer(tmp_path / "o.mp4", 64, 48, 25) as write:
        for index in range(100):
            write(np.zeros((48, 64, 3), np.uint8), index / 25)
            written += 1
    assert written < 10
    assert len(made) < 10
    assert not list(tmp_path.iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("encode")]


def test_names(tmp_path):
    check_name(Path("a.MP4"))
    for name in ("a", "a.avi", "mp4"):
        with pytest.raises(InputError, match=r"expected a name in \.mp4"):
            check_name(Path(name))
