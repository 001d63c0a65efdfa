"""The report: everything in one page, the numbers of the results in it, and nothing that a name could break."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.synthetic import SyntheticArgs, generate
from evaluate import main
from tests.helpers.recorded_video import RecordedVideo
from vasal_jax.errors import InputError
from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth
from vasal_jax.evaluation.report import SECTIONS, write_report
from vasal_jax.evaluation.scores import frame_notes
from vasal_jax.evaluation.statistics import summarise
from vasal_jax.metrics.saliency import METRICS
from vasal_jax.size import Size

SETTINGS = {"dataset": "drawn", "split": "test", "seed": 0, "maps": [], "config": {"lstm": (1, 2)}, "versions": {}}
HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=http://example.com/x.png onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "a&amp;b' onclick='alert(1)",
    "<!--",
    "\udcff not text",
)


def recorded(name: str, n_frames: int = 8, **changes) -> RecordedVideo:
    """A video of noise, in which pictures weigh the most; its two faces never talk at once."""
    flags = np.arange(2 * n_frames).reshape(2, -1) % 3 == 0
    return RecordedVideo(name, n_frames, seed=len(name), flags=flags, **changes)


ROWS = ("model", "centre prior", "model, against half", "centre prior, against half", "half against half")


def scores_of(videos, rows=ROWS):
    rng = np.random.default_rng(0)
    return {
        row: {video.id: {m: rng.normal(size=video.n_frames).astype(np.float32) for m in METRICS} for video in videos}
        for row in rows
    }


def write(folder, videos, scores=None, weights=None, settings=SETTINGS):
    """The page's text, and the results it was made of."""
    scores = scores or scores_of(videos)
    truths = {row: "half of the subjects" for row in scores if "half" in row}
    results = summarise(scores, settings, truths)
    notes = {video.id: frame_notes(video) for video in videos}
    truths, saliency = [GroundTruth.of(video) for video in videos], np.ones((1, 32, 32), np.float32) / 1024
    path = write_report(
        folder,
        results,
        scores,
        notes,
        truths,
        Conventions((36, 64)),
        lambda truth: lambda frames: saliency,
        weights or {},
    )
    assert path == folder / "index.html"
    return path.read_text(encoding="utf-8"), results


class Page(HTMLParser):
    """Elements with their attributes, the cells of tables by section, and all text."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.tables, self.texts, self.scripts = [], {}, [], []
        self._section, self._cell, self._open_script = None, False, False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if tag == "section":
            self._section = self.tables.setdefault(attributes["id"], [])
        elif tag == "table":
            self._section.append([])
        elif tag == "tr":
            self._section[-1].append([])
        elif tag in ("td", "th"):
            self._section[-1][-1].append("")
            self._cell = True
        elif tag == "script":
            self._open_script = True
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._cell = self._cell and tag not in ("td", "th")
        self._open_script = self._open_script and tag != "script"

    def handle_data(self, data):
        if self._open_script:
            self.scripts[-1] += data
            return
        self.texts.append(data)
        if self._cell:
            self._section[-1][-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def assert_self_contained(page: Page):
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in {"src", "href", "srcset", "data", "action", "poster", "xlink:href"} & set(attributes):
            assert re.match("data:|#", attributes[name]), (tag, attributes)
        assert tag not in ("iframe", "object", "embed", "base", "form")
    assert len(page.scripts) == 2


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    videos = [recorded(str(number)) for number in (7, 12, 120, 3, 55, 81, 90)]
    scores = scores_of(videos)
    scores["model"]["12"]["CC"][3] = np.nan
    weights = {video.id: np.full((8, 3), 1 / 3, np.float32) for video in videos}
    text, results = write(tmp_path_factory.mktemp("report") / "made", videos, scores, weights)
    return Page(text), results, text, scores


def test_every_section_is_there_and_linked(written):
    page = written[0]
    assert [attributes["id"] for attributes in page.all("section")] == list(SECTIONS)
    links = {attributes["href"] for attributes in page.all("a")}
    assert {f"#{name}" for name in SECTIONS} <= links
    assert set(SECTIONS.values()) <= set(page.texts)
    assert page.all("html") == [{"lang": "en"}]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_nothing_comes_from_elsewhere(written):
    page, _, text, _ = written
    assert_self_contained(page)
    assert set(re.findall(r"https?://[^\s\"']*", text)) == {"http://www.w3.org/2000/svg"}  # a name, never fetched
    assert "url(" not in text
    assert "@import" not in text
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert {"default-src 'none'", "img-src data:", f"script-src 'sha256-{digest}'"} <= set(policy.split("; "))


def test_the_best_and_the_worst_videos_with_pictures(written):
    page, results, _, scores = written
    pictures = page.all("img")
    assert len(pictures) == 6 * 3 * 3
    kinds = [picture["alt"].split(",")[0] for picture in pictures[:3]]
    assert kinds == ["Frame", "Where people looked", "Prediction"]
    for picture in pictures:
        kind, _, content = picture["src"].partition(",")
        assert kind == "data:image/jpeg;base64"
        image = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (int(picture["height"]), int(picture["width"]), 3) == (45, 80, 3)
    videos = results["rows"][0]["videos"]
    order = sorted(videos, key=lambda video: videos[video]["CC"])
    shown = [text.split()[1] for text in page.texts if re.match(r"Video \d+ · CC", text)]
    assert shown == [*order[::-1][:3], *order[:3]]
    frames = [int(re.search(r"frame (\d+)", picture["alt"])[1]) for picture in pictures[:9:3]]
    ranked = np.argsort(scores["model"][shown[0]]["CC"])
    assert frames == [ranked[0], ranked[len(ranked) // 2], ranked[-1]]


def test_numbers_are_those_of_the_results(written):
    page, results, _, _ = written
    headline, by_frame = page.tables["table"]
    assert [name.split()[0] for name in headline[0][1:]] == ["truth", *METRICS]
    for row, cells, frame_cells in zip(results["rows"], headline[1:], by_frame[1:], strict=True):
        assert cells[0].removesuffix("*") == frame_cells[0] == row["name"]
        assert cells[1] == row["truth"]
        for metric, cell, frame_cell in zip(METRICS, cells[2:], frame_cells[1:9], strict=True):
            low, high = row["ci95"][metric]
            assert cell == f"{row['mean_over_videos'][metric]:.3f} {low:.3f} … {high:.3f}"
            assert frame_cell == f"{row['mean_over_frames'][metric]:.3f}"
        assert frame_cells[9:] == [str(row["frames_scored"]), str(row["frames_skipped"])]
    ((_, *videos),) = page.tables["videos"]
    for (video, numbers), cells in zip(results["rows"][0]["videos"].items(), videos, strict=True):
        assert cells == [video, *(f"{number:.3f}" for number in numbers.values())]


def test_every_metric_has_its_distribution(written):
    page = written[0]
    labels = [attributes["aria-label"] for attributes in page.all("svg")]
    for metric in METRICS:
        assert sum(label.startswith(f"model: {metric} of 7 videos, median") for label in labels) == 1
        assert sum(label.startswith(f"2 faces, {metric}: centre prior, against half ") for label in labels) == 1
    assert all(labels)


def test_curves_hold_the_scores_of_every_frame(written):
    page, _, _, scores = written
    series = json.loads(page.scripts[0])
    assert series["rows"] == ["model", "centre prior", "model, against half", "half against half"]
    video = next(video for video in series["videos"] if video["id"] == "12")
    assert video["step"] == 1 / 25
    assert len(video["speaking"]) == 8
    for row, curves in zip(series["rows"], video["scores"], strict=True):
        for metric, curve in zip(METRICS, curves, strict=True):
            np.testing.assert_allclose(np.array(curve, float), scores[row]["12"][metric], atol=6e-4)
    assert video["scores"][0][0][3] is None
    assert [option["value"] for option in page.all("option")[:7]] == list("0123456")


def test_breakdowns_and_face_weights(written):
    page, results, _, _ = written
    ((_, *faces),) = page.tables["faces"]
    assert [cells[:3] for cells in faces] == [["2 faces", "56", "7"]]
    assert faces[0][3:] == [f"{number:.3f}" for number in results["rows"][0]["mean_over_frames"].values()]
    ((_, *speaking),) = page.tables["speaking"]
    assert sum(int(cells[1]) for cells in speaking) == 56
    ((_, *weights),) = page.tables["weights"]
    assert [cells[0] for cells in weights] == ["all", "2 faces"]
    assert weights[0][5] == "33.3 %"  # a third of the weight is on either face


def test_what_is_not_known_is_left_out_with_a_line(tmp_path):
    page = Page(write(tmp_path, [recorded("1", boxes=None)], scores_of([recorded("1")], ["maps"]))[0])
    assert [attributes["id"] for attributes in page.all("section")] == list(SECTIONS)
    for line in (
        "Left out: maps does not weigh faces.",
        "Nothing is known of the faces in these videos.",
        "Nothing is known of who speaks in these videos.",
    ):
        assert line in page.texts
    assert len(page.all("img")) == 9  # one video is the best, and none the worst
    assert "Worst" not in page.texts


def test_videos_without_scores(tmp_path):
    videos = [recorded("1"), recorded("2")]
    scores = scores_of(videos)
    for metric in METRICS:
        scores["model"]["1"][metric][:] = np.nan
    page = Page(write(tmp_path, videos, scores)[0])
    assert page.tables["videos"][0][1] == ["1"] + ["\N{EN DASH}"] * len(METRICS)
    assert len(page.all("img")) == 9
    scores["model"]["2"] = scores["model"]["1"]
    page = Page(write(tmp_path, videos, scores)[0])
    assert page.all("img") == []
    assert "No video has a score." in page.texts


def test_names_cannot_leave_their_place(tmp_path):
    videos = [recorded(name) for name in HOSTILE]
    settings = {**SETTINGS, "dataset": HOSTILE[1], "config": {HOSTILE[0]: HOSTILE[1]}, "maps": list(HOSTILE[:5])}
    text, _ = write(tmp_path, videos, scores_of(videos, [*HOSTILE[:3], "centre prior"]), settings=settings)
    page = Page(text)
    assert_self_contained(page)
    readable = [name.replace("\udcff", "?") for name in HOSTILE]
    assert [cells[0] for cells in page.tables["videos"][0][1:]] == readable
    assert [cells[0] for cells in page.tables["table"][0][1:]] == [*readable[:3], "centre prior"]
    assert [video["id"] for video in json.loads(page.scripts[0])["videos"]] == list(HOSTILE)
    assert {picture["src"].partition(",")[0] for picture in page.all("img")} == {"data:image/jpeg;base64"}


def test_rows_of_other_frames_and_truths_are_marked(tmp_path):
    videos = [recorded("1")]
    scores = scores_of(videos)
    for metric in METRICS:
        scores["model"]["1"][metric][2] = np.nan
    page = Page(write(tmp_path, videos, scores)[0])
    names = [cells[0] for cells in page.tables["table"][0][1:]]
    assert names == ["model", *(f"{name}*" for name in ROWS[1:])]
    note = "* scored on other frames than model. Hold only rows of the same truth beside each other."
    assert note in page.texts


def test_what_rounds_to_zero_has_no_sign(tmp_path):
    videos = [RecordedVideo("a", 4), RecordedVideo("b", 4)]
    scores = {"model": {video.id: {m: np.full(4, -1e-5, np.float32) for m in METRICS} for video in videos}}
    text, _ = write(tmp_path / "page", videos, scores)
    assert "0.000" in text
    assert "-0.0" not in text.split("<main>")[1].split("<script>")[0]


def test_its_size_is_bounded(tmp_path):
    """75 videos of the length and number of MVVA's test split, in pictures that compress as badly as can be."""
    videos = [recorded(f"{number:03d}", 480, noise_size=(720, 1280)) for number in range(75)]
    scores = scores_of(videos, [f"row {number}" for number in range(8)])
    text, _ = write(tmp_path, videos, scores)
    assert 1e6 < len(text) < 15e6
    series = json.loads(Page(text).scripts[0])
    assert len(series["videos"]) == 75
    assert "Every point is the mean of 4 frames." in text


def test_without_jinja(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(InputError, match=r"pip install 'vasal-jax\[report\]'"):
        write(tmp_path, [recorded("1")])


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> list[str]:
    """Scores maps of two drawn videos of a second."""
    folder = tmp_path_factory.mktemp("faces")
    arguments = {"videos": 2, "seconds": 1.0, "seed": 4, "size": Size(72, 128), "workers": 1, "fps": (24.0,)}
    assert generate(SyntheticArgs(folder / "faces", **arguments)) == 0
    (folder / "own").mkdir()
    for path in folder.glob("faces/**/all_videos_all_frames_fixation/*.npy"):
        maps = np.random.default_rng(0).random((24, 9, 16), np.float32)
        np.savez(folder / "own" / f"{path.stem}.npz", maps=maps)
    rule = ["--split-rule", "test=1-400", "--resolution", "64x36", "--negatives", "300"]
    return [str(folder / "faces"), "--maps", str(folder / "own"), *rule]


def test_from_the_command_line(command, tmp_path, capfd):
    assert main([*command, "--report", str(tmp_path / "page")]) == 0
    assert f"wrote {tmp_path / 'page' / 'index.html'}" in capfd.readouterr().out
    page = Page((tmp_path / "page" / "index.html").read_text())
    assert page.tables["table"][0][1][0] == "own"
    assert len(page.all("img")) == 2 * 3 * 3
    assert page.tables["faces"][0][1:]
    assert page.tables["speaking"][0][1:]


def test_mistakes_are_told_before_any_work(command, tmp_path, monkeypatch, capfd):
    (tmp_path / "file").touch()
    for folder, message in {tmp_path / "file": "is not a folder", tmp_path / "none" / "page": "does not exist"}.items():
        assert main([*command, "--report", str(folder)]) == 2
        assert message in capfd.readouterr().err
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main([*command, "--report", str(tmp_path / "page")]) == 2
    assert "--report needs Jinja" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def browse(path: Path, profile: Path) -> tuple[Page, list[str]]:
    """The page after its script has run, and what the browser's console said."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += [f"--user-data-dir={profile}", "--enable-logging=stderr", "--dump-dom", path.as_uri()]
    done = subprocess.run([CHROMIUM, *flags], capture_output=True, text=True, check=True, timeout=60)
    return Page(done.stdout), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; the page's text is tested without one")
def test_in_a_browser(written, tmp_path):
    _, results, text, _ = written
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    page, said = browse(tmp_path / "page.html", tmp_path / "profile")
    assert said == []
    (chart,) = [svg for svg in page.all("svg") if svg.get("id") == "chart"]
    assert chart["aria-label"] == "CC of model over the time of video 7"

    # As a person would: another video and metric, and the table of videos by its second metric, then by name.
    deeds = """
      const choose = (id, value) => {
        const select = document.getElementById(id);
        select.value = value;
        select.dispatchEvent(new Event("change"));
      };
      choose("video", "2"); choose("metric", "3");
      const heads = document.querySelectorAll("#videos th button");
      const names = () => [...document.querySelectorAll("#videos tbody th")].map((cell) => cell.textContent).join();
      heads[2].click(); const falling = names(); heads[2].click(); const rising = names(); heads[0].click();
      document.title = [falling, rising, names()].join(";");
    """
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', text)[0]
    changed = text.replace(policy, "").replace("</body>", f"<script>{deeds}</script></body>")
    (tmp_path / "page.html").write_text(changed, encoding="utf-8")
    page, said = browse(tmp_path / "page.html", tmp_path / "profile")
    assert said == []
    (chart,) = [svg for svg in page.all("svg") if svg.get("id") == "chart"]
    assert chart["aria-label"] == "NSS of model over the time of video 120"
    videos = results["rows"][0]["videos"]
    rising = sorted(videos, key=lambda video: videos[video]["SIM"])
    expected = [rising[::-1], rising, sorted(videos, key=int)]
    assert ";".join(map(",".join, expected)) in page.texts  # the title

    # And the policy holds: what is smuggled in is neither run nor fetched, and the console says so.
    smuggled = '<img src="http://127.0.0.1:9/x.png"><script>document.title = "run"</script>'
    (tmp_path / "page.html").write_text(text.replace("</body>", f"{smuggled}</body>"), encoding="utf-8")
    page, said = browse(tmp_path / "page.html", tmp_path / "profile")
    assert "run" not in page.texts
    assert sum("Content Security Policy" in line for line in said) == 2
