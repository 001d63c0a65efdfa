"""Weights files that ask for more than weights do: refused in one line, before their tensors are read."""

import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from flax import nnx

import vasal_jax
from tests.helpers.budget import refusal
from vasal_jax.config import ModelConfig
from vasal_jax.models import VASal
from vasal_jax.weights.parameters import parameter_shapes

READ, PYTORCH = "vasal_jax.weights:read", "vasal_jax.weights.pytorch:read"
TINY = ModelConfig.tiny()


def write_claims(path: Path, changes: dict | None = None, config: object = None, sparse: int | None = None) -> Path:
    """A `.safetensors` file whose header claims the tiny model's arrays, changed; its numbers are a hole."""
    header, at = {"__metadata__": {"vasal_config": TINY.to_json() if config is None else config}}, 0
    for name, shape in parameter_shapes(TINY).items():
        dtype, shape = (changes or {}).get(name, ("F32", shape))
        size = int(np.prod(shape, dtype=object)) * 4
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(sparse or 8 + len(text) + at)
    return path


def test_safetensors_are_held_against_their_config_first(tmp_path):
    path = tmp_path / "w.safetensors"
    assert "bytes, found 5000000000" in refusal(READ, write_claims(path, sparse=5 * 10**9))
    name = "visual.conv1_1.bias"
    assert "found F8_E4M3" in refusal(READ, write_claims(path, {name: ("F8_E4M3", (16,))}))
    assert "expected shape (16,)" in refusal(READ, write_claims(path, {name: ("F32", (10**9,))}))
    wide = ModelConfig.released(texture=(8192,) * 6).to_json()
    assert "at most 67108864 parameters" in refusal(READ, write_claims(path, config=wide))


@pytest.mark.parametrize(
    "config",
    [
        "[" * 10**5,
        json.dumps({"texture": [[[1]]] * 6}),
        json.dumps({"texture": [10**400] * 6}),
        json.dumps({"fusion": {"a": 1}}),
        json.dumps({"dtype": ["float32"]}),
        json.dumps({"face_audio": [1]}),
        json.dumps({"\x1b[2J": 1}),
        json.dumps([1]),
        "7",
        "x" * 10**5,
    ],
)
def test_config_metadata(tmp_path, config):
    assert "model config" in refusal(READ, write_claims(tmp_path / "w.safetensors", config=config))


@pytest.mark.parametrize("config", [7, {"a": 1}, ["x"], None])
def test_config_metadata_that_is_no_text(tmp_path, config):
    path = write_claims(tmp_path / "w.safetensors", config=config if config is not None else {"x": None})
    assert str(path) in refusal(READ, path)


@pytest.mark.parametrize("header", [2**63, 2**64 - 1, 10**8])
def test_a_header_longer_than_any(tmp_path, header):
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", header) + b"{}")
    assert "at most 1048576" in refusal(READ, tmp_path / "w.safetensors")


def test_a_packed_pytorch_file(tmp_path):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as source,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in source.namelist():
            packed.writestr(name, source.read(name) if not name.endswith("/data/0") else bytes(2**30))
    assert "a packed archive" in refusal(PYTORCH, tmp_path / "b.pt")


def pytorch_file(path: Path, pickle: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle)
        archive.writestr("archive/version", "3")
        archive.writestr("archive/byteorder", "little")
    return path


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_pickles_that_expand(tmp_path, form):
    many = b"\x80\x02](" + b"]" * 2**24 + b"e."
    bytearray_of = b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x04\x85R."
    for pickle, message in ((many, "instructions"), (bytearray_of, "builtins.bytearray")):
        path = tmp_path / "a.pt"
        pytorch_file(path, pickle) if form == "zip" else path.write_bytes(pickle)
        assert message in refusal(PYTORCH, path)


TENSORS = {
    "meta": lambda: torch.empty(10**6, 10**6, device="meta"),
    "sparse": lambda: torch.zeros(4, 4).to_sparse(),
    "nested": lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
    "negative": lambda: torch.zeros(2, dtype=torch.complex64).conj().imag,
    "quantized": lambda: torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8),
    "float8": lambda: torch.zeros(2).to(torch.float8_e4m3fn),
    "stretched": lambda: torch.zeros(1).expand(10**12),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_of_other_kinds(tmp_path, kind):
    path = tmp_path / "a.pt"
    torch.save({"conv1_1.bias": TENSORS[kind]()}, path)
    assert str(path) in refusal(READ, path)


@pytest.mark.parametrize("name", ["pipe", "link", "large metadata", "hole"])
def test_orbax_folders(tmp_path, name):
    path = tmp_path / "w"
    vasal_jax.save(VASal(TINY, rngs=nnx.Rngs(0)), path)
    if name == "pipe":
        os.mkfifo(path / "x")
    elif name == "link":
        (path / "x").symlink_to("/dev/zero")
    else:
        file = next(path.rglob("_CHECKPOINT_METADATA")) if name == "large metadata" else path / "x"
        with file.open("r+b" if file.exists() else "wb") as content:
            content.truncate(5 * 10**9)
    assert "Orbax weights folder" in refusal(READ, path)


@pytest.mark.parametrize(
    ("chunk", "shard", "message"),
    [(3 * 10**8, 3 * 10**8, "in chunks that are no larger"), (1, 2 * 10**9, "not an Orbax weights folder")],
)
def test_chunks_of_orbax_arrays_are_looked_at_first(tmp_path, chunk, shard, message):
    import tensorstore

    path = tmp_path / "w"
    vasal_jax.save(VASal(TINY, rngs=nnx.Rngs(0)), path)
    store = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{path}/state/"}}
    arrays = tensorstore.KvStore.open(store).result()
    key = "visual.conv1_1.bias/zarr.json"
    claims = json.loads(arrays.read(key).result().value)
    claims["chunk_grid"]["configuration"]["chunk_shape"] = [shard]
    claims["codecs"][0]["configuration"]["chunk_shape"] = [chunk]
    arrays.write(key, json.dumps(claims).encode()).result()
    assert message in refusal(READ, path)
