"""Which videos words name, and what their outputs are called."""

from pathlib import Path

import pytest

from vasal_jax.commands.video_list import MAX_LIST_BYTES, find_videos
from vasal_jax.errors import InputError


@pytest.fixture
def films(tmp_path, monkeypatch):
    for name in ("b.mp4", "a.MKV", "notes.txt", ".hidden.mp4", "sub/c.mov", "sub/b.mp4", ".cache/d.mp4"):
        (tmp_path / "films" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "films" / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return Path("films")


def found(*words, recursive=False, out="out"):
    return [
        (str(video.path), video.name) for video in find_videos([Path(word) for word in words], recursive, Path(out))
    ]


def test_a_folder(films):
    assert found(films) == [("films/a.MKV", "a"), ("films/b.mp4", "b")]


def test_subfolders_and_a_stem_that_occurs_twice(films):
    assert found(films, recursive=True) == [
        ("films/a.MKV", "a"),
        ("films/b.mp4", "b"),
        ("films/sub/b.mp4", "sub/b"),
        ("films/sub/c.mov", "c"),
    ]


def test_a_stem_twice_in_one_folder(films):
    (films / "b.avi").write_bytes(b"")
    assert dict(found(films)) == {"films/a.MKV": "a", "films/b.avi": "b.avi", "films/b.mp4": "b.mp4"}


def test_names_do_not_depend_on_the_working_directory(films, monkeypatch):
    names = [name for _, name in found(films, recursive=True)]
    monkeypatch.chdir(films / "sub")
    assert [name for _, name in found("..", recursive=True)] == names


def test_names_that_a_file_system_may_take_for_one_are_apart(films):
    (films / "A.mkv").write_bytes(b"")
    names = [name.casefold() for _, name in found(films)]
    assert len(set(names)) == 3


def test_the_folder_of_the_outputs_is_not_searched(films):
    (films / "out").mkdir()
    (films / "out" / "a_overlay.mp4").write_bytes(b"")
    expected = found(films, recursive=True, out="elsewhere")
    assert found(films, recursive=True, out="films/out") == [pair for pair in expected if "out" not in pair[0]]
    assert ("films/out", "out") not in found("films/*", out="films/out")
    for words, out in ((["films"], "films"), (["films/a.MKV"], "films"), (["films/out/a_overlay.mp4"], "films/out")):
        with pytest.raises(InputError, match="give the outputs a folder of their own"):
            found(*words, out=out)


def test_names_never_leave_the_folder_of_the_outputs(films, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "b.mp4"
    elsewhere.write_bytes(b"")
    names = [name for _, name in found(films / "b.mp4", elsewhere, "films/../films/sub/b.mp4")]
    assert len(set(names)) == 3
    assert not [name for name in names if name.startswith("/") or ".." in Path(name).parts]


def test_patterns_lists_and_files_each_once_in_order(films):
    Path("list.txt").write_text("# mine\n\nfilms/sub/c.mov\nfilms/notes.txt\n")
    paths = [path for path, _ in found("films/b.mp4", "films/*.[mM]*", "@list.txt", "missing.mp4")]
    assert paths == ["films/b.mp4", "films/a.MKV", "films/sub/c.mov", "films/notes.txt", "missing.mp4"]


def test_mistakes(films):
    Path("empty").mkdir()
    for word, message in {
        "empty": "has no video in it",
        "films/*.xyz": "matches nothing",
        "@none.txt": "no such file, expected a list of videos",
    }.items():
        with pytest.raises(InputError, match=message):
            found(word)
    Path("list.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="found none"):
        found("@list.txt")
    Path("list.txt").write_text("@other.txt\n")
    with pytest.raises(InputError, match="found the list @other"):
        found("@list.txt")
    with open("list.txt", "wb") as file:
        file.truncate(MAX_LIST_BYTES + 1)
    with pytest.raises(InputError, match="of at most"):
        found("@list.txt")
