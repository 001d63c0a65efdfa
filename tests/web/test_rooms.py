"""The folders of the page: private, swept after an hour, gone at the end."""

import os
import stat
import tempfile
import time

from vasal_jax.web.rooms import KEPT, open_rooms


def test_they_are_private_and_gone_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_rooms() as rooms:
        (root,) = tmp_path.iterdir()
        for folder in (root, rooms.files, rooms.scratch, rooms.new_folder()):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert folder.is_relative_to(root)
        assert rooms.new_folder() != rooms.new_folder()
    assert list(tmp_path.iterdir()) == []


def test_visitors_files_go_after_an_hour_and_the_example_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_rooms() as rooms:
        example = rooms.draw_example(seconds=0.08)
        old, new = rooms.new_folder() / "overlay.mp4", rooms.new_folder() / "overlay.mp4"
        upload, half = rooms.files / "hash" / "clip.mp4", rooms.scratch / "half"
        upload.parent.mkdir()
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "kept").touch()
        for path in (old, new, upload, half):
            path.touch()
        link = rooms.files / "hash" / "link"
        link.symlink_to(outside)
        for path in (old, upload, half, link):
            os.utime(path, (0, 0), follow_symlinks=False)
        os.utime(outside / "kept", (0, 0))
        rooms.remove_old()
        assert not old.exists()
        assert not any(map(os.path.lexists, (upload, half, link)))
        assert new.exists()
        rooms.remove_old(now=time.time() + KEPT + 60)
        assert not any(path.parent.exists() for path in (old, new, upload))
        assert rooms.new_folder().exists()
        assert all(path.exists() for path in (*example, outside / "kept"))
