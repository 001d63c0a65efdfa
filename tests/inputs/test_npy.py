"""`load_array`: what NumPy writes comes back, what a stranger crafts does not run."""

import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.inputs.npy import load_array


class Call:
    """Pickles as a call of `function` with `args`."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def object_array(*items):
    array = np.empty(len(items), object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def write_object_file(path, payload: bytes, shape=(1,)):
    with path.open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(payload)


def refusal(path) -> str:
    with pytest.raises(InputError) as caught:
        load_array(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
        np.array(3.5),
        np.zeros((0, 4), np.float32),
        np.array([True, False]),
    ],
)
def test_plain_arrays_come_back(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    got = load_array(tmp_path / "a.npy")
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, array)


def test_object_arrays_come_back(tmp_path):
    boxes = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    items = [
        boxes,
        boxes.T.astype(">f4"),
        [],
        [[1, 2.5], (3, None)],
        None,
        np.float64(1.5),
        np.int16(-3),
        True,
        2**40,
    ]
    np.save(tmp_path / "a.npy", object_array(*items), allow_pickle=True)
    got = load_array(tmp_path / "a.npy")
    assert got.shape == (9,)
    np.testing.assert_array_equal(got[0], boxes)
    np.testing.assert_array_equal(got[1], boxes.T)
    assert list(got[2:]) == [[], [[1, 2.5], [3, None]], None, 1.5, -3, True, 2**40]
    assert got[5].dtype == np.float64


def test_arrays_of_objects_in_arrays_of_objects(tmp_path):
    inner = np.empty((2, 2), object)
    inner[:] = [[1.0, None], [np.float32(0.5), 4]]
    np.save(tmp_path / "a.npy", object_array(inner, np.asfortranarray(inner)), allow_pickle=True)
    got = load_array(tmp_path / "a.npy")
    assert got[0].tolist() == got[1].tolist() == [[1.0, None], [0.5, 4]]


def test_object_array_of_a_whole_video_keeps_its_shape(tmp_path):
    fixations = np.random.default_rng(0).uniform(0, 1280, (50, 2, 34)).astype(object)
    np.save(tmp_path / "a.npy", fixations, allow_pickle=True)
    np.testing.assert_array_equal(load_array(tmp_path / "a.npy").astype(float), fixations.astype(float))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_every_protocol_that_numpy_has_used(tmp_path, protocol):
    array = object_array(np.arange(300.0), np.float32(2), [1])
    write_object_file(tmp_path / "a.npy", pickle.dumps(array, protocol), (3,))
    got = load_array(tmp_path / "a.npy")
    np.testing.assert_array_equal(got[0], np.arange(300.0))
    assert list(got[1:]) == [2, [1]]


def test_file_of_python_2(tmp_path):
    """Python 2 wrote bytes as strings: SHORT_BINSTRING for dtype codes and data."""
    data = struct.pack("<2d", 1.5, -2.0)
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    dtype = b"cnumpy\ndtype\nU\x02%sK\x00K\x01\x87R(K\x03U\x01%sNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK%ctb"
    inner = array + b"(K\x01K\x02\x85" + dtype % (b"f8", b"<", 0) + b"\x89U\x10" + data + b"tb"
    outer = array + b"(K\x01K\x01\x85" + dtype % (b"O8", b"|", 63) + b"\x89]" + inner + b"atb."
    write_object_file(tmp_path / "a.npy", b"\x80\x02" + outer)
    np.testing.assert_array_equal(load_array(tmp_path / "a.npy")[0], [1.5, -2.0])


def hostile_files(path, marker):
    """Names of the refused globals, and arrays whose unpickling would create `marker`."""
    shell = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w')"
    evil = Call(os.system, shell)
    return {
        "posix.system": evil,
        "posix.system in an array": object_array(1.0, evil),
        "posix.system in a list": object_array([[evil]]),
        "posix.system in an inner array": object_array(object_array(evil)),
        "builtins.eval": object_array(Call(eval, code)),
        "builtins.getattr": object_array(Call(getattr, 1, "real")),
        "numpy.save": object_array(Call(np.save, str(marker), 1)),
        "numpy.fromfile": object_array(Call(np.fromfile, "/etc/hostname", np.uint8)),
        "numpy.load": object_array(Call(np.load, str(path))),
        "numpy.apply_along_axis": object_array(Call(np.apply_along_axis, os.system, 0, [shell])),
        "numpy.vectorize": object_array(Call(np.vectorize, os.system)),
        "numpy.lib.format.open_memmap": object_array(Call(np.lib.format.open_memmap, str(marker), "w+")),
    }


@pytest.mark.parametrize("name", hostile_files("p", "m"))
def test_hostile_pickle_is_refused_by_name_and_does_not_run(tmp_path, name):
    path, marker = tmp_path / "a.npy", tmp_path / "ran"
    payload = hostile_files(path, marker)[name]
    shape = payload.shape if isinstance(payload, np.ndarray) else ()
    write_object_file(path, pickle.dumps(payload, 4), shape)
    assert "refused" in (message := refusal(path))
    module, function = name.split(" ")[0].rsplit(".", 1)
    assert f"{module}.{function}" in message
    assert not marker.exists()
    assert not list(tmp_path.glob("ran*"))


def test_the_same_files_are_harmful_to_numpy(tmp_path):
    """Otherwise the test above would prove nothing."""
    path, marker = tmp_path / "a.npy", tmp_path / "ran"
    np.save(path, hostile_files(path, marker)["posix.system in an inner array"], allow_pickle=True)
    np.load(path, allow_pickle=True)
    assert marker.exists()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x80\x04cnumpy\ndtype\n}(X\x0c\x00\x00\x00__defaults__)ub.", "refused|damaged"),
        (b"\x80\x04cnumpy.core.multiarray\n_reconstruct\nN]\x86b.", "no array"),
        (b"\x80\x04cnumpy\nndarray\n)\x81.", "damaged"),  # NEWOBJ
        (b"\x80\x04Pname\n.", "damaged"),  # PERSID
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x0f.", "damaged"),  # BYTEARRAY8 of 1 EiB
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0f.", "damaged"),  # BINBYTES8 of 1 EiB
        (b"\x80\x04Nr\xff\xff\xff\x7f.", "found NoneType"),  # memo index 2**31 - 1
        (b"\x80\x04]q\x00h\x00a.", "deep"),  # a list that contains itself
        (b"\x80\x04]" + b"q\x00(" + b"h\x00" * 9 + b"l.", "damaged|refused|found"),
        (
            b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01J\xff\xff\xff\xff\x85"
            b"cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R\x89C\x00tb.",
            "whose shape is none",
        ),  # shape (-1,)
        (b"\x80\x04\x8c\x03o\ns\x8c\x02\x1b[\x93.", "the name o\\ns.\\x1b["),
        (b"", "damaged"),
    ],
)
def test_crafted_pickles_end_in_one_line(tmp_path, payload, expected):
    write_object_file(tmp_path / "a.npy", payload)
    message = refusal(tmp_path / "a.npy")
    assert any(word in message for word in expected.split("|")), message


def test_small_file_cannot_become_a_huge_array(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_OBJECT_BYTES", 640_000)
    items = [0.0] * 30
    for _ in range(5):
        items = [items] * 30
    np.save(tmp_path / "a.npy", object_array(items), allow_pickle=True)
    assert (tmp_path / "a.npy").stat().st_size < 2000
    assert "more than 640000 bytes" in refusal(tmp_path / "a.npy")


def test_invented_dtype_is_refused(tmp_path):
    for dtype in ("V8", "S4", "M8[s]", "f8,f8", "U3"):
        np.save(tmp_path / "a.npy", object_array(np.zeros(1, dtype)), allow_pickle=True)
        assert "dtype" in refusal(tmp_path / "a.npy")
        np.save(tmp_path / "a.npy", np.zeros(1, dtype))
        assert "expected an array of numbers" in refusal(tmp_path / "a.npy")


def test_text_in_an_object_array_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", object_array("text"), allow_pickle=True)
    assert "type str" in refusal(tmp_path / "a.npy")


def test_missing_folder_foreign_and_cut_files(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.npy")
    assert "folder" in refusal(tmp_path)
    (tmp_path / "b.npy").write_bytes(b"not an array at all")
    assert "not a .npy" in refusal(tmp_path / "b.npy")
    (tmp_path / "empty.npy").write_bytes(b"")
    assert "not a .npy" in refusal(tmp_path / "empty.npy")
    np.savez(tmp_path / "zip.npz", a=1)
    assert "not a .npy" in refusal(tmp_path / "zip.npz")
    np.save(tmp_path / "c.npy", np.arange(1000))
    (tmp_path / "c.npy").write_bytes((tmp_path / "c.npy").read_bytes()[:-1])
    assert "cut short" in refusal(tmp_path / "c.npy")
    (tmp_path / "raw.npy").write_bytes(pickle.dumps([1]))
    assert "not a .npy" in refusal(tmp_path / "raw.npy")


def test_header_that_promises_more_than_the_file_has(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**5, 10**5)}
        np.lib.format.write_array_header_1_0(file, header)
    assert "cut short" in refusal(tmp_path / "a.npy")


def test_too_large_file(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        file.truncate(limits.MAX_ARRAY_BYTES + 1)  # sparse: takes no room
    assert f"at most {limits.MAX_ARRAY_BYTES} bytes" in refusal(tmp_path / "a.npy")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_never_escape_the_one_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "a.npy"
    np.save(path, object_array(np.arange(6.0).reshape(2, 3), [1, None], np.float32(3)), allow_pickle=True)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        got = load_array(path)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert isinstance(got, np.ndarray)


@pytest.mark.parametrize(("content", "found"), [({"points": [1, 2]}, "a dict"), ({1, 2}, "a set")])
def test_files_that_are_sound_but_hold_something_else_are_not_called_damaged(tmp_path, content, found):
    for stored in (np.array(content, object), np.array([None, content], object)):
        np.save(tmp_path / "1.npy", stored, allow_pickle=True)
        with pytest.raises(
            InputError, match=rf"1\.npy: refused, expected an array of numbers and lists, found {found}"
        ):
            load_array(tmp_path / "1.npy")
