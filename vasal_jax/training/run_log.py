"""What a person sees of a training: a progress bar, CSV files, TensorBoard."""

import contextlib
import csv
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from vasal_jax.batch import Batch, PackedBatch
from vasal_jax.system.files import naming_file_errors, replacing
from vasal_jax.system.terminal import progress_bar


class RunLog:
    """Follows one run; only the first process shows and writes anything.

    Writes `steps.csv` and `validation.csv` (a row a step that is logged, all numbers in full) and TensorBoard events in
    `tensorboard/`. Rows of steps after `first`, which a run that was killed had done and now does again, are removed.

    Args:
      folder: of the run.
      first: steps done before.
      last: the run's last step.
      log_every: steps from one row to the next.
    """

    def __init__(self, folder: Path, first: int, last: int, log_every: int):
        self._folder, self._log_every, self._on = folder, log_every, jax.process_index() == 0
        self._first = first
        self._progress = progress_bar(disable=not self._on)
        self._task = self._progress.add_task("training", total=last, completed=first)
        self._began, self._clips, self._frames, self._waited = time.monotonic(), 0, 0, 0.0

    def __enter__(self) -> "RunLog":
        if self._on:
            from tensorboardX import SummaryWriter  # of the training extra; the loop's other parts do without

            with naming_file_errors(self._folder):
                for name in ("steps.csv", "validation.csv"):
                    _forget_after(self._folder / name, self._first)
                self._board = SummaryWriter(str(self._folder / "tensorboard"), purge_step=self._first + 1)
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        if self._on:
            self._board.close()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """To be wrapped around waiting for data."""
        begin = time.monotonic()
        yield
        self._waited += time.monotonic() - begin

    def step(self, number: int, scalars: dict[str, float], clips: int, frames: int) -> None:
        """Takes down a step that is done: its number, what it gave, and the size of its global batch."""
        if number == self._first + 1:
            # The first step is mostly compilation, which says nothing about the rate.
            self._began, self._waited = time.monotonic(), 0.0
        else:
            self._clips += clips
            self._frames += clips * frames
        elapsed = max(time.monotonic() - self._began, 1e-9)
        rates = {
            "clips_per_second": self._clips / elapsed,
            "frames_per_second": self._frames / elapsed,
            "share_of_time_waiting_for_data": self._waited / elapsed,
        }
        if self._clips:
            note = (
                f"loss {scalars['loss']:.4f} {rates['clips_per_second']:.2f} clips/s "
                f"{rates['frames_per_second']:.1f} frames/s waiting {rates['share_of_time_waiting_for_data']:.0%} "
                f"{_device_memory()}"
            )
            self._progress.update(self._task, note=note.strip())
        self._progress.update(self._task, completed=number)
        if self._on and number % self._log_every == 0:
            self._write("steps.csv", number, scalars)
            self._plot("training", number, scalars | rates)

    def validation(self, number: int, terms: dict[str, float], memory: str) -> None:
        """Takes down a validation after a step, measured with this memory."""
        if self._on:
            self._write("validation.csv", number, terms)
            self._plot("validation", number, terms)
            words = "  ".join(f"{name} {value:.4f}" for name, value in terms.items())
            line = f"step {number}: validation with memory {memory}: {words}"
            self._progress.console.print(line, highlight=False, soft_wrap=True)

    def overlay(self, number: int, index: int, batch: Batch | PackedBatch, logits: np.ndarray) -> None:
        """Shows the middle frame of a batch's first clip, with the truth and the prediction over it side by side."""
        from vasal_jax.config import RGB_MEAN
        from vasal_jax.outputs.heatmap import grey_map, overlay

        middle = logits.shape[1] // 2
        if "pictures" in batch:
            image = batch["pictures"][0, batch["frame_at"][0, middle]]
        else:
            image = np.clip(np.rint(batch["frames"][0, middle] + RGB_MEAN), 0, 255).astype(np.uint8)
        maps = batch["density"][0, middle], np.exp(logits[0, middle] - logits[0, middle].max())
        pictures = [overlay(image, grey_map(m, image.shape[1], image.shape[0])) for m in maps]
        name = f"validation/{index} video {batch['video'][0]} frame {batch['frame'][0, middle]}"
        self._board.add_image(name, np.concatenate(pictures, axis=1), number, dataformats="HWC")

    def _plot(self, group: str, number: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(f"{group}/{name}", value, number)

    def _write(self, name: str, number: int, values: dict[str, float]) -> None:
        path = self._folder / name
        with naming_file_errors(path), path.open("a", newline="") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(["step", *values])
            writer.writerow([number, *values.values()])


def _forget_after(path: Path, step: int) -> None:
    """Removes rows of later steps, and a last one that a kill cut short."""
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines[1:] if line.endswith(b"\n") and int(line.split(b",")[0]) <= step]
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(lines[:1] + whole) if whole else b"")


def _device_memory() -> str:
    """Memory in use on the first device, where it can tell."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return f"{stats['bytes_in_use'] / 2**30:.1f} GiB" if "bytes_in_use" in stats else ""
