"""Which frames are asked who speaks, how long the speaker has talked in them, and what they come to."""

from types import SimpleNamespace

import numpy as np
import pytest

from data.synthetic import SyntheticArgs, generate
from scripts.speaker_share import SpeakerFrames, main, pooled, share, speaker_found, speaker_frames
from tests.helpers.models import narrow_model, weighing_model
from vasal_jax import weights
from vasal_jax.errors import InputError
from vasal_jax.size import Size
from vasal_jax.weights.parameters import arrays

FPS = 10.0


def video(talking: list[str], seen: list[str] | None = None) -> SimpleNamespace:
    """A video by who talks (x) and who is seen (x), a word of frames for each face."""
    talks, mask = (np.array([[letter == "x" for letter in word] for word in words]) for words in (talking, seen or []))
    mask = mask.T if seen else np.ones_like(talks.T)
    return SimpleNamespace(id="1", fps=FPS, tracks=lambda: (None, mask), talking=lambda: talks)


def heaviest(faces: list[int], count: int = 3) -> np.ndarray:
    """Weights of so many faces and of none, in whose frames those faces weigh most."""
    weights = np.full((len(faces), count + 1), 0.1)
    weights[np.arange(len(faces)), faces] = 0.6
    weights[:, -1] = 0.9  # no face weighs more than any, and is not asked
    return weights


def test_the_frames_asked_have_one_speaker_among_three_faces():
    one = video(["xx..", ".x..", "...x"], ["xxxx", "xxxx", "xxx."])
    found = speaker_frames(one, heaviest([0, 0, 0, 0]))
    np.testing.assert_array_equal(found.right, [True])  # two talk, none talks, two are seen
    np.testing.assert_allclose(found.chance, [1 / 3])


def test_a_face_that_is_not_seen_does_not_weigh():
    one = video(["....", "xxxx", "....", "...."], ["....", "xxxx", "xxxx", "xxxx"])
    assert speaker_frames(one, heaviest([0, 0, 1, 2], 4)).right.tolist() == [True, True, True, False]


def test_a_turn_begins_where_its_speaker_was_silent_before():
    one = video(["xxx..x", "...xx.", "......"])
    found = speaker_frames(one, heaviest([0, 0, 0, 0, 1, 0]))
    np.testing.assert_allclose(found.since, np.array([0, 1, 2, 0, 1, 0]) / FPS)
    assert found.right.tolist() == [True, True, True, False, True, True]
    assert share(found).right == pytest.approx(5 / 6)
    assert share(found, 0, 0.1) == (pytest.approx(2 / 3), pytest.approx(1 / 3), 3)
    assert share(found, 0.1) == (1.0, pytest.approx(1 / 3), 3)
    assert share(found, 5).frames == 0
    assert np.isnan(share(found, 5).right)


def test_videos_count_by_their_frames():
    ones, none = np.ones(3), np.zeros(1)
    found = pooled([SpeakerFrames(ones > 0, ones / 3, ones), SpeakerFrames(none > 0, none + 0.25, none)])
    assert share(found) == (0.75, pytest.approx(0.3125), 4)
    assert speaker_found([video(["x", ".", "."])], {"1": heaviest([0])}) == (1.0, pytest.approx(1 / 3), 1)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    generate(SyntheticArgs(folder, videos=5, seconds=1.2, seed=3, size=Size(180, 320), workers=1))
    return folder


def written(model, path):
    weights.write(model.config, arrays(model), path)
    return str(path)


def test_the_command_tells_the_share_of_any_weights(faces, tmp_path, capsys):
    assert main([str(faces), "--weights", written(weighing_model(), tmp_path / "w.safetensors"), "--mute"]) == 0
    said = capsys.readouterr().out
    assert "seconds since" in said
    assert "the speaker has the highest weight in " in said
    assert "chance is " in said
    assert "people look at the speaker more than at any other face in " in said


def test_the_split_is_the_dataset_s_or_that_of_a_rule(faces, tmp_path, capsys):
    file = written(weighing_model(), tmp_path / "w.safetensors")
    assert main([str(faces), "--weights", file, "--split-rule", "test=231,100,312"]) == 0
    three = capsys.readouterr().out
    assert main([str(faces), "--weights", file, "--split-rule", "test=231,100"]) == 0
    assert capsys.readouterr().out != three
    assert main([str(faces), "--weights", file, "--split-rule", "tests=31"]) == 2
    assert "tests=31" in capsys.readouterr().err


def test_weights_without_a_face_branch_are_refused(faces, tmp_path, capsys):
    assert main([str(faces), "--weights", written(narrow_model(), tmp_path / "w.safetensors")]) == 2
    assert "w.safetensors: has no face branch" in capsys.readouterr().err


def test_a_video_of_which_nobody_says_who_talks_is_named():
    silent = SimpleNamespace(id="7", fps=FPS, tracks=lambda: None, talking=lambda: None)
    with pytest.raises(InputError, match="video 7: nothing says who talks"):
        speaker_frames(silent, heaviest([0]))
