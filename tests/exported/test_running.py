"""A video through exported programs: the maps of `predict`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import vasal_jax
from tests.helpers import face_videos
from tests.helpers.models import narrow_model, weighing_model
from tests.helpers.plain_preprocessing import maps_of
from vasal_jax import exported, load, predict
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.inputs.clips import VideoClips
from vasal_jax.models import ModelConfig, VASal
from vasal_jax.weights import parameters

MEMORIES = ("continuous", "reset/6", "overlap/8")


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return face_videos.write_talkers(tmp_path_factory.mktemp("video") / "v.mkv", 13)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory) -> Path:
    return face_videos.write_tracks(tmp_path_factory.mktemp("tracks") / "t.npy", 13, face_videos.SIZE)


def check_same(found: np.ndarray, expected: np.ndarray) -> None:
    """To 1e-5, and to 1e-4 of the largest value, which must stand above a flat map's for this to mean anything."""
    assert expected.max() > 2 / 32**2
    np.testing.assert_allclose(found, expected, rtol=0, atol=min(1e-5, 1e-4 * expected.max()))


@pytest.mark.parametrize("memory", MEMORIES)
def test_run_gives_the_maps_of_predict(tmp_path_factory, video, tracks, memory, program, model):
    check_same(
        exported.run(program, video, faces=tracks, memory=memory), predict(model, video, faces=tracks, memory=memory)
    )


@pytest.fixture(scope="module")
def model() -> VASal:
    return narrow_model()


@pytest.fixture(scope="module")
def program(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("program") / "narrow.onnx"
    exported.save(model, path, "onnx")
    return path


@pytest.mark.parametrize("trained", [None, "reset/9"])
def test_a_program_fed_as_the_document_says(program, model, video, tracks, trained):
    """The document of the state, written down a second time: two videos side by side."""
    (clip,) = VideoClips(video, 13, faces=tracks)
    inputs = {name: np.concatenate([array, array]) for name, array in clip.batch.items()}
    model.memory = None if trained is None else Memory.parse(trained)
    expected = predict(model, video, faces=tracks)
    program = exported.load(program)
    for maps in maps_of(program, inputs, program.initial_carry(2), trained):
        check_same(maps, expected)


@pytest.mark.slow
def test_a_face_branch_without_any_faces(tmp_path, video):
    """No slot at all becomes one that is empty: the runtimes have no arrays without entries."""
    model = weighing_model()
    exported.save(model, tmp_path / "p.onnx", "onnx")
    frames = list(exported.stream(tmp_path / "p.onnx", video, faces=None))
    check_same(np.stack([frame.map for frame in frames]), predict(model, video, faces=None))
    assert all(len(frame.faces.weights) == 0 and frame.faces.no_face == 1 for frame in frames)


class _Fixed(exported.Program):
    """A program of fixed sizes that is never run."""

    def _run(self, inputs):
        raise AssertionError


@pytest.mark.parametrize(
    ("sizes", "memory", "message"),
    [
        ({"B": 1, "T": 4, "N": 4}, "reset/6", "clips that divide 6 frames, the program's have 4"),
        ({"B": 3, "T": 2, "N": 4}, "continuous", "takes 3 videos at once"),
        ({"B": 1, "T": 2, "N": 1}, "continuous", "at most 1 faces at a time, found 2"),
    ],
)
def test_fixed_sizes_that_do_not_suit(video, tracks, sizes, memory, message):
    config = ModelConfig.tiny_full()
    fixed = _Fixed(exported.Description(config, None, sizes))
    with pytest.raises(InputError, match=message):
        next(exported.stream(fixed, video, faces=tracks, memory=memory))


def drawn_model(preset: str) -> VASal:
    """A model of a preset with random parameters that keep the variance of what goes through its layers; "packaged" is
    the trained one."""
    if preset == "packaged":
        return load(Path(vasal_jax.__file__).parent / "assets/tiny.safetensors")
    config, rng = getattr(ModelConfig, preset)(), np.random.default_rng(1)
    values = {}
    for name, shape in sorted(parameters.parameter_shapes(config).items()):
        scale = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.05
        # As a fresh model has it: mel pictures and face maps enter at 0..255, and logits of hundreds are no map.
        scale *= 0.01 if name == "fusion.head.kernel" else 1
        values[name] = (rng.normal(0, 1, shape) * scale).astype(np.float32)
    return parameters.build(config, values, "drawn")


@pytest.mark.slow
@pytest.mark.parametrize("form", exported.FORMS)
@pytest.mark.parametrize("preset", ["packaged", "tiny", "tiny_full_audio_faces", "released"])
def test_sixty_frames_of_one_video_and_of_three_at_once(tmp_path, preset, form):
    model, frames = drawn_model(preset), 60
    videos = [face_videos.write_talkers(tmp_path / f"{seed}.mkv", frames, seed) for seed in range(3)]
    tracks = face_videos.write_tracks(tmp_path / "t.npy", frames, face_videos.SIZE)
    expected = [predict(model, video, faces=tracks) for video in videos]
    for count in (1, 3):
        path = tmp_path / f"{count}.{form}"
        sizes = {"B": count} | ({"N": 2} if model.face else {}) if form == "tflite" else None
        exported.save(model, path, form, sizes)
        found = (
            [exported.run(path, videos[0], faces=tracks)] if count == 1 else _side_by_side(path, videos, tracks, model)
        )
        for maps, same in zip(found, expected, strict=False):
            print(preset, form, count, f"{np.abs(maps - same).max():.1e} of {same.max():.3g}")
            check_same(maps, same)


def _side_by_side(path: Path, videos: Sequence[Path], tracks: Path, model: VASal) -> np.ndarray:
    """The maps of several videos of one length (V, F, 32, 32), a program's lanes fed as the document says."""
    program, videos_inputs = exported.load(path), []
    for video in videos:
        clips = [clip.batch for clip in VideoClips(video, 12, faces=tracks, face_branch=model.face is not None)]
        videos_inputs.append({name: np.concatenate([clip[name] for clip in clips], axis=1) for name in clips[0]})
    inputs = {name: np.concatenate([video[name] for video in videos_inputs]) for name in videos_inputs[0]}
    memory = None if program.description.memory is None else str(program.description.memory)
    return maps_of(program, inputs, program.initial_carry(len(videos), 2), memory)
