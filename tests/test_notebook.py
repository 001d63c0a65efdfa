"""The notebook of `examples`: it runs from top to bottom, and its file is small."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"


def test_it_is_committed_without_outputs():
    assert NOTEBOOK.stat().st_size < 100_000
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert len(cells) > 10
    for cell in cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
def test_it_runs_from_top_to_bottom():
    """Some five minutes: it trains a hundred steps."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = "".join(output.get("text", "") for output in outputs)
    pictures = [output for output in outputs if "image/jpeg" in output.get("data", {})]
    assert len(pictures) == 2
    assert "centre prior" in text
    steps, scores = zip(*json.loads(text.partition("KL by step: ")[2].splitlines()[0]), strict=True)
    assert steps[-1] == 100
    assert scores[-1] < scores[0]
    assert "Traceback" not in text
