"""What the buttons of the page do, one visitor at a time."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports] (an extra)

from vasal_jax.errors import InputError
from vasal_jax.web.chart import by_frame, chart, heaviest
from vasal_jax.web.limits import Limits
from vasal_jax.web.models import Models
from vasal_jax.web.predicting import Prediction, predict
from vasal_jax.web.rooms import Example, Rooms
from vasal_jax.web.rows import SWITCHES, Row, brought_row, other_row, own_row, switched_row
from vasal_jax.web.side_by_side import Change, side_by_side

logger = logging.getLogger(__name__)

_ALL = "as it is"


class Actions:
    """The actions of a page with some models, limits and rooms. All raise `gr.Error`, which the page shows."""

    def __init__(self, models: Models, limits: Limits, rooms: Rooms, example: Example):
        self._models, self._limits, self._rooms, self._example = models, limits, rooms, example

    def example(self) -> str:
        """The drawn example, for the page's video."""
        return str(self._example.video)

    def predict(self, video: str | None, weights: str, progress: gr.Progress = gr.Progress()) -> tuple:  # noqa: B008
        """The prediction, and what the results show: overlay, explanation, chart, table, files."""
        with _telling_visitors():
            if video is None:
                raise InputError("expected a video, found none; bring one or take the drawn example")
            folder = self._rooms.new_folder()
            arguments = self._models, self._limits, self._example, Path(video), weights, folder
            prediction = predict(*arguments, lambda done, what: progress(done, desc=what))
            return prediction, *_shown(prediction)

    def switch(
        self,
        prediction: Prediction | None,
        switches: Sequence[str],
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[str, list[list[Any]]]:
        """A video of the maps without what the switches take away, and how much they changed."""
        with _telling_visitors():
            prediction = _made(prediction)
            chosen = [switch for switch in SWITCHES if switch in switches]
            if not chosen:
                raise InputError("expected one switch or more, found none; choose what to take away")
            rows = [own_row(prediction, _ALL)]
            for switch in chosen:
                counted = _counted(progress, prediction, switch)
                rows.append(switched_row(self._models, prediction, self._example, switch, counted))
            return self._beside(prediction, rows, progress)

    def compare_weights(
        self,
        prediction: Prediction | None,
        weights: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[str, list[list[Any]]]:
        """The same of other weights."""
        with _telling_visitors():
            prediction = _made(prediction)
            counted = _counted(progress, prediction, "the other weights")
            other = other_row(self._models, prediction, weights or "", counted)
            return self._beside(prediction, [own_row(prediction, prediction.weights), other], progress)

    def compare_maps(
        self,
        prediction: Prediction | None,
        files: Sequence[str] | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[str, list[list[Any]]]:
        """The same of maps made elsewhere."""
        with _telling_visitors():
            prediction = _made(prediction)
            brought = brought_row(prediction, [Path(file) for file in files or ()], self._rooms.new_folder())
            return self._beside(prediction, [own_row(prediction, prediction.weights), brought], progress)

    def _beside(self, prediction: Prediction, rows: list[Row], progress: gr.Progress) -> tuple[str, list[list[Any]]]:
        path = self._rooms.new_folder() / "side_by_side.mp4"
        changes = side_by_side(path, prediction.info, rows, _counted(progress, prediction, "drawing"))
        return str(path), list(map(_change_row, changes))


def _made(prediction: Prediction | None) -> Prediction:
    if prediction is None:
        raise InputError("expected a video that was predicted on, found none; press the button above first")
    return prediction


def _shown(prediction: Prediction) -> list[Any]:
    outputs, moments = prediction.outputs, prediction.moments()
    table = [[frame[0].frame, *_table_row(*heaviest(frame))] for frame in by_frame(moments)]
    explanation = outputs.explanation and str(outputs.explanation)
    downloads = outputs.overlay, outputs.explanation, outputs.explanation_csv, outputs.maps
    return [str(outputs.overlay), explanation, chart(moments), table, [str(path) for path in downloads if path]]


def _table_row(time: float, track: int | None, weight: float | None, talking: float | None) -> list[Any]:
    shares = ["" if share is None else f"{share:.3f}" for share in (weight, talking)]
    return [f"{time:.3f}", "" if track is None else track, *shares]


def _change_row(change: Change) -> list[Any]:
    return [change.name, f"{change.cc:.3f}", f"{change.kl:.3f}"]


def _counted(progress: gr.Progress, prediction: Prediction, what: str) -> Callable[[int], object]:
    """Reports the number of a frame."""
    total = prediction.info.frames or 1
    return lambda count: progress(min(count / total, 1.0), desc=f"{what}: frame {count} of {total}")


@contextmanager
def _telling_visitors() -> Iterator[None]:
    """Errors in the block become sentences on the page: a visitor's mistake, or a fault that the log explains."""
    try:
        yield
    except InputError as error:
        said = " ".join(_without_folders(word) for word in str(error).split(" "))
    except Exception as error:
        logger.warning("an error of this program, not of the visitor", exc_info=error)
        said = "The program failed on this video. The fault is in its log, and the page goes on."
    else:
        return
    raise gr.Error(said, duration=None, title="This did not work", print_exception=False)


def _without_folders(word: str) -> str:
    """A word of a message without the folders in front of a file's name, which are nobody's business."""
    return word.rpartition("/")[2] if word.startswith("/") else word
