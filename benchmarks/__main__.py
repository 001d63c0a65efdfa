"""All benchmarks, or the named ones, and one table: `python -m benchmarks [NAME...] [--rounds N] [--json OUT]`."""

import argparse
import sys

from benchmarks.harness.runner import command_line, report
from vasal_jax.errors import InputError
from vasal_jax.system.terminal import run

BENCHMARKS = {
    "forward": "a clip through the model, beside PyTorch",
    "train_step": "a training step of the model, beside PyTorch",
    "convlstm": "the ConvLSTM alone, forward and backward, beside PyTorch",
    "face": "what the face branch adds to a clip's forward pass",
    "faces": "what finding faces adds to predict.py, beside --faces none; minutes a round",
    "predict": "predict.py on a 30 s video, beside the release's way of working; minutes a round",
    "many": "predict.py on 8 videos at once, beside a command each and the release's way of working; minutes a round",
    "cold_start": "time to the first map of predict.py, with a filled and an empty compilation cache",
    "exported": "a clip through exported programs, beside jit",
    "metrics": "all metrics of a frame, beside pysaliency",
    "input_pipeline": "clips of the prepared dataset, beside clips taken from the videos",
}


def main(words: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = command_line("Runs benchmarks in both allocator settings and prints one table.", "python -m benchmarks")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "names:\n" + "\n".join(f"  {name:15} {line}" for name, line in BENCHMARKS.items())
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones; all by default")
    args = parser.parse_args(words)
    return run(lambda: _report(args))


def _report(args: argparse.Namespace) -> int:
    unknown = [name for name in args.names if name not in BENCHMARKS]
    if unknown:
        raise InputError(f"{', '.join(unknown)}: no such benchmark, expected some of {', '.join(BENCHMARKS)}")
    modules = [f"benchmarks.{name}" for name in args.names or BENCHMARKS]
    options = {} if args.rounds is None else {"rounds": args.rounds}
    return report(modules, options, args.allocator, args.json)[1]


if __name__ == "__main__":
    sys.exit(main())
