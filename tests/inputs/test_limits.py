"""Small files with large consequences: each is refused in one line, with little memory and soon."""

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.budget import outcome, refusal

NPY, GREY = "vasal_jax.inputs.npy:load_array", "vasal_jax.inputs.images:read_grey"
RGB = "vasal_jax.inputs.images:read_rgb"


def write_header(path: Path, shape: tuple, descr: str = "<f4", content: bytes = b"") -> Path:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        file.write(content)
    return path


@pytest.mark.parametrize("shape", [(10**12, 0, 4), (0, 10**12, 4), (10**400,), (2**20 + 1,), (1,) * 9])
def test_arrays_of_absurd_shapes(tmp_path, shape):
    assert "at most 8 axes of 1048576 each" in refusal(NPY, write_header(tmp_path / "a.npy", shape))


def array_pickle(body: bytes, before: bytes = b"") -> bytes:
    """An object array of shape (1,) whose one element is what `body` leaves on the stack."""
    head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    dtype = b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R"
    return b"\x80\x04" + before + head + b"(K\x01K\x01\x85" + dtype + b"\x89]" + body + b"atb."


def shared_lists(width: int, depth: int) -> bytes:
    """A list of `width` times the same list of `width` times the same list, `depth` deep."""
    out = b"]q\x00(" + b"K\x01" * width + b"e"
    for level in range(1, depth):
        out += b"0]q" + bytes([level]) + b"(" + (b"h" + bytes([level - 1])) * width + b"e"
    return out


TEXT = b"X" + struct.pack("<I", 2**24) + b"a" * 2**24
F8 = b"cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R"
OBJECTS = {
    "shared lists": shared_lists(100, 5),
    "one empty list after the other": b"](" + b"]" * 2**24 + b"e",
    "bignum": b"\x8a\xff" + b"\x7f" * 255,
    "long bignum": b"\x8b" + struct.pack("<i", 2**24) + b"\x7f" * 2**24,
    "one text encoded again and again": b"](" + TEXT + b"q\x000]("
    + b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R" * 1000 + b"e" + b"e",
    "a shape of shapes": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01("
    + b"\x8a\x08" + b"\xff" * 7 + b"\x7f" + (b"\x8a\x08" + b"\xff" * 7 + b"\x7f") * 2**20 + b"t" + F8 + b"\x89C\x00tb",
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_object_arrays_that_expand(tmp_path, name):
    path = write_header(tmp_path / "a.npy", (1,), "|O", array_pickle(OBJECTS[name]))
    assert "array" in refusal(NPY, path)


def test_an_object_array_as_datasets_have_them_is_read(tmp_path):
    """An hour of three faces at 30 frames a second, as lists."""
    frames = np.empty(108_000, object)
    for index in range(len(frames)):
        frames[index] = [[1.0, 2.0, 3.0, 4.0]] * 3
    np.save(tmp_path / "a.npy", frames, allow_pickle=True)
    assert outcome(NPY, tmp_path / "a.npy").said == "accepted"


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    packer = zlib.compressobj(9)
    rows = packer.compress(bytes((width + 8) // 8) * height) + packer.flush()
    head = struct.pack(">2I5B", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("reader", [GREY, RGB])
@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (10_000, 10_000), (2**31 - 1, 1), (20_000, 10)])
def test_pictures_of_absurd_sizes(tmp_path, reader, width, height):
    path = tmp_path / "a.png"
    path.write_bytes(
        png(width, height) if width * height <= 10**9 else png(8, 8)[:16] + struct.pack(">2I", width, height)
    )
    assert f"found {width}x{height}" in refusal(reader, path)


def jpeg(width: int, height: int, *options: int) -> bytes:
    return cv2.imencode(".jpg", np.zeros((height, width), np.uint8), options)[1].tobytes()


def test_a_jpeg_of_absurd_size_whose_first_header_lies(tmp_path):
    content = jpeg(8, 8)
    at = content.index(b"\xff\xc0")
    large = content[: at + 5] + struct.pack(">2H", 60_000, 60_000) + content[at + 9 :]
    (tmp_path / "a.jpg").write_bytes(large)
    assert "found 60000x60000" in refusal(GREY, tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(content[:2] + content[at : at + 19] + large[2:])
    assert "found 60000x60000" in refusal(GREY, tmp_path / "b.jpg")


def test_a_jpeg_of_endless_scans(tmp_path):
    content = jpeg(8000, 8000, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    start = content.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(content[:-2] + content[start:-2] * 2000 + content[-2:])
    assert "scans; save it as baseline JPEG" in refusal(GREY, tmp_path / "a.jpg")


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_pictures_of_8k_are_read(tmp_path, options):
    (tmp_path / "a.jpg").write_bytes(jpeg(7680, 4320, *options))
    found = outcome(RGB, tmp_path / "a.jpg")
    assert found.said == "accepted"
    assert found.memory < 2**30


@pytest.mark.parametrize("suffix", [".tiff", ".bmp", ".webp", ".jp2"])
def test_other_pictures_are_refused_whatever_their_name(tmp_path, suffix):
    (tmp_path / "a.png").write_bytes(cv2.imencode(suffix, np.zeros((256, 256), np.uint8))[1].tobytes())
    assert "expected a PNG or JPEG picture, found something else" in refusal(GREY, tmp_path / "a.png")


READERS = {NPY: ".npy", GREY: ".png", RGB: ".jpg"}


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "socket", "sparse"])
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_regular_file_or_too_large(tmp_path, reader, kind):
    path = tmp_path / f"a{READERS[reader]}"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        import socket

        socket.socket(socket.AF_UNIX).bind(str(path))
    else:
        with path.open("wb") as file:
            file.truncate(20 * 2**30)
    assert str(path) in refusal(reader, path)
