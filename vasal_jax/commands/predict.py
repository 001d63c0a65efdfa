"""Saliency maps for a video: what `predict.py` and `vasal predict` run."""

import os
from pathlib import Path

from vasal_jax.commands.predict_args import PredictArgs, check_model, inputs_of, load_weights
from vasal_jax.commands.predict_compiled import show_compiled
from vasal_jax.commands.predict_job import prepare_process
from vasal_jax.commands.predict_many import predict_many
from vasal_jax.commands.predict_video import predict_video
from vasal_jax.errors import InputError
from vasal_jax.inputs.video import VideoInfo, probe
from vasal_jax.outputs.prediction_files import Outputs, check
from vasal_jax.prediction.streaming import Predictor
from vasal_jax.system.files import fitting_name
from vasal_jax.system.terminal import progress_bar, say


def predict(args: PredictArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    if args.compile_only is not None:
        return show_compiled(args, args.compile_only)
    if args.video is None:
        raise InputError("expected a VIDEO to predict on (or --demo), found none; see --help")
    if args.out or args.submission:
        return predict_many(args)
    if args.more or args.recursive or args.overwrite or args.shard or args.workers or args.engine != "local":
        raise InputError("several videos need a folder for their outputs; say --out DIR or --submission DIR")
    prepare_process(args)
    info = probe(args.video, args.fps)
    outputs = Outputs(args.overlay, args.saliency, args.frames, args.maps, args.explain, args.save_tracks)
    if not outputs.paths():
        outputs = Outputs(overlay=_overlay_beside(info))
    check(outputs, inputs_of(args))
    predictor = Predictor(load_weights(args))
    check_model(args, predictor.model)
    with progress_bar() as progress:
        predict_video(args, info, outputs, predictor, progress)
    for path in outputs.paths():
        say(f"wrote {path}")
    return 0


def _overlay_beside(info: VideoInfo) -> Path:
    if info.pictures:
        folder = Path(os.path.abspath(info.path))  # "." has a name, too
        return folder.with_name(fitting_name(folder.name, "_overlay.mp4"))
    return info.path.with_name(fitting_name(info.path.stem, "_overlay.mp4"))
