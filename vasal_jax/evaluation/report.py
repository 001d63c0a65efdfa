"""A table of scores as a page to look at: one HTML file that needs nothing but a browser."""

import base64
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.evaluation import tables
from vasal_jax.evaluation.breakdowns import FACES, SPEAKING, Group, Notes, face_agreement, split_by, windowed_means
from vasal_jax.evaluation.example_frames import shots
from vasal_jax.evaluation.ground_truth import HALF, Conventions, GroundTruth
from vasal_jax.evaluation.people import HALVES
from vasal_jax.evaluation.rows import CENTRE_PRIOR, ReadMaps, against
from vasal_jax.evaluation.scores import Scores
from vasal_jax.metrics import challenge
from vasal_jax.metrics.saliency import METRICS
from vasal_jax.system.files import check_writable, naming_file_errors, replacing

PAGE = "index.html"
RANKING = "CC"  # the metric by which videos and frames are best and worst
EXAMPLES = 3  # videos, the best and as many worst
MAX_SERIES = 600_000  # numbers in the curves over time, about 7 bytes each; more frames are averaged

_SHAPES = {"prior-mark": "3V19", "people-mark": "11h.01", "own-mark": "11h.01"}  # a tick, dots: not colour alone

SECTIONS = {
    "table": "Table",
    "distributions": "Distributions over videos",
    "examples": "Best and worst videos",
    "time": "Over time",
    "faces": "By number of faces",
    "speaking": "By who speaks",
    "weights": "Face weights",
    "videos": "All videos",
    "settings": "Settings",
}


def check(folder: Path) -> None:
    """To be called before long work. Raises `InputError` where Jinja is not installed or the folder not writable."""
    _jinja()
    check_writable(folder / PAGE if folder.exists() else folder)


def write_report(
    folder: Path,
    results: Mapping[str, Any],
    scores: Scores,
    notes: Notes,
    truths: Sequence[GroundTruth],
    conventions: Conventions,
    open_maps: Callable[[GroundTruth], ReadMaps],
    face_weights: Mapping[str, np.ndarray],
) -> Path:
    """Writes `index.html` to the folder. Scores are shown of all rows, examples and breakdowns of the first one.

    Nothing is loaded from elsewhere: pictures lie in the page, and a policy in its head forbids the browser any
    request. Its size is bounded: under 10 MB for the 75 videos of a test split, whatever they show.

    Args:
      folder: made if need be.
      results: of `results.summarise`.
      scores: of `Evaluation.run`.
      notes: by video, of `frame_notes`.
      truths: of the videos.
      conventions: the conventions.
      open_maps: gives a reader of the first row's maps of a video.
      face_weights: what `breakdowns.face_agreement` takes; empty where the first row does not weigh faces.

    Returns:
      The path of the page.

    Raises:
      InputError: a video cannot be read, Jinja is not installed, or the file system refused.
    """
    subject = results["rows"][0]["name"]
    page = _template().render(
        subject=subject,
        **_tables(results),
        **_curves(results, scores, notes),
        example_groups=_example_groups(results, scores[subject], truths, conventions, open_maps),
        faces=_breakdown(split_by(scores, notes, "faces", FACES), subject),
        speaking=_breakdown(split_by(scores, notes, "speaking", SPEAKING), subject),
        agreement=face_agreement(truths, face_weights),
        weighs_faces=bool(face_weights),
    )
    path = folder / PAGE
    with naming_file_errors(folder):
        folder.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return path


def _tables(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of whole rows."""
    return {
        "caption": tables.caption(results["settings"]),
        "settings": results["settings"],
        "sections": SECTIONS,
        "challenge": results.get("challenge"),
        "challenge_metrics": challenge.METRICS,
        "metrics": METRICS,
        "lower": tables.LOWER_IS_BETTER,
        "rows": results["rows"],
        "names": tables.marked_names(results["rows"]),
        "notes": tables.notes(results["rows"]),
        "distributions": [_distribution(results["rows"], metric) for metric in METRICS],
        "ranking": RANKING,
    }


def _curves(results: Mapping[str, Any], scores: Scores, notes: Notes) -> dict[str, Any]:
    """Scores over time of the rows that have the first one's truth, and of halves of the subjects."""
    first = results["rows"][0]
    same_truth = [row["name"] for row in results["rows"] if row["truth"] == first["truth"]]
    names = [name for name in (*same_truth, against(first["name"], HALF), HALVES) if name in scores]
    window, series = _series({name: scores[name] for name in names}, notes)
    return {"series": series, "beside": same_truth[-1], "window": window}


def _example_groups(
    results: Mapping[str, Any],
    ranked: Mapping[str, Mapping[str, np.ndarray]],
    truths: Sequence[GroundTruth],
    conventions: Conventions,
    open_maps: Callable[[GroundTruth], ReadMaps],
) -> list[tuple[str, list[dict[str, Any]]]]:
    """The first row's best and worst videos, with frames of each."""
    videos = results["rows"][0]["videos"]
    by_id = {truth.video.id: truth for truth in truths}

    def examples(names: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {
                "id": name,
                "scores": {metric: videos[name][metric] for metric in ("CC", "NSS", "KL")},
                "shots": shots(by_id[name], conventions, open_maps, ranked[name][RANKING]),
            }
            for name in names
        ]

    best, worst = _extremes(videos)
    return [("Best", examples(best)), ("Worst", examples(worst))]


def _jinja():
    try:
        import jinja2
    except ImportError:
        raise InputError("--report needs Jinja: pip install 'vasal-jax[report]'") from None
    return jinja2


def _template():
    jinja2 = _jinja()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["sha256"] = lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    environment.filters["score"] = tables.number
    return environment.from_string(files("vasal_jax.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8"))


def _extremes(videos: Mapping[str, Mapping[str, float | None]]) -> tuple[list[str], list[str]]:
    """The best videos, best first, and the worst ones, worst first; none is both."""
    scored = {video: score for video, of in videos.items() if (score := of[RANKING]) is not None}
    order = sorted(scored, key=lambda video: -scored[video])
    best = order[: min(EXAMPLES, math.ceil(len(order) / 2))]
    return best, order[len(best) :][::-1][:EXAMPLES]


def _series(scores: Scores, notes: Notes) -> tuple[int, dict[str, Any]]:
    """How many frames are averaged, and the curves: rows, metrics and videos with `scores` by row and metric."""
    total = len(scores) * len(METRICS) * sum(len(of["seconds"]) for of in notes.values())
    window = max(1, math.ceil(total / MAX_SERIES))

    def curve(values: np.ndarray) -> list[float | None]:
        return [
            round(float(value), 3) + 0.0 if np.isfinite(value) else None for value in windowed_means(values, window)
        ]

    videos = []
    for video, of in notes.items():
        frame = float(of["seconds"][1]) if len(of["seconds"]) > 1 else 1.0
        speaks = windowed_means(of["speaking"] > 0, window) >= 0.5 if "speaking" in of else np.array([])
        curves = [[curve(rows[video][metric]) for metric in METRICS] for rows in scores.values()]
        videos.append({"id": video, "step": frame * window, "speaking": speaks.astype(int).tolist(), "scores": curves})
    return window, {"metrics": METRICS, "rows": list(scores), "videos": videos}


def _distribution(rows: Sequence[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    """A strip a row: what the template's `panels` draws."""
    columns = {row["name"]: np.array([of[metric] for of in row["videos"].values()], float) for row in rows}
    columns = {name: values[np.isfinite(values)] for name, values in columns.items()}
    place, low, high = _axis(np.concatenate([*columns.values()]))

    def strip(name: str, values: np.ndarray) -> dict[str, Any]:
        if not len(values):
            return {"name": name, "label": f"{name}: no {metric}", "paths": []}
        first, median, third = np.quantile(values, (0.25, 0.5, 0.75))
        # Every dot a bit higher or lower than the next, so that equal ones are seen.
        dots = "".join(f"M{place(value)},{11 + (i * 3) % 7 - 3}h.01" for i, value in enumerate(values))
        median, *quartiles = (tables.number(value) for value in (median, first, third))
        label = f"{name}: {metric} of {len(values)} videos, median {median}, quartiles {' and '.join(quartiles)}"
        box, mean = f"M{place(first)},11H{place(third)}", f"M{place(values.mean())},2V20"
        return {"name": name, "label": label, "paths": [("box", box), ("dots", dots), ("mean", mean)]}

    strips = [strip(name, values) for name, values in columns.items()]
    return {"metric": metric, "low": low, "high": high, "strips": strips}


def _breakdown(groups: Sequence[Group], subject: str) -> dict[str, Any] | None:
    """What the template's `breakdown` draws: the subject between what needs no model and what people reach."""
    if not groups:
        return None
    # People are held against half of the subjects: where they are shown, the others are held against the same.
    halves = {against(CENTRE_PRIOR, HALF): "prior-mark", HALVES: "people-mark", against(subject, HALF): "own-mark"}
    whole = {CENTRE_PRIOR: "prior-mark", subject: "own-mark"}
    kinds = halves if halves.keys() <= groups[0].means.keys() else whole  # the last lies on top
    marks = [(kind, row) for row, kind in kinds.items() if row in groups[0].means]

    def chart(metric: str) -> dict[str, Any]:
        shown = [group.means[row][metric] for group in groups for _, row in marks]
        place, low, high = _axis(np.array([value for value in shown if value is not None]))
        strips = []
        for group in groups:
            values = [(kind, row, group.means[row][metric]) for kind, row in marks]
            known = [(kind, row, value) for kind, row, value in values if value is not None]
            label = f"{group.name}, {metric}: " + ", ".join(f"{row} {tables.number(value)}" for _, row, value in known)
            paths = [(kind, f"M{place(value)},{_SHAPES[kind]}") for kind, _, value in known]
            strips.append({"name": group.name, "label": label, "paths": paths})
        return {"metric": metric, "low": low, "high": high, "strips": strips}

    return {"groups": groups, "marks": marks, "charts": [chart(metric) for metric in METRICS]}


def _axis(values: np.ndarray) -> tuple[Callable[[float], str], float | None, float | None]:
    """From a value to its place on a strip of 1000, and the strip's ends."""
    if not len(values):
        return str, None, None
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    return (lambda value: f"{(value - low) / (high - low) * 1000:.1f}"), low, high
