"""Results as tables to read: Markdown, which a terminal shows as well, and LaTeX."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vasal_jax.metrics import challenge
from vasal_jax.metrics.saliency import METRICS
from vasal_jax.system.text import printable

LOWER_IS_BETTER = ("KL",)
OTHER_FRAMES = "*"  # after the name of a row that was scored on other frames than the first one


def markdown(results: Mapping[str, Any]) -> str:
    """The headline with its confidence intervals, the means over frames, and what they were made with."""
    rows, names = results["rows"], marked_names(results["rows"])

    def table(title: str, heads: Iterable[str], cells: Callable[[Mapping[str, Any], str], str]) -> str:
        lines = [[name, row["truth"], *(cells(row, m) for m in METRICS)] for name, row in zip(names, rows, strict=True)]
        return _aligned([title, "truth", *heads], lines, text_columns=2)

    parts = [
        table("mean over videos", map(_head, METRICS), lambda row, m: number(row["mean_over_videos"][m])),
        table("95% interval", METRICS, lambda row, m: _interval(row["ci95"][m])),
        table("mean over frames", map(_head, METRICS), lambda row, m: number(row["mean_over_frames"][m])),
        ". ".join([_plain(caption(results["settings"])) + _skipped(rows), *notes(rows)]),
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
        tables.append(
            _aligned([f"{subset}, {videos} video{'s' * (videos != 1)}", *map(_head, challenge.METRICS)], rows)
        )
    return [*tables, f"scored as by the {results['protocol']}; not to be held against the tables above"]


def latex(results: Mapping[str, Any]) -> str:
    """A `tabular` of the means over videos for the package booktabs."""
    rows = results["rows"]
    heads = [_head(m).replace("↓", r"$\downarrow$").replace("↑", r"$\uparrow$") for m in METRICS]
    lines = [f"% {line}" for line in (caption(results["settings"]), *notes(rows))]
    lines += [
        rf"\begin{{tabular}}{{ll{'r' * len(METRICS)}}}",
        r"\toprule",
        " & ".join(["mean over videos", "truth", *heads]) + r" \\",
        r"\midrule",
    ]
    for name, row in zip(marked_names(rows), rows, strict=True):
        cells = (number(row["mean_over_videos"][m]).replace("-", "$-$", 1) for m in METRICS)
        lines.append(" & ".join([_escaped(name), _escaped(row["truth"]), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def marked_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows' names, with a star where other frames were scored than in the first row."""
    return [row["name"] + ("" if row["frames"] == rows[0]["frames"] else OTHER_FRAMES) for row in rows]


def notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What must be known to hold the rows beside each other, a sentence each."""
    said = []
    if any(name.endswith(OTHER_FRAMES) for name in marked_names(rows)):
        said.append(f"{OTHER_FRAMES} scored on other frames than {printable(rows[0]['name'])}")
    if len({row["truth"] for row in rows}) > 1:
        said.append("Hold only rows of the same truth beside each other")
    return said


def comparison(found: Mapping[str, Mapping[str, Any]], first: str, second: str) -> str:
    """What `comparison.compare` found, in Markdown."""
    rows = []
    for metric, numbers in found.items():
        p = "" if numbers["p"] is None else f"{numbers['p']:.4f}"
        cells = (number(numbers[key]) for key in ("first", "second", "difference"))
        rows.append(
            [_head(metric), *cells, _interval(numbers["ci95"]), p, str(numbers["videos"]), str(numbers["frames"])]
        )
    return _aligned(["", first, second, "difference", "95% interval", "p", "videos", "frames"], rows)


def caption(settings: Mapping[str, Any]) -> str:
    """The conventions in one line; keys that are missing are left out."""
    parts = {
        "dataset": "{}",
        "split": "split {}",
        "split_rule": "({})",
        "videos": "{} videos",
        "frames": "{} frames",
        "frames_without_fixations": "of them {} without fixations",
        "fixations": "{} fixations",
        "density": "density: {}",
        "truth_resolution": "at {}",
        "centre_prior": "centre prior: {}",
        "negatives_per_video": "sAUC with {} negatives a video, of the others in the split",
        "seed": "seed {}",
    }
    return ", ".join(form.format(printable(settings[key])) for key, form in parts.items() if key in settings)


def _skipped(rows: Sequence[Mapping[str, Any]]) -> str:
    counts = {row["name"]: row["frames_skipped"] for row in rows if row["frames_skipped"]}
    return "; frames skipped: " + ", ".join(f"{_plain(name)} {n}" for name, n in counts.items()) if counts else ""


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


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """A Markdown table whose columns line up in plain text too: the first ones left, the others, numbers, right."""
    lines = [list(map(_plain, line)) for line in (heads, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width if i < text_columns else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    padded = (
        [cell.ljust(width) if i < text_columns else cell.rjust(width) for i, (cell, width) in enumerate(cells)]
        for cells in (list(zip(line, widths, strict=True)) for line in lines)
    )
    first, *rest = (f"| {' | '.join(line)} |" for line in padded)
    return "\n".join([first, f"| {' | '.join(rule)} |", *rest])


def _plain(text: str) -> str:
    """The text as Markdown shows it: its own characters escaped but for the star at the end of a row's name."""
    return re.sub(r"[\\`\[\]<>|]|\*(?!$)|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", printable(text))


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {mark: f"\\{mark}" for mark in "&%$#_{}"}
    return "".join(special.get(mark, mark) for mark in printable(text))
