"""The page's command line: what `vasal web` runs."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from vasal_jax.errors import InputError
from vasal_jax.system.terminal import OptionalFile, end_without
from vasal_jax.web.limits import Limits
from vasal_jax.web.rooms import open_rooms

_LOOPBACK = "127.0.0.1"
_MIN_PASSWORD = 8  # characters

_Host = Annotated[str | None, arg(metavar="HOST", help_behavior_hint="")]
_Files = Annotated[tuple[Path, ...], arg(metavar="FILE ...", help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class WebArgs:
    """Serve a page to try the model on videos, for this machine alone (pip install "vasal-jax[web]")."""

    weights: _Files = ()
    """Weights to choose from on the page, besides the packaged demo weights."""
    port: int = 7860
    """Port that the page is served on; 0 for any free one."""
    share_on: _Host = None
    """Let other machines open the page, on this address of this machine, such as 0.0.0.0 for all. Needs
    --password-file."""
    password_file: OptionalFile = None
    """A file whose first line is the password that visitors give, at least 8 characters; the name is "vasal"."""
    max_megabytes: int = Limits.megabytes
    """The largest file that a visitor may bring."""
    max_seconds: float = Limits.seconds
    """The longest video."""
    max_side: int = Limits.side
    """Pixels of a video's longer side."""
    max_waiting: int = Limits.waiting
    """Visitors that may wait for their turn; one video is predicted on at a time."""


def web(args: WebArgs) -> int:
    """Runs the command until it is stopped; returns its exit code. Raises `InputError`."""
    limits, password = _limits(args), _password(args)
    if not 0 <= args.port < 2**16:
        raise InputError(f"--port: expected 0 to 65535, found {args.port}")
    return serve_page(args.share_on or _LOOPBACK, args.port, args.weights, limits, password)


def serve_page(host: str, port: int, weights: Sequence[Path], limits: Limits, password: str | None) -> int:
    """Serves the page on an address until a request to stop; returns the exit code.

    Raises:
      InputError: weights cannot be read, or the address cannot be had.
    """
    with open_rooms() as rooms:
        rooms.take_in_gradio()
        try:
            from vasal_jax.web.server import serve
        except ModuleNotFoundError as error:
            end_without("web", error)
        return serve(rooms, host, port, weights, limits, password)


def _limits(args: WebArgs) -> Limits:
    limits = Limits(args.max_megabytes, args.max_seconds, args.max_side, args.max_waiting)
    for name, value in dataclasses.asdict(limits).items():
        if not 1 <= value < 2**20:
            raise InputError(f"--max-{name}: expected 1 to {2**20 - 1}, found {value:g}")
    return limits


def _password(args: WebArgs) -> str | None:
    if (args.share_on is None) != (args.password_file is None):
        raise InputError("--share-on HOST and --password-file FILE go together; give both, or neither for this machine")
    if args.password_file is None:
        return None
    try:
        with args.password_file.open(encoding="utf-8") as file:
            password = file.readline(1024).strip()
    except (OSError, ValueError) as error:
        raise InputError(f"{args.password_file}: cannot be read ({error}); name a text file") from None
    if len(password) < _MIN_PASSWORD:
        raise InputError(f"{args.password_file}: expected a password of {_MIN_PASSWORD} characters or more, found less")
    return password
