"""Pictures and sound on one time: what is read, and what an overlay holds."""

import logging
from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.flashes import (
    FLASH,
    FPS,
    beep_times,
    cut_from,
    flash_times,
    joined,
    restamped,
    with_edit_list,
    write_flash,
    write_overlay,
)
from vasal_jax.inputs import limits, timeline
from vasal_jax.inputs.sound import read_sound
from vasal_jax.inputs.timeline import Timeline, time_zero
from vasal_jax.inputs.video import probe, read_frames

CODECS = [("libx264", "aac", "ts"), ("libx265", "ac3", "ts"), ("mpeg2video", "mp2", "mpg"), ("mpeg2video", "ac3", "ts")]


def _check(path: Path, frames: int, expected: list[float], tolerance: float = 0.045) -> None:
    """Flashes are where they should be and beeps at the same moment, in the file and in an overlay of it."""
    found = {path: flash_times(path)}
    for suffix in (".mp4", ".mkv"):
        overlay = write_overlay(path, path.with_name(f"overlay{suffix}"))
        found[overlay] = flash_times(overlay)
    for file, (count, flashes) in found.items():
        assert count == frames, file
        np.testing.assert_allclose(flashes, expected, atol=tolerance, err_msg=str(file))
        np.testing.assert_allclose(beep_times(file), flashes, atol=1 / FPS, err_msg=str(file))


@pytest.mark.parametrize(("video", "sound", "suffix"), [each for each in CODECS if each[2] == "ts"])
def test_a_file_cut_in_a_group_of_pictures_begins_with_the_first_picture_that_decodes(
    tmp_path, video, sound, suffix, caplog
):
    whole = write_flash(tmp_path / f"whole.{suffix}", video, sound)
    path = cut_from(whole, tmp_path / f"cut.{suffix}", 0.4)
    frames, _ = flash_times(path)
    assert 20 <= frames <= 45
    # Counted from the end, which both have in common.
    _check(path, frames, [FLASH / FPS - (75 - frames) / FPS])
    assert not [record for record in caplog.records if "damaged or cut" in record.getMessage()]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_matroska_cut_in_a_group_of_pictures(tmp_path, codec):
    source = write_flash(tmp_path / "whole.mp4", codec, gop=40)
    path = tmp_path / "cut.mkv"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = [new.add_stream_from_template(stream) for stream in old.streams]
        for packet in old.demux():
            if packet.size and packet.pts * packet.time_base >= 0.8:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    # The second key picture; MPEG-2's decoder makes do without one.
    zero = time_zero(path)
    assert zero == pytest.approx(0.84 if codec == "mpeg2video" else 1.6, abs=0.1)
    _check(path, round((3.0 - zero) * FPS), [FLASH / FPS - zero])


@pytest.mark.parametrize(("video", "sound", "suffix"), CODECS)
def test_joined_files_go_on(tmp_path, video, sound, suffix, caplog):
    part = write_flash(tmp_path / f"part.{suffix}", video, sound)
    _check(joined(tmp_path / f"joined.{suffix}", part, part), 150, [2.2, 5.2])
    assert not caplog.records


def test_three_joined_files_of_which_one_is_short_and_one_cut(tmp_path):
    part = write_flash(tmp_path / "part.ts")
    short = write_flash(tmp_path / "short.ts", n=20, flash=5, sound="aac")
    cut = cut_from(part, tmp_path / "cut.ts", 0.4)
    frames, (flash,) = flash_times(cut)
    path = joined(tmp_path / "joined.ts", part, cut, short, part)
    found, flashes = flash_times(path)
    assert found == 75 + frames + 20 + 75
    assert len(flashes) == 4
    np.testing.assert_allclose(beep_times(path), flashes, atol=1 / FPS)
    assert 3.0 + flash < flashes[1] < 4.2 + flash  # what could not be decoded is a gap


@pytest.mark.parametrize(("seconds", "second_flash"), [(1.0, 5.2), (4.0, 6.2)])
def test_joined_files_whose_sound_is_shorter_or_longer(tmp_path, seconds, second_flash):
    part = write_flash(tmp_path / "part.ts", flash=10, sound_seconds=seconds)
    _check(joined(tmp_path / "joined.ts", part, part), 150, [0.4, second_flash - 1.8], tolerance=0.09)


def test_joined_sound_files_go_on_at_their_own_rates(tmp_path):
    parts = [write_flash(tmp_path / f"{rate}.ts", rate=rate) for rate in (48000, 32000)]
    path = joined(tmp_path / "joined.ts", *parts)
    np.testing.assert_allclose(beep_times(path), [2.2, 5.2], atol=0.06)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4", "flv"])
@pytest.mark.parametrize(("hours", "expected"), [(0.005, 20.2), (2, 2.2), (30, 2.2)])
def test_jumps_of_pictures_and_sound(tmp_path, suffix, hours, expected):
    if suffix == "mp4" and hours == 30:
        pytest.skip("MP4 cannot hold it: 30 hours are more samples than its field counts")
    source = write_flash(tmp_path / "a.mp4", b_frames=0)
    moved = restamped(source, tmp_path / f"b.{suffix}", lambda _, time: time + 3600 * hours * (time >= 1))
    _check(moved, 75, [expected])


@pytest.mark.parametrize("suffix", ["mkv", "ts", "flv"])
def test_a_jump_among_pictures_that_are_decoded_out_of_order(tmp_path, suffix):
    """FFmpeg's stamps of decoding are wrong for some pictures of Matroska there."""
    source = write_flash(tmp_path / "a.mp4", b_frames=2, gop=20)
    moved = restamped(source, tmp_path / f"b.{suffix}", lambda _, time: time + 7200 * (time >= 0.8))
    _check(moved, 75, [2.2])


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_jump_of_one_stream_alone_is_closed_up(tmp_path, kind):
    source = write_flash(tmp_path / "a.mp4", b_frames=0)
    moved = restamped(source, tmp_path / "b.mkv", lambda each, time: time + 7200 * (time >= 1 and each == kind))
    _check(moved, 75, [2.2])


def test_two_jumps_back_and_forth(tmp_path):
    """A camera whose clock is set twice."""
    parts = [write_flash(tmp_path / f"{index}.mp4", n=30, flash=20, b_frames=0) for index in range(3)]
    moved = [
        restamped(part, tmp_path / f"{index}.ts", lambda _, time, by=by: time + by)
        for index, (part, by) in enumerate(zip(parts, (5000, 40000, 10), strict=True))
    ]
    _check(joined(tmp_path / "joined.ts", *moved), 90, [0.8, 2.0, 3.2], tolerance=0.09)


@pytest.mark.parametrize("begins", [(0, 73853, 47263), (0, 73853, 0), (5000, 40000, 39995), (0, 9000, 18000)])
def test_two_jumps_within_a_second(tmp_path, begins):
    """Found by damaging files: the second was taken for a part of what the first begins, and hours of gap stayed."""
    parts = [write_flash(tmp_path / f"{index}.mp4", n=12, flash=5, b_frames=0) for index in range(3)]
    moved = [
        restamped(part, tmp_path / f"{index}.ts", lambda _, time, by=by: time + by)
        for index, (part, by) in enumerate(zip(parts, begins, strict=True))
    ]
    _check(joined(tmp_path / "joined.ts", *moved), 36, [0.2, 0.68, 1.16], tolerance=0.13)


def test_a_muted_hour_is_silence_where_the_pictures_went_on(tmp_path):
    """A sound that comes back is no jump: the pictures have come as far."""
    source = write_flash(tmp_path / "a.mkv", n=500, flash=450)
    path = tmp_path / "b.mkv"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = [new.add_stream_from_template(stream) for stream in old.streams]
        for packet in old.demux():
            heard = packet.stream.type == "video" or not 1 < (packet.pts or 0) * packet.time_base < 17
            if packet.size and heard:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    _check(path, 500, [18.0])


def test_a_stray_stamp_moves_nothing_else(tmp_path):
    """One sound packet in the far future: the others stay where they are."""
    source = write_flash(tmp_path / "a.mkv")

    class Stray:
        """Packets as `source` has them, but for one."""

        def __init__(self, packets):
            self.packets = packets

        def __iter__(self):
            for index, packet in enumerate(self.packets):
                if index == 60:
                    packet.pts = packet.dts = 5_000_000
                yield packet

    with av.open(str(source)) as container:
        timeline = Timeline(container)
        stream = container.streams.audio[0]
        real = container.demux

        class Container:
            format, streams = container.format, container.streams

            def demux(self, streams):
                return iter(Stray(real(streams)))

        timeline._container = Container()
        times = [float(packet.pts * packet.time_base) for packet in timeline.packets(stream, [])]
    assert max(times) < 3.1
    assert np.diff(times).max() < 0.05


def test_frames_that_an_edit_hides_are_none(tmp_path, caplog):
    source = write_flash(tmp_path / "a.mp4", gop=250)
    path = with_edit_list(source, tmp_path / "b.mp4", 1.0)
    assert probe(path).frames == 50
    assert probe(path).duration == pytest.approx(2.0, abs=0.05)
    _check(path, 50, [1.2])
    assert not caplog.records


@pytest.mark.parametrize("seconds", [0.5, 8.0])
def test_a_sound_of_another_length_is_no_damage(tmp_path, seconds, caplog):
    for suffix in ("mp4", "mkv", "ts", "avi", "flv"):
        path = write_flash(tmp_path / f"a.{suffix}", "mpeg4" if suffix == "avi" else "libx264", "aac", flash=5)
        assert len(list(read_frames(path))) == 75
    assert not caplog.records


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv"])
def test_a_late_first_picture_is_no_damage(tmp_path, suffix, caplog):
    caplog.set_level(logging.WARNING)
    source = write_flash(tmp_path / "a.mp4", b_frames=0, sound_seconds=6)
    path = restamped(source, tmp_path / f"b.{suffix}", lambda kind, time: time + 3 * (kind == "video"))
    assert len(list(read_frames(path))) == 75
    assert probe(path).frames == pytest.approx(75, abs=3)
    assert not caplog.records
    assert beep_times(path) == []  # it comes before the first picture


def test_silence_ends_with_the_pictures_however_late_the_sound_goes_on(tmp_path):
    """A beep, and five seconds later in the stamps another one, again and again for hours."""
    source = write_flash(tmp_path / "a.mkv", flash=5, sound="pcm_s16le")
    path = tmp_path / "b.mkv"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = [new.add_stream_from_template(stream) for stream in old.streams]
        packets = [packet for packet in old.demux() if packet.size]
        for packet in sorted(packets, key=lambda packet: packet.stream.type):
            later = packet.pts * packet.time_base * 200
            if packet.stream.type == "audio":
                packet.pts = packet.dts = round(later / packet.time_base)
            packet.stream = streams[packet.stream_index]
            new.mux(packet)
    samples = sum(len(block) for block in read_sound(path))
    assert samples / 22050 < 3 + 60 + 3.5  # the pictures, what is not looked at closely, and the sound itself
    assert len(list(read_frames(path))) == 75


def test_silence_is_kept_up_to_the_last_picture(tmp_path):
    source = write_flash(tmp_path / "a.mkv", n=10, flash=2, b_frames=0)
    path = restamped(source, tmp_path / "b.mkv", lambda kind, time: time + 100 * (time >= 0.2))
    late = restamped(
        source, tmp_path / "c.mkv", lambda kind, time: time + (100 if kind == "video" else 900) * (time >= 0.2)
    )
    assert flash_times(path)[1] == [0.08]
    lengths = [sum(len(block) for block in read_sound(each)) / 22050 for each in (path, late)]
    assert lengths == pytest.approx([100.4, 100.4], abs=0.3)


def test_a_file_whose_every_packet_jumps_is_read_soon(tmp_path, monkeypatch):
    """Looking ahead at each of them would take minutes for a few MB."""
    monkeypatch.setattr(limits, "MAX_JUMPS", 3)
    source = write_flash(tmp_path / "a.mkv", b_frames=0, gop=1)
    path = restamped(source, tmp_path / "b.mkv", lambda _, time: 7200 * round(time * 25) + time)
    looked = []
    fill = timeline._fill
    monkeypatch.setattr(timeline, "_fill", lambda *arguments: (looked.append(1), fill(*arguments)))
    times = [frame.time for frame in read_frames(path)]
    assert len(times) == 75
    assert times[-1] < 3600 + 4
    assert len(looked) == 3
