"""Fetching, from a server on this machine: whole, resumed, changed, refused, without a network."""

import hashlib
import http.server
import os
import threading
from typing import ClassVar

import pytest

from vasal_jax.commands import fetch
from vasal_jax.commands.fetch import CATALOGUE, FetchArgs, Item
from vasal_jax.errors import InputError

CONTENT = bytes(range(256)) * 5000


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content` with ranges; `limit` breaks an answer off after so many bytes."""

    content, kind, etag, limit = CONTENT, "application/octet-stream", '"one"', None
    asked: ClassVar[list[str | None]] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        type(self).asked.append(wanted)
        begin = 0
        if wanted and self.headers.get("If-Range") == self.etag:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if begin else 200)
        self.send_header("Content-Type", self.kind)
        self.send_header("ETag", self.etag)
        self.send_header("Content-Length", str(len(self.content) - begin))
        self.end_headers()
        self.wfile.write(self.content[begin:][: self.limit])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    handler = type("Fresh", (Server,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        handler.item = Item(f"http://127.0.0.1:{running.server_port}/file", "a file", "file.bin")
        yield handler
        running.shutdown()
        thread.join()


def names(folder):
    return sorted(os.listdir(folder))


def test_a_file_comes_whole_and_its_hash_is_kept(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(CATALOGUE, "weights", server.item)
    assert fetch.fetch(FetchArgs("weights", tmp_path / "new")) == 0
    assert (tmp_path / "new/file.bin").read_bytes() == CONTENT
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert f"sha256 {digest}" in capsys.readouterr().out
    assert (tmp_path / "new/file.bin.sha256").read_text() == f"{digest}  file.bin\n"
    assert names(tmp_path / "new") == ["file.bin", "file.bin.sha256"]
    fetch.download(server.item, tmp_path / "new")
    assert len(server.asked) == 1  # the second time nothing is asked


def test_an_interrupted_download_goes_on(server, tmp_path):
    server.limit = 700_000
    with pytest.raises(InputError, match=r"goes on from there|IncompleteRead"):
        fetch.download(server.item, tmp_path)
    assert not (tmp_path / "file.bin").exists()
    begun = (tmp_path / "file.bin.part").stat().st_size
    assert 0 < begun <= 700_000
    server.limit = None
    fetch.download(server.item, tmp_path)
    assert server.asked == [None, f"bytes={begun}-"]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["file.bin", "file.bin.sha256"]


def test_another_version_is_not_joined_to_the_begun_one(server, tmp_path):
    server.limit = 700_000
    with pytest.raises(InputError):
        fetch.download(server.item, tmp_path)
    server.limit, server.etag, server.content = None, '"two"', CONTENT[::-1]
    fetch.download(server.item, tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT[::-1]


def test_another_hash_is_refused(server, tmp_path):
    fetch.download(server.item, tmp_path)
    (tmp_path / "file.bin").unlink()
    server.content = CONTENT[:-1]
    with pytest.raises(InputError, match=r"expected sha256 .*, found .*; remove .*file\.bin\.sha256 to take the new"):
        fetch.download(server.item, tmp_path)
    assert names(tmp_path) == ["file.bin.sha256"]
    (tmp_path / "file.bin").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"remove .*file\.bin to fetch it again"):
        fetch.download(server.item, tmp_path)
    recorded = Item(server.item.url, "a file", "other.bin", sha256="0" * 64)
    with pytest.raises(InputError, match="expected sha256 000"):
        fetch.download(recorded, tmp_path)
    assert not (tmp_path / "other.bin").exists()


def test_a_page_is_no_file(server, tmp_path):
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(InputError, match="expected a file, found a web page"):
        fetch.download(server.item, tmp_path)
    assert not (tmp_path / "file.bin").exists()


def test_without_a_network(server, tmp_path):
    nobody = Item("http://127.0.0.1:9/file", "a file", "file.bin")
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9: cannot be reached \(.*refused\); check the network"):
        fetch.download(nobody, tmp_path)


def test_a_planted_link_is_not_written_through(server, tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / "file.bin.part").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"file\.bin: cannot be written"):
        fetch.download(server.item, tmp_path)
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"


def test_two_at_a_time_are_one_too_many(server, tmp_path):
    with fetch._locked(tmp_path / "file.bin.part"), pytest.raises(InputError, match="another process fetches"):
        fetch.download(server.item, tmp_path)


def test_pages_are_printed_not_fetched(tmp_path, capsys):
    assert fetch.fetch(FetchArgs("mvva", tmp_path)) == 0
    assert "https://github.com/MinglangQiao/MVVA-Database" in capsys.readouterr().out
    assert names(tmp_path) == []
