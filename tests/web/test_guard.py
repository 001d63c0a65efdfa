"""The guard as Gradio's server would meet it: requests in, what passes and what is refused."""

import asyncio
import json

import pytest

from vasal_jax.web.guard import Guard


@pytest.fixture
def ask(tmp_path):
    """Sends one request through a guard; gives the status, the headers and the body that the application saw."""
    files = tmp_path / "files"
    (files / "drawn").mkdir(parents=True)
    (files / "drawn" / "clip.mp4").touch()
    (files / "link.mp4").symlink_to("/etc/passwd")

    async def send_through(path, body, host, loopback, kind, origin):
        seen, sent = [], []

        async def app(scope, receive, send):
            seen.append((await receive()).get("body"))
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {
            "type": kind,
            "method": "POST" if body else "GET",
            "path": path,
            "headers": [(b"host", host), (b"origin", origin)],
        }
        await Guard(app, files, loopback)(scope, receive, send)
        return sent[0].get("status"), dict(sent[0].get("headers", ())), seen

    def ask(path, data=None, host=b"127.0.0.1:7860", loopback=True, kind="http", origin=b""):
        body = b"" if data is None else data if isinstance(data, bytes) else json.dumps(data).encode()
        return asyncio.run(send_through(path, body, host, loopback, kind, origin))

    ask.files = files
    return ask


@pytest.mark.parametrize("path", ["/", "/config", "/assets/index.js", "/gradio_api/heartbeat/abc", "/theme.css"])
def test_what_the_page_needs_passes(ask, path):
    status, headers, _ = ask(path)
    assert status == 200
    assert b"default-src 'self'" in headers[b"content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://example.org/",
        "/gradio_api/proxy=http://example.org/",
        "/gradio_api/run/predict",
        "/gradio_api/call/predict",
        "/gradio_api/component_server",
        "/gradio_api/deep_link",
        "/monitoring",
        "/docs",
        "/openapi.json",
    ],
)
def test_what_else_gradio_answers_is_not_there(ask, path):
    assert ask(path)[0] == 404


def test_another_host_name_does_not_reach_a_page_for_this_machine(ask):
    assert ask("/", host=b"attacker.example")[0] == 404
    assert ask("/", host=b"localhost:1")[0] == 200
    assert ask("/", host=b"my-machine.example", loopback=False)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../../etc/passwd",
        "http://example.org/video.mp4",
        "{files}/../outside",
        "{files}/link.mp4",
        "a\0b",
        5,
    ],
)
def test_an_action_takes_no_files_but_those_of_the_page(ask, path):
    path = path.replace("{files}", str(ask.files)) if isinstance(path, str) else path
    status, _, seen = ask("/gradio_api/queue/join", {"data": [{"video": {"path": path}}]})
    assert (status, seen) == (403, [])


def test_an_action_takes_the_files_of_the_page(ask):
    data = {"data": [{"path": str(ask.files / "drawn" / "clip.mp4"), "url": "http://127.0.0.1/x"}, "mute", None]}
    status, _, seen = ask("/gradio_api/queue/join", data)
    assert (status, [json.loads(body) for body in seen]) == (200, [data])


@pytest.mark.parametrize(
    "body", [b"no json", b"[" * 100_000, b'"' + b"a" * 2**20 + b'"'], ids=["text", "deep", "large"]
)
def test_damaged_arguments_are_refused(ask, body):
    status, _, seen = ask("/gradio_api/queue/join", body)
    assert status in (403, 413)
    assert seen == []


@pytest.mark.parametrize(
    ("path", "origin", "loopback", "passes"),
    [
        ("/live", b"http://127.0.0.1:7860", True, True),
        ("/live", b"http://127.0.0.1:1234", True, False),
        ("/live", b"http://attacker.example", True, False),
        ("/live", b"", True, False),
        ("/live", b"http://127.0.0.1:7860", False, False),
        ("/gradio_api/queue/join", b"http://127.0.0.1:7860", True, False),
    ],
)
def test_the_camera_is_for_the_page_itself(ask, path, origin, loopback, passes):
    assert bool(ask(path, kind="websocket", loopback=loopback, origin=origin)[2]) == passes
