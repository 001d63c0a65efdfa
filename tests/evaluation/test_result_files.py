"""The files of results: what is in each, and what is refused when read."""

import csv
import json
import shutil
import subprocess
from functools import partial

import numpy as np
import pytest

from tests.helpers.scores import SETTINGS, frames, table
from vasal_jax.errors import InputError
from vasal_jax.evaluation import result_files, statistics, tables
from vasal_jax.evaluation.comparison import compare
from vasal_jax.metrics.saliency import METRICS


@pytest.fixture
def written(tmp_path):
    scores = {"m_1": {"7": frames(1, np.nan), "8": frames(2)}, "centre prior": {"7": frames(3, 4), "8": frames(5)}}
    summary = statistics.summarise(scores, SETTINGS)
    notes = {"7": {"seconds": np.array([0, 0.04]), "faces": np.array([2, 3])}, "8": {"seconds": np.array([0.0])}}
    paths = result_files.write_all(tmp_path / "R.json", summary, scores, notes, {})
    assert [path.name for path in paths] == ["R.json", "R.md", "R.tex", "R_videos.csv", "R_frames.csv"]
    return summary, {path.name: path for path in paths}


def test_json(written):
    summary, paths = written
    assert result_files.read_json(paths["R.json"]) == summary
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
    assert [cell.strip() for cell in head.strip("|").split("|")][:4] == ["mean over videos", "truth", "CC ↑", "SIM ↑"]
    assert set(rule) <= set("|-: ")
    assert [cell.strip() for cell in first.strip("|").split("|")][:3] == ["m_1", "all subjects", "1.500"]
    assert "1.000 … 2.000" in text
    assert "mean over frames" in text
    assert "frames skipped: m_1 1" in text
    assert "| centre prior*    | all subjects | 4.250 |" in text  # it has a score on the frame that m_1 has none on
    assert text.rstrip().endswith("* scored on other frames than m_1")
    assert "at 640x360" in text
    lines = text.splitlines()[:4]
    assert len({len(line) for line in lines}) == 1


def test_latex(written, tmp_path):
    text = written[1]["R.tex"].read_text()
    assert r"m\_1 & all subjects & 1.500 & 3.000 & 4.500" in text
    assert "% * scored on other frames than m_1" in text
    assert r"KL $\downarrow$" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {len(METRICS) + 1}
    odd = tables.latex(table(**{r"50% & {a}\b$#~^": {"1": frames(-1)}}))
    assert r"50\% \& \{a\}\textbackslash{}b\$\#\textasciitilde{}\textasciicircum{} & all subjects & $-$1.000" in odd
    if latex := shutil.which("pdflatex"):  # where there is one, it takes it
        document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{odd}\end{{document}}"
        (tmp_path / "t.tex").write_text(document)
        subprocess.run([latex, "-interaction=nonstopmode", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True)


def test_tables_say_which_truth_a_row_has():
    truths = {"m, against half": "half of the subjects"}
    scores = {"m": {"1": frames(1)}, "m, against half": {"1": frames(2)}, "uniform map": {"1": frames(3)}}
    results = statistics.summarise(scores, SETTINGS, truths)
    assert [row["name"] for row in results["rows"]] == ["m", "uniform map", "m, against half"]
    text = tables.markdown(results)
    assert "| m, against half  | half of the subjects | 2.000 |" in text
    assert text.endswith("seed 0. Hold only rows of the same truth beside each other")
    assert r"m, against half & half of the subjects & 2.000 &" in tables.latex(results)


def test_what_rounds_to_zero_has_no_sign():
    tiny = table(m={"1": frames(-1e-5), "2": frames(-2e-5)})
    for text in (tables.markdown(tiny), tables.latex(tiny)):
        assert "0.000" in text
        assert "-0.000" not in text
        assert "$-$0" not in text
    assert tables.number(-0.0004) == "0.000"
    assert tables.number(-0.0006) == "-0.001"


def test_a_comparison_as_a_table(written):
    """Over the one frame of each video that both rows have a score on."""
    summary, paths = written
    read = partial(result_files.read_frames, paths["R.json"])
    found = compare(summary, summary, None, "centre prior", read, read)
    text = tables.comparison(found, "m_1", "centre prior")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert cells[0] == ["", "m_1", "centre prior", "difference", "95% interval", "p", "videos", "frames"]
    assert cells[2] == ["CC ↑", "1.500", "4.000", "-2.500", "-3.000 … -2.000", "0.5000", "2", "2"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"settings": {}, "rows": []}', '{"settings": {}, "rows": [1]}', "[" * 100000, "\x00\xff"],
)
def test_other_files_are_no_results(tmp_path, content):
    (tmp_path / "R.json").write_text(content)
    with pytest.raises(InputError, match=r"R\.json: expected results written by evaluate"):
        result_files.read_json(tmp_path / "R.json")


def test_damaged_results(written, tmp_path):
    summary, paths = written
    for change in ({"name": 3}, {"videos": {"7": {}}}, {"mean_over_videos": dict.fromkeys(METRICS, "1")}):
        bad = {**summary, "rows": [summary["rows"][0] | change]}
        paths["R.json"].write_text(json.dumps(bad))
        with pytest.raises(InputError, match="expected results"):
            result_files.read_json(paths["R.json"])
    with pytest.raises(InputError, match="no such file"):
        result_files.read_json(tmp_path / "none.json")
