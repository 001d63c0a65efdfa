"""The prepared dataset: every frame at model size in array_record shards, one a video, as TensorFlow Datasets has it.

    python -m data.builder FOLDER OUT                       MVVA, or a folder of data.synthetic
    python -m data.builder FOLDER OUT --dataset DIEM        a dataset in the STAViS layout
    tfds build data/builder.py --manual_dir FOLDER --data_dir OUT     the same as the first; Beam's runners do the work
                                                                      with --beam_pipeline_options runner=...

It is written once and then read by `data.pipeline`. Broken off, it goes on where it was.
"""

import contextlib
import dataclasses
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, arg

from data.beam_jobs import in_beam
from data.datasets import open_dataset, own_name
from data.records import VideoRecord
from data.splits import NAMES
from vasal_jax.errors import InputError
from vasal_jax.inputs.fixations import SIGMA
from vasal_jax.system.engines import Engine, Name, RayAddress
from vasal_jax.system.files import naming_file_errors
from vasal_jax.system.locks import only_one
from vasal_jax.system.terminal import end_without, progress_bar, run, say

try:
    import tensorflow_datasets as tfds

    from data.examples import frame_examples
    from data.schema import features
    from data.shards import make_shard, remove_shards, shard_path
except ModuleNotFoundError as error:
    end_without("train", error)

logger = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """What a prepared dataset is made of; `config_of` names it by that."""

    dataset: str = "mvva"
    sigma: float | None = SIGMA
    split: str | None = None
    find_faces: bool = False


def config_of(
    dataset: str = "mvva", sigma: float | None = SIGMA, split: str | None = None, find_faces: bool = False
) -> Config:
    """A config named after its dataset, its sigma and, where they are not the default, its split rule and faces."""
    width = "own_maps" if sigma is None else f"sigma{sigma:g}"
    rule = "" if split is None else "_split_" + hashlib.sha256(split.encode()).hexdigest()[:8]
    name = f"{dataset.lower()}_{width}{rule}" + ("_found_faces" if find_faces else "")
    return Config(name=name, dataset=dataset, sigma=sigma, split=split, find_faces=find_faces)


class FaceSaliency(tfds.core.GeneratorBasedBuilder):
    """Frames of multiple-face videos with sound, faces and fixation densities, at the model's size."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = (config_of(),)
    MANUAL_DOWNLOAD_INSTRUCTIONS = "The folder that the MVVA archives were unpacked in, or one of data.synthetic."

    def __init__(
        self,
        *,
        processes: int = os.cpu_count() or 1,
        engine: Name = "local",
        ray_address: str | None = None,
        file_format: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(file_format=file_format or "array_record", **kwargs)
        self._engine = Engine(engine, ray_address, processes)

    # TFDS decorates its own, so its types take that for a variable.
    def download_and_prepare(self, **options: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As TFDS has it, with its options, by one program at a time.

        Raises:
          InputError: another program prepares the same dataset.
        """
        with only_one(self._workshop.parent, "preparing this dataset"):
            super().download_and_prepare(**options)

    @property
    def _choice(self) -> Config:
        assert isinstance(self.builder_config, Config)  # TFDS types it as any config, or none
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=features(),
            disable_shuffling=True,  # frames of a video stay together and in order
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, list[VideoRecord]]:
        config = self._choice
        dataset, splits = open_dataset(dl_manager.manual_dir, config.dataset, config.split)
        by_split = {name: [r for r in dataset.records if splits.split_of(r.id) == name] for name in NAMES}
        _metadata(self).update(
            dataset=dataset.name,
            split_rule=splits.description,
            sigma=config.sigma,
            found=dataset.found,
            left_out={problem.video: problem.message for problem in dataset.problems if problem.left_out},
        )
        return {name: records for name, records in by_split.items() if records}

    def _generate_examples(self, records: list[VideoRecord]):
        for record in records:
            for index, example in enumerate(frame_examples(record, self._choice.sigma)):
                yield f"{record.id}_{index:06d}", example

    def _generate_splits(self, dl_manager, download_config) -> list[tfds.core.SplitInfo]:
        """In place of TFDS's own, which works in one process and loses all when killed: shards made apart, kept till
        all are there, then put in place."""
        by_split = self._split_generators(dl_manager)
        run = partial(self._engine.run, lost=_lost)
        if download_config.beam_options or download_config.beam_runner:
            run = partial(in_beam, options=download_config.beam_options, runner=download_config.beam_runner)
        made = self._make_shards([record for records in by_split.values() for record in records], run)
        videos, infos = {}, []
        for split, records in by_split.items():
            videos[split] = [made[record.id] for record in records if record.id in made]
            if videos[split]:
                infos.append(self._take_in(split, videos[split]))
        if not infos:
            raise InputError(f"{dl_manager.manual_dir}: none of its videos could be prepared")
        _metadata(self)["videos"] = videos
        return infos

    @property
    def _workshop(self) -> Path:
        """Where finished shards wait for the others."""
        return Path(self._data_dir_root) / self.name / self._choice.name / f"{self.version}.shards"

    def _make_shards(self, records: list[VideoRecord], run: Callable) -> dict[str, dict]:
        """Frames and bytes of the shard of each video, by ID; what cannot be read is logged and left out.

        `run` is from a function and its jobs to the results.
        """
        folder, made = self._workshop, {}
        with naming_file_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if (root := str(Path(__file__).parents[1])) not in sys.path:
            sys.path.append(root)  # `tfds build` has it there only while it loads this file; workers need it too
        jobs = [(record, self._choice.sigma, folder, self._choice.find_faces) for record in records]
        with progress_bar() as progress:
            task = progress.add_task("preparing videos", total=len(jobs))
            for video, shard, problem in run(make_shard, jobs):
                progress.advance(task)
                if problem is None:
                    made[video] = shard
                else:
                    logger.warning("video %s left out: %s", video, problem)
                    _metadata(self)["left_out"][video] = problem
        return made

    def _take_in(self, split: str, videos: list[dict]) -> tfds.core.SplitInfo:
        """Puts the shards of a split in place under the names that TFDS gives them."""
        template = self._get_filename_template(split_name=split)
        for index, video in enumerate(videos):
            place = template.sharded_filepath(shard_index=index, num_shards=len(videos))
            with naming_file_errors(Path(place)):
                _link(shard_path(self._workshop, video["id"]), Path(place))
        lengths = [video["frames"] for video in videos]
        size = sum(video["bytes"] for video in videos)
        return tfds.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=size, filename_template=template)

    def _post_download_and_prepare_hook(self) -> None:
        remove_shards(self._workshop)


def _lost(job: tuple, reason: str) -> tuple[str, None, str]:
    """What `make_shard` gives for a video that was left out."""
    record, *_ = job
    return record.id, None, reason


def _metadata(builder: FaceSaliency) -> Any:
    """What the dataset records of itself, which TFDS types as perhaps absent."""
    return builder.info.metadata


def _link(source: Path, place: Path) -> None:
    """The same file under a second name; a copy where the file system has none, as on a network share."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)


@dataclasses.dataclass(frozen=True)
class BuilderArgs:
    """Prepare a dataset for training: every frame at model size, with sound, faces and fixation density."""

    folder: Positional[Path]
    """Where MVVA or a challenge was unpacked, a folder of data.synthetic, or one in the layout of STAViS, DHF1K,
    Hollywood-2 or UCF-Sports."""
    out: Positional[Path]
    """The folder to write to. Each choice of dataset, sigma, split and faces gets a folder of its own in it."""
    dataset: str = "mvva"
    """In the STAViS layout: which of the datasets, such as DIEM."""
    sigma: Annotated[float | Literal["own-maps"] | None, arg(help_behavior_hint="")] = None
    """Standard deviation of the density in pixels of the grid of fixations, or own-maps: the maps of the dataset. By
    default 28, and the own maps of a challenge, DHF1K, Hollywood-2 and UCF-Sports."""
    split: Annotated[str | None, arg(metavar="RULE", help_behavior_hint="")] = None
    """Which IDs are tested on, as in "test=281-343 validation=220-280" (the default) or "test=list.txt"."""
    faces: Literal["annotated", "auto"] = "annotated"
    """annotated: those that the dataset brings; auto: for videos of which it brings none, those that are found."""
    processes: int = os.cpu_count() or 1
    """How many videos to prepare at a time."""
    engine: Name = "local"
    """ray has workers of Ray prepare, on a cluster for example; it needs pip install "vasal-jax[ray]"."""
    ray_address: RayAddress = None
    """With --engine ray: the cluster, which sees the same files. By default one on this machine, for this command."""


def build(args: BuilderArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    if not args.folder.is_dir():
        raise InputError(f"{args.folder}: no such folder, expected a dataset")
    name = own_name(args.folder)
    sigma = args.sigma if args.sigma is not None else "own-maps" if name else SIGMA
    if sigma != "own-maps" and not 0 < sigma < np.inf:
        raise InputError(f"--sigma: expected more than 0 pixels, found {sigma:g}")
    if not 1 <= args.processes <= 256:
        raise InputError(f"--processes: expected 1 to 256, found {args.processes}")
    Engine(args.engine, args.ray_address, args.processes).check()
    with naming_file_errors(args.out):
        args.out.mkdir(parents=True, exist_ok=True)
    find_faces = args.faces == "auto"
    config = config_of(name or args.dataset, None if sigma == "own-maps" else sigma, args.split, find_faces)
    tfds.disable_progress_bar()
    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS warns of a config that is not in its list
    known = config.name in FaceSaliency.builder_configs  # TFDS wants those by name
    how = {"processes": args.processes, "engine": args.engine, "ray_address": args.ray_address}
    builder = FaceSaliency(data_dir=args.out, config=config.name if known else config, **how)
    there = Path(builder.data_dir).exists()
    # TFDS speaks of downloads and makes a folder for them.
    with contextlib.redirect_stdout(None), tempfile.TemporaryDirectory() as downloads:
        source = tfds.download.DownloadConfig(manual_dir=args.folder)
        builder.download_and_prepare(download_dir=downloads, download_config=source)
    table = Table("split", "videos", "frames", "hours", "MB", title="there already" if there else None)
    for split, videos in _metadata(builder)["videos"].items():
        hours = sum(video["frames"] / video["fps"] for video in videos) / 3600
        frames, size = (sum(video[key] for video in videos) for key in ("frames", "bytes"))
        table.add_row(split, str(len(videos)), f"{frames:,}", f"{hours:.2f}", f"{size / 1e6:,.0f}")
    Console().print(table)
    made = [video for videos in _metadata(builder)["videos"].values() for video in videos]
    if (found := sum(video.get("faces") == "found" for video in made)) > 0:
        print(f"faces of {found} of {len(made)} videos are found, not annotated")
    left_out = _metadata(builder)["left_out"]
    if left_out:
        say(f"{len(left_out)} of {_metadata(builder)['found']} videos left out: {', '.join(left_out)}")
    say(f"wrote {builder.data_dir}" if not there else f"{builder.data_dir}: nothing to do; delete it to prepare anew")
    return 0


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parsed = tyro.cli(BuilderArgs, prog="python -m data.builder", args=args)
    return run(lambda: build(parsed))


if __name__ == "__main__":
    sys.exit(main())
