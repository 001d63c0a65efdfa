"""Synthetic datasets are recognised as such in any of their folders, and the law of their gaze is read back."""

import json
import shutil

import numpy as np
import pytest

from data import mvva
from data.datasets import open_dataset
from data.synthetic import SyntheticArgs, generate
from data.synthetic_files import SETTINGS_FILE, read_gaze_law, truth_path
from vasal_jax.errors import InputError

NAME = "synthetic (seed 4, 1 s, 128x72, version 2)"
RULE = "test=100,312 training=231"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("synthetic") / "faces"
    arguments = {"videos": 3, "seconds": 1.0, "seed": 4, "size": (72, 128), "workers": 1, "fps": (24.0,)}
    assert generate(SyntheticArgs(path, **arguments)) == 0
    return path


@pytest.mark.parametrize("start", [".", "..", "mvva_database_v1", "mvva_database_v1/our_database_video/.."])
def test_it_is_never_called_mvva(folder, start):
    dataset, _ = open_dataset(folder / start, split=RULE, progress=False)
    assert dataset.name == NAME
    assert {record.dataset for record in dataset.records} == {NAME}


def test_without_the_settings_file_nothing_tells_it_from_mvva(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / SETTINGS_FILE).unlink()
    assert mvva.read_release(tmp_path / "copy", progress=False)[0].name == "mvva"


@pytest.mark.parametrize("content", ["", "{}", '{"synthetic": true, "version": 1, "settings": {"seed": "0"}}'])
def test_a_damaged_settings_file_is_an_error(folder, tmp_path, content):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / SETTINGS_FILE).write_text(content)
    with pytest.raises(InputError, match=r"synthetic\.json: damaged, expected the settings of a synthetic dataset"):
        mvva.read_release(tmp_path / "copy", progress=False)


def test_a_dataset_written_before_the_law_was_kept(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    content = json.loads((tmp_path / "copy" / SETTINGS_FILE).read_text())
    (tmp_path / "copy" / SETTINGS_FILE).write_text(json.dumps(content | {"version": 1}))
    path = truth_path(tmp_path / "copy", "100")
    with np.load(path) as arrays:
        older = {name: arrays[name] for name in arrays if not name.startswith("gaze_")}
    np.savez(path, **older)
    assert read_gaze_law(path) is None
    dataset, _ = mvva.read_release(tmp_path / "copy", progress=False)
    assert dataset.name == NAME.replace("version 2", "version 1")
    known = {record.id: record.gaze_density([0], (9, 16), 28.0) is not None for record in dataset.records}
    assert known == {"100": False, "231": True, "312": True}


def test_the_law_gives_the_density_of_the_recorded_gaze_its_place(folder):
    """The middle of the density in each frame lies near the mean fixation of 34 people."""
    record = next(record for record in mvva.read_release(folder, progress=False)[0].records if record.id == "100")
    density = record.gaze_density(range(record.n_frames), (36, 64), 28.0)
    assert density.shape == (24, 36, 64)
    np.testing.assert_allclose(density.sum((1, 2)), 1, rtol=1e-5)
    y, x = np.mgrid[10:720:20, 10:1280:20]
    middles = np.stack([(density * x).sum((1, 2)), (density * y).sum((1, 2))], axis=1)
    np.testing.assert_allclose(middles, np.nanmean(record.fixations(), axis=1), atol=100)


def test_filmed_videos_are_called_so_and_read_as_the_others(tmp_path):
    small = {"videos": 1, "seconds": 1.0, "seed": 4, "size": (72, 128), "workers": 1, "fps": (24.0,)}
    assert generate(SyntheticArgs(tmp_path, style="filmed", **small)) == 0
    dataset, _ = open_dataset(tmp_path, split="test=231", progress=False)
    assert dataset.name == NAME.replace("version 2", "version 2, filmed")
    (record,) = dataset.records
    boxes, mask = record.tracks()
    assert boxes[mask].min() >= 0
    assert boxes[mask].max() <= 1
    points = record.fixations()
    assert np.isfinite(points).mean() > 0.6
    density = record.gaze_density(range(record.n_frames), (9, 16), 28.0)
    np.testing.assert_allclose(density.sum((1, 2)), 1, rtol=1e-5)
    with pytest.raises(InputError, match="style is filmed, asked for drawn"):
        generate(SyntheticArgs(tmp_path, **small))


def test_a_folder_that_names_no_style_is_a_drawn_one(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    path = tmp_path / "copy" / SETTINGS_FILE
    content = json.loads(path.read_text())
    del content["settings"]["style"]
    path.write_text(json.dumps(content))
    assert mvva.read_release(tmp_path / "copy", progress=False)[0].name == NAME
    arguments = {"videos": 3, "seconds": 1.0, "seed": 4, "size": (72, 128), "workers": 1, "fps": (24.0,)}
    assert generate(SyntheticArgs(tmp_path / "copy", **arguments)) == 0
