"""Makes the moving picture at the top of README.md: three seconds of what `vasal demo` explains, as an animated WebP.

    python scripts/draw_readme_picture.py docs/images/explained.webp

The faces are drawn, so the picture shows nobody's likeness. It takes about 15 seconds on two CPU cores.
"""

import sys
import tempfile
from pathlib import Path

import cv2

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checkout

from vasal_jax.commands.demo import DemoArgs, demo
from vasal_jax.inputs.video import read_frames
from vasal_jax.system.files import replacing

SECONDS, EVERY, WIDTH, QUALITY = 3.0, 2, 560, 60  # every second frame of 25 a second


def draw(out: Path) -> None:
    """Writes the animation. Raises `InputError` where a file cannot be read or written."""
    with tempfile.TemporaryDirectory() as folder:
        demo(DemoArgs(Path(folder), seconds=SECONDS))
        frames = list(read_frames(Path(folder) / "talking_faces_explained.mp4"))[::EVERY]
    height = round(WIDTH / frames[0].image.shape[1] * frames[0].image.shape[0])
    animation = cv2.Animation()
    animation.frames = [cv2.resize(f.image[..., ::-1], (WIDTH, height), interpolation=cv2.INTER_AREA) for f in frames]
    animation.durations = [EVERY * 40] * len(frames)  # milliseconds
    with replacing(out) as temporary:
        temporary.write_bytes(
            cv2.imencodeanimation(".webp", animation, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes()
        )


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
