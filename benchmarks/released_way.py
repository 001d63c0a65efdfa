"""The release's way of working on a video, written anew from what is known of it: the other side of `predict`.

    python -m benchmarks.released_way VIDEO SOUND WEIGHTS OUT cpu|cuda

OpenCV reads the whole video into memory, librosa makes the spectrogram of the whole sound, every frame gets its picture
of it. PyTorch takes clips of 12 frames, eagerly, forgetting what came before; the first 5 frames and the last,
incomplete clip are left out. Each map is coloured, blended with its frame and written with OpenCV, without the sound.
No face maps: ours gets none either.
"""

import sys

import cv2
import librosa
import numpy as np
import torch

from vasal_jax.config import CLIP_LENGTH, FRAME_OFFSET, MEL_STEPS, RGB_MEAN, ModelConfig
from vasal_jax.weights.pytorch_reference import VASalReference

FPS = 24  # whatever the file's
SAMPLE_RATE, HOP = 22050, 512
PICTURE_HOPS = 20


def main(video: str, sound: str, weights: str, out: str, device: str) -> None:
    """Predicts a video as the released demo does."""
    model = load_model(weights).to(device).eval()
    frames = read_frames(video)
    pictures = sound_pictures(sound, len(frames))
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(out, cv2.VideoWriter_fourcc(*"mp4v"), FPS, (width, height))
    for start in range(0, len(frames) - FRAME_OFFSET - CLIP_LENGTH + 1, CLIP_LENGTH):
        shown = range(start + FRAME_OFFSET, start + FRAME_OFFSET + CLIP_LENGTH)
        past, now = ([model_frame(frames[i - back]) for i in shown] for back in (FRAME_OFFSET, 0))
        heard = [[pictures[j] for j in window(i, len(frames))] for i in shown]
        x1, x2 = (np.stack(images).transpose(0, 3, 1, 2) for images in (past, now))
        inputs = (x1, x2, np.array(heard)[:, None], np.zeros((CLIP_LENGTH, 1, 32, 32), np.float32))
        with torch.no_grad():
            logits = model(*(torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in inputs))
            maps = torch.softmax(logits[:, 0], 1).cpu().numpy()  # over the rows of each column
        for i, values in zip(shown, maps, strict=True):
            writer.write(coloured(frames[i], values))
    writer.release()


def load_model(weights: str) -> torch.nn.Module:
    """The PyTorch reference with weights from a file."""
    model = VASalReference(ModelConfig.released())
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model


def read_frames(video: str) -> list[np.ndarray]:
    """All frames, uint8 (H,W,3) BGR."""
    capture, frames = cv2.VideoCapture(video), []
    while True:
        there, frame = capture.read()
        if not there:
            return frames
        frames.append(frame)


def model_frame(frame: np.ndarray) -> np.ndarray:
    """float32 (256,256,3) RGB minus its mean."""
    small = cv2.cvtColor(cv2.resize(frame, (256, 256)), cv2.COLOR_BGR2RGB)
    return small.astype(np.float32) - RGB_MEAN


def sound_pictures(sound: str, count: int) -> list[np.ndarray]:
    """Each frame's picture of the sound around it, float32 (64,64)."""
    samples, _ = librosa.load(sound, sr=SAMPLE_RATE)
    power = librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE, hop_length=HOP)
    decibels = librosa.power_to_db(power, ref=np.max)
    track = (decibels - decibels.min()) / (decibels.max() - decibels.min()) * 255
    last = track.shape[1] - PICTURE_HOPS
    starts = (int(i / FPS * SAMPLE_RATE / HOP) - PICTURE_HOPS // 2 for i in range(count))
    windows = (track[:, max(0, min(start, last)) :][:, :PICTURE_HOPS] for start in starts)
    return [cv2.resize(np.ascontiguousarray(hops), (64, 64)) for hops in windows]


def window(i: int, count: int) -> range:
    """The frames whose pictures are heard with frame i."""
    start = max(0, min(i - MEL_STEPS // 2, count - MEL_STEPS))
    return range(start, start + MEL_STEPS)


def coloured(frame: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """The frame with a map over it, stretched to 0..255."""
    height, width = frame.shape[:2]
    unit = (saliency - saliency.min()) / (saliency.max() - saliency.min())
    grey = cv2.resize(unit * 255, (width, height)).astype(np.uint8)
    return cv2.addWeighted(frame, 0.5, cv2.applyColorMap(grey, cv2.COLORMAP_JET), 0.5, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
