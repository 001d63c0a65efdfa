"""MTCNN, the detector of the extra `faces`: on drawn faces, which it takes for faces, and on filmed ones."""

import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import real_faces
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.detection import detect_tracks
from vasal_jax.inputs.faces.mtcnn import mtcnn_detector


@pytest.fixture(scope="module")
def mtcnn():
    return mtcnn_detector()


@pytest.mark.parametrize("package", ["mtcnn", "tensorflow"])
def test_a_missing_detector_is_one_line(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f'package {package} is missing.*pip install "vasal-jax\\[faces\\]"') as error:
        mtcnn_detector()
    assert "\n" not in str(error.value)


def test_mtcnn_is_silent_and_trusts_no_file_in_the_current_folder(tmp_path):
    """A weights file of the same name beside the video must not be read: MTCNN's are pickles."""
    for name in ("pnet.lz4", "rnet.lz4", "onet.lz4"):
        (tmp_path / name).write_bytes(b"anything")
    code = (
        "import sys, numpy as np; from vasal_jax.inputs.faces.mtcnn import mtcnn_detector\n"
        "assert 'tensorflow' not in sys.modules and 'jax' not in sys.modules\n"
        "boxes, scores = mtcnn_detector()(np.zeros((90, 160, 3), np.uint8)); assert len(boxes) == len(scores) == 0\n"
        "print('done', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "done\n")


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (480, 1), (16, 480), (30, 30)])
def test_mtcnn_on_pictures_of_any_size(mtcnn, size):
    boxes, scores = mtcnn(np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_mtcnn_on_drawn_faces(mtcnn, tmp_path):
    video, truth = real_faces.write_drawn(tmp_path / "v.mp4")
    real_faces.check_drawn(truth, *detect_tracks(video, detector=mtcnn), missed=0.15)


@real_faces.needs_filmed
def test_mtcnn_on_filmed_faces(mtcnn):
    real_faces.check_filmed(*detect_tracks(real_faces.FILMED, detector=mtcnn), columns=8)
