"""Entry points: `predict.py`, `convert_weights.py`, and `vasal`, which has them as subcommands."""

import io
import operator
import sys
from collections.abc import Callable
from functools import partial, reduce
from importlib import import_module
from typing import Annotated, Any

import tyro
from tyro.conf import subcommand

from vasal_jax.system import address_space, stopping
from vasal_jax.system.terminal import run

Command = Callable[[], int]

# Where each command is; it is loaded when it is run, and the page stands above the other commands.
_COMMANDS = {
    **{name: f"vasal_jax.commands.{name}" for name in ("predict", "convert", "export", "demo", "fetch")},
    "web": "vasal_jax.web.command",
}


def main() -> None:
    """`vasal predict|convert|export|demo|fetch|web`."""
    _main(_vasal)


def predict_main() -> None:
    """`python predict.py`."""
    _main(lambda: _chosen("predict", sys.argv[1:]))


def convert_main() -> None:
    """`python convert_weights.py`."""
    _main(lambda: _chosen("convert", sys.argv[1:]))


def _main(load: Callable[[], Command]) -> None:
    stopping.end_at_once()  # loading the libraries takes a second or two
    command = load()
    # A file's name need not be text that the terminal can show.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    stopping.leave(run(command))


def _vasal() -> Command:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word in _COMMANDS:
        return _chosen(word, sys.argv[2:], f"vasal {word}")
    # Help, or a mistake: the answer lists all commands, so all are loaded.
    kinds = {name: _loaded(name)[0] for name in _COMMANDS}
    listed = reduce(operator.or_, (Annotated[kind, subcommand(name)] for name, kind in kinds.items()))
    args = _parsed(listed, sys.argv[1:], "vasal")
    return _command(next(name for name, kind in kinds.items() if isinstance(args, kind)), args)


def _chosen(name: str, words: list[str], program: str | None = None) -> Command:
    """The command of that name with its arguments parsed; no other command is loaded."""
    return _command(name, _parsed(_loaded(name)[0], words, program))


def _command(name: str, args: Any) -> Command:
    if name == "predict" and args.demo:
        kind, demo = _loaded("demo")
        return partial(demo, kind(weights=args.weights))
    return partial(_loaded(name)[1], args)


def _loaded(name: str) -> tuple[type, Callable]:
    """The arguments and the function of a command."""
    if name != "fetch":  # which needs no JAX
        address_space.end_if_starved()
    module = import_module(_COMMANDS[name])
    return getattr(module, f"{name.capitalize()}Args"), getattr(module, name)


def _parsed(kind: Any, words: list[str], program: str | None) -> Any:
    return tyro.cli(kind, prog=program, args=words, config=(tyro.conf.FlagCreatePairsOff,))
