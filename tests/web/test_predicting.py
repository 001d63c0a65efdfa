"""What the page makes of a video, without the page."""

import re
from stat import S_IFLNK
from zipfile import ZipFile, ZipInfo

import numpy as np
import pytest

from tests.helpers.media import write_video
from vasal_jax.errors import InputError
from vasal_jax.inputs.video import count_frames, probe, read_frames
from vasal_jax.web.chart import by_frame, chart, heaviest
from vasal_jax.web.limits import Limits
from vasal_jax.web.models import PACKAGED, Models
from vasal_jax.web.predicting import Moment, predict
from vasal_jax.web.rooms import Rooms
from vasal_jax.web.rows import SWITCHES, brought_row, other_row, own_row, switched_row
from vasal_jax.web.side_by_side import side_by_side


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    return Rooms(tmp_path_factory.mktemp("rooms"))


@pytest.fixture(scope="module")
def example(rooms):
    return rooms.draw_example(seconds=0.4)


@pytest.fixture(scope="module")
def models():
    return Models()


@pytest.fixture(scope="module")
def prediction(models, example, rooms):
    return predict(models, Limits(), example, example.video, PACKAGED, rooms.new_folder(), lambda *_: None)


def test_a_prediction_leaves_what_the_command_leaves(prediction):
    outputs = prediction.outputs
    assert sorted(path.name for path in prediction.folder.iterdir()) == sorted(path.name for path in outputs.paths())
    assert probe(outputs.overlay).has_sound
    assert count_frames(outputs.overlay) == count_frames(outputs.explanation) == prediction.info.frames == 10
    frames = by_frame(prediction.moments())
    assert len(frames) == 10
    for frame in frames:
        assert sum(moment.weight for moment in frame) == pytest.approx(1, abs=1e-4)


def test_the_chart_has_a_line_a_face_and_the_heaviest_face(prediction):
    drawn, moments = chart(prediction.moments()), prediction.moments()
    tracks = {moment.track for moment in moments}
    assert drawn.count("<polyline") == 2 * len(tracks) - 1  # "no face" does not talk
    assert len(re.findall(r"\[[0-9.]+, ", drawn)) == 10
    assert heaviest([Moment(0, 0.5, 1, 0.2, 0.9), Moment(0, 0.5, 3, 0.7, 0.1), Moment(0, 0.5, None, 0.1, None)]) == (
        0.5, 3, 0.7, 0.1,
    )  # fmt: skip
    assert heaviest([Moment(0, 0.5, None, 1.0, None)]) == (0.5, None, None, None)
    assert "no face branch" in chart([])


def test_switches_change_the_maps_each_in_its_way(models, example, prediction, rooms):
    counted = []
    rows = [own_row(prediction, "as it is")]
    rows += [switched_row(models, prediction, example, switch, counted.append) for switch in SWITCHES]
    assert counted == 4 * list(range(1, 11))
    maps = [np.stack([row.maps.open()(frame) for frame in range(10)]) for row in rows]
    for index, first in enumerate(maps):
        assert not any(np.array_equal(first, second) for second in maps[index + 1 :])
    path = rooms.new_folder() / "all.mp4"
    changes = side_by_side(path, prediction.info, rows, lambda _: None)
    assert [change.name for change in changes] == list(SWITCHES)
    for change, own in zip(changes, maps[1:], strict=True):
        pairs = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(own, maps[0], strict=True)]
        assert change.cc == pytest.approx(np.mean(pairs), abs=1e-4)
        assert (change.kl > 1e-3) == (change.name != "no motion")  # of which so short a still clip has none
    sheet = next(read_frames(path)).image
    assert sheet.shape == (3 * 270, 2 * 480, 3)
    cells = [sheet[top : top + 240, left : left + 480].astype(int) for top in (0, 270) for left in (0, 480)]
    assert np.abs(cells[0] - cells[1]).max() > 50
    computed = [switched_row(models, prediction, example, switch, counted.append) for switch in SWITCHES]
    assert len(counted) == 40  # and not again
    assert computed == rows[1:]


def test_the_same_maps_from_elsewhere_are_no_change(models, prediction, rooms):
    brought = brought_row(prediction, [prediction.outputs.maps], rooms.new_folder())
    same = other_row(models, prediction, PACKAGED, lambda _: None)
    path = rooms.new_folder() / "both.mp4"
    for change in side_by_side(path, prediction.info, [own_row(prediction, "own"), brought, same], lambda _: None):
        assert change.cc == pytest.approx(1, abs=1e-5)
        assert change.kl == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "found none"), (("notes.txt",), "another kind of file"), (("a.zip",), "another kind"), (("map.npz",), "npz")],
    ids=str,
)
def test_what_holds_no_maps_is_refused(prediction, rooms, tmp_path, names, message):
    files = [tmp_path / name for name in names]
    for file in files:
        file.write_bytes(b"nothing")
    with pytest.raises(InputError, match=message):
        brought_row(prediction, files, rooms.new_folder())


def test_a_link_in_an_archive_leads_nowhere(prediction, rooms, tmp_path):
    """A link's entry holds the name that it points to; nothing may open that name."""
    secret = tmp_path / "secret.npy"
    np.save(secret, np.full((10, 32, 32), 0.25, np.float32))
    link = ZipInfo("maps.npy")
    link.create_system, link.external_attr = 3, (S_IFLNK | 0o777) << 16
    with ZipFile(tmp_path / "maps.npz", "w") as archive:
        archive.writestr(link, str(secret))
    with pytest.raises(InputError, match=r"maps\.npz"):
        brought_row(prediction, [tmp_path / "maps.npz"], rooms.new_folder())


def test_names_that_are_not_on_the_page_are_refused(models, example, prediction):
    with pytest.raises(InputError, match="choose from the list"):
        models["/etc/passwd"]
    with pytest.raises(InputError, match="choose from the list"):
        other_row(models, prediction, "../../weights", lambda _: None)
    with pytest.raises(InputError, match="expected one of mute"):
        switched_row(models, prediction, example, "../mute", lambda _: None)


@pytest.mark.parametrize(
    ("limits", "message"),
    [(Limits(side=63), "63 pixels"), (Limits(seconds=0.2), "0.2 seconds"), (Limits(seconds=0.05), "seconds")],
    ids=str,
)
def test_limits(models, example, rooms, tmp_path, limits, message):
    video = write_video(tmp_path / "clip.mp4", 25)
    folder = rooms.new_folder()
    with pytest.raises(InputError, match=message):
        predict(models, limits, example, video, PACKAGED, folder, lambda *_: None)
    assert list(folder.iterdir()) == []


def test_a_video_that_lies_about_its_length_is_stopped(models, example, rooms, tmp_path, monkeypatch):
    video = write_video(tmp_path / "clip.mp4", 25)
    monkeypatch.setattr(Limits, "check", lambda *_: None)
    folder = rooms.new_folder()
    with pytest.raises(InputError, match="at most 12 frames"):
        predict(models, Limits(seconds=0.2), example, video, PACKAGED, folder, lambda *_: None)
    assert list(folder.iterdir()) == []
