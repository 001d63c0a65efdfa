"""Sound of videos that are written: which is copied, which is encoded, and which track it is."""

import errno
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from tests.helpers.flashes import beep_times, write_flash, write_overlay
from tests.helpers.media import write_tracks
from vasal_jax.errors import InputError
from vasal_jax.inputs.sound import read_sound
from vasal_jax.outputs import video as video_module
from vasal_jax.outputs.video import video_writer


def _codec(path: Path) -> tuple[str, int]:
    with av.open(str(path)) as container:
        context = container.streams.audio[0].codec_context
        return context.codec.canonical_name, context.sample_rate


@pytest.mark.parametrize(
    ("name", "codec", "rate", "out", "expected"),
    [
        ("a.mp4", "aac", 48000, "o.mp4", ("aac", 48000)),
        ("a.mkv", "libmp3lame", 44100, "o.mp4", ("mp3", 44100)),
        ("a.mkv", "libmp3lame", 11025, "o.mkv", ("mp3", 11025)),
        ("a.mkv", "libmp3lame", 11025, "o.mp4", ("aac", 11025)),
        ("a.mkv", "libmp3lame", 8000, "o.mov", ("aac", 8000)),
        ("a.avi", "libmp3lame", 11025, "o.mp4", ("aac", 11025)),
        ("a.ts", "mp2", 32000, "o.mkv", ("aac", 32000)),
        ("a.avi", "pcm_s16le", 7000, "o.mp4", ("aac", 48000)),
        ("a.mkv", "pcm_f32le", 192000, "o.mp4", ("aac", 48000)),
    ],
)
def test_sound_is_copied_where_the_container_holds_it_and_else_encoded(tmp_path, name, codec, rate, out, expected):
    source = write_flash(tmp_path / name, "mpeg4", codec, rate=rate)
    path = write_overlay(source, tmp_path / out)
    assert _codec(path) == expected
    np.testing.assert_allclose(beep_times(path), beep_times(source), atol=0.04)


PLAIN = Disposition(0)


@pytest.mark.parametrize(
    ("marks", "heard"),
    [
        ([PLAIN, Disposition.default], 1),
        ([Disposition.default, Disposition.default], 0),
        ([PLAIN, PLAIN], 0),
        ([Disposition.default | Disposition.visual_impaired, PLAIN], 1),
    ],
)
def test_the_track_of_a_player_is_heard_and_written(tmp_path, marks, heard, caplog):
    source = write_tracks(tmp_path / "a.mkv", marks)
    assert (np.concatenate(list(read_sound(source))).max() > 0.1) == heard
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"2 sound tracks, track {heard + 1} is heard" in line
    path = write_overlay(source, tmp_path / "o.mp4")
    assert (np.concatenate(list(read_sound(path))).max() > 0.1) == heard
    assert len(caplog.records) == 1


def test_a_track_is_chosen_by_number(tmp_path, caplog):
    source = write_tracks(tmp_path / "a.mkv", [PLAIN, Disposition.default])
    for track in (1, 2):
        assert (np.concatenate(list(read_sound(source, track))).max() > 0.1) == (track == 2)
        path = tmp_path / f"{track}.mp4"
        with video_writer(path, 64, 48, 25, source, track) as write:
            for index in range(10):
                write(np.zeros((48, 64, 3), np.uint8), index / 25)
        assert (np.concatenate(list(read_sound(path))).max() > 0.1) == (track == 2)
    assert not caplog.records
    for track in (0, 3):
        with pytest.raises(InputError, match=rf"a\.mkv: expected a sound track from 1 to 2, found {track}"):
            list(read_sound(source, track))


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "cannot be written.*free space"), (errno.EINVAL, "FFmpeg refused to encode this")],
)
def test_only_a_full_disk_is_called_one(tmp_path, monkeypatch, number, said):
    def refusing(*_):
        raise av.FFmpegError(number, "refused")

    monkeypatch.setattr(video_module, "_video_frame", refusing)
    with pytest.raises(InputError, match=said) as error:
        write_overlay(write_flash(tmp_path / "a.avi", "mpeg4", None, n=10), tmp_path / "o.mp4")
    (tmp_path / "a.avi").unlink()
    assert ("space" in str(error.value)) == (number == errno.ENOSPC)
    assert not list(tmp_path.iterdir())
