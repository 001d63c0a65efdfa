"""The stream of maps against the model called by hand on frames, sound and faces put together by hand."""

import threading
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.helpers import face_videos, real_faces
from tests.helpers.golden import FIXTURES, drawn_state
from tests.helpers.media import picture, write_video
from tests.helpers.models import call, narrow_model, weighing_model
from vasal_jax import predict
from vasal_jax.ablations import MUTED, NO_FACES, NO_MOTION
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.inputs import audio, clips
from vasal_jax.inputs.faces import detection
from vasal_jax.inputs.faces import tracks as face_tracks
from vasal_jax.inputs.faces.detection import detect_tracks
from vasal_jax.inputs.faces.maps import gaussian_mixture, normalise_face_map
from vasal_jax.inputs.faces.slots import FaceSlots
from vasal_jax.inputs.video import model_frame, read_frames
from vasal_jax.models import ModelConfig, VASal, saliency
from vasal_jax.models.layers import for_inference
from vasal_jax.outputs.heatmap import stretched
from vasal_jax.prediction import inference, streaming
from vasal_jax.prediction.recurrent_state import RecurrentState
from vasal_jax.size import Size
from vasal_jax.system import processor
from vasal_jax.weights import parameters, pytorch

COUNTS = (1, 4, 11, 12, 13, 17, 24, 30)  # of frames; around the borders of clips


@pytest.fixture(scope="module")
def model() -> VASal:
    config = ModelConfig.tiny()
    return parameters.build(config, pytorch.from_pytorch(drawn_state(config), config, "drawn"), "drawn")


def _video(folder, n: int):
    """Lossless smooth motion, never the same frame twice, with a sweeping tone that outlasts it."""
    y, x = np.mgrid[:48, :64]
    frames = [
        np.stack([127 + 120 * np.sin(x / 9 + t / 2), 127 + 120 * np.sin(y / 7 - t), (x * 4 + y + 9 * t) % 255], -1)
        for t in range(n)
    ]
    time = np.arange(22050 * n // 25) / 22050
    sound = 0.4 * np.sin(2 * np.pi * (200 + 300 * time) * time) * (1 + np.sin(9 * time)) / 2
    frames = [frame.astype(np.uint8) for frame in frames]
    return write_video(folder / f"{n}.mkv", frames, codec="ffv1", pix_fmt="bgr0", sound=sound)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return {n: _video(folder, n) for n in COUNTS}


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    path = tmp_path_factory.mktemp("tracks") / "t.npy"
    np.save(path, np.array([[[5 + t, 8, 20 + t, 30], [40, 10 + t / 2, 55, 30 + t / 2]] for t in range(30)]))
    return path


def _batch(video, tracks) -> dict[str, jax.Array]:
    """All frames of a video as one clip."""
    decoded = [model_frame(frame.image) for frame in read_frames(video)]
    n = len(decoded)
    track = audio.load_spectrogram(video)
    pictures = [audio.mel_picture(track, audio.hop_at(i / 25)) for i in range(n)]

    def window(i: int) -> list[np.ndarray]:
        """[i-8, i+8), shifted inwards; the last picture again where there are fewer than 16."""
        start = min(max(i - 8, 0), max(n - 16, 0))
        return [pictures[min(j, n - 1)] for j in range(start, start + 16)]

    boxes, mask = face_tracks.load_tracks(tracks, Size(48, 64))
    face_maps = [normalise_face_map(gaussian_mixture(boxes[i], mask[i])) for i in range(n)]
    clip = {
        "frames": np.stack(decoded),
        "frames_past": np.stack([decoded[max(0, i - 5)] for i in range(n)]),
        "mel": np.stack([window(i) for i in range(n)])[..., None],
        "face_map": np.stack(face_maps)[..., None],
    }
    return {name: jnp.asarray(value)[None] for name, value in clip.items()}


@nnx.jit
def _logits(model: VASal, batch: dict[str, jax.Array]) -> jax.Array:
    return call(model, batch).saliency_logits[0]


def _part(batch: dict[str, jax.Array], start: int, end: int) -> dict[str, jax.Array]:
    return {name: value[:, start:end] for name, value in batch.items()}


def _assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """To 1e-5 of the largest value, which must stand well above a flat map's for this to mean anything."""
    assert expected.max() > 5 * expected.mean()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


def test_the_released_model_stays_within_glibcs_heaps(monkeypatch):
    """What a program puts aside is one block; one of more than 64 MB would be faulted in anew for every clip."""
    monkeypatch.setattr(processor, "cores", lambda: 2)
    graph, parameters = nnx.split(for_inference(VASal(ModelConfig.released(), rngs=nnx.Rngs(0))))
    sizes = {"frames": (256, 256, 3), "frames_past": (256, 256, 3), "mel": (16, 64, 64, 1)}
    batch = {name: np.zeros((1, streaming._STREAMED, *size), np.float32) for name, size in sizes.items()}
    program = inference.clip_features.lower(graph, parameters, batch).compile()
    assert program.memory_analysis().temp_size_in_bytes < 2**26


@pytest.mark.parametrize("n", COUNTS)
def test_a_stream_equals_one_long_clip(model, videos, tracks, n):
    expected = saliency(_logits(model, _batch(videos[n], tracks)))
    _assert_same(predict(model, videos[n], faces=tracks), np.asarray(expected))


@pytest.fixture
def compilations(caplog):
    """Counts how often each program is compiled from here on, in all threads."""

    def count() -> dict[str, int]:
        said = "\n".join(record.getMessage() for record in caplog.records)
        names = "clip_features", "clip_results"
        return {name: said.count(f"Finished XLA compilation of jit({name})") for name in names}

    jax.clear_caches()
    jax.config.update("jax_log_compiles", True)
    yield count
    jax.config.update("jax_log_compiles", False)


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("face_branch", [False, True])
def test_it_is_compiled_once_and_not_in_wait_of_the_first_clip(
    model, weighing, videos, tracks, monkeypatch, compilations, face_branch, released
):
    """A stream that learnt the shapes from its first clip, or wrong ones before it, would compile later or again."""
    compiled = threading.Event()

    def cut_clips(*arguments, **options):
        for clip in usual(*arguments, **options):
            if threading.current_thread().name == "prefetch":
                assert compiled.wait(60)
            yield clip

    usual = clips.cut_clips
    monkeypatch.setattr(clips, "cut_clips", cut_clips)
    usual_ahead = streaming.computed_ahead
    monkeypatch.setattr(streaming, "computed_ahead", lambda *arguments: (compiled.set(), usual_ahead(*arguments))[1])
    frames = list(streaming.stream(weighing if face_branch else model, videos[30], faces=tracks, released=released))
    assert len(frames) == (24 if released else 30)
    assert compilations() == {"clip_features": 1, "clip_results": 1}


def test_it_is_compiled_for_the_faces_that_are_found(weighing, videos, monkeypatch, compilations):
    """Five faces take eight slots; a program for four would be compiled for nothing."""
    boxes = np.array([[0.2 * i, 0.3, 0.2 * i + 0.1, 0.5] for i in range(5)], np.float32)
    monkeypatch.setitem(detection.DETECTORS, "yunet", lambda: lambda image: (boxes, np.full(5, 0.9, np.float32)))
    frames = list(streaming.stream(weighing, videos[30], faces="auto"))
    assert [len(frame.faces.weights) for frame in frames] == [5] * 30
    assert compilations() == {"clip_features": 1, "clip_results": 1}


def test_a_program_that_could_not_be_compiled_is_compiled_the_next_time(model, videos, tracks, monkeypatch):
    """Memory may be short for one video of many, and on a page that stays up."""
    predictor = streaming.Predictor(model)

    def compile_nothing() -> None:
        raise MemoryError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(streaming, "lowered_features", lambda *_: SimpleNamespace(compile=compile_nothing))
        with pytest.raises(MemoryError):
            list(predictor.stream(videos[11], faces=tracks))
    assert len(list(predictor.stream(videos[11], faces=tracks))) == 11


@pytest.mark.parametrize(("memory", "n"), [("reset/12", 11), ("reset/12", 30), ("reset/7", 24), ("reset/1", 13)])
def test_reset_forgets_at_every_nth_frame(model, videos, tracks, memory, n):
    batch, frames = _batch(videos[n], tracks), Memory.parse(memory).frames
    parts = [_logits(model, _part(batch, start, start + frames)) for start in range(0, n, frames)]
    expected = np.asarray(saliency(jnp.concatenate(parts)))
    found = predict(model, videos[n], faces=tracks, memory=memory)
    _assert_same(found, expected)
    if n > 13:  # and the memory matters
        assert np.abs(predict(model, videos[n], faces=tracks)[12:] - found[12:]).max() > 1e-3 * found.max()


@pytest.mark.parametrize("memory", ["overlap/12", "overlap/10"])
def test_a_frame_of_overlap_is_that_of_a_run_begun_half_to_n_frames_before(model, videos, tracks, memory):
    """And so no map depends, through the state, on more than N frames: the run begins at most N - 1 before."""
    n, half = 30, Memory.parse(memory).frames // 2
    batch = _batch(videos[n], tracks)
    logits = []
    for border in range(0, n, half):
        begin = max(border - half, 0)
        logits.append(_logits(model, _part(batch, begin, border + half))[border - begin :])
    expected = np.asarray(saliency(jnp.concatenate(logits)))
    _assert_same(predict(model, videos[n], faces=tracks, memory=memory), expected)


def test_what_lies_n_frames_back_changes_nothing_under_overlap(model, videos, tracks):
    """Features are cut off from the past by hand; what is left of it comes through the state alone."""
    found = {}
    for memory in ("overlap/8", "continuous"):
        batch = _batch(videos[30], tracks)
        found[memory] = _through(model, batch, memory), _through(model, _noisy_until(batch, 8), memory)
    changed = {memory: np.abs(x - y).max((1, 2)) for memory, (x, y) in found.items()}
    assert (changed["overlap/8"][16:] == 0).all()
    assert (changed["continuous"][16:] > 0).all()


def _noisy_until(batch: dict[str, jax.Array], frame: int) -> dict[str, jax.Array]:
    noise = np.random.default_rng(0).uniform(-100, 100, (1, frame, 256, 256, 3)).astype(np.float32)
    return batch | {"frames": batch["frames"].at[:, :frame].set(noise)}


def _through(model: VASal, batch: dict[str, jax.Array], words: str) -> np.ndarray:
    """The maps of a batch of one video by way of `RecurrentState`, in clips as long as a stream's."""
    memory = Memory.parse(words)
    state, length = RecurrentState(memory, model.initial_carry(1, 0)), streaming.clip_length(memory)
    maps = []
    for start in range(0, batch["mel"].shape[1], length):
        part = _part(batch, start, start + length)
        maps.append(state(np.array([start]), lambda carry, part=part: _logits_and_carry(model, part, carry))[0])
    return np.asarray(saliency(jnp.concatenate(maps)))


@nnx.jit
def _logits_and_carry(model: VASal, batch: dict[str, jax.Array], carry) -> tuple[jax.Array, object]:
    output = call(model, batch, carry=carry)
    return output.saliency_logits, output.carry


def test_overlap_does_not_jump_where_reset_does(model, tmp_path):
    """Of a picture that stands still, in silence, maps settle; a reset unsettles them at every border, overlap none."""
    video = write_video(tmp_path / "still.mkv", [picture()] * 48, codec="ffv1", pix_fmt="bgr0")
    jumps = {}
    for memory in ("reset/16", "overlap/16"):
        maps = predict(model, video, memory=memory)
        steps = np.abs(np.diff(maps, axis=0)).max((1, 2))
        jumps[memory] = steps[7::8][1:].max()  # into frames 16, 24, 32 ..., after the first copies are warm
    assert jumps["overlap/16"] < 0.25 * jumps["reset/16"]


def test_weights_say_what_memory_suits_them(model, videos, tracks):
    model.memory = Memory("reset", 12)
    try:
        by_default = predict(model, videos[30], faces=tracks)
        assert np.array_equal(by_default, predict(model, videos[30], faces=tracks, memory="overlap"))
    finally:
        model.memory = None
    assert np.array_equal(by_default, predict(model, videos[30], faces=tracks, memory="overlap/12"))
    assert not np.array_equal(by_default, predict(model, videos[30], faces=tracks))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "overlap"}, "do not say what N"),
        ({"memory": "overlap/7"}, "an even N"),
        ({"memory": "overlap/12", "released": True}, "released system's is reset/12"),
    ],
)
def test_a_memory_that_cannot_be_is_refused(model, videos, options, message):
    with pytest.raises(InputError, match=message):
        next(streaming.stream(model, videos[30], **options))


@pytest.mark.parametrize(("n", "windows"), [(17, [5]), (24, [5]), (30, [5, 17])])
def test_released_windows_and_columns(model, videos, tracks, n, windows):
    batch = _batch(videos[n], tracks)
    logits = np.concatenate([_logits(model, _part(batch, start, start + 12)) for start in windows]).astype(np.float64)
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    expected = exponentials / exponentials.sum(1, keepdims=True)  # over the 32 rows of each column
    frames = list(streaming.stream(model, videos[n], faces=tracks, released=True))
    assert [frame.index for frame in frames] == list(range(5, 5 + 12 * len(windows)))
    found = np.stack([frame.map for frame in frames])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.max() > 0.3


def test_the_two_softmaxes_are_the_released_and_the_right_one():
    """Of logits that the released model gave, with what it and the mended one make of them."""
    with np.load(FIXTURES / "released_forward_seed7.npz") as released:
        logits = jnp.asarray(released["logits"])
        np.testing.assert_allclose(saliency(logits), released["softmax_spatial"], rtol=1e-4, atol=1e-9)
        by_column = inference.by_columns(logits)
        np.testing.assert_allclose(by_column, released["softmax_released"], rtol=1e-4, atol=1e-7)


def test_the_picture_made_of_a_map_is_the_released_one():
    with np.load(FIXTURES / "released_preprocessing.npz") as released:
        for found, expected in zip(released["post_in"], released["post_out"], strict=True):
            np.testing.assert_allclose(stretched(found, 320, 180)[::6, ::8], expected, atol=1e-3 * 255)


def test_frames_and_maps_stay_together(model, videos):
    for n in (13, 24, 30):
        frames = list(streaming.stream(model, videos[n]))
        decoded = list(read_frames(videos[n]))
        assert [frame.index for frame in frames] == list(range(n))
        assert [frame.time for frame in frames] == [frame.time for frame in decoded]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, decoded, strict=True))


def test_clips_of_several_videos_at_once(videos, tracks):
    """Each as if it were alone, also as a share of a mesh of devices."""
    model = narrow_model()
    graph, parameters = nnx.split(model)
    batches = [_part(_batch(videos[n], tracks), 0, 12) for n in (13, 24)]

    def results(batch, **on):
        features = inference.clip_features(graph, parameters, batch, **on)
        carry = model.initial_carry(len(batch["mel"]))
        return inference.clip_results(graph, parameters, features, batch, carry, **on)

    alone = [results(batch) for batch in batches]
    both = {name: jnp.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("videos",))
    (maps, _, _), carry = results(both, mesh=mesh)
    for lane, (expected, expected_carry) in enumerate(alone):
        np.testing.assert_allclose(maps[lane], expected.maps[0], rtol=1e-5)
        for found, value in zip(jax.tree.leaves(carry), jax.tree.leaves(expected_carry), strict=True):
            np.testing.assert_allclose(found[lane], value[0], atol=1e-5)
    assert np.abs(maps[0] - maps[1]).max() > 1e-3 * maps.max()


def test_two_runs_are_identical(model, videos, tracks):
    first, second = (predict(model, videos[30], faces=tracks) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.fixture(scope="module")
def talking(tmp_path_factory) -> tuple:
    """29 frames of two faces: video, boxes, mask. The second face is away for a while, over the border of two clips,
    and comes back as another track."""
    video = face_videos.write_talkers(tmp_path_factory.mktemp("talking") / "v.mkv", 29)
    mask = np.ones((29, 2), bool)
    mask[9:15, 1] = False
    return video, face_videos.boxes_of(face_videos.paths(29)), mask


@pytest.fixture(scope="module")
def weighing() -> VASal:
    return weighing_model()


def _weighing_batch(video, boxes, mask) -> dict[str, jax.Array]:
    """All frames of a video as one clip."""
    frames, track = list(read_frames(video)), audio.load_spectrogram(video)
    pictures = [audio.mel_picture(track, audio.hop_at(frame.time)) for frame in frames]
    windows = [[pictures[j] for j in audio.window_indices(i, len(frames))] for i in range(len(frames))]
    clip = {
        "frames": np.stack([model_frame(frame.image) for frame in frames]),
        "frames_past": np.stack([model_frame(frames[max(0, i - 5)].image) for i in range(len(frames))]),
        "mel": np.array(windows)[..., None],
        **FaceSlots(boxes, mask).of_clip(frames)[0],
    }
    return {name: jnp.asarray(value)[None] for name, value in clip.items()}


@nnx.jit
def _weighed(model: VASal, batch: dict[str, jax.Array]) -> tuple[jax.Array, ...]:
    logits, faces, _ = call(model, batch)
    return saliency(logits)[0], jax.nn.softmax(faces.weights)[0], jax.nn.sigmoid(faces.talking)[0]


def test_faces_are_weighed_as_in_one_long_clip(weighing, talking):
    video, boxes, mask = talking
    maps, weights, talks = map(np.asarray, _weighed(weighing, _weighing_batch(*talking)))
    frames = list(streaming.stream(weighing, video, faces=(boxes, mask)))
    _assert_same(np.stack([frame.map for frame in frames]), maps)
    for frame, weight, talk, there, box in zip(frames, weights, talks, mask, boxes, strict=True):
        found = frame.faces
        assert found.track.tolist() == [0, 1 + (frame.index >= 15)][: there.sum()]
        assert found.column.tolist() == [0, 1][: there.sum()]
        np.testing.assert_array_equal(found.boxes, box[there])
        np.testing.assert_allclose(found.weights, weight[:-1][there], atol=1e-5)
        np.testing.assert_allclose(found.no_face, weight[-1], atol=1e-5)
        np.testing.assert_allclose(found.talking, talk[there], atol=1e-5)
        assert abs(found.weights.sum() + found.no_face - 1) < 1e-5
    assert np.ptp([frame.faces.weights[0] for frame in frames]) > 0.05  # or all of this would mean little


def test_memory_of_faces_is_handed_on(weighing, talking):
    """Not that of pictures alone: the weights, which pictures do not enter, change with a reset."""
    video, *faces = talking
    kept, reset = (
        np.array([f.faces.weights[0] for f in streaming.stream(weighing, video, faces=tuple(faces), memory=memory)])
        for memory in ("continuous", "reset/12")
    )
    np.testing.assert_allclose(kept[:12], reset[:12], atol=1e-6)
    assert np.abs(kept[12:] - reset[12:]).max() > 1e-3


def test_no_faces_leave_all_weight_to_no_face(weighing, talking):
    frames = list(streaming.stream(weighing, talking[0]))
    assert len(frames) == 29
    assert all(len(frame.faces.weights) == 0 and frame.faces.no_face == 1 for frame in frames)


def test_tracks_and_arrays_are_the_same_faces(model, weighing, talking, tmp_path):
    video, boxes, mask = talking
    face_tracks.save_tracks(tmp_path / "t.npy", boxes, mask, face_videos.SIZE)
    arrays = face_tracks.load_tracks(tmp_path / "t.npy", face_videos.SIZE)
    for each in (model, weighing):
        from_file, from_arrays = (predict(each, video, faces=source) for source in (tmp_path / "t.npy", arrays))
        np.testing.assert_array_equal(from_file, from_arrays)
        assert np.abs(from_file - predict(each, video)).max() > 1e-3 * from_file.max()
    assert next(streaming.stream(model, video, faces=(boxes, mask))).faces is None


def test_a_face_branch_refuses_face_maps(weighing, talking, tmp_path):
    (tmp_path / "0.jpg").touch()
    with pytest.raises(InputError, match="a model with a face branch makes its own"):
        predict(weighing, talking[0], faces=tmp_path)


@pytest.mark.parametrize("ablation", [MUTED, NO_FACES, NO_MOTION], ids=lambda ablation: ablation.name)
def test_an_ablation_is_that_of_the_whole_video(model, videos, tracks, ablation):
    batch = ablation.change(_batch(videos[13], tracks))
    expected = np.asarray(saliency(_logits(model, batch)))
    _assert_same(predict(model, videos[13], faces=tracks, memory="continuous", ablation=ablation), expected)


def test_a_stream_left_early_closes_its_files(model, videos):
    frames = streaming.stream(model, videos[30])
    assert next(frames).index == 0
    frames.close()
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())


@pytest.mark.parametrize("memory", ["continuous", "overlap/4"])
def test_faces_found_on_the_way_weigh_as_those_known_before(weighing, tmp_path, memory):
    """3 shots with 3, 5 and 4 faces: slots are added while the stream goes on."""
    video, _ = real_faces.write_drawn(tmp_path / "v.mp4")
    found = list(streaming.stream(weighing, video, memory=memory))
    known = list(streaming.stream(weighing, video, memory=memory, faces=detect_tracks(video)))
    assert len(found) == len(known) == 45
    for mine, theirs in zip(found, known, strict=True):
        _assert_same(mine.map, theirs.map)
        np.testing.assert_array_equal(mine.faces.track, theirs.faces.track)
        np.testing.assert_allclose(mine.faces.weights, theirs.faces.weights, atol=1e-6)
    assert found[-1].faces.track.max() == 11
