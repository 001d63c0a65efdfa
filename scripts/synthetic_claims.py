"""What the proof on synthetic videos claims: means, intervals and tests over the videos of all seeds.

A claim sets two numbers of each video against each other. The interval of their mean difference is of a bootstrap over
seeds and over the videos of each; its p is that of the two-sided paired permutation test over the videos of all seeds,
beside that of each seed alone. Neither is corrected for the number of claims.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.speaker_share import HEADS, SpeakerFrames, pooled, rows_by_since, share
from vasal_jax.ablations import OTHER_SOUND
from vasal_jax.evaluation.comparison import paired
from vasal_jax.evaluation.scores import Scores
from vasal_jax.evaluation.statistics import interval_over_seeds
from vasal_jax.system.files import replacing
from vasal_jax.system.terminal import say

METRICS = ("KL", "CC", "NSS")
LOWER_IS_BETTER = ("KL",)
COMPARISONS = (
    ("sound helps, where faces are given", "all", "visual, faces"),
    ("faces help, where sound is given", "all", "visual, sound"),
    ("another video's sound takes it away", "all", f"all, {OTHER_SOUND.name}"),
    ("and all that sound brought", "visual, faces", f"all, {OTHER_SOUND.name}"),
)
"""Claim, the row that is better by it, and the other one; held on hard frames."""


class SeedResult(NamedTuple):
    """What was measured with one seed."""

    seed: int
    scores: Scores
    hard: Mapping[str, np.ndarray]
    """By video which frames are hard, bool (F,)."""
    speaker: Mapping[str, Mapping[str, SpeakerFrames]]
    """By row and video."""


def claims(results: Sequence[SeedResult]) -> list[dict[str, Any]]:
    """Every claim of the scores.

    Returns:
      A list of: `claim`; `measure`; `first` and `second`, means over videos; `difference`, first minus second, and its
      `ci95`; `p`; `p_by_seed`, by seed; `videos`; `holds`, whether the first is better on every seed.
    """
    found = []
    for text, first, second in COMPARISONS:
        for metric in METRICS:
            pairs = [(_means(of, first, metric), _means(of, second, metric)) for of in results]
            found.append(_claim(text, metric, pairs, results))
    for row in ("all", "visual, faces"):
        shares = [_speaker_shares(of.speaker[row]) for of in results]
        found.append(_claim(f"the speaker weighs most, {row}, against chance", "share", shares, results))
    both = [(_speaker_shares(of.speaker["all"])[0], _speaker_shares(of.speaker["visual, faces"])[0]) for of in results]
    found.append(_claim("the speaker weighs most, with sound against without", "share", both, results))
    return found


def _claim(
    text: str, measure: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]], results: Sequence[SeedResult]
) -> dict[str, Any]:
    firsts, seconds = zip(*pairs, strict=True)
    whole = paired(np.concatenate(firsts), np.concatenate(seconds))
    each = [paired(*pair) for pair in pairs]
    sign = -1 if measure in LOWER_IS_BETTER else 1
    return {
        "claim": text,
        "measure": measure,
        **whole,
        "ci95": interval_over_seeds([first - second for first, second in pairs]),
        "p_by_seed": {str(of.seed): one["p"] for of, one in zip(results, each, strict=True)},
        "holds": all(one["difference"] is not None and sign * one["difference"] > 0 for one in each),
    }


def _means(of: SeedResult, row: str, metric: str) -> np.ndarray:
    """(V,) means over the hard frames of each video; NaN where it has none."""
    return np.array([_mean(frames[metric][of.hard[video]]) for video, frames in of.scores[row].items()])


def _speaker_shares(videos: Mapping[str, SpeakerFrames]) -> tuple[np.ndarray, np.ndarray]:
    """(V,) shares of each video's frames that are right, and by chance."""
    return np.array([_mean(of.right) for of in videos.values()]), np.array([_mean(of.chance) for of in videos.values()])


def _mean(values: np.ndarray) -> float:
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    return float(finite.mean()) if len(finite) else np.nan


def tell(path: Path, results: Sequence[SeedResult], blind: str) -> None:
    """Prints the tables and writes them to a Markdown file, and the claims as JSON beside it.

    Args:
      path: of the Markdown file.
      results: of all seeds.
      blind: a sentence that says what timing alone tells.
    """
    found = claims(results)
    text = "\n".join([*_score_lines(results), "", *_claim_lines(found), "", *_speaker_lines(results), "", blind, ""])
    with replacing(path) as temporary:
        temporary.write_text(text)
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps({"seeds": [of.seed for of in results], "claims": found}, indent=2) + "\n")
    print(text)
    say(f"wrote {path} and {path.with_suffix('.json')}")


def _score_lines(results: Sequence[SeedResult]) -> Iterator[str]:
    videos = sum(len(of.hard) for of in results)
    everywhere = [{video: np.ones_like(frames) for video, frames in of.hard.items()} for of in results]
    kinds = [("all frames", everywhere), ("hard frames", [of.hard for of in results])]
    heads = [
        f"{metric}, {kind} ({sum(int(frames.sum()) for of in chosen for frames in of.values())})"
        for kind, chosen in kinds
        for metric in METRICS
    ]
    yield from _table_head([f"{videos} videos that were not trained on, means over frames", *heads])
    for row in results[0].scores:
        cells = [
            _mean(
                np.concatenate(
                    [of.scores[row][v][metric][at[v]] for of, at in zip(results, chosen, strict=True) for v in at]
                )
            )
            for _, chosen in kinds
            for metric in METRICS
        ]
        yield _line([row, *(f"{cell:.3f}" for cell in cells)])


def _claim_lines(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from _table_head(
        ["claim", "measure", "first", "second", "difference", "95%", "p", "p by seed", "on every seed"]
    )
    for one in found:
        low_high = " … ".join(f"{edge:.3f}" for edge in one["ci95"]) if one["ci95"] else ""
        numbers = [_number(one[name]) for name in ("first", "second", "difference")]
        by_seed = ", ".join(_p(p) for p in one["p_by_seed"].values())
        holds = "yes" if one["holds"] else "no"
        yield _line([one["claim"], one["measure"], *numbers, low_high, _p(one["p"]), by_seed, holds])


def _speaker_lines(results: Sequence[SeedResult]) -> Iterator[str]:
    for row in results[0].speaker:
        seeds = ", ".join(f"{share(pooled(of.speaker[row].values())).right:.1%}" for of in results)
        found = pooled(one for of in results for one in of.speaker[row].values())
        right, chance, frames = share(found)
        yield (
            f"{row}: the speaker has the highest weight in {right:.1%} of {frames} frames with one speaker among at "
            f"least three faces (by seed: {seeds}); chance is {chance:.1%}."
        )
        yield ""
        yield from _table_head(HEADS)
        yield from map(_line, rows_by_since(found))
        yield ""


def _table_head(cells: Sequence[str]) -> Iterator[str]:
    yield _line(cells)
    yield _line(["---", *["---:"] * (len(cells) - 1)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
