"""Prepared datasets whose metadata says what cannot be."""

import json

import pytest

from data.prepared import PreparedSplit
from vasal_jax.errors import InputError

ENTRY = {"id": "7", "frames": 10, "fps": 25.0, "width": 64, "height": 48, "subjects": 3, "faces": "none", "bytes": 100}


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        ({"training": []}, "split 'training' has no video; prepare the dataset again"),
        ({"test": [ENTRY]}, "has no split 'training', expected one of test"),
        ({"training": [ENTRY | {"frames": 10**400}]}, "metadata.json: damaged"),
        ({"training": [ENTRY | {"frames": -1}]}, "metadata.json: damaged"),
        ({"training": [ENTRY | {"fps": "25"}]}, "metadata.json: damaged"),
        ({"training": [{}]}, "metadata.json: damaged"),
        ({"training": 7}, "metadata.json: damaged"),
        ([], "metadata.json: damaged"),
        ({"training": [ENTRY]}, "missing or cut short"),
    ],
    ids=str,
)
def test_they_cost_one_line(tmp_path, videos, message):
    metadata = {"dataset": "mvva", "split_rule": "", "sigma": 28, "videos": videos}
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    (tmp_path / "dataset_info.json").write_text("{}")
    with pytest.raises(InputError, match=message) as caught:
        PreparedSplit(tmp_path, "training")
    assert str(tmp_path) in str(caught.value)
