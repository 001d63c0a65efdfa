"""The document of the preprocessing: a second implementation of it makes the same inputs."""

import numpy as np
import pytest

from tests.helpers import face_videos, plain_preprocessing
from vasal_jax.inputs import sound
from vasal_jax.inputs.clips import VideoClips
from vasal_jax.inputs.faces import tracks as face_tracks
from vasal_jax.inputs.faces.crops import crop_faces, model_crops
from vasal_jax.inputs.video import model_frame, read_frames

N = 17


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    return face_videos.write_talkers(folder / "v.mkv", N), face_videos.write_tracks(
        folder / "t.npy", N, face_videos.SIZE
    )


@pytest.fixture(scope="module")
def frames(files):
    return list(read_frames(files[0]))


def inputs(files, face_branch: bool) -> dict[str, np.ndarray]:
    """The library's, of the whole video."""
    clips = VideoClips(files[0], N, faces=files[1], face_branch=face_branch)
    batches = [clip.batch for clip in clips]
    return {name: np.concatenate([batch[name][0] for batch in batches]) for name in batches[0]}


def test_frames(files, frames):
    same = inputs(files, face_branch=False)
    plain = np.stack([plain_preprocessing.frame_input(frame.image) for frame in frames])
    np.testing.assert_array_equal(same["frames"], plain)
    np.testing.assert_array_equal(same["frames_past"], plain[[max(0, i - 5) for i in range(N)]])


@pytest.mark.parametrize("size", [(180, 320), (512, 512), (719, 1281), (20, 30)])
def test_frames_of_noise_are_the_same_to_the_byte(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    np.testing.assert_array_equal(model_frame(image), plain_preprocessing.frame_input(image))


def test_sound(files, frames):
    samples = np.concatenate(list(sound.read_sound(files[0])))
    track = plain_preprocessing.spectrogram(samples)
    pictures = [plain_preprocessing.mel_picture(track, frame.time) for frame in frames]
    plain = np.stack([plain_preprocessing.mel_window(pictures, i) for i in range(N)])
    found = inputs(files, face_branch=False)["mel"]
    assert np.ptp(found) > 200
    np.testing.assert_allclose(found, plain, atol=0.01)
    silence = plain_preprocessing.spectrogram(np.zeros(1000))
    assert silence.shape == (128, 20)
    assert not silence.any()


def test_face_maps(files):
    boxes, mask = face_tracks.load_tracks(files[1], face_videos.SIZE)
    plain = np.stack([plain_preprocessing.face_map(row[here]) for row, here in zip(boxes, mask, strict=True)])
    np.testing.assert_allclose(inputs(files, face_branch=False)["face_map"], plain, atol=0.01)
    assert not plain_preprocessing.face_map(boxes[0][:0]).any()


def test_face_crops(files, frames):
    boxes, mask = face_tracks.load_tracks(files[1], face_videos.SIZE)
    assert mask.all()
    found = inputs(files, face_branch=True)
    np.testing.assert_array_equal(found["face_boxes"], boxes)
    np.testing.assert_array_equal(found["face_mask"], mask)
    for index in (0, N - 1):
        for face, box in enumerate(boxes[index]):
            plain = plain_preprocessing.face_crop(frames[index].image, box)
            np.testing.assert_array_equal(found["face_crops"][index, face], plain)


@pytest.mark.parametrize("box", [(0.1, 0.2, 0.9, 0.95), (-0.1, 0.6, 0.3, 1.1), (0.5, 0.5, 0.51, 0.51)])
def test_crops_that_shrink_or_reach_outside(box):
    image = np.random.default_rng(0).integers(0, 256, (90, 140, 3), dtype=np.uint8)
    box, present = np.float32(box), np.ones(1, bool)
    found = model_crops(crop_faces(image, box[None], present), present)[0]
    np.testing.assert_array_equal(found, plain_preprocessing.face_crop(image, box))
