"""Small files with large consequences: each is refused in one line, with little memory and soon."""

import io
import math
import os
import socket
import struct
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.helpers.budget import outcome, refusal
from vasal_jax.evaluation.map_folders import find_maps

NPY, GREY = "vasal_jax.inputs.npy:load_array", "vasal_jax.inputs.images:read_grey"
RGB = "vasal_jax.inputs.images:read_rgb"
MAPS, MAT = "vasal_jax.evaluation.map_folders:read_index", "data.stavis:read_fixation_map"
RESULTS, FIXATIONS = "vasal_jax.evaluation.result_files:read_json", "data.challenge_files:read_fixations"


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


def write_npz(path: Path, members: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(shape: tuple, descr: str = "|u1", content: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def write_zeros(path: Path, shape: tuple) -> Path:
    """Maps of zeros, packed, without holding them."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("maps.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy(shape))
        for _ in range(math.prod(shape) // 2**20):
            member.write(bytes(2**20))
    return path


def test_maps_of_a_hundred_million_frames_of_one_pixel(tmp_path):
    assert "at most 8 axes" in refusal(MAPS, write_zeros(tmp_path / "7.npz", (10**8, 1, 1)))


def test_maps_of_absurd_size_or_number(tmp_path):
    assert "of shape" in refusal(MAPS, write_zeros(tmp_path / "1.npz", (1, 16384, 16384)))
    members = {f"{index}.npy": npy((0,)) for index in range(10_000)}
    assert "at most 256 arrays" in refusal(MAPS, write_npz(tmp_path / "2.npz", members))
    huge = {
        "maps.npy": npy((1, 2, 2), content=bytes(4)),
        "frame_index.npy": npy((2**20, 100), content=bytes(100 * 2**20)),
    }
    assert "'frame_index' has" in refusal(MAPS, write_npz(tmp_path / "3.npz", huge))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "7.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("maps.npy", npy((1, 2, 2), content=bytes(4)))
        archive.writestr("maps.npy", npy((2**20, 1024), content=bytes(2**30)))
    assert "two arrays 'maps'" in refusal(MAPS, tmp_path / "7.npz")
    write_npz(
        tmp_path / "8.npz", {"maps": npy((1, 2, 2), content=bytes(4)), "maps.npy": npy((1, 2, 2), content=bytes(4))}
    )
    assert "two arrays 'maps'" in refusal(MAPS, tmp_path / "8.npz")


def test_large_maps_are_read_a_frame_at_a_time(tmp_path):
    found = outcome("tests.inputs.test_limits:read_some_maps", write_zeros(tmp_path / "7.npz", (1500, 1024, 1024)))
    assert found.said == "accepted"
    assert found.memory < 100 * 2**20


def read_some_maps(path: str) -> None:
    maps = find_maps(Path(path).parent, {"7": 1500})[0]["7"]
    read = maps.open()
    for frame in (0, 1, 400, 3):
        assert read(frame).shape == (1024, 1024)


def matlab_element(kind: int, content: bytes) -> bytes:
    return struct.pack("<2I", kind, len(content)) + content + bytes(-len(content) % 8)


def matlab_matrix(name: bytes, shape: tuple[int, int], numbers: bytes, size: int | None = None) -> bytes:
    flags = matlab_element(6, struct.pack("<2I", 9, 0))
    head = flags + matlab_element(5, struct.pack("<2i", *shape)) + matlab_element(1, name)
    data = struct.pack("<2I", 2, len(numbers) if size is None else size) + numbers + bytes(-len(numbers) % 8)
    return struct.pack("<2I", 14, len(head) + len(data)) + head + data


def write_mat(path: Path, *elements: bytes) -> Path:
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(elements))
    return path


def packed(element: bytes) -> bytes:
    content = zlib.compress(element, 9)
    return struct.pack("<2I", 15, len(content)) + content


def test_matlab_files_that_say_one_thing_and_hold_another(tmp_path):
    small, large = matlab_matrix(b"eyeMap", (2, 2), bytes(4)), matlab_matrix(b"eyeMap", (2, 2), bytes(2**30))
    assert outcome(MAT, write_mat(tmp_path / "0.mat", packed(small))).said == "accepted"
    assert "eyeMap twice" in refusal(MAT, write_mat(tmp_path / "1.mat", small, packed(large)))
    assert "longer than its matrix" in refusal(MAT, write_mat(tmp_path / "2.mat", packed(large)))
    assert "longer than its matrix" in refusal(
        MAT, write_mat(tmp_path / "3.mat", matlab_matrix(b"eyeMap", (2, 2), bytes(4), 2**32 - 1))
    )
    other = packed(matlab_matrix(b"other", (1, 1), bytes(2**30)))
    assert outcome(MAT, write_mat(tmp_path / "4.mat", other, small)).memory < 2**26
    assert "uint8 60000x60000" in refusal(
        MAT, write_mat(tmp_path / "5.mat", matlab_matrix(b"eyeMap", (60_000,) * 2, b""))
    )
    assert "twice" in refusal(MAT, write_mat(tmp_path / "6.mat", *[small] * 900))
    assert "more than 1024" in refusal(
        MAT, write_mat(tmp_path / "7.mat", small, *[matlab_matrix(b"x", (0, 0), b"")] * 2000)
    )


JSONS = {
    "nested": b"[" * 10**6,
    "nested objects": b'{"rows":' * 10**5,
    "many lists": b"[" + b"[]," * (5 * 10**6) + b"[]]",
    "digits": b'{"rows": [{"name": "a", "videos": {}, "mean_over_videos": {"CC": 1' + b"0" * 400 + b"}}]}",
    "more digits": b"1" * 10**6,
    "exponent": b'{"rows": [{"name": "a", "videos": {}, "mean_over_videos": {"CC": 1e400}}]}',
    "no object": b"7",
    "not text": b"\xff\xfe\x00",
    "infinity in pixels": b"[[[Infinity, 1]]]",
}


@pytest.mark.parametrize("name", JSONS)
@pytest.mark.parametrize("reader", [RESULTS, FIXATIONS])
def test_json(tmp_path, reader, name):
    (tmp_path / "a.json").write_bytes(JSONS[name])
    assert "a.json" in refusal(reader, tmp_path / "a.json")


def test_a_list_with_endless_lines(tmp_path):
    (tmp_path / "a.txt").write_text("good\n" + "1 " * 10**5 + "x\n")
    assert "line 2" in refusal("data.splits:read_list", tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("".join(f"{'1 ' * 240}x{index}\n" for index in range(1900)))
    assert outcome("data.splits:read_list", tmp_path / "b.txt").seconds < 10


READERS = {
    NPY: ".npy",
    GREY: ".png",
    RGB: ".jpg",
    MAPS: ".npz",
    MAT: ".mat",
    RESULTS: ".json",
    FIXATIONS: ".json",
    "data.splits:read_list": ".txt",
}


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
        socket.socket(socket.AF_UNIX).bind(str(path))
    else:
        with path.open("wb") as file:
            file.truncate(20 * 2**30)
    assert str(path) in refusal(reader, path)


def test_a_video_of_absurd_area_and_a_sound_of_endless_silence(tmp_path):
    """Some kB each: pictures of 16200x16200, and 300 packets an hour apart in a video of a second."""
    large, silent = tmp_path / "a.avi", tmp_path / "b.mkv"
    with av.open(str(large), "w") as container:
        pictures = container.add_stream("png", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 16200, 16200, "monob"
        container.mux(pictures.encode(av.VideoFrame(16200, 16200, "monob")))
        container.mux(pictures.encode(None))
    assert "at most 67108864 pixels a frame" in refusal("vasal_jax.inputs.video:read_frames", large)
    with av.open(str(silent), "w") as container:
        pictures = container.add_stream("mpeg4", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        heard = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for _ in range(25):
            container.mux(pictures.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(pictures.encode(None))
        for hour in range(300):
            frame = av.AudioFrame.from_ndarray(np.full((1, 16), 9000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 8000, Fraction(1, 8000), hour * 3600 * 8000
            container.mux(heard.encode(frame))
        container.mux(heard.encode(None))
    found = outcome("vasal_jax.inputs.audio:load_spectrogram", silent)
    assert found.said == "accepted"
    assert found.seconds < 10
    assert found.memory < 2**28
