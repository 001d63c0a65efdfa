"""What reaches Gradio at all: known addresses, hosts and files; and what the browser may fetch."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

# What the page itself asks for. Gradio answers more: it fetches from other machines, and calls functions by name.
_ADDRESSES = re.compile(
    r"/|/(?:config|theme\.css|favicon\.ico|manifest\.json|robots\.txt|login|login/|logout|token|user|startup-events)"
    r"|/(?:assets|static|svelte|custom_component)/.*"
    r"|/gradio_api/(?:upload|upload_progress|startup-events|cancel|reset|heartbeat/[\w-]+|info|token|user|app_id|theme\.css)"
    r"|/gradio_api/queue/(?:join|data|status)|/gradio_api/file=/.*|/gradio_api/stream/[\w-]+(?:/close)?"
)
LIVE = "/live"
"""The address of the camera's WebSocket, which a page for this machine alone has."""

_MOST_BYTES = 2**20  # of the arguments of an action; files are uploaded apart
_LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class Guard:
    """Stands before Gradio, as ASGI applications do.

    Args:
      app: what is guarded.
      files: the folder that files named by visitors must lie in.
      loopback: whether the page is for this machine alone; then it is not shown under another machine's name, which is
        how a page elsewhere could reach it.
    """

    def __init__(self, app: _App, files: Path, loopback: bool):
        self._app, self._files, self._loopback = app, files, loopback

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        if not self._is_own_host(scope):
            return await _refuse(scope, send, 404)
        if scope["type"] == "websocket":
            allowed = self._loopback and scope["path"] == LIVE and self._is_own_page(scope)
            return await (self._app(scope, receive, send) if allowed else _refuse(scope, send, 404))
        if not _ADDRESSES.fullmatch(scope["path"]):
            return await _refuse(scope, send, 404)
        if scope["method"] == "POST" and scope["path"] != "/gradio_api/upload":
            body = await _body(receive)
            if body is None:
                return await _refuse(scope, send, 413)
            if scope["path"].startswith("/gradio_api/queue/") and not self._names_own_files(body):
                return await _refuse(scope, send, 403)
            receive = _again(body, receive)
        await self._app(scope, receive, _with_headers(send))

    def _is_own_host(self, scope: _Message) -> bool:
        return not self._loopback or re.sub(r":\d+$", "", _header(scope, b"host")) in _LOOPBACK

    def _is_own_page(self, scope: _Message) -> bool:
        """Whether a script of this page asks: browsers let those of any page open a WebSocket."""
        return _header(scope, b"origin") == f"http://{_header(scope, b'host')}"

    def _names_own_files(self, body: bytes) -> bool:
        """Whether every file in the arguments of an action is one that a visitor brought or was shown."""
        try:
            paths = list(_paths(json.loads(body)))
        except (ValueError, RecursionError):
            return False
        root = self._files.resolve()
        try:
            return all(isinstance(path, str) and Path(path).resolve().is_relative_to(root) for path in paths)
        except (OSError, ValueError, RuntimeError):  # a name that no file can have
            return False


def _header(scope: _Message, name: bytes) -> str:
    return next((value.decode("latin-1") for its, value in scope["headers"] if its == name), "")


def _paths(value: Any) -> Iterator[Any]:
    """All that stands under "path" in what JSON holds, where it is not empty."""
    if isinstance(value, dict):
        if value.get("path"):
            yield value["path"]
        for inner in value.values():
            yield from _paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner)


async def _body(receive: _Receive) -> bytes | None:
    """The whole body of a request, None where it is too large."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MOST_BYTES:
            return None
    return body


def _again(body: bytes, receive: _Receive) -> _Receive:
    """A `receive` that gives a body that was read, and then what comes after it."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> _Message:
        return left.pop() if left else await receive()

    return next_message


def _with_headers(send: _Send) -> _Send:
    async def send_with_headers(message: _Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return send_with_headers


async def _refuse(scope: _Message, send: _Send, status: int) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *_HEADERS]}
    )
    await send({"type": "http.response.body", "body": b"not here"})
