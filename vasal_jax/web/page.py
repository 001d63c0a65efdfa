"""What stands on the page, and which action each button starts."""

from importlib.resources import files
from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports] (an extra)
from gradio.themes import Base  # pyright: ignore[reportMissingImports] (an extra)

from vasal_jax.web.actions import Actions
from vasal_jax.web.limits import Limits
from vasal_jax.web.models import PACKAGED, Models
from vasal_jax.web.rooms import KEPT
from vasal_jax.web.rows import SWITCHES

TITLE = "Where people look"
_INTRODUCTION = """
# Where people look, and why

Bring a video of people who talk, record one, or take the drawn example. The page shows where viewers would look, from
pictures, sound and faces. The packaged weights learnt from drawn faces alone.
"""
_LIMITS = """
A video may have {megabytes} MB, {seconds:g} seconds and {side} pixels a side. Your files stay on the machine that
serves this page and are removed after an hour.
"""
_SWITCHES = """
Take something away and see how the map of the same video changes. CC is the correlation with the map as it is: 1 means
no change. KL is the divergence of the map as it is from the changed one: 0 means no change.
"""
_COMPARE = """
The maps of other weights, or maps made elsewhere, beside those above. Bring pictures whose names end in the number of
the frame, an `.npz` with `maps`, or one grey video.
"""
_LIVE = """
The picture of this machine's camera with heat over it, from its sound too, by the packaged weights. Pictures are
dropped rather than late, so the rate is what the machine can keep. Nothing is recorded.
"""
_CAMERA = """
<div class="vasal-live"><button class="vasal-live-button" type="button">Turn the camera on</button>
<span class="vasal-live-said" role="status"></span>
<canvas class="vasal-live-picture" width="480" height="270"></canvas></div>
"""
_TABLE = ["frame", "seconds", "heaviest face", "weight", "talks with probability"]
_CHANGES = ["map", "CC", "KL"]
_MAPS = [".png", ".jpg", ".jpeg", ".npz", ".mp4", ".mkv", ".mov", ".avi", ".webm"]

# One prediction at a time, whichever button starts it. Nobody else is to call these but the page.
_MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}


def build(models: Models, limits: Limits, actions: Actions, live: bool) -> gr.Blocks:
    """The page, with the camera's part where it is served, ready to be launched with `launch_options`."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.Markdown(_INTRODUCTION + _LIMITS.format(**vars(limits)))
        prediction = gr.State(None, time_to_live=KEPT)
        _first_part(models, actions, prediction)
        with gr.Tabs():
            with gr.Tab("What the model uses"):
                _switches(actions, prediction)
            with gr.Tab("Compare"):
                _compare(models, actions, prediction)
            if live:
                with gr.Tab("Live"):
                    gr.Markdown(_LIVE)
                    gr.HTML(_CAMERA, elem_id="live")
    blocks.queue(max_size=limits.waiting, api_open=False)
    return blocks


def launch_options() -> dict[str, Any]:
    """What `launch` is to be told of the page's looks: nothing in it is fetched from elsewhere."""
    here = files("vasal_jax") / "web"
    return {
        "theme": Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        "css": (here / "page.css").read_text("utf-8"),
        "head": "".join(f"<script>{(here / name).read_text('utf-8')}</script>" for name in ("page.js", "page.live.js")),
        "footer_links": [],
    }


def _first_part(models: Models, actions: Actions, prediction: gr.State) -> None:
    """The video that is predicted on, and what comes of it."""
    with gr.Row():
        video = gr.Video(label="Video", sources=["upload", "webcam"], include_audio=True, elem_id="video")
        with gr.Column():
            example = gr.Button("Take the drawn example", elem_id="example")
            weights = gr.Dropdown(list(models), value=PACKAGED, label="Weights", elem_id="weights")
            button = gr.Button("Show where people look", variant="primary", elem_id="predict")
    with gr.Row(elem_id="results"):
        overlay = gr.Video(label="Where people look", interactive=False, elem_id="overlay")
        explanation = gr.Video(label="Why: the weights of the faces", interactive=False, elem_id="explanation")
    curves = gr.HTML(elem_id="chart")
    with gr.Accordion("The heaviest face by frame", open=False):
        table = gr.Dataframe(headers=_TABLE, interactive=False, elem_id="table", max_height=300)
    downloads = gr.Files(label="To keep", interactive=False, elem_id="downloads", height=190)
    example.click(actions.example, None, video, api_visibility="private")
    shown = [overlay, explanation, curves, table, downloads]
    button.click(actions.predict, [video, weights], [prediction, *shown], **_MODEL)


def _switches(actions: Actions, prediction: gr.State) -> None:
    gr.Markdown(_SWITCHES)
    switches = gr.CheckboxGroup(list(SWITCHES), label="Take away", elem_id="switches")
    button = gr.Button("Show what changes", elem_id="switch")
    shown = gr.Video(label="Beside each other", interactive=False, elem_id="switched")
    changes = gr.Dataframe(headers=_CHANGES, interactive=False, elem_id="changes")
    button.click(actions.switch, [prediction, switches], [shown, changes], **_MODEL)


def _compare(models: Models, actions: Actions, prediction: gr.State) -> None:
    gr.Markdown(_COMPARE)
    with gr.Row():
        with gr.Column():
            weights = gr.Dropdown(list(models), value=PACKAGED, label="Other weights", elem_id="other_weights")
            with_weights = gr.Button("Compare with these weights", elem_id="compare_weights")
        with gr.Column():
            maps = gr.Files(label="Maps made elsewhere", file_types=_MAPS, height=120, elem_id="maps")
            with_maps = gr.Button("Compare with these maps", elem_id="compare_maps")
    shown = gr.Video(label="Beside each other", interactive=False, elem_id="compared")
    changes = gr.Dataframe(headers=_CHANGES, interactive=False, elem_id="differences")
    with_weights.click(actions.compare_weights, [prediction, weights], [shown, changes], **_MODEL)
    with_maps.click(actions.compare_maps, [prediction, maps], [shown, changes], **_MODEL)
