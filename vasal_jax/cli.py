"""Entry points: `predict.py`, `convert_weights.py`, and `vasal`, which has them as subcommands."""

import sys
from typing import Annotated

import tyro
from tyro.conf import subcommand

from vasal_jax.commands import run
from vasal_jax.commands.convert import ConvertArgs, convert
from vasal_jax.commands.demo import DemoArgs, demo
from vasal_jax.commands.predict import PredictArgs, predict

_COMMANDS = {PredictArgs: predict, ConvertArgs: convert, DemoArgs: demo}
_Subcommand = (
    Annotated[PredictArgs, subcommand("predict")]
    | Annotated[ConvertArgs, subcommand("convert")]
    | Annotated[DemoArgs, subcommand("demo")]
)


def main() -> None:
    """`vasal predict|convert|demo`."""
    _main(_Subcommand, "vasal")


def predict_main() -> None:
    """`python predict.py`."""
    _main(PredictArgs)


def convert_main() -> None:
    """`python convert_weights.py`."""
    _main(ConvertArgs)


def _main(kind, program: str | None = None) -> None:
    args = tyro.cli(kind, prog=program, config=(tyro.conf.FlagCreatePairsOff,))
    sys.exit(run(lambda: _COMMANDS[type(args)](args)))
