"""Playlists may name any file on the disk: they are refused unless the user asks for them."""

from pathlib import Path

import pytest

from tests.helpers.media import write_video
from vasal_jax.errors import InputError
from vasal_jax.inputs import media
from vasal_jax.inputs.video import probe

LISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{video}\n#EXT-X-ENDLIST\n",
    "a.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{video}\n#EXT-X-ENDLIST\n",
    "a.ffconcat": "ffconcat version 1.0\nfile '{video}'\n",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "a.mpd": "<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><Period><BaseURL>{video}</BaseURL></Period></MPD>",
}


@pytest.fixture
def video(tmp_path) -> Path:
    return write_video(tmp_path / "v.mkv", 4)


@pytest.mark.parametrize("name", LISTS)
def test_playlists_are_refused(tmp_path, video, name):
    (tmp_path / name).write_text(LISTS[name].format(video=video.name))
    with pytest.raises(InputError, match=r"is a playlist, .* --allow-playlists"):
        probe(tmp_path / name)


def test_they_are_opened_for_who_asks(tmp_path, video, monkeypatch):
    monkeypatch.setattr(media, "_playlists_allowed", False)
    media.allow_playlists()
    (tmp_path / "a.ffconcat").write_text(LISTS["a.ffconcat"].format(video=video.name))
    assert probe(tmp_path / "a.ffconcat").width == probe(video).width


def test_pictures_of_absurd_area(tmp_path):
    with pytest.raises(InputError, match="at most 67108864 pixels a frame, found 16200x16200"):
        media.check_size(16200, 16200, tmp_path)
    media.check_size(7680, 4320, tmp_path)
