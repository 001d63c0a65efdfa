"""Outputs are whole or absent."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from vasal_jax.errors import InputError
from vasal_jax.system import files, stopping
from vasal_jax.system.files import LISTING, check_own, check_writable, fitting_name, remove_temporaries, replacing


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_final_name_comes_last(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with replacing(path) as temporary:
        assert temporary.parent.parent == tmp_path
        assert temporary.parent.stat().st_mode & 0o777 == 0o700
        assert temporary.suffix == ".txt"
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
    assert names(path) == [LISTING, "2"]
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


def test_a_request_to_stop_while_it_begins_leaves_nothing(tmp_path, monkeypatch):
    begin = files._locked_folder

    def asked_to_stop(parent):
        signal.raise_signal(signal.SIGINT)
        return begin(parent)

    monkeypatch.setattr(files, "_locked_folder", asked_to_stop)
    with stopping.heard(), pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a.txt"):
        pytest.fail("the block must not run")
    assert names(tmp_path) == []


LEAVES = """
import os, signal, sys
from vasal_jax.system.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("written", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def leave(path) -> subprocess.Popen:
    """A process that has written half of `path`; it is killed when its standard input ends."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", LEAVES, path], **pipes)
    assert process.stdout.readline() == b"written\n"
    return process


@pytest.mark.skipif(os.name != "posix", reason="needs Unix processes")
def test_leftovers_of_dead_processes_go_and_those_of_live_ones_stay(tmp_path):
    dead = leave(tmp_path / "a.txt")
    (left,) = tmp_path.iterdir()
    alive = leave(tmp_path / "b.txt")
    (kept,) = set(tmp_path.iterdir()) - {left}
    dead.communicate()
    (tmp_path / ".vasal_jax.partial-notes").mkdir()  # no lock in it
    with replacing(tmp_path / "c.txt") as temporary:
        temporary.touch()
    assert not left.exists()
    assert names(kept) == ["lock", "partial.txt"]
    assert names(tmp_path) == sorted([".vasal_jax.partial-notes", kept.name, "c.txt"])
    alive.communicate()


def test_temporary_names_cannot_be_foretold(tmp_path):
    found = set()
    for _ in range(5):
        with replacing(tmp_path / "a") as temporary:
            temporary.touch()
            found.add(temporary)
    assert len(found) == 5


def test_a_process_can_remove_all_that_it_has_not_finished(tmp_path):
    with contextlib.ExitStack() as stack:
        for name in ("a", "b"):
            stack.enter_context(replacing(tmp_path / name)).touch()
        assert len(names(tmp_path)) == 2
        remove_temporaries()
        assert names(tmp_path) == []
        stack.pop_all()  # they have nothing to put in place


@pytest.mark.parametrize("there", [True, False])
def test_a_planted_link_redirects_nothing(tmp_path, there):
    victim, path = tmp_path / "victim", tmp_path / "a"
    if there:
        victim.write_text("mine")
    path.symlink_to(victim)
    with replacing(path) as temporary:
        temporary.write_text("result")
    assert (path.is_symlink(), path.read_text()) == (False, "result")
    assert victim.exists() == there
    assert not there or victim.read_text() == "mine"


def test_a_link_to_a_folder_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "a").symlink_to("mine")
    with pytest.raises(InputError, match="is a link to the folder"), replacing(tmp_path / "a"):
        pytest.fail("the block must not run")


def test_an_existing_result_keeps_its_permissions(tmp_path):
    path = tmp_path / "a"
    path.touch()
    path.chmod(0o640)
    with replacing(path) as temporary:
        temporary.touch()
    assert path.stat().st_mode & 0o777 == 0o640


def write_folder(path, files: dict[str, str], meanwhile=lambda: None) -> None:
    with replacing(path) as temporary:
        temporary.mkdir()
        for name, text in files.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text(text)
        meanwhile()


@pytest.mark.parametrize("foreign", ["notes.txt", "1.png", "deep/notes.txt", "deep/empty/", "link"])
def test_a_folder_with_others_files_is_not_replaced(tmp_path, foreign):
    path = tmp_path / "folder"
    write_folder(path, {"1.png": "a", "deep/2.png": "b"})
    if foreign.endswith("/"):
        (path / foreign).mkdir()
    elif foreign == "link":
        (path / foreign).symlink_to("1.png")
    else:
        (path / foreign).write_text("mine, or a result that I have drawn on")
    before = {file: file.is_dir() or file.read_text() for file in path.rglob("*")}
    with pytest.raises(InputError, match="holds other files"):
        write_folder(path, {"3.png": "c"})
    assert {file: file.is_dir() or file.read_text() for file in path.rglob("*")} == before
    with pytest.raises(InputError, match="holds other files"):
        check_own(path)


def test_what_others_put_into_a_folder_meanwhile_stays(tmp_path, caplog):
    path = tmp_path / "folder"
    write_folder(path, {"1.png": "old", "2.png": "old"})

    def put() -> None:
        (path / "notes.txt").write_text("mine")
        (path / "1.png").write_text("drawn on")
        (path / "3.png").mkdir()
        (path / "3.png" / "inner.txt").write_text("mine too")

    write_folder(path, {"1.png": "new", "3.png": "new"}, meanwhile=put)
    assert names(path) == [LISTING, "1.png", "3.png", "notes.txt"]
    assert [(path / name).read_text() for name in ("1.png", "3.png", "notes.txt")] == ["new", "new", "mine"]
    (aside,) = tmp_path.glob("folder.old-*")
    assert (aside / "1.png").read_text() == "drawn on"
    assert (aside / "3.png" / "inner.txt").read_text() == "mine too"
    assert names(aside) == ["1.png", "3.png"]
    assert str(aside) in caplog.text


def test_a_planted_listing_removes_nothing_elsewhere(tmp_path):
    path = tmp_path / "folder"
    (tmp_path / "victim").write_text("mine")
    path.mkdir()
    facts = (tmp_path / "victim").stat()
    (path / LISTING).write_text(f'{{"../victim": [{facts.st_size}, {facts.st_mtime_ns}]}}')
    write_folder(path, {"1": "a"})
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_check_leaves_nothing(tmp_path):
    check_writable(tmp_path / "a")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["n" * 255, "é" * 120 + ".npz", "n." + "s" * 253, "n" * 240])
def test_names_as_long_as_the_file_system_takes(tmp_path, name):
    """Nothing that is made beside the result has a longer one, however often it is replaced."""
    for _ in range(2):
        with replacing(tmp_path / name) as temporary:
            temporary.mkdir()
            (temporary / "1.png").touch()
    assert names(tmp_path) == [name]
    with replacing(tmp_path / f"f{name[1:]}") as temporary:
        temporary.touch()


def test_a_name_that_does_not_fit_is_cut_and_stays_its_own():
    assert fitting_name("a", "_overlay.mp4") == "a_overlay.mp4"
    assert fitting_name("n" * 243, "_overlay.mp4") == "n" * 243 + "_overlay.mp4"
    long = [
        fitting_name(name, "_overlay.mp4") for name in ("n" * 244, "n" * 245, "é" * 125, os.fsdecode(b"\xff" * 250))
    ]
    assert len(set(long)) == 4
    for name in long:
        assert name.endswith("_overlay.mp4")
        assert len(os.fsencode(name)) <= 255
