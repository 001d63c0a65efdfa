"""The weights of the faces over time as a chart that follows the player: SVG, which `page.js` moves."""

import json
from collections.abc import Sequence
from html import escape
from itertools import groupby

from vasal_jax.outputs.explanation import colour_of
from vasal_jax.web.predicting import Moment

_WIDTH, _HEIGHT, _GAP = 1000, 120, 26  # of one of the two parts, in units of the drawing


def chart(moments: Sequence[Moment]) -> str:
    """HTML with the weight of each face and below it the probability that it talks, over time."""
    if not moments:
        return "<p>These weights have no face branch, so there are no weights of faces to show.</p>"
    end = max(moments[-1].time, 1e-3)
    tracks = sorted({moment.track for moment in moments if moment.track is not None})
    weights = [_line(track, _runs(moments, track), end, "weight") for track in (None, *tracks)]
    talking = [_line(track, _runs(moments, track), end, "talking") for track in tracks]
    keys = " ".join(f'<span style="color:{_colour(track)}">■ {_name(track)}</span>' for track in (*tracks, None))
    height = 2 * _HEIGHT + _GAP
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" preserveAspectRatio="none" role="img"'
        ' aria-label="weight of each face over time, and the probability that it talks">',
        *_grid(), *weights, f'<g transform="translate(0 {_HEIGHT + _GAP})">', *_grid(), *talking, "</g>",
        f'<line class="vasal-head" x1="0" x2="0" y1="0" y2="{height}"/></svg>',
    ]  # fmt: skip
    facts = escape(json.dumps([heaviest(frame) for frame in by_frame(moments)]))
    return (
        f'<div class="vasal-chart" data-end="{end:.4f}" data-frames="{facts}">'
        '<div class="vasal-now" aria-live="off">Play a video, or press on the chart.</div>'
        f'<div class="vasal-keys">{keys}</div><div class="vasal-plot"><span class="vasal-of">weight</span>'
        f'<span class="vasal-of vasal-second">talks</span>{"".join(parts)}</div></div>'
    )


def by_frame(moments: Sequence[Moment]) -> list[list[Moment]]:
    """The moments of each frame."""
    return [list(group) for _, group in groupby(moments, lambda moment: moment.frame)]


def heaviest(frame: Sequence[Moment]) -> tuple[float, int | None, float | None, float | None]:
    """Of a frame's moments: time, track of the face with the most weight, its weight, the probability that it talks.

    The last three are None where the frame has no face.
    """
    faces = [moment for moment in frame if moment.track is not None]
    if not faces:
        return frame[0].time, None, None, None
    face = max(faces, key=lambda moment: moment.weight)
    return face.time, face.track, face.weight, face.talking


def _runs(moments: Sequence[Moment], track: int | None) -> list[Moment]:
    return [moment for moment in moments if moment.track == track]


def _line(track: int | None, moments: Sequence[Moment], end: float, value: str) -> str:
    points = " ".join(
        f"{moment.time / end * _WIDTH:.1f},{_HEIGHT * (1 - getattr(moment, value)):.1f}" for moment in moments
    )
    return f'<polyline points="{points}" stroke="{_colour(track)}"/>'


def _grid() -> list[str]:
    heights = (0, _HEIGHT / 2, _HEIGHT)
    return [f'<line class="vasal-grid" x1="0" x2="{_WIDTH}" y1="{y}" y2="{y}"/>' for y in heights]


def _colour(track: int | None) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour_of(track))


def _name(track: int | None) -> str:
    return "no face" if track is None else f"face {track}"
