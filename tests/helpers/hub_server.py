"""A stand-in of the Hugging Face hub on this machine: as much of its interface as weights need."""

import base64
import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class Hub:
    """Repositories by name: commits, newest last, each a dict of files; and branches and tags by name.

    Attributes:
      url: of the server.
      asked: method and path of every request.
      broken: the status that every answer has, or None.
    """

    def __init__(self):
        self.url, self.asked, self.broken = "", [], None
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.tags: dict[tuple[str, str], str] = {}

    def commit(self, repository: str, files: dict[str, bytes]) -> str:
        """Adds a commit; returns its hash."""
        commits = self.commits.setdefault(repository, {})
        whole = (list(commits.values()) or [{}])[-1] | files
        sha = hashlib.sha1(repr((len(commits), sorted(whole.items()))).encode()).hexdigest()
        commits[sha] = whole
        return sha

    def find(self, repository: str, revision: str) -> str | None:
        """The commit of a revision."""
        commits = self.commits[repository]
        if revision == "main":
            return list(commits)[-1]
        return revision if revision in commits else self.tags.get((repository, revision))


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        words = self._words()
        if words[:2] == ["api", "models"]:
            repository, revision = "/".join(words[2:4]), words[5] if len(words) > 5 else "main"
            if (commit := self._commit(repository, revision)) is not None:
                files = self.hub.commits[repository][commit]
                siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
                self._answer({"id": repository, "sha": commit, "siblings": siblings, "tags": [], "private": False})
        elif words[2:3] != ["resolve"]:
            self._send(404, b"{}", {})
        elif (commit := self._commit("/".join(words[:2]), words[3])) is not None:
            content = self.hub.commits["/".join(words[:2])][commit]["/".join(words[4:])]
            etag = hashlib.sha1(content).hexdigest()
            self._send(200, content, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'})

    do_HEAD = do_GET

    def do_POST(self):
        words = self._words()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.hub.broken:
            self._send(self.hub.broken, b"{}", {})
        elif words == ["api", "repos", "create"]:
            fields = json.loads(body)
            name = "/".join(filter(None, (fields.get("organization"), fields["name"])))
            self.hub.commits.setdefault(name, {})
            self._answer({"url": f"{self.hub.url}/{name}", "id": name, "name": name})
        elif words[-1] == "validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif words[4] == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._answer({"files": files})
        elif words[4] == "commit":
            entries = [json.loads(line) for line in body.splitlines() if line.strip()]
            files = {e["value"]["path"]: base64.b64decode(e["value"]["content"]) for e in entries if e["key"] == "file"}
            repository = "/".join(words[2:4])
            commit = self.hub.commit(repository, files)
            self._answer({"commitOid": commit, "commitUrl": f"{self.hub.url}/{repository}/commit/{commit}"})
        else:
            self._send(404, b"{}", {})

    def _words(self) -> list[str]:
        path = urlsplit(self.path).path
        self.hub.asked.append(f"{self.command} {path}")
        return path.strip("/").split("/")

    def _commit(self, repository: str, revision: str) -> str | None:
        """The commit; where there is none, the answer says so."""
        code = None
        if self.hub.broken:
            self._send(self.hub.broken, b"{}", {})
        elif repository not in self.hub.commits:
            code = "RepoNotFound"
        elif (commit := self.hub.find(repository, revision)) is None:
            code = "RevisionNotFound"
        else:
            return commit
        if code:
            self._send(404, b"{}", {"X-Error-Code": code})
        return None

    def _answer(self, fields: dict) -> None:
        self._send(200, json.dumps(fields).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def running() -> Iterator[Hub]:
    """A hub on a free port."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield hub
        server.shutdown()
        thread.join()
