"""From scores of frames to tables: means, intervals, comparisons, files."""

import csv
import json
import shutil
import subprocess

import numpy as np
import pytest

from vasal_jax.errors import InputError
from vasal_jax.evaluation import statistics, tables
from vasal_jax.metrics.saliency import METRICS

SETTINGS = {"dataset": "mvva", "split": "test", "sigma": 28.0, "seed": 0, "truth_resolution": "640x360"}


def frames(*values: float) -> dict[str, np.ndarray]:
    """Every metric with these values, times its place in the list."""
    return {metric: np.array(values, np.float32) * (1 + i) for i, metric in enumerate(METRICS)}


def table(**rows: dict) -> dict:
    return statistics.summarise(rows, SETTINGS)


def drawn(seed: int, shift: float = 0.0, videos: int = 20) -> dict:
    rng = np.random.default_rng(seed)
    return {str(v): frames(*(rng.normal(v / 10 + shift, 0.3, 9))) for v in range(videos)}


def test_means_over_videos_and_over_frames_are_two_things():
    found = table(m={"1": frames(1, 2, 3), "2": frames(10, np.nan), "3": frames(np.nan)})
    row = found["rows"][0]
    assert row["name"] == "m"
    assert row["videos"]["1"] == {metric: 2 * (1 + i) for i, metric in enumerate(METRICS)}
    assert row["videos"]["2"]["CC"] == 10
    assert row["videos"]["3"]["CC"] is None
    assert row["mean_over_videos"] == {metric: 6 * (1 + i) for i, metric in enumerate(METRICS)}
    assert row["mean_over_frames"] == {metric: 4 * (1 + i) for i, metric in enumerate(METRICS)}
    assert (row["frames_scored"], row["frames_skipped"]) == (4, 2)
    assert found["settings"] == SETTINGS


def test_one_metric_may_be_unknown():
    scores = frames(1, 2)
    scores["sAUC"][:] = np.nan
    row = table(m={"1": scores})["rows"][0]
    assert row["mean_over_videos"]["sAUC"] is None
    assert row["mean_over_videos"]["CC"] == 1.5
    assert row["frames_skipped"] == 0
    assert row["ci95"]["CC"] is None  # one video says nothing of others


def test_the_interval_is_that_of_a_bootstrap_over_videos():
    values = np.random.default_rng(0).normal(3, 2, 60)
    low, high = statistics.interval(values)
    half = 1.96 * values.std() / np.sqrt(60)
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)
    assert statistics.interval(values) == [low, high]
    assert statistics.interval(np.array([0.5, 0.5, np.nan])) == [0.5, 0.5]
    assert statistics.interval(np.array([0.5, np.nan])) is None


def test_an_exact_permutation_test():
    """5 videos, one model always better: of the 32 ways to swap, 2 are as far apart."""
    better = {str(v): frames(v + 1 + 0.1 * v) for v in range(5)}
    worse = {str(v): frames(v) for v in range(5)}
    found = statistics.compare(table(a=better), table(b=worse))
    for i, metric in enumerate(METRICS):
        assert found[metric]["first"] == pytest.approx(3.2 * (1 + i))
        assert found[metric]["second"] == pytest.approx(2 * (1 + i))
        assert found[metric]["difference"] == pytest.approx(1.2 * (1 + i))
        assert found[metric]["p"] == pytest.approx(2 / 32)
        assert found[metric]["videos"] == 5
        assert found[metric]["ci95"][0] >= 1 + i


def test_chance_and_a_true_difference_are_told_apart():
    first, same, better = table(m=drawn(1)), table(m=drawn(2)), table(m=drawn(2, shift=0.5))
    assert statistics.compare(first, same)["NSS"]["p"] > 0.05
    assert statistics.compare(first, better)["NSS"]["p"] < 0.001
    assert statistics.compare(first, better)["NSS"]["difference"] < 0
    assert statistics.compare(first, first)["NSS"]["p"] == 1


def test_rows_are_chosen_by_name_and_videos_by_what_both_have():
    both = table(m=drawn(1), n=drawn(1, shift=1.0))
    found = statistics.compare(both, both, second_row="n")
    assert found["CC"]["difference"] == pytest.approx(-1, abs=1e-6)
    fewer = table(m={video: scores for video, scores in drawn(1).items() if int(video) < 7})
    assert statistics.compare(both, fewer)["CC"]["videos"] == 7
    assert statistics.compare(both, fewer)["CC"]["difference"] == 0


def test_what_cannot_be_compared():
    first = table(m=drawn(1))
    other = {**first, "settings": SETTINGS | {"sigma": 20.0}}
    with pytest.raises(InputError, match=r"same conventions, found sigma 28\.0 and 20\.0"):
        statistics.compare(first, other)
    with pytest.raises(InputError, match="expected one of the rows m, found 'n'"):
        statistics.compare(first, first, second_row="n")
    elsewhere = table(m={"other": frames(1)})
    with pytest.raises(InputError, match="found none in common"):
        statistics.compare(first, elsewhere)


@pytest.fixture
def written(tmp_path):
    scores = {"m_1": {"7": frames(1, np.nan), "8": frames(2)}, "centre prior": {"7": frames(3, 4), "8": frames(5)}}
    summary = statistics.summarise(scores, SETTINGS)
    notes = {"7": {"seconds": np.array([0, 0.04]), "faces": np.array([2, 3])}, "8": {"seconds": np.array([0.0])}}
    paths = statistics.write_all(tmp_path / "R.json", summary, scores, notes)
    assert [path.name for path in paths] == ["R.json", "R.md", "R.tex", "R_videos.csv", "R_frames.csv"]
    return summary, {path.name: path for path in paths}


def test_json(written):
    summary, paths = written
    assert statistics.read_json(paths["R.json"]) == summary
    content = json.loads(paths["R.json"].read_text())
    assert set(content) == {"settings", "rows"}
    assert {"name", "mean_over_videos", "mean_over_frames", "ci95", "videos"} <= set(content["rows"][0])
    assert set(content["rows"][0]["videos"]["7"]) == set(METRICS)
    assert set(METRICS) == {"CC", "SIM", "KL", "NSS", "AUC-J", "AUC-B", "sAUC", "IG"}


def test_csv(written):
    _, paths = written
    with paths["R_videos.csv"].open() as file:
        videos = list(csv.DictReader(file))
    assert [(line["row"], line["video"], float(line["CC"])) for line in videos] == [
        ("m_1", "7", 1), ("m_1", "8", 2), ("centre prior", "7", 3.5), ("centre prior", "8", 5),
    ]  # fmt: skip
    with paths["R_frames.csv"].open() as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["row", "video", "frame", "seconds", "faces", *METRICS]
    assert [line["CC"] for line in lines] == ["1", "", "2", "3", "4", "5"]
    assert [line["faces"] for line in lines] == ["2", "3", "", "2", "3", ""]
    assert [line["frame"] for line in lines] == ["0", "1", "0", "0", "1", "0"]
    assert lines[1]["seconds"] == "0.04"


def test_markdown(written):
    text = written[1]["R.md"].read_text()
    head, rule, first = text.splitlines()[:3]
    assert [cell.strip() for cell in head.strip("|").split("|")][:4] == ["mean over videos", "CC ↑", "SIM ↑", "KL ↓"]
    assert set(rule) <= set("|-: ")
    assert [cell.strip() for cell in first.strip("|").split("|")][:3] == ["m_1", "1.500", "3.000"]
    assert "1.000 … 2.000" in text
    assert "mean over frames" in text
    assert "frames skipped: m_1 1" in text
    assert "at 640x360" in text
    lines = text.splitlines()[:4]
    assert len({len(line) for line in lines}) == 1


def test_latex(written, tmp_path):
    text = written[1]["R.tex"].read_text()
    assert r"m\_1 & 1.500 & 3.000 & 4.500" in text
    assert r"KL $\downarrow$" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {len(METRICS)}
    odd = tables.latex(table(**{r"50% & {a}\b$#~^": {"1": frames(-1)}}))
    assert r"50\% \& \{a\}\textbackslash{}b\$\#\textasciitilde{}\textasciicircum{} & $-$1.000" in odd
    if latex := shutil.which("pdflatex"):  # where there is one, it takes it
        document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{odd}\end{{document}}"
        (tmp_path / "t.tex").write_text(document)
        subprocess.run([latex, "-interaction=nonstopmode", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True)


def test_a_comparison_as_a_table(written):
    summary, _ = written
    text = tables.comparison(statistics.compare(summary, summary, second_row="centre prior"), "m_1", "centre prior")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert cells[0] == ["", "m_1", "centre prior", "difference", "95% interval", "p", "videos"]
    assert cells[2] == ["CC ↑", "1.500", "4.250", "-2.750", "-3.000 … -2.500", "0.5000", "2"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"settings": {}, "rows": []}', '{"settings": {}, "rows": [1]}', "[" * 100000, "\x00\xff"],
)
def test_other_files_are_no_results(tmp_path, content):
    (tmp_path / "R.json").write_text(content)
    with pytest.raises(InputError, match=r"R\.json: expected results written by evaluate"):
        statistics.read_json(tmp_path / "R.json")


def test_damaged_results(written, tmp_path):
    summary, paths = written
    for change in ({"name": 3}, {"videos": {"7": {}}}, {"mean_over_videos": dict.fromkeys(METRICS, "1")}):
        bad = {**summary, "rows": [summary["rows"][0] | change]}
        paths["R.json"].write_text(json.dumps(bad))
        with pytest.raises(InputError, match="expected results"):
            statistics.read_json(paths["R.json"])
    with pytest.raises(InputError, match="cannot be read"):
        statistics.read_json(tmp_path / "none.json")
