"""MTCNN, the face detector of the extra `faces`.

MTCNN (Zhang et al., "Joint face detection and alignment using multitask cascaded convolutional networks", 2016) runs
on TensorFlow, which is loaded when the first detector is made and not before.
"""

import contextlib
import importlib.resources
import os
import sys
from collections.abc import Iterator

import cv2
import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.detector import Detector

MIN_FACE = 20  # pixels of the reduced picture: 4% of its longer side
# Of the cascade's three networks, below MTCNN's own: the tracker asks for one high score a track, and a face that
# turns away or is half hidden goes on with low ones.
THRESHOLDS = {"threshold_pnet": 0.4, "threshold_rnet": 0.5, "threshold_onet": 0.5}


def mtcnn_detector() -> Detector:
    """MTCNN with the weights of its package, on the CPU.

    It sees grey: colour tells little of faces, and casts of light mislead it.

    Raises:
      InputError: the package or TensorFlow is not installed.
    """
    with _silence():
        # Asked of the loader before it starts; a TensorFlow that runs already keeps what it has.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        try:
            import mtcnn
            import tensorflow as tf
            from mtcnn import stages
        except ImportError as error:
            raise InputError(
                f"face detection: the package {error.name or 'mtcnn'} is missing or cannot be loaded; "
                'pip install "vasal-jax[faces]", or choose --detector yunet'
            ) from None
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")  # TensorFlow would take all its memory, which JAX needs
        # By their full paths: a bare name is looked for in the current folder first, and is a pickle.
        weights = importlib.resources.files("mtcnn.assets.weights")
        cascade = [getattr(stages, f"Stage{n}Net")(weights=str(weights / f"{n.lower()}net.lz4")) for n in "PRO"]
        network = mtcnn.MTCNN(cascade)  # pyright: ignore[reportArgumentType] (inferred from a default, which is a name)

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        options = {"box_format": "xyxy", "output_type": "numpy", "min_face_size": MIN_FACE, **THRESHOLDS}
        # (n,16): number of the picture, box, score, landmarks
        found = np.asarray(network.detect_faces(grey, **options))
        height, width = image.shape[:2]
        return found[:, 1:5] / (width, height, width, height), found[:, 5]

    return detect


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drops what is written to the error stream, from C++ too: TensorFlow greets there before it reads any setting."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
