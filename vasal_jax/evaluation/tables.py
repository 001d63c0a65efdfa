"""Results as tables to read: Markdown, which a terminal shows as well, and LaTeX."""

from collections.abc import Mapping, Sequence
from typing import Any

from vasal_jax.metrics import challenge
from vasal_jax.metrics.saliency import METRICS

LOWER_IS_BETTER = ("KL",)


def markdown(results: Mapping[str, Any]) -> str:
    """The headline with its confidence intervals, the means over frames, and what they were made with."""
    rows = results["rows"]
    heads = ["mean over videos", *map(_head, METRICS)]
    headline = [[row["name"], *(number(row["mean_over_videos"][m]) for m in METRICS)] for row in rows]
    intervals = [[row["name"], *(_interval(row["ci95"][m]) for m in METRICS)] for row in rows]
    frames = [[row["name"], *(number(row["mean_over_frames"][m]) for m in METRICS)] for row in rows]
    parts = [
        _aligned(heads, headline),
        _aligned(["95% interval", *METRICS], intervals),
        _aligned(["mean over frames", *map(_head, METRICS)], frames),
        caption(results["settings"]) + _skipped(rows),
    ]
    return "\n\n".join([*parts, *_challenge(results.get("challenge"))])


def _challenge(results: Mapping[str, Any] | None) -> list[str]:
    """A table a subset of what `challenge.summarise` gave, and what made it."""
    if results is None:
        return []
    tables = []
    for subset, videos in results["subsets"].items():
        means = {row["name"]: row["subsets"][subset] for row in results["rows"]}
        rows = [[name, *(number(numbers[metric]) for metric in challenge.METRICS)] for name, numbers in means.items()]
        tables.append(_aligned([f"{subset}, {videos} videos", *map(_head, challenge.METRICS)], rows))
    return [*tables, f"scored as by the {results['protocol']}; not to be held against the tables above"]


def latex(results: Mapping[str, Any]) -> str:
    """A `tabular` of the means over videos for the package booktabs."""
    heads = [_head(m).replace("↓", r"$\downarrow$").replace("↑", r"$\uparrow$") for m in METRICS]
    lines = [
        f"% {caption(results['settings'])}",
        rf"\begin{{tabular}}{{l{'r' * len(METRICS)}}}",
        r"\toprule",
        " & ".join(["mean over videos", *heads]) + r" \\",
        r"\midrule",
    ]
    for row in results["rows"]:
        cells = (number(row["mean_over_videos"][m]).replace("-", "$-$", 1) for m in METRICS)
        lines.append(" & ".join([_escaped(row["name"]), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def comparison(found: Mapping[str, Mapping[str, Any]], first: str, second: str) -> str:
    """What `results.compare` found, in Markdown."""
    rows = []
    for metric, numbers in found.items():
        p = "" if numbers["p"] is None else f"{numbers['p']:.4f}"
        cells = (number(numbers[key]) for key in ("first", "second", "difference"))
        rows.append([_head(metric), *cells, _interval(numbers["ci95"]), p, str(numbers["videos"])])
    return _aligned(["", first, second, "difference", "95% interval", "p", "videos"], rows)


def caption(settings: Mapping[str, Any]) -> str:
    """The conventions in one line; keys that are missing are left out."""
    parts = {
        "dataset": "{}",
        "split": "split {}",
        "split_rule": "({})",
        "videos": "{} videos",
        "frames": "{} frames",
        "frames_without_fixations": "of them {} without fixations",
        "density": "density: {}",
        "truth_resolution": "at {}",
        "centre_prior": "centre prior: {}",
        "negatives_per_video": "sAUC with {} negatives a video",
        "seed": "seed {}",
    }
    return ", ".join(form.format(settings[key]) for key, form in parts.items() if key in settings)


def _skipped(rows: Sequence[Mapping[str, Any]]) -> str:
    counts = {row["name"]: row["frames_skipped"] for row in rows if row["frames_skipped"]}
    return "; frames skipped: " + ", ".join(f"{name} {n}" for name, n in counts.items()) if counts else ""


def _head(metric: str) -> str:
    return f"{metric} {'↓' if metric in LOWER_IS_BETTER else '↑'}"


def number(value: float | None, absent: str = "") -> str:
    """A score as it is printed everywhere: three decimals, and no sign before what rounds to zero."""
    if value is None:
        return absent
    text = f"{value:.3f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _interval(limits: Sequence[float] | None) -> str:
    return "" if limits is None else f"{number(limits[0])} … {number(limits[1])}"


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up in plain text too."""
    lines = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in (heads, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    adjust = [str.ljust, *[str.rjust] * (len(widths) - 1)]
    padded = ([put(*cell) for put, *cell in zip(adjust, line, widths, strict=True)] for line in lines)
    first, *rest = (f"| {' | '.join(line)} |" for line in padded)
    return "\n".join([first, f"| {' | '.join(rule)} |", *rest])


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {mark: f"\\{mark}" for mark in "&%$#_{}"}
    return "".join(special.get(mark, mark) for mark in text)
