import os
import subprocess
import sys

import pytest

from vasal_jax.errors import InputError
from vasal_jax.system.files import check_writable, replacing


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_final_name_comes_last(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with replacing(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".txt")
        temporary.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    path = tmp_path / "folder"
    for content in ("1", "2"):
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / content).touch()
    assert names(path) == ["2"]
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("make", [lambda path: path.write_text("half"), lambda path: path.mkdir()])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, InputError])
def test_an_error_leaves_what_was_there(tmp_path, make, error):
    path = tmp_path / "a"
    path.write_text("before")

    def fail() -> None:
        with replacing(path) as temporary:
            make(temporary)
            raise error("stop")

    with pytest.raises(error):
        fail()
    assert path.read_text() == "before"
    assert names(tmp_path) == ["a"]


def test_errors_of_the_file_system_name_the_path(tmp_path):
    full = r"a\.txt: cannot be written \(No space left on device\)"
    with pytest.raises(InputError, match=full), replacing(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")
    with pytest.raises(InputError, match="does not exist"), replacing(tmp_path / "none" / "a.txt"):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("wrong", ["file over folder", "folder over file"])
def test_kinds_are_not_mixed(tmp_path, wrong):
    path = tmp_path / "a"
    path.mkdir() if wrong == "file over folder" else path.write_text("before")
    with pytest.raises(InputError, match="a: "), replacing(path) as temporary:
        temporary.write_text("x") if wrong == "file over folder" else temporary.mkdir()
    assert path.is_dir() if wrong == "file over folder" else path.read_text() == "before"
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="needs Unix processes")
def test_leftovers_of_dead_processes_go(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    with replacing(tmp_path / "a.b.txt") as temporary:
        temporary.touch()
        left = temporary.name.replace(str(os.getpid()), str(process.pid))
    process.wait()
    (tmp_path / left).touch()
    other = left.replace("a.b", "c")
    (tmp_path / other).touch()
    with replacing(tmp_path / "a.b.txt") as temporary:
        temporary.touch()
    assert names(tmp_path) == ["a.b.txt", other]


def test_a_check_leaves_nothing(tmp_path):
    check_writable(tmp_path / "a")
    assert names(tmp_path) == []
