"""Entry points: `predict.py`, `convert_weights.py`, and `vasal`, which has them as subcommands."""

import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

import tyro
from tyro.conf import subcommand

from vasal_jax.system.terminal import run

Command = Callable[[], int]


def main() -> None:
    """`vasal predict|convert|demo`."""
    _main(_vasal)


def predict_main() -> None:
    """`python predict.py`."""
    _main(_predict)


def convert_main() -> None:
    """`python convert_weights.py`."""
    _main(_convert)


def _main(load: Callable[[], Command]) -> None:
    stoppable = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN  # not so behind nohup
    if stoppable:
        # Loading the libraries takes a second or two. Ctrl-C must not raise there, in the middle of native code.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = load()
    if stoppable:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # A polite kill, by a job's time limit say, cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A file's name need not be text that the terminal can show.
    sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(command))


def _predict() -> Command:
    from vasal_jax.commands.predict import PredictArgs

    return _command(_parsed(PredictArgs))


def _convert() -> Command:
    from vasal_jax.commands.convert import ConvertArgs

    return _command(_parsed(ConvertArgs))


def _vasal() -> Command:
    from vasal_jax.commands.convert import ConvertArgs
    from vasal_jax.commands.demo import DemoArgs
    from vasal_jax.commands.predict import PredictArgs

    args = _parsed(
        Annotated[PredictArgs, subcommand("predict")]
        | Annotated[ConvertArgs, subcommand("convert")]
        | Annotated[DemoArgs, subcommand("demo")],
        "vasal",
    )
    return _command(args)


def _command(args) -> Command:
    from vasal_jax.commands.convert import ConvertArgs, convert
    from vasal_jax.commands.demo import DemoArgs, demo
    from vasal_jax.commands.predict import PredictArgs, predict

    if isinstance(args, PredictArgs) and args.demo:
        args = DemoArgs(weights=args.weights)
    return partial({PredictArgs: predict, ConvertArgs: convert, DemoArgs: demo}[type(args)], args)


def _parsed(kind, program: str | None = None):
    return tyro.cli(kind, prog=program, config=(tyro.conf.FlagCreatePairsOff,))
