"""The page as visitors meet it: in a browser, and as a program that is stopped."""

import base64
import os
import re
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.media import write_video
from tests.helpers.served_page import LACKING, ROOT, browser, served
from vasal_jax.inputs.video import probe, read_frames

pytestmark = pytest.mark.skipif(LACKING is not None, reason=str(LACKING))

PATIENCE = 120_000  # milliseconds
_FAILING_ONCE = """
import vasal_jax.web.predicting as predicting
as_it_is = predicting.predict_video
def failing(*arguments):
    predicting.predict_video = as_it_is
    raise RuntimeError("broken in /secret/place")
predicting.predict_video = failing
from vasal_jax.commands.main import main
main()
"""
_FIRST_PICTURE = """async (name) => {
  const video = document.querySelector(name + ' video');
  while (video.readyState < 2) await new Promise((go) => setTimeout(go, 50));
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d').drawImage(video, 0, 0);
  return canvas.toDataURL('image/png').split(',')[1];
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("served"), "--max-seconds", "20") as server:
        yield server


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@pytest.fixture
def visit(server, chromium):
    """Opens the page as a new visitor; no request may leave the machine."""
    asked, opened = [], []

    def visit(**options):
        context = chromium.new_context(**options)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.address)
        page.wait_for_selector("#predict")
        opened.append(context)
        return page

    yield visit
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((f"{server.address}/", "data:", "blob:"))] == []
    for context in opened:
        context.close()


def _picture(page, name: str) -> np.ndarray:
    """What a video on the page shows now: uint8 (H,W,3) RGB."""
    png = base64.b64decode(page.evaluate(_FIRST_PICTURE, name))
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)


def _fetched(page, name: str, path: Path) -> Path:
    path.write_bytes(page.request.get(page.get_attribute(f"{name} video", "src")).body())
    return path


def _predict_example(page) -> None:
    page.click("#example")
    page.wait_for_selector("#video video")
    page.click("#predict")
    page.wait_for_selector("#overlay video")


def test_the_drawn_example_is_shown_with_its_overlay(visit, tmp_path):
    page = visit()
    _predict_example(page)
    overlay = _fetched(page, "#overlay", tmp_path / "overlay.mp4")
    assert probe(overlay).has_sound
    first, shown = next(read_frames(overlay)).image.astype(int), _picture(page, "#overlay")
    assert shown.shape == first.shape
    assert np.abs(shown - first).mean() < 6
    assert np.abs(shown - _picture(page, "#video")).max() > 60  # the heat is on it
    assert page.locator(".vasal-chart polyline").count() > 4
    page.evaluate("document.querySelector('#overlay video').currentTime = 2")
    page.wait_for_function("document.querySelector('.vasal-now').textContent.startsWith('2.00 s: face')")


@pytest.mark.slow
def test_switches_change_the_map_of_an_uploaded_video(visit, server, tmp_path):
    page = visit()
    _predict_example(page)
    clip = _fetched(page, "#video", tmp_path / "clip.mp4")
    page = visit()
    page.set_input_files("#video input[type=file]", clip)
    page.wait_for_selector("#video video")
    page.click("#predict")
    page.wait_for_selector("#overlay video")
    page.get_by_label("mute").check()
    page.get_by_label("no faces").check()
    page.click("#switch")
    page.wait_for_selector("#switched video")
    sheet = _picture(page, "#switched")
    height, width = sheet.shape[0] // 2, sheet.shape[1] // 2
    plates = height - 40
    as_it_is, mute, no_faces = sheet[:plates, :width], sheet[:plates, width:], sheet[height : height + plates, :width]
    assert min(np.abs(as_it_is - mute).mean(), np.abs(as_it_is - no_faces).mean()) > 1
    numbers = re.findall(r"-?\d+\.\d+", page.inner_text("#changes"))
    assert len(numbers) == 4
    page.get_by_role("tab", name="Compare").click()
    page.click("#compare_weights")
    page.wait_for_selector("#compared video")
    assert "1.000" in page.inner_text("#differences")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("notes.mp4", b"these are only words\n" * 50, "not a video"), ("long.mp4", None, "at most 20 seconds")],
    ids=["text", "long"],
)
def test_what_cannot_be_predicted_on_gives_a_sentence(visit, server, tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content) if content else write_video(path, 30, rate=1)
    page = visit()
    page.set_input_files("#video input[type=file]", path)
    page.wait_for_timeout(1000)
    page.click("#predict")
    page.wait_for_selector(f".toast-body >> text={said}")
    text = " ".join(page.locator(".toast-body").all_inner_texts())
    assert str(server.temporary) not in text
    assert "Traceback" not in text
    _predict_example(visit())  # the page goes on


@pytest.mark.slow
def test_visitors_wait_in_a_queue_and_get_their_own_results(visit, tmp_path):
    sizes = (160, 120), (96, 128)
    pages = []
    for width, height in sizes:
        clip = write_video(tmp_path / f"{width}.mp4", [np.full((height, width, 3), 90, np.uint8)] * 50, rate=25)
        page = visit()
        page.set_input_files("#video input[type=file]", clip)
        page.wait_for_selector("#video video")
        pages.append(page)
    for page in pages:
        page.click("#predict")
    for page, (width, height) in zip(pages, sizes, strict=True):
        page.wait_for_selector("#overlay video")
        found = probe(_fetched(page, "#overlay", tmp_path / "own.mp4"))
        assert (found.width, found.height) == (width, height)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_screens_light_and_dark(visit, tmp_path, width, scheme):
    """With VASAL_DRAW_PICTURES=1 the pictures of the guide are made anew."""
    page = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    _predict_example(page)
    page.wait_for_function("document.querySelectorAll('video')[2].readyState > 1")
    page.evaluate("document.querySelectorAll('#results video').forEach((video) => { video.currentTime = 3; })")
    page.wait_for_timeout(1500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = np.mean([int(number) for number in re.findall(r"\d+", ground)[:3]])
    assert (brightness > 128) == (scheme == "light")
    picture = page.screenshot(full_page=True)
    seen = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert seen.shape[1] == width
    if os.environ.get("VASAL_DRAW_PICTURES") and (width, scheme) in ((1280, "light"), (390, "dark")):
        name = "page" if width == 1280 else "page_phone"
        cv2.imwrite(str(ROOT / f"docs/images/{name}.webp"), seen[:1500], [cv2.IMWRITE_WEBP_QUALITY, 80])


@pytest.mark.slow
def test_the_camera_is_shown_with_heat(visit):
    page = visit(permissions=["camera", "microphone"])
    page.get_by_role("tab", name="Live").click()
    page.click(".vasal-live-button")
    page.wait_for_function("/\\d+ pictures a second/.test(document.querySelector('.vasal-live-said').textContent)")
    page.wait_for_timeout(5000)
    print(page.inner_text(".vasal-live-said"))
    heat = page.evaluate(
        "(() => { const canvas = document.querySelector('.vasal-live-picture');"
        " return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]; })()"
    )
    assert np.std(heat) > 20
    page.click(".vasal-live-button")
    assert page.inner_text(".vasal-live-button") == "Turn the camera on"
    page.click(".vasal-live-button")  # the camera before has gone
    page.wait_for_function("document.querySelector('.vasal-live-button').textContent.endsWith('off')")


@pytest.mark.slow
def test_a_fault_of_one_prediction_leaves_the_page_up(tmp_path, chromium):
    with served(tmp_path, program=("-c", _FAILING_ONCE, "web", "--port", "0")) as server:
        page = chromium.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(server.address)
        page.click("#example")
        page.wait_for_selector("#video video")
        page.click("#predict")
        page.wait_for_selector(".toast-body >> text=The program failed on this video")
        assert "secret" not in page.inner_text("body")
        page.click("#predict")
        page.wait_for_selector("#overlay video")
        page.close()
        assert "RuntimeError: broken in /secret/place" in server.stop()


@pytest.mark.slow
def test_nothing_of_the_file_system_can_be_read(server, visit):
    page = visit()
    page.click("#example")
    page.wait_for_selector("#video video")
    own = page.get_attribute("#video video", "src")
    with urllib.request.urlopen(own) as answer:
        assert answer.status == 200
    folder = own.partition("file=")[2].rpartition("/")[0]
    up = f"{folder}/../../../../../../etc/passwd"
    names = (
        "/etc/passwd",
        up,
        up.replace("../", "..%2f"),
        f"{ROOT}/README.md",
        "README.md",
        folder,
        "file:///etc/passwd",
    )
    for path in (*names, "http://example.org/"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.address}/gradio_api/file={path}")
        assert refused.value.code in (403, 404)
    assert "passwd" not in server.said


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once_and_nothing_is_left(tmp_path):
    with served(tmp_path) as server:
        assert any(tmp_path.iterdir())
        said = server.stop()
    assert server.process.returncode == 130
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_other_machines_need_a_password(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    words = ("--share-on", "0.0.0.0", "--password-file", str(secret))
    with served(tmp_path, *words) as server:
        address = server.address.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/config")
        assert refused.value.code == 401
        wrong = urllib.request.Request(f"{address}/login", b"username=vasal&password=wrong")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(wrong)
        assert refused.value.code == 400
        right = urllib.request.Request(f"{address}/login", b"username=vasal&password=correct+horse")
        with urllib.request.urlopen(right) as answer:
            assert answer.headers["set-cookie"]


@pytest.mark.slow
def test_a_hosted_space_serves_the_page(tmp_path, monkeypatch, chromium):
    monkeypatch.setenv("GRADIO_SERVER_PORT", "0")
    with served(tmp_path, program=(str(ROOT / "examples/space/app.py"),)) as server:
        page = chromium.new_page()
        page.goto(server.address)
        page.wait_for_selector("#predict")
        page.close()
